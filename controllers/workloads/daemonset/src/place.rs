//! Nodes as a DaemonSet sees them, and the pods made for them.
//!
//! Upstream: `NodeShouldRunDaemonPod` in `pkg/controller/daemon/daemon_controller.go`,
//! `pkg/controller/daemon/util/daemonset_util.go`.

use k8s_openapi::api::core::v1::{
    Affinity, Node, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod,
    PodSpec, PodTemplateSpec, Toleration,
};
use objects::affinity::Required;
use objects::{meta, node, pod, taints};

/// What a DaemonSet thinks of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The node's name.
    pub node: String,
    /// A pod belongs there.
    pub should_run: bool,
    /// A pod that is there may stay: true wherever one belongs, and where only a `NoSchedule` taint keeps new ones
    /// away.
    pub may_stay: bool,
}

impl Place {
    /// A pod belongs there, or may at least stay.
    pub fn is_any(&self) -> bool {
        self.should_run || self.may_stay
    }
}

/// What the pods of a template demand of nodes, worked out once for many of them.
pub(crate) struct Demand<'a> {
    node_name: Option<&'a str>,
    required: Required<'a>,
    tolerations: Vec<Toleration>,
}

impl<'a> Demand<'a> {
    pub(crate) fn of(template: &'a PodSpec) -> Self {
        Self {
            node_name: template
                .node_name
                .as_deref()
                .filter(|name| !name.is_empty()),
            required: Required::of(template),
            tolerations: tolerations(template),
        }
    }

    /// Resources, ports, cordons and other pods are none of a DaemonSet's business.
    pub(crate) fn place(&self, node: &Node) -> Place {
        let name = meta::name(&node.metadata);
        let is_meant = self.node_name.is_none_or(|wanted| wanted == name);
        let fits = is_meant && self.required.matches(&node.metadata);
        let tolerates = |effect: fn(&str) -> bool| {
            taints::find_untolerated(node::taints(node), &self.tolerations, effect).is_none()
        };
        let should_run = fits && tolerates(taints::keeps_away);
        Place {
            node: name.to_owned(),
            should_run,
            may_stay: should_run || (fits && tolerates(|effect| effect == "NoExecute")),
        }
    }
}

/// The node that a pod is on or is meant for: `spec.nodeName`, or the one that its affinity names
/// (`GetTargetNodeName`).
pub(crate) fn target(pod: &Pod) -> Option<&str> {
    if let Some(name) = pod::node_name(pod) {
        return Some(name);
    }
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?;
    let node = affinity.node_affinity.as_ref()?;
    let required = node
        .required_during_scheduling_ignored_during_execution
        .as_ref()?;
    let fields = required
        .node_selector_terms
        .iter()
        .flat_map(|term| term.match_fields.iter().flatten());
    let named = fields.filter(|field| field.key == NODE_NAME && field.operator == "In");
    match named.take(1).next()?.values.as_deref()? {
        [name] => Some(name),
        _ => None,
    }
}

/// The template for the pod of one node: bound to it by affinity, which takes the place of the required one (the node
/// fulfils that), and with the tolerations that let it stay through the node's troubles.
pub(crate) fn for_node(template: &PodTemplateSpec, node: &str) -> PodTemplateSpec {
    let mut template = template.clone();
    let spec = template.spec.get_or_insert_with(PodSpec::default);
    spec.tolerations = Some(tolerations(spec));
    spec.affinity
        .get_or_insert_with(Affinity::default)
        .node_affinity
        .get_or_insert_with(NodeAffinity::default)
        .required_during_scheduling_ignored_during_execution = Some(NodeSelector {
        node_selector_terms: vec![NodeSelectorTerm {
            match_expressions: None,
            match_fields: Some(vec![NodeSelectorRequirement {
                key: NODE_NAME.to_owned(),
                operator: "In".to_owned(),
                values: Some(vec![node.to_owned()]),
            }]),
        }],
    });
    template
}

const NODE_NAME: &str = "metadata.name";

/// Each taint that a node in trouble gets by itself, and the effect that daemons live with. The last is tolerated by
/// pods on the host's network only: theirs is what makes the network available.
const TROUBLES: [(&str, &str); 7] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ("node.kubernetes.io/network-unavailable", "NoSchedule"),
];

/// The template's tolerations and those that every daemon has, without an end. One of the template's that is the same
/// but for its seconds is replaced (`AddOrUpdateDaemonPodTolerations`).
fn tolerations(spec: &PodSpec) -> Vec<Toleration> {
    let mut all = spec.tolerations.clone().unwrap_or_default();
    let count = TROUBLES.len() - usize::from(spec.host_network != Some(true));
    for (key, effect) in &TROUBLES[..count] {
        let automatic = Toleration {
            key: Some((*key).to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some((*effect).to_owned()),
            ..Toleration::default()
        };
        let same = |t: &&mut Toleration| {
            t.key == automatic.key
                && t.effect == automatic.effect
                && t.operator == automatic.operator
                && t.value.as_deref().unwrap_or_default().is_empty()
        };
        match all.iter_mut().find(same) {
            Some(own) => *own = automatic,
            None => all.push(automatic),
        }
    }
    all
}

#[cfg(test)]
mod tests;
