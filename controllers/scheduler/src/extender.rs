//! Extenders: programs of others that are asked about pods over HTTP. Here is what they are asked and what their answers
//! mean; who asks is [`crate::consult`].
//!
//! Upstream: `pkg/scheduler/extender.go`, `kube-scheduler/extender/v1/types.go`. One that takes pods only with certain
//! resources is asked about no others; why a pod waits is explained without asking anew. Names of fields in
//! answers are read as Go reads them, without regard to case.

use crate::pods::PodInfo;
use k8s_openapi::api::core::v1::{Container, Node, Pod};
use objects::meta;
use runtime::outside::Tls;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What an extender's highest priority is worth on the scale of scores: 100 of 10.
const SCALE: i64 = 10;

/// One that is asked. A verb that it does not have is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extender {
    /// Where its verbs are.
    pub url: String,
    /// Which of the nodes will do.
    pub filter: String,
    /// Which of them are better.
    pub prioritize: String,
    /// Which pods may have to leave for another.
    pub preempt: String,
    /// Binds pods in the scheduler's place.
    pub bind: String,
    /// How much its priorities count.
    pub weight: i64,
    /// How it is known over HTTPS.
    pub tls: Tls,
    /// How long it is waited for.
    pub timeout: Duration,
    /// Whether it knows nodes and pods by name.
    pub is_cache_capable: bool,
    /// It is asked only about pods that want one of these resources; about all if there are none.
    pub managed: BTreeSet<String>,
    /// Whether it is gone on without it if it fails.
    pub is_ignorable: bool,
}

/// What extenders are to be asked about a pod.
#[derive(Clone, Debug)]
pub struct Question {
    /// The pod.
    pub info: Arc<PodInfo>,
    /// What about it.
    pub about: About,
}

/// What about a pod.
#[derive(Clone, Debug)]
pub enum About {
    /// On which of these nodes it can be, and which are better.
    Nodes(Vec<Arc<Node>>),
    /// Whether these may leave for it.
    Victims(Vec<Candidate>),
}

/// Who would have to leave a node.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The node's name.
    pub node: Arc<str>,
    /// Those who would have to leave, the most important first.
    pub victims: Vec<Arc<PodInfo>>,
    /// How many of them a disruption budget protects.
    pub violations: usize,
    /// All pods of the node.
    pub pods: Vec<Arc<PodInfo>>,
}

/// What extenders say; an error is one of an extender that is not gone on without.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To [`About::Nodes`].
    Nodes(Result<Opinion, String>),
    /// To [`About::Victims`]: who may leave.
    Victims(Result<Vec<Candidate>, String>),
}

/// What extenders think of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opinion {
    /// Those that will do.
    pub passed: Vec<String>,
    /// Why others will not, and whether they may do once pods have left them.
    pub failed: BTreeMap<String, (String, bool)>,
    /// What is added to the scores of nodes.
    pub scores: BTreeMap<String, i64>,
}

impl Extender {
    /// Whether it is asked about this pod at all.
    pub fn is_interested(&self, pod: &Pod) -> bool {
        let Some(spec) = &pod.spec else {
            return self.managed.is_empty();
        };
        let wants = |container: &Container| {
            let resources = container.resources.as_ref();
            let requests = resources.and_then(|of| of.requests.as_ref());
            let limits = resources.and_then(|of| of.limits.as_ref());
            let mut names = requests.into_iter().chain(limits).flat_map(BTreeMap::keys);
            names.any(|name| self.managed.contains(name))
        };
        let init = spec.init_containers.iter().flatten();
        self.managed.is_empty() || spec.containers.iter().chain(init).any(wants)
    }

    /// Whether it takes part in decisions, and not only in binding.
    pub fn decides(&self) -> bool {
        [&self.filter, &self.prioritize, &self.preempt]
            .iter()
            .any(|verb| !verb.is_empty())
    }

    /// ExtenderArgs: about the pod on these nodes.
    pub fn about_nodes(&self, pod: &Pod, nodes: &[Arc<Node>]) -> Value {
        let names = || -> Vec<&str> {
            nodes
                .iter()
                .map(|node| meta::name(&node.metadata))
                .collect()
        };
        let (list, names) = match self.is_cache_capable {
            true => (Value::Null, json!(names())),
            false => {
                let items: Vec<&Node> = nodes.iter().map(|node| &**node).collect();
                (json!({ "metadata": {}, "items": items }), Value::Null)
            }
        };
        json!({ "Pod": pod, "Nodes": list, "NodeNames": names })
    }

