//! Which machine is behind the name of a node, and which was. Pure.

use ahash::AHashMap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use objects::pod;

/// What was seen of nodes that went.
#[derive(Debug, Default)]
pub(crate) struct Machines {
    /// Names that no node has: since when.
    missing: AHashMap<String, Timestamp>,
    /// Nodes that went: which machine it was, and when.
    gone: AHashMap<String, (Machine, Timestamp)>,
    /// Names that another machine has now: when the one before went, and when this one came.
    replaced: AHashMap<String, (Timestamp, Timestamp)>,
}

/// What makes a machine itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Machine {
    provider: String,
    system: String,
}

impl Machine {
    fn of(node: &Node) -> Self {
        let provider = node.spec.as_ref().and_then(|s| s.provider_id.clone());
        let info = node.status.as_ref().and_then(|s| s.node_info.as_ref());
        Self {
            provider: provider.unwrap_or_default(),
            system: info
                .map(|info| info.system_uuid.clone())
                .unwrap_or_default(),
        }
    }

    /// What is not told says nothing.
    fn differs(&self, other: &Self) -> bool {
        let differ = |a: &str, b: &str| !a.is_empty() && !b.is_empty() && a != b;
        differ(&self.provider, &other.provider)
            || differ(&self.system.to_lowercase(), &other.system.to_lowercase())
    }
}

impl Machines {
    /// A node went.
    pub(crate) fn went(&mut self, name: &str, node: &Node, now: Timestamp) {
        self.missing.insert(name.to_owned(), now);
        self.replaced.remove(name);
        self.gone.insert(name.to_owned(), (Machine::of(node), now));
    }

    /// A node is there. True if it has just turned out to be another machine than the one before.
    pub(crate) fn is_there(&mut self, name: &str, node: &Node) -> bool {
        self.missing.remove(name);
        let Some((before, went)) = self.gone.get(name) else {
            return false;
        };
        let machine = Machine::of(node);
        if machine == Machine::default() {
            // It has not said yet which one it is.
            return false;
        }
        let (another, went) = (before.differs(&machine), *went);
        self.gone.remove(name);
        if another {
            let came = node.metadata.creation_timestamp.as_ref().map(|t| t.0);
            self.replaced
                .insert(name.to_owned(), (went, came.unwrap_or(went)));
        }
        another
    }

    /// Since when no node of this name is there: since now if nobody noticed.
    pub(crate) fn missing_since(&mut self, name: &str, now: Timestamp) -> Timestamp {
        *self.missing.entry(name.to_owned()).or_insert(now)
    }

    /// If the pod was bound to the machine that had the name of this node before: when that went.
    pub(crate) fn left_behind(&self, name: &str, pod: &Pod) -> Option<Timestamp> {
        let (went, came) = self.replaced.get(name)?;
        let bound = pod::condition(pod, "PodScheduled").filter(|c| c.status == "True");
        let bound = bound.and_then(|c| c.last_transition_time.as_ref());
        let bound = bound.or(pod.metadata.creation_timestamp.as_ref())?;
        (bound.0 < *came).then_some(*went)
    }

    /// Forgets names that no pod has any more.
    pub(crate) fn retain(&mut self, is_used: impl Fn(&str) -> bool) {
        self.missing.retain(|name, _| is_used(name));
        self.gone.retain(|name, _| is_used(name));
        self.replaced.retain(|name, _| is_used(name));
    }
}
