//! `metrics.k8s.io` for hollow nodes: what `kubectl top` and autoscalers ask for.
//!
//! What hollow pods use follows from them and their profiles, so nobody asks the nodes: each answer is computed
//! from the caches when it is wanted (pure, below). [`serve`] answers over HTTPS to the API server alone,
//! which has checked who asks; [`register`] tells the API server where.
//!
//! Upstream: `k8s.io/metrics/pkg/apis/metrics/v1beta1`, metrics-server `pkg/api`.

pub mod register;
pub mod serve;

use crate::Profiles;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use objects::{Quantity, Selector, meta, pod as pods};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

const GROUP: &str = "metrics.k8s.io";
const VERSION: &str = "metrics.k8s.io/v1beta1";
/// Over which time a usage was measured, so to say. It never changes within a second.
const WINDOW: &str = "1s";
/// What a node uses besides its pods.
const NODE_CPU: Quantity = Quantity::from_milli(50);
const NODE_MEMORY: Quantity = Quantity::from_bytes(512 * 1024 * 1024);

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// The groups, the versions of the group, or its resources.
    Discovery(Value),
    /// All nodes that the selector selects, or one.
    Nodes(Selector, Option<String>),
    /// The pods of a namespace (all if none) that the selector selects, or one.
    Pods(Option<String>, Selector, Option<String>),
}

/// An answer that is none: code and message.
pub type Refusal = (u16, String);

impl Question {
    /// What a path with its query asks for.
    ///
    /// # Errors
    /// There is no such path, or the selector is none.
    pub fn parse(path: &str, query: &str) -> Result<Self, Refusal> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let selector = || {
            let pairs = form_urlencoded::parse(query.as_bytes());
            let mut text = pairs.filter(|(key, _)| key == "labelSelector");
            let text = text.next().map(|(_, value)| value.into_owned());
            Selector::from_text(&text.unwrap_or_default())
                .map_err(|error| (400, format!("labelSelector: {error}")))
        };
        let all = || Selector::from_labels(&std::collections::BTreeMap::new());
        let not_found = || Err((404, format!("there is nothing at {path}")));
        let rest = match parts.as_slice() {
            ["apis"] => return Ok(Self::Discovery(groups())),
            ["apis", GROUP] => return Ok(Self::Discovery(group())),
            ["apis", GROUP, "v1beta1"] => return Ok(Self::Discovery(resources())),
            ["apis", GROUP, "v1beta1", rest @ ..] => rest,
            _ => return not_found(),
        };
        match rest {
            ["nodes"] => Ok(Self::Nodes(selector()?, None)),
            ["nodes", name] => Ok(Self::Nodes(all(), Some((*name).to_owned()))),
            ["pods"] => Ok(Self::Pods(None, selector()?, None)),
            ["namespaces", namespace, "pods"] => {
                Ok(Self::Pods(Some((*namespace).to_owned()), selector()?, None))
            }
            ["namespaces", namespace, "pods", name] => {
                let (namespace, name) = ((*namespace).to_owned(), (*name).to_owned());
                Ok(Self::Pods(Some(namespace), all(), Some(name)))
            }
            _ => not_found(),
        }
    }
}

/// What answers follow from.
#[derive(Clone, Debug)]
pub struct World<'a> {
    /// What pretended containers use.
    pub profiles: &'a Profiles,
    /// All nodes.
    pub nodes: Vec<Arc<Node>>,
    /// All pods.
    pub pods: Vec<Arc<Pod>>,
    /// The time.
    pub now: Timestamp,
}

