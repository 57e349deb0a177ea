//! What create, update, patch and delete do to the state. `k8s.io/apiserver
//! pkg/registry/generic/registry/store.go`, `pkg/registry/rest/{create,update,delete}.go`.

mod collect;
mod quota;
mod remove;
mod subresources;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::custom::{DEFINITION, accept};
use crate::kinds::{Generation, Kind, KindId, core};
use crate::meta;
use crate::patch::{PatchType, owned, patched};
use crate::refusal::{self, Answer};
use crate::state::{Context, Object, State, Verb};
use crate::{defaults, shape, validate};

pub(crate) use remove::Removed;

/// A PATCH as it came.
pub(crate) struct Patch {
    pub(crate) how: PatchType,
    pub(crate) body: Value,
    pub(crate) manager: String,
}

impl State {
    /// Creates an object. A trusted caller (a test that sets the scene) may give a status.
    pub(crate) fn create(
        &mut self,
        context: &Context,
        kind: KindId,
        namespace: &str,
        mut object: Value,
        trusted: bool,
    ) -> Answer<Arc<Object>> {
        let table = self.kinds[kind];
        identify(table, namespace, &mut object)?;
        if !meta::resource_version(&object).is_empty() {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(refusal::internal(message));
        }
        self.tidy(kind, &mut object)
            .map_err(|e| refusal::undecodable(&e))?;
        let metadata = meta::metadata(&mut object);
        for field in SYSTEM_FIELDS {
            metadata.remove(*field);
        }
        let prefix = meta::text(&object, "/metadata/generateName").to_owned();
        if meta::name(&object).is_empty() && !prefix.is_empty() {
            let name: String = prefix.chars().take(58).collect::<String>() + &self.next_suffix();
            meta::metadata(&mut object).insert("name".to_owned(), json!(name));
        }
        let name = meta::name(&object).to_owned();
        if table.namespaced {
            self.admit_to_namespace(table, namespace, &name)?;
        }
        if let Some(message) = self.rejected.get(table.kind) {
            return Err(refusal::forbidden(table, &name, message));
        }
        let status = object.get("status").cloned();
        defaults::fill(table, &mut object);
        defaults::fill_new(table, &mut object);
        match (table.rules(), trusted) {
            (_, true) => {
                if let Some(status) = status {
                    json_patch::merge(&mut object["status"], &status);
                }
            }
            ("Node", false) => taint_new_node(&mut object),
            (DEFINITION, false) => accept(&mut object, &time(context.now)),
            ("", false) if table.status => {
                meta::set(meta::map(&mut object), "status", None);
            }
            _ => {}
        }
        let uid = self.next_uid();
        let metadata = meta::metadata(&mut object);
        metadata.insert("uid".to_owned(), json!(uid));
        metadata.insert("creationTimestamp".to_owned(), json!(time(context.now)));
        if table.generation != Generation::Never {
            metadata.insert("generation".to_owned(), json!(1));
        }
        if table.rules() == "Job" {
            job_selector(&mut object, &uid);
        }
        validate::create(table, &object, self.customs.get(&kind))?;
        if table.namespaced && !trusted {
            self.admit_to_quotas(context, table, namespace, &name)?;
        }
        if self.object(kind, namespace, &name).is_some() {
            return Err(refusal::exists(table, &name));
        }
        self.give_address(table, &mut object);
        Ok(self.commit(context, kind, None, object, false))
    }

    /// Replaces an object, or its status. A trusted caller replaces both at once.
    pub(crate) fn update(
        &mut self,
        context: &Context,
        kind: KindId,
        (namespace, name): (&str, &str),
        mut new: Value,
        trusted: bool,
    ) -> Answer<Arc<Object>> {
        let table = self.kinds[kind];
        match meta::name(&new) {
            "" => return Err(refusal::bad_request("name must be provided")),
            other if other != name => return Err(wrong_name(other, name)),
            _ => {}
        }
        identify(table, namespace, &mut new)?;
        let Some(old) = self.object(kind, namespace, name).cloned() else {
            if table.creates_on_update && context.subresource.is_empty() {
                let uid = meta::uid(&new);
                if !uid.is_empty() {
                    return Err(refusal::conflict(
                        table,
                        name,
                        &uid_differs(uid, &Value::Null),
                    ));
                }
                meta::metadata(&mut new).remove("resourceVersion");
                return self.create(context, kind, namespace, new, trusted);
            }
            return Err(refusal::not_found(table, name));
        };
        let uid = meta::uid(&new);
        if !uid.is_empty() && uid != meta::uid(&old.value) {
            return Err(refusal::conflict(
                table,
                name,
                &uid_differs(uid, &old.value),
            ));
        }
        self.replace(context, kind, &old, new, trusted)
    }

