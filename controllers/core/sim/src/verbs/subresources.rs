//! Scale, binding and eviction. `pkg/registry/apps/*/storage ScaleREST`,
//! `pkg/registry/core/pod/storage/{storage,eviction}.go`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Patch, time, uid_differs};
use crate::custom::ScalePaths;
use crate::kinds::{KindId, by_kind, core};
use crate::meta;
use crate::patch::patched;
use crate::refusal::{self, Answer};
use crate::selector::{label_selector_matches, textual};
use crate::state::{Context, Object, State};

fn scale_of(object: &Value, paths: &ScalePaths) -> Value {
    let of = |pointer: &str| object.pointer(pointer).cloned();
    let mut metadata = json!({});
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = of(&format!("/metadata/{field}")) {
            metadata[field] = value;
        }
    }
    let mut spec = json!({});
    if let Some(replicas) = of(&paths.spec).filter(|r| *r != json!(0)) {
        spec["replicas"] = replicas;
    }
    let mut status = json!({ "replicas": of(&paths.status).unwrap_or(json!(0)) });
    match &paths.selector {
        Some(path) => meta::set(meta::map(&mut status), "selector", of(path)),
        None => {
            if let Some(selector) = of("/spec/selector") {
                status["selector"] = json!(textual(&selector));
            }
        }
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": metadata, "spec": spec, "status": status,
    })
}

impl State {
    fn scale_paths(&self, kind: KindId) -> ScalePaths {
        let custom = self.customs.get(&kind);
        custom
            .map(|custom| custom.scale.clone())
            .unwrap_or_default()
    }

    /// The Scale of an object.
    pub(crate) fn scale_of(&self, kind: KindId, object: &Value) -> Value {
        scale_of(object, &self.scale_paths(kind))
    }

    /// Writes the replicas of a Scale.
    pub(crate) fn put_scale(
        &mut self,
        context: &Context,
        kind: KindId,
        (namespace, name): (&str, &str),
        scale: &Value,
    ) -> Answer<Value> {
        let table = self.kinds[kind];
        let Some(old) = self.object(kind, namespace, name).cloned() else {
            return Err(refusal::not_found(table, name));
        };
        let uid = meta::uid(scale);
        if !uid.is_empty() && uid != meta::uid(&old.value) {
            return Err(refusal::conflict(
                table,
                name,
                &uid_differs(uid, &old.value),
            ));
        }
        let given = meta::name(scale);
        if given != name {
            return Err(super::wrong_name(given, name));
        }
        let replicas = meta::number(scale, "/spec/replicas").unwrap_or(0);
        if replicas < 0 {
            let message = format!("Invalid value: {replicas}: must be greater than or equal to 0");
            let field = "spec.replicas".to_owned();
            let reason = "FieldValueInvalid";
            return Err(refusal::invalid(
                table,
                name,
                &[refusal::Wrong {
                    field,
                    reason,
                    message,
                }],
            ));
        }
        let mut new = (*old.value).clone();
        let path = self.scale_paths(kind).spec;
        let steps = path.split('/').filter(|step| !step.is_empty());
        let patch = steps
            .rev()
            .fold(json!(replicas), |below, step| json!({ step: below }));
        json_patch::merge(&mut new, &patch);
        let version = scale.pointer("/metadata/resourceVersion").cloned();
        meta::set(meta::metadata(&mut new), "resourceVersion", version);
        let inner = Context {
            subresource: "scale",
            ..context.clone()
        };
        let object = self.replace(&inner, kind, &old, new, false)?;
        Ok(self.scale_of(kind, &object.value))
    }

    pub(crate) fn patch_scale(
        &mut self,
        context: &Context,
        kind: KindId,
        (namespace, name): (&str, &str),
        patch: Patch,
    ) -> Answer<Value> {
        let Some(old) = self.object(kind, namespace, name) else {
            return Err(refusal::not_found(self.kinds[kind], name));
        };
        let scale = self.scale_of(kind, &old.value);
        let scale = patched(&scale, patch.body, patch.how, None, None)?;
        self.put_scale(context, kind, (namespace, name), &scale)
    }

