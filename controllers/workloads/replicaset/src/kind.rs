//! The two kinds that keep a number of pods: one controller, and what differs between them.

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{
    PodTemplateSpec, ReplicationController, ReplicationControllerCondition,
    ReplicationControllerStatus,
};
use objects::selector::{Selector, SelectorError};
use runtime::Watched;

/// A kind that keeps a number of pods made from a template. ReplicationControllers are treated as if they
/// were an older version of ReplicaSets (upstream: pkg/controller/replication/conversion.go).
pub trait PodSet: Watched {
    /// Whether the status of the kind has a place for the pods that are on their way out.
    const COUNTS_TERMINATING: bool;

    /// Which pods are its own, or why that cannot be said.
    fn selector(&self) -> Result<Selector, SelectorError>;

    /// What its `spec` asks for besides.
    fn wants(&self) -> Wanted;

    /// Its status, in the words of ReplicaSets.
    fn reported(&self) -> ReplicaSetStatus;

    /// Itself with another status.
    #[must_use]
    fn reporting(&self, status: ReplicaSetStatus) -> Self;
}

/// What a `spec` asks for, with the server's defaults where it says nothing.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// How many pods.
    pub replicas: i32,
    /// How long a pod must be ready to be available, in seconds.
    pub min_ready_seconds: i32,
    /// What pods are made from.
    pub template: PodTemplateSpec,
}

impl Wanted {
    fn new(replicas: Option<i32>, ready: Option<i32>, template: Option<PodTemplateSpec>) -> Self {
        Self {
            replicas: replicas.unwrap_or(1).max(0),
            min_ready_seconds: ready.unwrap_or(0),
            template: template.unwrap_or_default(),
        }
    }
}

impl PodSet for ReplicaSet {
    const COUNTS_TERMINATING: bool = true;

    fn selector(&self) -> Result<Selector, SelectorError> {
        match &self.spec {
            Some(spec) => Selector::parse(&spec.selector),
            None => Selector::parse(&Default::default()),
        }
    }

    fn wants(&self) -> Wanted {
        let spec = self.spec.clone().unwrap_or_default();
        Wanted::new(spec.replicas, spec.min_ready_seconds, spec.template)
    }

    fn reported(&self) -> ReplicaSetStatus {
        self.status.clone().unwrap_or_default()
    }

    fn reporting(&self, status: ReplicaSetStatus) -> Self {
        Self {
            status: Some(status),
            ..self.clone()
        }
    }
}

impl PodSet for ReplicationController {
    const COUNTS_TERMINATING: bool = false;

    fn selector(&self) -> Result<Selector, SelectorError> {
        let labels = self.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        match labels {
            Some(labels) if !labels.is_empty() => Ok(Selector::from_labels(labels)),
            // The API server takes the template's labels then. Should it not, all pods are not meant.
            _ => Err(SelectorError {
                field: "matchLabels".to_owned(),
                message: "no label is asked for".to_owned(),
            }),
        }
    }

    fn wants(&self) -> Wanted {
        let spec = self.spec.clone().unwrap_or_default();
        Wanted::new(spec.replicas, spec.min_ready_seconds, spec.template)
    }

    fn reported(&self) -> ReplicaSetStatus {
        let status = self.status.clone().unwrap_or_default();
        let conditions = status.conditions.map(|list| {
            let each = list.into_iter().map(|condition| ReplicaSetCondition {
                type_: condition.type_,
                status: condition.status,
                reason: condition.reason,
                message: condition.message,
                last_transition_time: condition.last_transition_time,
            });
            each.collect()
        });
        ReplicaSetStatus {
            replicas: status.replicas,
            fully_labeled_replicas: status.fully_labeled_replicas,
            ready_replicas: status.ready_replicas,
            available_replicas: status.available_replicas,
            terminating_replicas: None,
            observed_generation: status.observed_generation,
            conditions,
        }
    }

    fn reporting(&self, status: ReplicaSetStatus) -> Self {
        let conditions = status.conditions.map(|list| {
            let each = list
                .into_iter()
                .map(|condition| ReplicationControllerCondition {
                    type_: condition.type_,
                    status: condition.status,
                    reason: condition.reason,
                    message: condition.message,
                    last_transition_time: condition.last_transition_time,
                });
            each.collect()
        });
        Self {
            status: Some(ReplicationControllerStatus {
                replicas: status.replicas,
                fully_labeled_replicas: status.fully_labeled_replicas,
                ready_replicas: status.ready_replicas,
                available_replicas: status.available_replicas,
                observed_generation: status.observed_generation,
                conditions,
            }),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests;
