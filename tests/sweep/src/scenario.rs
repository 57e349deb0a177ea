//! What a scenario is made of.

use serde_json::Value;
use sim::{Sim, State};
use std::time::Duration;

/// A controller under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `replicaset`.
    ReplicaSet,
    /// `replicaset`, for ReplicationControllers.
    Replication,
    /// `deployment`.
    Deployment,
    /// `daemonset`.
    DaemonSet,
    /// `statefulset`.
    StatefulSet,
    /// `job`.
    Job,
    /// `cronjob`.
    CronJob,
    /// `ttlafterfinished`.
    TtlAfterFinished,
    /// `hpa`; what is outside of the cluster is measured in the ConfigMap `load`.
    Autoscaler,
    /// `disruption`, both of its loops.
    Disruption,
    /// `endpointslice`.
    EndpointSlice,
    /// `endpoints`.
    Endpoints,
    /// `endpointslicemirroring`.
    Mirroring,
    /// `garbagecollector`; the harness imitates it where it is not under test.
    GarbageCollector,
    /// `namespace`.
    Namespace,
    /// `nodelifecycle`.
    NodeLifecycle,
    /// `tainteviction`.
    TaintEviction,
    /// `resourcequota`.
    ResourceQuota,
    /// `podgc`; it keeps three pods that have ended.
    PodGc,
    /// `persistentvolume`, `protection`, `ephemeralvolume` and `hostpath`.
    Volumes,
    /// `serviceaccount`.
    ServiceAccount,
    /// `serviceaccount`, the publisher of certificates.
    RootCa,
    /// `nodeipam` and `ttl`.
    Ranges,
    /// `servicecidr`.
    ServiceRanges,
    /// `clusterroleaggregation`.
    Roles,
    /// `serviceaccount`, the tokens in Secrets.
    Tokens,
    /// `certificates`, all of its loops.
    Certificates,
    /// `bootstrap`, both of its loops.
    Bootstrap,
    /// `scheduler`.
    Scheduler,
    /// `kubelet`, with one node of its own.
    Kubelet,
}

/// What the harness imitates.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// Gives pods a node.
    pub binds: bool,
    /// Makes bound pods ready, and removes deleted ones.
    pub runs: bool,
}

/// What the user does.
#[derive(Clone, Debug)]
pub enum Act {
    /// Creates an object.
    Create(Value),
    /// Changes an object by a JSON merge patch: its kind, and its name or `namespace/name`.
    Merge(&'static str, &'static str, Value),
    /// Deletes an object: its kind, and its name or `namespace/name`.
    Delete(&'static str, &'static str),
    /// Deletes an object; what becomes of its dependents.
    DeleteAs(&'static str, &'static str, &'static str),
    /// Deletes a Job of this name, and its pods afterwards, as `kubectl delete` does.
    DeleteJob(&'static str),
    /// Deletes so many pods of this label `app`, the first ones by name.
    DeletePods(&'static str, usize),
    /// Evicts the first ready pod of this label `app`, if its budgets let it go.
    Evict(&'static str),
    /// Changes the first pod of this label `app` by a JSON merge patch.
    MergePod(&'static str, Value),
    /// A quota or webhook refuses to create objects of a kind.
    Refuse(&'static str, &'static str),
    /// It does not any more.
    Accept(&'static str),
    /// Makes this revision's template the Deployment's, as `kubectl rollout undo` does.
    Undo(&'static str, &'static str),
}

/// A condition that a step waits for.
pub type When = fn(&State) -> bool;

/// A step of the user.
#[derive(Clone, Debug)]
pub struct Step {
    /// How long after the step before.
    pub after: Duration,
    /// What must have come about by then; the step waits up to two minutes for it.
    pub when: Option<When>,
    /// What is done.
    pub act: Act,
}

/// Bounds that hold after each write, see [`crate::oracle`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// So many pods of the workload may exist beyond those wanted (`maxSurge`); `None`: not watched.
    pub surge: Option<usize>,
    /// So many may be unavailable; `None`: not watched.
    pub unavailable: Option<usize>,
    /// Pods of two templates never run side by side.
    pub recreate: bool,
    /// Creates and deletes of an object may differ from the reference by so many.
    pub slack: usize,
}

/// A story with controllers in it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name in reports.
    pub name: &'static str,
    /// The controllers, which run in one process.
    pub parts: &'static [Part],
    /// What the harness imitates.
    pub around: Surroundings,
    /// What there is before the controllers start.
    pub begin: Vec<Value>,
    /// What the user does then.
    pub steps: Vec<Step>,
    /// What must hold on the way.
    pub bounds: Bounds,
    /// What must hold at the end of the reference, so that it is one.
    pub end: fn(&Sim) -> bool,
}

/// Everything imitated but the controllers under test.
pub const ALL_AROUND: Surroundings = Surroundings {
    binds: true,
    runs: true,
};

/// A step so many seconds after the one before.
pub fn after(seconds: u64, act: Act) -> Step {
    Step {
        after: Duration::from_secs(seconds),
        when: None,
        act,
    }
}

/// A step as soon as something has come about.
pub fn once(when: When, act: Act) -> Step {
    Step {
        after: Duration::ZERO,
        when: Some(when),
        act,
    }
}