    /// Patches an object, its status or its finalizers; server-side apply creates an absent one.
    pub(crate) fn patch(
        &mut self,
        context: &Context,
        kind: KindId,
        (namespace, name): (&str, &str),
        patch: Patch,
    ) -> Answer<Arc<Object>> {
        let table = self.kinds[kind];
        if table.custom && patch.how == PatchType::Strategic {
            return Err(refusal::unknown_patch());
        }
        let applies = patch.how == PatchType::Apply;
        if applies && patch.manager.is_empty() {
            let message = "fieldManager is required for apply patch";
            return Err(refusal::unprocessable(message));
        }
        let Some(old) = self.object(kind, namespace, name).cloned() else {
            if applies && context.subresource.is_empty() {
                let mut object = patch.body.clone();
                meta::metadata(&mut object).insert("name".to_owned(), json!(name));
                let created = self.create(context, kind, namespace, object, false)?;
                self.remember(&created, patch);
                return Ok(created);
            }
            return Err(refusal::not_found(table, name));
        };
        let managers = self.applied.get(meta::uid(&old.value));
        let before = managers
            .and_then(|managers| managers.get(&patch.manager))
            .cloned();
        let lists = self.customs.get(&kind).map(|custom| &custom.lists);
        let (body, before) = (patch.body.clone(), before.as_ref());
        let mut new = patched(&old.value, body, patch.how, before, lists)?;
        if !new.is_object() {
            return Err(refusal::bad_request("the patch makes no object"));
        }
        match meta::name(&new) {
            other if other != name && !other.is_empty() => return Err(wrong_name(other, name)),
            _ => {}
        }
        identify(table, namespace, &mut new)?;
        let object = self.replace(context, kind, &old, new, false)?;
        if applies && context.subresource.is_empty() && !context.dry_run {
            let lists = self.customs.get(&kind).map(|custom| &custom.lists);
            let before = before.cloned().unwrap_or_default();
            let body = owned(&patch.body, &old.value, &before, "", lists);
            self.remember(&object, Patch { body, ..patch });
        }
        Ok(object)
    }

    fn tidy(&self, kind: KindId, object: &mut Value) -> serde_json::Result<()> {
        match self.customs.get(&kind) {
            Some(custom) => custom.tidy(object),
            None => shape::tidy(self.kinds[kind], object),
        }
    }

    fn remember(&mut self, object: &Object, patch: Patch) {
        let managers = self
            .applied
            .entry(meta::uid(&object.value).to_owned())
            .or_default();
        managers.insert(patch.manager, patch.body);
    }

    fn replace(
        &mut self,
        context: &Context,
        kind: KindId,
        old: &Arc<Object>,
        mut new: Value,
        trusted: bool,
    ) -> Answer<Arc<Object>> {
        let table = self.kinds[kind];
        let name = meta::name(&old.value).to_owned();
        let version = meta::resource_version(&new);
        if version.is_empty() || version == "0" {
            if !table.unconditional {
                return Err(refusal::version_required(table, &name));
            }
        } else if version.parse::<u64>().is_err() {
            return Err(refusal::bad_version(table, &name, version));
        } else if version != meta::resource_version(&old.value) {
            return Err(refusal::conflict(table, &name, refusal::MODIFIED));
        }
        self.tidy(kind, &mut new).map_err(|e| match context.verb {
            Verb::Patch => refusal::unprocessable(&format!(" \"\" is invalid: patch: {e}")),
            _ => refusal::undecodable(&e),
        })?;
        defaults::fill(table, &mut new);
        if !trusted {
            isolate(table, context.subresource, &mut new, &old.value);
        }
        keep_system_fields(&mut new, &old.value);
        if grows(table, context.subresource, &new, &old.value) {
            let generation = meta::number(&old.value, "/metadata/generation").unwrap_or(0) + 1;
            meta::metadata(&mut new).insert("generation".to_owned(), json!(generation));
        }
        validate::update(
            (table, context.subresource),
            &new,
            &old.value,
            self.customs.get(&kind),
        )?;
        if !context.dry_run && new.pointer("/spec/clusterIP").is_none() {
            self.give_address(table, &mut new);
        }
        if new == *old.value {
            return Ok(Arc::clone(old));
        }
        let gone = meta::deleting(&old.value)
            && meta::finalizers(&new).is_empty()
            && meta::array(&new, "/spec/finalizers").is_empty()
            && meta::number(&old.value, "/metadata/deletionGracePeriodSeconds").unwrap_or(0) == 0;
        if !gone {
            return Ok(self.commit(context, kind, Some(old), new, false));
        }
        // What took the last finalizer away is in the answer, with the version before, and was never stored.
        self.commit(context, kind, Some(old), (*old.value).clone(), true);
        Ok(Object::new(new))
    }

