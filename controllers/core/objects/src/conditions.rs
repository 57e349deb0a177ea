//! Conditions: finding them, and setting them without losing when they last changed.
//!
//! Upstream: `apimachinery/pkg/api/meta/conditions.go`; the typed lists each have a copy of it there.

use k8s_openapi::api::apps::v1::{
    DaemonSetCondition, DeploymentCondition, ReplicaSetCondition, StatefulSetCondition,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerCondition;
use k8s_openapi::api::batch::v1::JobCondition;
use k8s_openapi::api::core::v1::{NodeCondition, PodCondition, ReplicationControllerCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{self, Time};

/// What all kinds of conditions have in common.
pub trait Condition: PartialEq {
    /// What the condition is about, such as `Ready`.
    fn kind(&self) -> &str;
    /// `True`, `False` or `Unknown`.
    fn status(&self) -> &str;
    /// When the status last changed.
    fn last_transition(&self) -> Option<&Time>;
    /// Says when the status last changed.
    fn set_last_transition(&mut self, time: Time);
}

macro_rules! conditions {
    ($($condition:ty),+) => {$(
        impl Condition for $condition {
            fn kind(&self) -> &str {
                &self.type_
            }

            fn status(&self) -> &str {
                &self.status
            }

            fn last_transition(&self) -> Option<&Time> {
                self.last_transition_time.as_ref()
            }

            fn set_last_transition(&mut self, time: Time) {
                self.last_transition_time = Some(time);
            }
        }
    )+};
}

conditions!(
    DaemonSetCondition,
    DeploymentCondition,
    JobCondition,
    HorizontalPodAutoscalerCondition,
    NodeCondition,
    PodCondition,
    ReplicaSetCondition,
    ReplicationControllerCondition,
    StatefulSetCondition
);

impl Condition for v1::Condition {
    fn kind(&self) -> &str {
        &self.type_
    }

    fn status(&self) -> &str {
        &self.status
    }

    fn last_transition(&self) -> Option<&Time> {
        Some(&self.last_transition_time)
    }

    fn set_last_transition(&mut self, time: Time) {
        self.last_transition_time = time;
    }
}

/// The condition of this type.
pub fn find<'a, C: Condition>(conditions: Option<&'a [C]>, kind: &str) -> Option<&'a C> {
    conditions?
        .iter()
        .find(|condition| condition.kind() == kind)
}

/// Whether the condition of this type is there and `True`.
pub fn is_true<C: Condition>(conditions: Option<&[C]>, kind: &str) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status() == "True")
}

/// Puts a condition in, in the place of the one of its type. While the status stays the same, so does the transition
/// time. Says whether anything changed.
pub fn set<C: Condition>(conditions: &mut Vec<C>, mut new: C) -> bool {
    let Some(old) = conditions
        .iter_mut()
        .find(|condition| condition.kind() == new.kind())
    else {
        conditions.push(new);
        return true;
    };
    if old.status() == new.status()
        && let Some(time) = old.last_transition()
    {
        new.set_last_transition(time.clone());
    }
    let changed = *old != new;
    *old = new;
    changed
}

/// Takes the condition of this type out. Says whether there was one.
pub fn remove<C: Condition>(conditions: &mut Vec<C>, kind: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|condition| condition.kind() != kind);
    conditions.len() < before
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn condition(kind: &str, status: &str, second: i64) -> PodCondition {
        PodCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            last_transition_time: Timestamp::from_second(second).ok().map(Time),
            ..PodCondition::default()
        }
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut list = vec![];
        assert!(set(&mut list, condition("Ready", "False", 1)));
        assert!(!set(&mut list, condition("Ready", "False", 2)));
        assert_eq!(list, [condition("Ready", "False", 1)]);
        assert!(set(&mut list, condition("Ready", "True", 3)));
        assert_eq!(list, [condition("Ready", "True", 3)]);
    }

    #[test]
    fn another_message_is_a_change_but_no_transition() {
        let mut list = vec![condition("Ready", "False", 1)];
        let message = Some("why".to_owned());
        assert!(set(
            &mut list,
            PodCondition {
                message: message.clone(),
                ..condition("Ready", "False", 2)
            }
        ));
        assert_eq!(
            list,
            [PodCondition {
                message,
                ..condition("Ready", "False", 1)
            }]
        );
    }

    #[test]
    fn find_and_remove() {
        let mut list = vec![
            condition("Ready", "True", 1),
            condition("Initialized", "Unknown", 1),
        ];
        assert!(is_true(Some(&list), "Ready"));
        assert!(!is_true(Some(&list), "Initialized"));
        assert!(find::<PodCondition>(None, "Ready").is_none());
        assert!(remove(&mut list, "Ready"));
        assert!(!remove(&mut list, "Ready"));
        assert_eq!(list.len(), 1);
    }
}
