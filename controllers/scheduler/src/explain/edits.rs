//! What can be changed so that a pod may run, how much each change asks for, and how it is made to a copy.

use crate::cluster::Cluster;
use crate::explain::named;
use crate::node::Node;
use crate::pods::PodInfo;
use k8s_openapi::api::core::v1::{
    Affinity, Container, NodeSelectorTerm, Pod, PodAffinityTerm, PodSpec, Toleration,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use objects::{Quantity, meta, node};
use serde::Serialize;
use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

/// One change. Amounts are thousandths of a core for `cpu`, bytes for `memory` and `ephemeral-storage`, and pieces of
/// everything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "camelCase")]
pub enum Edit {
    /// The pod asks for less.
    #[serde(rename_all = "camelCase")]
    LowerRequest {
        /// The container; none for the request of the pod as a whole.
        container: Option<String>,
        /// The resource.
        resource: String,
        /// What it asks for.
        from: i64,
        /// What it would ask for.
        to: i64,
    },
    /// The pod gets a toleration.
    #[serde(rename_all = "camelCase")]
    AddToleration {
        /// The taint's key.
        key: String,
        /// The taint's value, if it has one.
        value: Option<String>,
        /// The taint's effect.
        effect: String,
    },
    /// An entry of the pod's `nodeSelector` is dropped.
    #[serde(rename_all = "camelCase")]
    DropSelector {
        /// The label.
        key: String,
        /// Its value.
        value: String,
    },
    /// An expression of the pod's required node affinity is dropped.
    #[serde(rename_all = "camelCase")]
    DropExpression {
        /// Which term, from 0.
        term: usize,
        /// Which of the expressions on labels in it, from 0.
        index: usize,
        /// How it reads.
        text: String,
    },
    /// The pod's required node affinity is dropped as a whole.
    DropNodeAffinity,
    /// A required term about other pods is dropped.
    #[serde(rename_all = "camelCase")]
    DropPodTerm {
        /// Whether it is one of the anti-affinity.
        anti: bool,
        /// Which, from 0.
        index: usize,
        /// Its topology key.
        key: String,
    },
    /// A constraint on the pod's spreading becomes one that is only wished for (`ScheduleAnyway`).
    #[serde(rename_all = "camelCase")]
    RelaxSpread {
        /// Which, from 0.
        index: usize,
        /// Its topology key.
        key: String,
    },
    /// A limit of the pod's spreading is raised.
    #[serde(rename_all = "camelCase")]
    RaiseMaxSkew {
        /// Which constraint, from 0.
        index: usize,
        /// Its topology key.
        key: String,
        /// What it is.
        from: i32,
        /// What it would be.
        to: i32,
    },
    /// A host port of the pod is dropped.
    #[serde(rename_all = "camelCase")]
    DropHostPort {
        /// Its number.
        port: i32,
    },
    /// A claim that the pod uses is bound to a volume that its node can use, or made if it is not there. It is tried with
    /// the pod as if it did not use the claim.
    #[serde(rename_all = "camelCase")]
    BindClaim {
        /// The claim's name.
        claim: String,
    },
    /// The pod becomes more important, so that others leave.
    #[serde(rename_all = "camelCase")]
    RaisePriority {
        /// What it is.
        from: i32,
        /// What it would be.
        to: i32,
        /// Whether `preemptionPolicy: Never` has to go too.
        may_preempt: bool,
        /// The node that they leave.
        node: String,
        /// The pods that leave, as `namespace/name`.
        victims: Vec<String>,
    },
    /// Another pod is deleted.
    #[serde(rename_all = "camelCase")]
    DeletePod {
        /// As `namespace/name`.
        pod: String,
        /// Its UID.
        uid: String,
        /// The node that it is on.
        node: String,
        /// How many thousandths of what it holds of a resource the pod lacks: less is more wasteful.
        #[serde(skip)]
        waste: u64,
    },
    /// A node is uncordoned.
    #[serde(rename_all = "camelCase")]
    Uncordon {
        /// The node's name.
        node: String,
    },
    /// A node gets a label.
    #[serde(rename_all = "camelCase")]
    LabelNode {
        /// The node's name.
        node: String,
        /// The label.
        key: String,
        /// Its value.
        value: String,
    },
    /// A node offers more.
    #[serde(rename_all = "camelCase")]
    GrowNode {
        /// The node's name.
        node: String,
        /// The resource.
        resource: String,
        /// What it offers.
        from: i64,
        /// What it would offer.
        to: i64,
    },
    /// There is another node like one that is there, and empty.
    #[serde(rename_all = "camelCase")]
    AddNode {
        /// The name of the node that it is like.
        like: String,
    },
}

/// How an edit of the cluster is taken back.
pub(super) enum Undo {
    /// The node as it was.
    Node(Arc<Node>),
    /// A node that was not there.
    NoNode(String),
    /// A pod that was on this node.
    Pod(Arc<PodInfo>, String),
}

impl Undo {
    pub(super) fn take_back(self, all: &mut Cluster) {
        match self {
            Self::Node(node) => drop(all.place_node(node)),
            Self::NoNode(name) => drop(all.remove_node(&name)),
            Self::Pod(info, node) => drop(all.put_pod(info, &node)),
        }
    }
}

/// The taint that goes with cordoning.
const CORDONED: &str = "node.kubernetes.io/unschedulable";
/// What the node is called that would be added.
const ANOTHER: &str = "another-node";

impl Edit {
    /// How much it asks for, to compare by: thousandths of what the pod gives up, or a number for what kind of change it
    /// is. Those that take nothing from anybody are small; those that give up what somebody has asked for, or need other
    /// pods to leave, are large.
    pub fn size(&self) -> u64 {
        let part = |from: i64, to: i64| {
            let (from, gap) = (i128::from(from).max(1), i128::from(from) - i128::from(to));
            u64::try_from((gap.abs() * 1000).div_euclid(from)).unwrap_or(u64::MAX / 1024)
        };
        match self {
            Self::Uncordon { .. } | Self::BindClaim { .. } => 100,
            Self::LowerRequest { from, to, .. } => part(*from, *to).max(1),
            Self::RaiseMaxSkew { from, to, .. } => 300 + 20 * u64::try_from(to - from).unwrap_or(0),
            Self::RelaxSpread { .. } => 550,
            Self::AddToleration { .. } | Self::DropHostPort { .. } => 600,
            Self::LabelNode { .. } => 700,
            Self::DropSelector { .. } | Self::DropExpression { .. } => 800,
            Self::DropPodTerm { .. } => 600,
            Self::DropNodeAffinity => 1000,
            Self::GrowNode { from, to, .. } => 700 + part(*from, *to).min(1000),
            Self::RaisePriority { victims, .. } => 750 + 100 * victims.len() as u64,
            Self::DeletePod { waste, .. } => 800 + waste,
            Self::AddNode { .. } => 1000,
        }
    }

    /// What tells it from others; of those that are alike only the smallest is told. It is all the same which node is
    /// labelled, and to ask for still less is nothing new.
    pub(super) fn kind(&self) -> (Discriminant<Self>, String) {
        let what = match self {
            Self::LowerRequest { resource, .. } | Self::GrowNode { resource, .. } => {
                resource.clone()
            }
            Self::AddToleration { key, effect, .. } => format!("{key}:{effect}"),
            Self::DropSelector { key, .. } => key.clone(),
            Self::DropExpression { text, .. } => text.clone(),
            Self::DropPodTerm { anti, index, .. } => format!("{anti} {index}"),
            Self::RelaxSpread { index, .. } | Self::RaiseMaxSkew { index, .. } => index.to_string(),
            Self::DropHostPort { port } => port.to_string(),
            Self::BindClaim { claim } => claim.clone(),
            Self::LabelNode { key, value, .. } => format!("{key}={value}"),
            Self::DropNodeAffinity
            | Self::RaisePriority { .. }
            | Self::DeletePod { .. }
            | Self::Uncordon { .. }
            | Self::AddNode { .. } => String::new(),
        };
        (discriminant(self), what)
    }

    /// Makes it to the pod or the cluster; false if that cannot be. What has to be taken back is put on `undo`.
    pub(super) fn make(&self, pod: &mut Pod, all: &mut Cluster, undo: &mut Vec<Undo>) -> bool {
        let spec = pod.spec.get_or_insert_default();
        match self {
            Self::LowerRequest {
                container,
                resource,
                to,
                ..
            } => lower(spec, container.as_deref(), resource, *to).is_some(),
            Self::AddToleration { key, value, effect } => {
                let operator = if value.is_some() { "Equal" } else { "Exists" };
                spec.tolerations.get_or_insert_default().push(Toleration {
                    key: Some(key.clone()),
                    operator: Some(operator.to_owned()),
                    value: value.clone(),
                    effect: Some(effect.clone()),
                    ..Toleration::default()
                });
                true
            }
            Self::DropSelector { key, .. } => {
                let selector = spec.node_selector.as_mut();
                selector.is_some_and(|selector| selector.remove(key).is_some())
            }
            Self::DropExpression { term, index, .. } => {
                drop_expression(spec, *term, *index).is_some()
            }
            Self::DropNodeAffinity => {
                let affinity = affinity(spec).and_then(|affinity| affinity.node_affinity.as_mut());
                let required = affinity.and_then(|node| {
                    node.required_during_scheduling_ignored_during_execution
                        .take()
                });
                required.is_some()
            }
            Self::DropPodTerm { anti, index, .. } => pod_terms(spec, *anti).is_some_and(|terms| {
                let is_there = *index < terms.len();
                if is_there {
                    terms.remove(*index);
                }
                is_there
            }),
            Self::RelaxSpread { index, .. } => spread(spec, *index)
                .map(|constraint| "ScheduleAnyway".clone_into(&mut constraint.when_unsatisfiable))
                .is_some(),
            Self::RaiseMaxSkew { index, to, .. } => spread(spec, *index)
                .map(|constraint| constraint.max_skew = *to)
                .is_some(),
            Self::DropHostPort { port } => drop_port(spec, *port),
            Self::BindClaim { claim } => drop_claim(pod, claim),
            Self::RaisePriority {
                to,
                may_preempt,
                node,
                victims,
                ..
            } => {
                spec.priority = Some(*to);
                if *may_preempt {
                    spec.preemption_policy = None;
                }
                victims
                    .iter()
                    .all(|victim| remove(all, node, |info| named(info) == *victim, undo))
            }
            Self::DeletePod { uid, node, .. } => remove(all, node, |info| &*info.uid == uid, undo),
            Self::Uncordon { node } => edit(all, node, undo, |node| {
                node.unschedulable = false;
                node.taints.retain(|taint| taint.key != CORDONED);
            }),
            Self::LabelNode { node, key, value } => edit(all, node, undo, |node| {
                let labels = node.metadata.labels.get_or_insert_default();
                labels.insert(key.clone(), value.clone());
            }),
            Self::GrowNode {
                node, resource, to, ..
            } => edit(all, node, undo, |node| {
                node.allocatable.set(resource, *to);
            }),
            Self::AddNode { like } => add_like(all, like, undo),
        }
    }
}

/// An amount as it is written.
pub(super) fn amount(resource: &str, amount: i64) -> String {
    let amount = match resource {
        "cpu" => Quantity::from_milli(amount),
        "memory" | "ephemeral-storage" => Quantity::from_bytes(amount),
        name if name.starts_with("hugepages-") => Quantity::from_bytes(amount),
        _ => Quantity::from_units(amount),
    };
    amount.to_string()
}

fn quantity(resource: &str, of: i64) -> ApiQuantity {
    ApiQuantity(amount(resource, of))
}

/// A request in the units of [`Edit`].
pub(super) fn requested(
    list: Option<&BTreeMap<String, ApiQuantity>>,
    resource: &str,
) -> Option<i64> {
    let quantity: Quantity = list?.get(resource)?.0.parse().ok()?;
    Some(match resource {
        "cpu" => quantity.milli_value(),
        _ => quantity.value(),
    })
}

fn lower(spec: &mut PodSpec, container: Option<&str>, resource: &str, to: i64) -> Option<()> {
    let resources = match container {
        None => spec.resources.as_mut()?,
        Some(name) => {
            let regular = spec.containers.iter_mut();
            let mut all = regular.chain(spec.init_containers.iter_mut().flatten());
            let of = |container: &&mut Container| container.name == name;
            all.find(of)?.resources.as_mut()?
        }
    };
    let to = quantity(resource, to);
    // Of what cannot be shared, the limit has to be the same.
    let shared = matches!(resource, "cpu" | "memory" | "ephemeral-storage");
    if let Some(limit) = resources
        .limits
        .as_mut()
        .filter(|_| !shared)
        .and_then(|limits| limits.get_mut(resource))
    {
        *limit = to.clone();
    }
    resources
        .requests
        .as_mut()?
        .insert(resource.to_owned(), to)?;
    Some(())
}

fn affinity(spec: &mut PodSpec) -> Option<&mut Affinity> {
    spec.affinity.as_mut()
}

fn drop_expression(spec: &mut PodSpec, term: usize, index: usize) -> Option<()> {
    let node = affinity(spec)?.node_affinity.as_mut()?;
    let required = &mut node.required_during_scheduling_ignored_during_execution;
    let terms = &mut required.as_mut()?.node_selector_terms;
    let of: &mut NodeSelectorTerm = terms.get_mut(term)?;
    let expressions = of.match_expressions.as_mut()?;
    if index >= expressions.len() {
        return None;
    }
    expressions.remove(index);
    // A term with nothing in it would match nothing, where nothing is asked for any more.
    if expressions.is_empty() && of.match_fields.as_ref().is_none_or(Vec::is_empty) {
        *required = None;
    }
    Some(())
}

fn pod_terms(spec: &mut PodSpec, anti: bool) -> Option<&mut Vec<PodAffinityTerm>> {
    let affinity = affinity(spec)?;
    let terms = if anti {
        let of = affinity.pod_anti_affinity.as_mut()?;
        &mut of.required_during_scheduling_ignored_during_execution
    } else {
        let of = affinity.pod_affinity.as_mut()?;
        &mut of.required_during_scheduling_ignored_during_execution
    };
    terms.as_mut()
}

fn spread(
    spec: &mut PodSpec,
    index: usize,
) -> Option<&mut k8s_openapi::api::core::v1::TopologySpreadConstraint> {
    spec.topology_spread_constraints.as_mut()?.get_mut(index)
}

fn drop_port(spec: &mut PodSpec, port: i32) -> bool {
    let containers = spec.containers.iter_mut();
    let all = containers.chain(spec.init_containers.iter_mut().flatten());
    let ports = all.filter_map(|container| container.ports.as_mut());
    let mut taken = ports
        .flatten()
        .filter(|of| of.host_port == Some(port))
        .peekable();
    let is_there = taken.peek().is_some();
    taken.for_each(|of| of.host_port = None);
    is_there
}

fn drop_claim(pod: &mut Pod, claim: &str) -> bool {
    let name = meta::name(&pod.metadata).to_owned();
    let Some(volumes) = pod.spec.as_mut().and_then(|spec| spec.volumes.as_mut()) else {
        return false;
    };
    let before = volumes.len();
    volumes.retain(|volume| {
        let used = volume.persistent_volume_claim.as_ref();
        let is_used = used.is_some_and(|used| used.claim_name == claim);
        let is_made = volume.ephemeral.is_some() && format!("{name}-{}", volume.name) == claim;
        !(is_used || is_made)
    });
    volumes.len() < before
}

/// Changes a node; false if it is not there.
fn edit(
    all: &mut Cluster,
    name: &str,
    undo: &mut Vec<Undo>,
    change: impl FnOnce(&mut Node),
) -> bool {
    let Some(old) = all.snapshot().node(name).cloned() else {
        return false;
    };
    let mut new = (*old).clone();
    change(&mut new);
    undo.push(Undo::Node(old));
    all.place_node(Arc::new(new));
    true
}

/// Takes a pod off its node; false if it is not there.
fn remove(
    all: &mut Cluster,
    node: &str,
    is_meant: impl Fn(&PodInfo) -> bool,
    undo: &mut Vec<Undo>,
) -> bool {
    let there = all.snapshot().get(node);
    let found = there.and_then(|(info, _)| info.pods.iter().find(|other| is_meant(other)));
    let Some(found) = found.cloned() else {
        return false;
    };
    all.remove_pod(&found.uid);
    undo.push(Undo::Pod(found, node.to_owned()));
    true
}

fn add_like(all: &mut Cluster, like: &str, undo: &mut Vec<Undo>) -> bool {
    let Some(old) = all.snapshot().node(like) else {
        return false;
    };
    let mut new = (**old).clone();
    new.metadata.name = Some(ANOTHER.to_owned());
    if let Some(name) = new
        .metadata
        .labels
        .as_mut()
        .and_then(|labels| labels.get_mut(node::HOSTNAME))
    {
        ANOTHER.clone_into(name);
    }
    if all.snapshot().node(ANOTHER).is_some() {
        return false;
    }
    undo.push(Undo::NoNode(ANOTHER.to_owned()));
    all.place_node(Arc::new(new));
    true
}