    // The admission plugin NamespaceLifecycle.
    fn admit_to_namespace(&self, table: &Kind, namespace: &str, name: &str) -> Answer<()> {
        let namespaces = core("Namespace");
        let Some(home) = self.object(namespaces, "", namespace) else {
            return Err(refusal::not_found(self.kinds[namespaces], namespace));
        };
        if meta::deleting(&home.value) {
            return Err(refusal::terminating(table, name, namespace));
        }
        Ok(())
    }

    fn give_address(&mut self, table: &Kind, object: &mut Value) {
        if table.rules() != "Service" || meta::text(object, "/spec/type") == "ExternalName" {
            return;
        }
        let given = meta::text(object, "/spec/clusterIP").to_owned();
        let address = if given.is_empty() {
            self.next_address()
        } else {
            given
        };
        object["spec"]["clusterIP"] = json!(address);
        object["spec"]["clusterIPs"] = json!([address]);
    }
}

/// Metadata that only the server writes.
const SYSTEM_FIELDS: &[&str] = &[
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
    "managedFields",
];

/// A time as the API writes it, in whole seconds.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Checks kind, apiVersion and namespace of a body, or fills them in.
fn identify(table: &Kind, namespace: &str, object: &mut Value) -> Answer<()> {
    let Some(map) = object.as_object_mut() else {
        return Err(refusal::bad_request("the body is no object"));
    };
    let wanted = [
        ("kind", table.kind.to_owned()),
        ("apiVersion", table.api_version()),
    ];
    for (field, value) in wanted {
        match map.get(field).and_then(Value::as_str) {
            None | Some("") => {
                map.insert(field.to_owned(), json!(value));
            }
            Some(other) if other != value => {
                return Err(refusal::bad_request(format!(
                    "the {field} in the data ({other}) does not match the expected one ({value})"
                )));
            }
            Some(_) => {}
        }
    }
    if !map
        .get("metadata")
        .is_none_or(|m| m.is_object() || m.is_null())
    {
        return Err(refusal::bad_request("metadata is no object"));
    }
    let metadata = meta::metadata(object);
    match metadata.get("namespace").and_then(Value::as_str) {
        Some(other) if !other.is_empty() && other != namespace => Err(refusal::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
        _ if table.namespaced => {
            metadata.insert("namespace".to_owned(), json!(namespace));
            Ok(())
        }
        _ => {
            metadata.remove("namespace");
            Ok(())
        }
    }
}

fn wrong_name(body: &str, url: &str) -> refusal::Refusal {
    refusal::bad_request(format!(
        "the name of the object ({body}) does not match the name on the URL ({url})"
    ))
}

fn uid_differs(uid: &str, object: &Value) -> String {
    format!(
        "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
        meta::uid(object)
    )
}

/// Lets a write touch only what its path is about. The strategies' `PrepareForUpdate`.
fn isolate(table: &Kind, subresource: &str, new: &mut Value, old: &Value) {
    match subresource {
        "status" => {
            let status = new.get("status").cloned();
            let metadata = new.get("metadata").cloned();
            *new = old.clone();
            if let Some(map) = new.as_object_mut() {
                meta::set(map, "status", status);
                meta::set(map, "metadata", metadata);
            }
            let kept: &[&str] = match table.rules() {
                "Pod" => &["ownerReferences"],
                "Deployment" => &["labels"],
                _ => &[],
            };
            for field in kept {
                let value = old.pointer(&format!("/metadata/{field}")).cloned();
                meta::set(meta::metadata(new), field, value);
            }
            if table.rules() == "Pod" && new.pointer("/status/qosClass").is_none() {
                let class = old.pointer("/status/qosClass").cloned();
                meta::set(meta::child(new, "status"), "qosClass", class);
            }
            // Structs that Go writes even if they are empty.
            if new.get("status").is_none() {
                let status = match table.rules() {
                    "ReplicaSet" | "ReplicationController" => json!({ "replicas": 0 }),
                    _ => json!({}),
                };
                new["status"] = status;
            }
        }
        "finalize" => {
            let finalizers = new.pointer("/spec/finalizers").cloned();
            *new = old.clone();
            meta::set(meta::child(new, "spec"), "finalizers", finalizers);
        }
        "approval" => {
            let conditions = new.pointer("/status/conditions").cloned();
            *new = old.clone();
            meta::set(meta::child(new, "status"), "conditions", conditions);
        }
        _ if table.status => {
            meta::copy(new, old, "status");
            if table.rules() == "Namespace" {
                let finalizers = old.pointer("/spec/finalizers").cloned();
                meta::set(meta::child(new, "spec"), "finalizers", finalizers);
            }
        }
        _ => {}
    }
    if table.rules() == "Service" {
        keep_address(new, old);
    }
}

/// Addresses are allocated once: an update that leaves them out keeps them, and one that makes the
/// Service external gives them back. `pkg/registry/core/service/storage/alloc.go`.
fn keep_address(new: &mut Value, old: &Value) {
    let external = |service: &Value| meta::text(service, "/spec/type") == "ExternalName";
    if external(new) && !external(old) {
        let spec = meta::child(new, "spec");
        for field in [
            "clusterIP",
            "clusterIPs",
            "internalTrafficPolicy",
            "ipFamilies",
            "ipFamilyPolicy",
        ] {
            spec.remove(field);
        }
    } else {
        for field in ["clusterIP", "clusterIPs"] {
            if new.pointer(&format!("/spec/{field}")).is_none() {
                let value = old.pointer(&format!("/spec/{field}")).cloned();
                meta::set(meta::child(new, "spec"), field, value);
            }
        }
    }
}

/// `rest.BeforeUpdate`: what an update cannot change silently stays.
fn keep_system_fields(new: &mut Value, old: &Value) {
    let of = |field: &str| old.pointer(&format!("/metadata/{field}")).cloned();
    let metadata = meta::metadata(new);
    for field in [
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "generateName",
    ] {
        meta::set(metadata, field, of(field));
    }
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        if of(field).is_some() {
            meta::set(metadata, field, of(field));
        }
    }
    if !metadata.contains_key("uid") {
        meta::set(metadata, "uid", of("uid"));
    }
    metadata.remove("managedFields");
    metadata.remove("selfLink");
}

