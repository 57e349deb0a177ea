//! The table of plugins: what filters, in which order, and what scores, with which weight.
//!
//! Upstream: `pkg/scheduler/apis/config/v1/default_plugins.go`. The first filter that rejects a node gives the
//! reason, so the order can be seen in `FailedScheduling` events.

mod balanced_allocation;
mod dynamic_resources;
mod image_locality;
mod interpod_affinity;
mod node_affinity;
mod node_declared_features;
mod node_name;
mod node_ports;
mod node_unschedulable;
mod resources_fit;
mod resources_score;
mod scheduling_gates;
mod taint_toleration;
mod topology_spread;
mod volume_binding;
mod volume_limits;
mod volume_restrictions;
mod volume_zone;

pub use balanced_allocation::BalancedAllocation;
pub use dynamic_resources::DynamicResources;
pub(crate) use dynamic_resources::claims_devices;
pub use image_locality::ImageLocality;
pub use interpod_affinity::InterPodAffinity;
pub use node_affinity::NodeAffinity;
pub use node_declared_features::NodeDeclaredFeatures;
pub use node_name::NodeName;
pub use node_ports::NodePorts;
pub use node_unschedulable::NodeUnschedulable;
pub use resources_fit::ResourcesFit;
pub use resources_score::{Strategy, Weighted};
pub use scheduling_gates::is_gated;
pub use taint_toleration::TaintToleration;
pub use topology_spread::TopologySpread;
pub use volume_binding::VolumeBinding;
pub use volume_limits::NodeVolumeLimits;
pub use volume_restrictions::VolumeRestrictions;
pub(crate) use volume_restrictions::disks;
pub use volume_zone::VolumeZone;

use crate::plugin::{Filter, Score};
use crate::preempt::Candidates;
use std::fmt;
use std::time::Duration;

/// The plugins of a scheduler.
pub struct Table {
    /// Asked in this order; at most 31.
    pub filters: Vec<Box<dyn Filter>>,
    /// Each with its weight.
    pub scores: Vec<(Box<dyn Score>, i64)>,
    /// Whether room is made for more important pods (DefaultPreemption).
    pub preempts: bool,
    /// Among how many nodes it is looked for.
    pub candidates: Candidates,
    /// What part of the nodes is enough to choose from, in percent; none for all of them.
    pub percentage: Option<u32>,
    /// How long the volumes of a pod may take to be there before it is given another node (`bindTimeoutSeconds`).
    pub volume_timeout: Duration,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filters = self.filters.iter().map(|filter| filter.name());
        let scores = self
            .scores
            .iter()
            .map(|(score, weight)| (score.name(), weight));
        f.debug_struct("Table")
            .field("filters", &filters.collect::<Vec<_>>())
            .field("scores", &scores.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Table {
    /// Whether all plugins read nothing of a pod that its signature is not made from, so that what holds for one pod holds
    /// for all with the same signature.
    pub(crate) fn is_signed(&self) -> bool {
        let mut filters = self.filters.iter();
        let mut scores = self.scores.iter();
        filters.all(|filter| filter.is_signed()) && scores.all(|(score, _)| score.is_signed())
    }

    /// How many nodes that will do are enough, of so many (`numFeasibleNodesToFind`). Upstream takes a part if it is not
    /// told; here all are looked at unless told otherwise.
    pub(crate) fn enough(&self, nodes: usize) -> usize {
        const LEAST: usize = 100;
        let part = self
            .percentage
            .map(|percent| nodes * percent as usize / 100);
        part.map_or(nodes, |part| part.max(LEAST).min(nodes))
    }
}

/// How long volumes may take where nobody says otherwise.
pub(crate) const VOLUME_TIMEOUT: Duration = Duration::from_mins(10);

/// Upstream's default profile, as far as it is here.
impl Default for Table {
    fn default() -> Self {
        Self {
            filters: vec![
                Box::new(NodeUnschedulable),
                Box::new(NodeName),
                Box::new(TaintToleration),
                Box::new(NodeAffinity::default()),
                Box::new(NodePorts),
                Box::new(ResourcesFit::default()),
                Box::new(VolumeRestrictions),
                Box::new(NodeVolumeLimits),
                Box::new(VolumeBinding),
                Box::new(VolumeZone),
                Box::new(TopologySpread::default()),
                Box::new(InterPodAffinity::default()),
                Box::new(DynamicResources),
                Box::new(NodeDeclaredFeatures),
            ],
            scores: vec![
                (Box::new(TaintToleration), 3),
                (Box::new(NodeAffinity::default()), 2),
                (Box::new(ResourcesFit::default()), 1),
                (Box::new(TopologySpread::default()), 2),
                (Box::new(InterPodAffinity::default()), 2),
                (Box::new(BalancedAllocation::default()), 1),
                (Box::new(ImageLocality), 1),
            ],
            preempts: true,
            candidates: Candidates::default(),
            percentage: None,
            volume_timeout: VOLUME_TIMEOUT,
        }
    }
}