    /// Takes over what it answers to the verb `filter` about these nodes: of the nodes those are left that pass.
    ///
    /// # Errors
    /// It says that it failed, or names a node that was not asked about.
    pub fn sift(
        &self,
        answer: &Value,
        nodes: &mut Vec<Arc<Node>>,
        opinion: &mut Opinion,
    ) -> Result<(), String> {
        if let Some(error) = text(answer, "Error").filter(|error| !error.is_empty()) {
            return Err(error.to_owned());
        }
        let names: Vec<&str> = match (list(answer, "NodeNames"), field(answer, "Nodes")) {
            (Some(names), _) if self.is_cache_capable => {
                names.iter().filter_map(Value::as_str).collect()
            }
            (_, Some(nodes)) => {
                let items = list(nodes, "items").into_iter().flatten();
                items
                    .filter_map(|node| text(field(node, "metadata")?, "name"))
                    .collect()
            }
            _ => Vec::new(),
        };
        let mut passed = Vec::with_capacity(names.len());
        for name in names {
            let asked = nodes.iter().find(|node| meta::name(&node.metadata) == name);
            passed.push(asked.cloned().ok_or_else(|| {
                let url = &self.url;
                format!("extender {url:?} claims a filtered node {name:?} which is not found in the input node list")
            })?);
        }
        *nodes = passed;
        for (map, resolvable) in [("FailedNodes", true), ("FailedAndUnresolvableNodes", false)] {
            let failed = field(answer, map).and_then(Value::as_object);
            for (node, why) in failed.into_iter().flatten() {
                let why = why.as_str().unwrap_or_default().to_owned();
                opinion.failed.insert(node.clone(), (why, resolvable));
            }
        }
        Ok(())
    }

    /// Adds what it answers to the verb `prioritize`: a HostPriorityList.
    pub fn score(&self, answer: &Value, opinion: &mut Opinion) {
        for host in answer.as_array().into_iter().flatten() {
            let score = field(host, "Score").and_then(Value::as_i64).unwrap_or(0);
            let weighted = score.saturating_mul(self.weight).saturating_mul(SCALE);
            if let Some(name) = text(host, "Host") {
                let sum = opinion.scores.entry(name.to_owned()).or_default();
                *sum = sum.saturating_add(weighted);
            }
        }
    }

    /// ExtenderPreemptionArgs: whether these may leave for the pod.
    pub fn about_victims(&self, pod: &Pod, candidates: &[Candidate]) -> Value {
        let victims = |candidate: &Candidate| {
            let pods = candidate.victims.iter();
            let pods: Vec<Value> = match self.is_cache_capable {
                true => pods.map(|victim| json!({ "UID": &*victim.uid })).collect(),
                false => pods.map(|victim| json!(victim.object())).collect(),
            };
            let victims = json!({ "Pods": pods, "NumPDBViolations": candidate.violations });
            (candidate.node.to_string(), victims)
        };
        let by_node: Value = candidates
            .iter()
            .map(victims)
            .collect::<serde_json::Map<_, _>>()
            .into();
        let (whole, meta) = match self.is_cache_capable {
            true => (Value::Null, by_node),
            false => (by_node, Value::Null),
        };
        json!({ "Pod": pod, "NodeNameToVictims": whole, "NodeNameToMetaVictims": meta })
    }

    /// What it answers to the verb `preempt`: who may leave which of these nodes.
    ///
    /// # Errors
    /// It names a node or pod that is not there, or a node that nobody has to leave, which is left out if it is
    /// ignorable.
    pub fn victims(
        &self,
        answer: &Value,
        candidates: &[Candidate],
    ) -> Result<Vec<Candidate>, String> {
        let chosen = field(answer, "NodeNameToMetaVictims").and_then(Value::as_object);
        let mut left = Vec::new();
        for (node, victims) in chosen.into_iter().flatten() {
            let asked = candidates.iter().find(|asked| *asked.node == **node);
            let asked =
                asked.ok_or_else(|| format!("nodeinfo not found for node name {node:?}"))?;
            let uids = list(victims, "Pods").into_iter().flatten();
            let pods = uids.map(|pod| {
                let uid = text(pod, "UID").unwrap_or_default();
                let mut there = asked.pods.iter();
                there.find(|pod| *pod.uid == *uid).cloned().ok_or_else(|| {
                    let url = &self.url;
                    format!("extender: {url} claims to preempt pod (UID: {uid}) on node: {node}, but the pod is not found on that node")
                })
            });
            let pods = pods.collect::<Result<Vec<_>, _>>()?;
            if pods.is_empty() {
                if self.is_ignorable {
                    continue;
                }
                return Err(format!("expected at least one victim pod on node {node:?}"));
            }
            let violations = field(victims, "NumPDBViolations").and_then(Value::as_u64);
            left.push(Candidate {
                victims: pods,
                violations: violations.unwrap_or(0) as usize,
                ..asked.clone()
            });
        }
        Ok(left)
    }

    /// ExtenderBindingArgs: to bind the pod to the node.
    pub fn about_binding(info: &PodInfo, node: &str) -> Value {
        let (name, namespace) = (&*info.name, info.namespace());
        json!({ "PodName": name, "PodNamespace": namespace, "PodUID": &*info.uid, "Node": node })
    }

    /// What it answers to the verb `bind`.
    ///
    /// # Errors
    /// It says that it failed.
    pub fn binding(answer: &Value) -> Result<(), String> {
        match text(answer, "Error") {
            None | Some("") => Ok(()),
            Some(error) => Err(error.to_owned()),
        }
    }
}

/// A field by its name, however it is written; none if it is null.
fn field<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    let object = of.as_object()?;
    let exact = object.get(name);
    let found = exact.or_else(|| {
        let mut all = object.iter();
        all.find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    });
    found.filter(|value| !value.is_null())
}

fn text<'a>(of: &'a Value, name: &str) -> Option<&'a str> {
    field(of, name)?.as_str()
}

fn list<'a>(of: &'a Value, name: &str) -> Option<&'a Vec<Value>> {
    field(of, name)?.as_array()
}

#[cfg(test)]
mod tests;