impl World<'_> {
    /// The answer.
    ///
    /// # Errors
    /// There is no such node or pod, or it does not run.
    pub fn answer(&self, question: &Question) -> Result<Value, Refusal> {
        match question {
            Question::Discovery(value) => Ok(value.clone()),
            Question::Nodes(selector, name) => {
                let mut nodes: Vec<_> = self.nodes.iter().collect();
                nodes.retain(|node| selected(&node.metadata, selector, name.as_ref()));
                nodes.sort_by_key(|node| meta::name(&node.metadata));
                let items = self.of_nodes(&nodes);
                one_or_all("NodeMetrics", "nodes", items, name.as_deref())
            }
            Question::Pods(namespace, selector, name) => {
                let mut pods: Vec<_> = self.pods.iter().filter(|pod| runs(pod)).collect();
                let home = |pod: &Pod| meta::namespace(&pod.metadata).to_owned();
                pods.retain(|pod| {
                    namespace.as_ref().is_none_or(|n| home(pod) == *n)
                        && selected(&pod.metadata, selector, name.as_ref())
                });
                pods.sort_by_key(|pod| (home(pod), meta::name(&pod.metadata).to_owned()));
                let peers = self.peers();
                let items = pods.iter().map(|pod| self.of_pod(pod, &peers));
                one_or_all("PodMetrics", "pods", items.collect(), name.as_deref())
            }
        }
    }

    /// How many running pods each controller has.
    fn peers(&self) -> HashMap<&str, usize> {
        let mut peers = HashMap::new();
        for pod in self.pods.iter().filter(|pod| runs(pod)) {
            *peers.entry(controller(pod)).or_default() += 1;
        }
        peers
    }

    fn of_pod(&self, pod: &Pod, peers: &HashMap<&str, usize>) -> Value {
        let usages = self.usages(pod, peers);
        let containers = usages
            .iter()
            .map(|(name, cpu, memory)| json!({"name": name, "usage": usage(*cpu, *memory)}));
        let mut metrics = self.measured("PodMetrics", &pod.metadata);
        metrics["containers"] = containers.collect();
        metrics
    }

    fn of_nodes(&self, nodes: &[&Arc<Node>]) -> Vec<Value> {
        let peers = self.peers();
        let mut sums: HashMap<&str, (Quantity, Quantity)> = HashMap::new();
        for pod in self.pods.iter().filter(|pod| runs(pod)) {
            let node = pods::node_name(pod).unwrap_or_default();
            let sum = sums.entry(node).or_insert((NODE_CPU, NODE_MEMORY));
            for (_, cpu, memory) in self.usages(pod, &peers) {
                sum.0 += cpu;
                sum.1 += memory;
            }
        }
        let nodes = nodes.iter().map(|node| {
            let sum = sums.get(meta::name(&node.metadata)).copied();
            let (cpu, memory) = sum.unwrap_or((NODE_CPU, NODE_MEMORY));
            let mut metrics = self.measured("NodeMetrics", &node.metadata);
            metrics["usage"] = usage(cpu, memory);
            metrics
        });
        nodes.collect()
    }

    /// Name, CPU and memory of each container that runs.
    fn usages<'p>(
        &self,
        pod: &'p Pod,
        peers: &HashMap<&str, usize>,
    ) -> Vec<(&'p str, Quantity, Quantity)> {
        let Some(spec) = &pod.spec else {
            return Vec::new();
        };
        let peers = peers.get(controller(pod)).copied().unwrap_or(1);
        let own = spec.containers.iter().map(|container| (container, false));
        let all = own.chain(pods::sidecars(spec).map(|container| (container, true)));
        all.map(|(container, init)| {
            let usage = self.profiles.usage(pod, container, init, peers);
            (container.name.as_str(), usage.cpu, usage.memory)
        })
        .collect()
    }

    fn measured(
        &self,
        kind: &str,
        of: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    ) -> Value {
        let mut metadata = json!({"name": of.name, "creationTimestamp": time(self.now)});
        if let Some(namespace) = &of.namespace {
            metadata["namespace"] = json!(namespace);
        }
        if let Some(labels) = &of.labels {
            metadata["labels"] = json!(labels);
        }
        json!({
            "kind": kind, "apiVersion": VERSION, "metadata": metadata,
            "timestamp": time(self.now), "window": WINDOW,
        })
    }
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn usage(cpu: Quantity, memory: Quantity) -> Value {
    json!({"cpu": cpu.to_string(), "memory": memory.to_string()})
}

fn runs(pod: &Pod) -> bool {
    pods::phase(pod) == "Running" && pods::node_name(pod).is_some()
}

/// The UID of a pod's controller; its own if it has none.
fn controller(pod: &Pod) -> &str {
    let owner = meta::controller_of(&pod.metadata);
    owner.map_or_else(|| meta::uid(&pod.metadata), |owner| owner.uid.as_str())
}

fn selected(
    of: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    selector: &Selector,
    name: Option<&String>,
) -> bool {
    selector.matches(of.labels.as_ref()) && name.is_none_or(|name| meta::name(of) == name)
}

fn one_or_all(
    kind: &str,
    resource: &str,
    mut items: Vec<Value>,
    name: Option<&str>,
) -> Result<Value, Refusal> {
    let Some(name) = name else {
        let kind = format!("{kind}List");
        return Ok(json!({"kind": kind, "apiVersion": VERSION, "metadata": {}, "items": items}));
    };
    let gone = || (404, format!("{resource}.{GROUP} \"{name}\" not found"));
    items.pop().ok_or_else(gone)
}

fn groups() -> Value {
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group()]})
}

fn group() -> Value {
    let version = json!({"groupVersion": VERSION, "version": "v1beta1"});
    json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": GROUP,
        "versions": [version], "preferredVersion": version,
    })
}

fn resources() -> Value {
    let resource = |name: &str, kind: &str, namespaced: bool| {
        json!({
            "name": name, "singularName": "", "namespaced": namespaced, "kind": kind,
            "verbs": ["get", "list"],
        })
    };
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": VERSION,
        "resources": [resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)],
    })
}

#[cfg(test)]
mod tests;
