//! What is compared, by name and size, as data.

use clap::ValueEnum;

use crate::workloads::Workload;
use crate::workloads::autoscalers::Autoscalers;
use crate::workloads::daemonset::DaemonSet;
use crate::workloads::deployment::Deployments;
use crate::workloads::endpoints::Endpoints;
use crate::workloads::garbage::Garbage;
use crate::workloads::job::Job;
use crate::workloads::namespace::Namespace;
use crate::workloads::rest::Rest;
use crate::workloads::restart::Restart;
use crate::workloads::scheduling::{Churn, Scheduling, Wish};
use crate::workloads::statefulset::StatefulSet;

/// A workload of a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// A Deployment of 1,000 pods
    Small,
    /// Ten Deployments of 500 pods each
    Large,
    /// A DaemonSet on 1,000 nodes
    Daemonset,
    /// An Indexed Job of 1,000 pods that end after a second
    #[value(name = "job-1000")]
    Job1000,
    /// An Indexed Job of 5,000 pods that end after a second
    #[value(name = "job-5000")]
    Job5000,
    /// A parallel StatefulSet of 500 pods
    Statefulset,
    /// A Service with 5,000 endpoints whose Deployment is restarted
    Endpoints,
    /// 500 autoscalers, and a load for four times the pods that are there
    Autoscalers,
    /// 10,000 objects whose owner is deleted
    Garbage,
    /// A namespace with 5,000 objects that is deleted
    Namespace,
    /// 1,000 nodes and 5,000 pods at rest, all controllers
    Rest,
    /// Only a scheduler: pods that wish nothing (SchedulingBasic)
    SchedBasic,
    /// Pods spread over three zones (TopologySpreading)
    SchedSpread,
    /// The same as a preference (PreferredTopologySpreading)
    SchedPreferSpread,
    /// Pods in one zone with their like (SchedulingPodAffinity)
    SchedAffinity,
    /// Pods that are alone of their kind on a node (SchedulingPodAntiAffinity)
    SchedAntiAffinity,
    /// Pods in two of the zones (SchedulingNodeAffinity)
    SchedNodeAffinity,
    /// Plain pods among pods of all wishes (MixedSchedulingBasePod)
    SchedMixed,
    /// Plain pods while others fit nowhere (Unschedulable)
    SchedUnschedulable,
    /// Pods that take the place of less important ones (PreemptionBasic)
    SchedPreemption,
    /// Plain pods while nodes, Services and others come and go (SchedulingWithMixedChurn)
    SchedChurn,
    /// A scheduler begins where nodes are full of pods: how long until it is right about the next
    SchedRestart,
}

/// How much is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    /// Pods, or what else the workload is made of.
    pub(crate) count: usize,
    pub(crate) deployments: usize,
    /// A Service for each Deployment.
    pub(crate) services: bool,
}

const TABLE: [(Preset, Size); 22] = [
    (Preset::Small, size(100, 1_000)),
    (Preset::Large, ten_deployments(1_000, 5_000)),
    (Preset::Daemonset, size(1_000, 1_000)),
    (Preset::Job1000, size(100, 1_000)),
    (Preset::Job5000, size(1_000, 5_000)),
    (Preset::Statefulset, size(100, 500)),
    // While it is restarted there are a quarter more.
    (Preset::Endpoints, size(200, 5_000)),
    (Preset::Autoscalers, size(100, 500)),
    (Preset::Garbage, size(5, 10_000)),
    (Preset::Namespace, size(5, 5_000)),
    (Preset::Rest, size(1_000, 5_000)),
    (Preset::SchedBasic, size(1_000, 2_000)),
    (Preset::SchedSpread, size(1_000, 1_000)),
    (Preset::SchedPreferSpread, size(1_000, 1_000)),
    (Preset::SchedAffinity, size(1_000, 1_000)),
    (Preset::SchedAntiAffinity, size(1_000, 400)),
    (Preset::SchedNodeAffinity, size(1_000, 2_000)),
    (Preset::SchedMixed, size(1_000, 1_000)),
    (Preset::SchedUnschedulable, size(1_000, 2_000)),
    (Preset::SchedPreemption, size(1_000, 1_000)),
    (Preset::SchedChurn, size(1_000, 2_000)),
    (Preset::SchedRestart, size(5_000, 50_000)),
];

/// Pods of all wishes.
const MIXED: &[(Wish, usize)] = &[
    (Wish::Plain, 40),
    (Wish::Affinity, 40),
    (Wish::AntiAffinity, 40),
    (Wish::Spread, 40),
    (Wish::NodeAffinity, 40),
];

const fn size(nodes: usize, count: usize) -> Size {
    Size {
        nodes,
        count,
        deployments: 1,
        services: false,
    }
}

const fn ten_deployments(nodes: usize, pods: usize) -> Size {
    Size {
        deployments: 10,
        ..size(nodes, pods)
    }
}

impl Preset {
    pub(crate) fn size(self) -> Size {
        let row = TABLE.iter().find(|(preset, _)| *preset == self);
        row.expect("every preset has a row in the table").1
    }

    /// As it is written on the command line.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The workload, of that size.
    pub(crate) fn workload(self, size: Size) -> Box<dyn Workload> {
        use Wish::{Affinity, AntiAffinity, High, Low, NodeAffinity, Plain, PreferSpread, Spread};
        let Size { nodes, count, .. } = size;
        // A scheduler alone. The pods that are there before are in hundredths of the nodes, as upstream's numbers for
        // 5,000 nodes are.
        let alone = |zones, before, wish, churn| -> Box<dyn Workload> {
            Box::new(Scheduling {
                nodes,
                pods: count,
                zones,
                before,
                wish,
                churn,
            })
        };
        match self {
            Self::Small | Self::Large => Box::new(Deployments {
                pods: count,
                deployments: size.deployments.max(1),
                services: size.services,
            }),
            Self::Daemonset => Box::new(DaemonSet { nodes }),
            Self::Job1000 | Self::Job5000 => Box::new(Job { pods: count }),
            Self::Statefulset => Box::new(StatefulSet { pods: count }),
            Self::Endpoints => Box::new(Endpoints { pods: count }),
            Self::Autoscalers => Box::new(Autoscalers { count }),
            Self::Garbage => Box::new(Garbage { objects: count }),
            Self::Namespace => Box::new(Namespace { objects: count }),
            Self::Rest => Box::new(Rest { pods: count }),
            Self::SchedBasic => alone(1, &[(Plain, 20)], Plain, Churn::Nothing),
            Self::SchedSpread => alone(3, &[(Plain, 100)], Spread, Churn::Nothing),
            Self::SchedPreferSpread => alone(3, &[(Plain, 100)], PreferSpread, Churn::Nothing),
            Self::SchedAffinity => alone(1, &[(Affinity, 100)], Affinity, Churn::Nothing),
            Self::SchedAntiAffinity => {
                alone(1, &[(AntiAffinity, 20)], AntiAffinity, Churn::Nothing)
            }
            Self::SchedNodeAffinity => alone(3, &[(Plain, 100)], NodeAffinity, Churn::Nothing),
            Self::SchedMixed => alone(3, MIXED, Plain, Churn::Nothing),
            Self::SchedUnschedulable => alone(1, &[(Plain, 2)], Plain, Churn::Comes),
            Self::SchedPreemption => alone(1, &[(Low, 400)], High, Churn::Nothing),
            Self::SchedChurn => alone(1, &[], Plain, Churn::ComesAndGoes),
            Self::SchedRestart => Box::new(Restart { nodes, pods: count }),
        }
    }
}