fn grows(table: &Kind, subresource: &str, new: &Value, old: &Value) -> bool {
    let changed = |pointer: &str| new.pointer(pointer) != old.pointer(pointer);
    if subresource == "status" {
        return false;
    }
    match table.generation {
        Generation::Never => false,
        Generation::Spec => changed("/spec"),
        Generation::SpecAndAnnotations => changed("/spec") || changed("/metadata/annotations"),
        Generation::Body => {
            let body = |object: &Value| {
                let mut body = object.clone();
                meta::set(meta::map(&mut body), "metadata", None);
                if table.status {
                    meta::set(meta::map(&mut body), "status", None);
                }
                body
            };
            body(new) != body(old)
        }
        Generation::BodyAndLabels => {
            changed("/endpoints") || changed("/ports") || changed("/metadata/labels")
        }
    }
}

// The admission plugin TaintNodesByCondition.
fn taint_new_node(object: &mut Value) {
    let taint = json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" });
    let spec = meta::child(object, "spec");
    let taints = spec.entry("taints").or_insert_with(|| json!([]));
    if let Some(taints) = taints.as_array_mut()
        && !taints.contains(&taint)
    {
        taints.push(taint);
    }
}

// batch/job/strategy.go generateSelector.
fn job_selector(object: &mut Value, uid: &str) {
    if object.pointer("/spec/manualSelector") == Some(&json!(true)) {
        return;
    }
    let name = meta::name(object).to_owned();
    let labels = json!({
        "batch.kubernetes.io/controller-uid": uid, "controller-uid": uid,
        "batch.kubernetes.io/job-name": name, "job-name": name,
    });
    let spec = meta::child(object, "spec");
    json_patch::merge(
        spec.entry("template").or_insert_with(|| json!({})),
        &json!({ "metadata": { "labels": labels } }),
    );
    let selector = json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } });
    spec.insert("selector".to_owned(), selector);
}