    /// Binds a pod to a node.
    pub(crate) fn bind(
        &mut self,
        context: &Context,
        (namespace, name): (&str, &str),
        binding: &Value,
    ) -> Answer<()> {
        let pods = core("Pod");
        let node = meta::text(binding, "/target/name");
        if node.is_empty() {
            return Err(refusal::unclassified("target.name: Required value"));
        }
        let Some(old) = self.object(pods, namespace, name).cloned() else {
            return Err(refusal::not_found(self.kinds[pods], name));
        };
        let bound = meta::text(&old.value, "/spec/nodeName");
        let uid = meta::uid(binding);
        let refused = if !uid.is_empty() && uid != meta::uid(&old.value) {
            Some(uid_differs(uid, &old.value))
        } else if meta::deleting(&old.value) {
            Some(format!(
                "pod {name} is being deleted, cannot be assigned to a host"
            ))
        } else if !bound.is_empty() {
            Some(format!("pod {name} is already assigned to node {bound:?}"))
        } else if !meta::array(&old.value, "/spec/schedulingGates").is_empty() {
            Some(format!("pod {name} has non-empty .spec.schedulingGates"))
        } else {
            None
        };
        if let Some(why) = refused {
            return Err(refusal::conflict(self.kinds[pods], name, &why));
        }
        let mut new = (*old.value).clone();
        meta::child(&mut new, "spec").insert("nodeName".to_owned(), json!(node));
        // Gate ClearingNominatedNodeNameAfterBinding.
        meta::child(&mut new, "status").remove("nominatedNodeName");
        for field in ["labels", "annotations"] {
            let added = binding
                .pointer(&format!("/metadata/{field}"))
                .and_then(Value::as_object);
            if let Some(added) = added {
                let patch = json!({ "metadata": { field: added } });
                json_patch::merge(&mut new, &patch);
            }
        }
        set_condition(
            &mut new,
            json!({
                "type": "PodScheduled", "status": "True",
                "lastTransitionTime": time(context.now),
            }),
        );
        self.commit(context, pods, Some(&old), new, false);
        Ok(())
    }

    /// Evicts a pod, if the disruption budgets that match it allow it.
    pub(crate) fn evict(
        &mut self,
        context: &Context,
        (namespace, name): (&str, &str),
        eviction: &Value,
    ) -> Answer<()> {
        let pods = core("Pod");
        let Some(mut pod) = self.object(pods, namespace, name).cloned() else {
            return Err(refusal::not_found(self.kinds[pods], name));
        };
        let phase = meta::text(&pod.value, "/status/phase");
        let free =
            ["Succeeded", "Failed", "Pending"].contains(&phase) || meta::deleting(&pod.value);
        if !free {
            self.spend_budget(context, namespace, &pod)?;
            let mut new = (*pod.value).clone();
            set_condition(
                &mut new,
                json!({
                    "type": "DisruptionTarget", "status": "True",
                    "reason": "EvictionByEvictionAPI",
                    "message": "Eviction API: evicting",
                    "lastTransitionTime": time(context.now),
                }),
            );
            pod = self.commit(context, pods, Some(&pod), new, false);
        }
        let options = eviction
            .get("deleteOptions")
            .cloned()
            .unwrap_or_else(|| json!({}));
        self.delete(context, pods, (namespace, meta::name(&pod.value)), &options)?;
        Ok(())
    }

    fn spend_budget(&mut self, context: &Context, namespace: &str, pod: &Object) -> Answer<()> {
        let budgets =
            by_kind("policy", "PodDisruptionBudget").expect("the table has PodDisruptionBudget");
        let matching: Vec<Arc<Object>> = self.stores[budgets]
            .objects
            .iter()
            .filter(|((home, _), budget)| {
                let selector = budget.value.pointer("/spec/selector");
                home == namespace && label_selector_matches(selector, meta::labels(&pod.value))
            })
            .map(|(_, budget)| Arc::clone(budget))
            .collect();
        let budget = match matching.as_slice() {
            [] => return Ok(()),
            [budget] => budget,
            _ => {
                let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                return Err(refusal::internal(message));
            }
        };
        let status = |field: &str| meta::number(&budget.value, &format!("/status/{field}"));
        let allowed = status("disruptionsAllowed").unwrap_or(0);
        if allowed <= 0 {
            let healthy = status("currentHealthy").unwrap_or(0);
            let desired = status("desiredHealthy").unwrap_or(0);
            return Err(refusal::disruption(
                meta::name(&budget.value),
                healthy,
                desired,
            ));
        }
        let mut new = (*budget.value).clone();
        new["status"]["disruptionsAllowed"] = json!(allowed - 1);
        new["status"]["disruptedPods"][meta::name(&pod.value)] = json!(time(context.now));
        self.commit(context, budgets, Some(budget), new, false);
        Ok(())
    }
}

/// `podutil.UpdatePodCondition`: in place, and the transition time stays if the status does.
fn set_condition(object: &mut Value, mut condition: Value) {
    let status = meta::child(object, "status");
    let list = status.entry("conditions").or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else {
        return;
    };
    match list.iter_mut().find(|c| c["type"] == condition["type"]) {
        Some(present) => {
            if present["status"] == condition["status"] {
                condition["lastTransitionTime"] = present["lastTransitionTime"].clone();
            }
            *present = condition;
        }
        None => list.push(condition),
    }
}
