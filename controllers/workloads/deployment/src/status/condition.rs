//! The conditions of a Deployment, which have one time more than others: when they were last confirmed.
//!
//! Upstream: `pkg/controller/deployment/util/deployment_util.go` `SetDeploymentCondition`.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DeploymentCondition, ReplicaSetCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A list of conditions that is being changed.
pub(super) struct Conditions {
    list: Vec<DeploymentCondition>,
    had_list: bool,
    now: Time,
}

impl Conditions {
    pub(super) fn new(list: Option<Vec<DeploymentCondition>>, now: Timestamp) -> Self {
        // The API server keeps whole seconds.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self {
            had_list: list.is_some(),
            list: list.unwrap_or_default(),
            now: Time(now),
        }
    }

    pub(super) fn into_list(self) -> Option<Vec<DeploymentCondition>> {
        (self.had_list || !self.list.is_empty()).then_some(self.list)
    }

    pub(super) fn find(&self, type_: &str) -> Option<&DeploymentCondition> {
        self.list.iter().find(|condition| condition.type_ == type_)
    }

    pub(super) fn reason(&self, type_: &str) -> Option<&str> {
        self.find(type_)
            .map(|condition| condition.reason.as_deref().unwrap_or_default())
    }

    pub(super) fn remove(&mut self, type_: &str) {
        self.list.retain(|condition| condition.type_ != type_);
    }

    /// Sets a condition. The same status and reason change nothing, not even the message.
    pub(super) fn set(&mut self, type_: &str, status: &str, reason: &str, message: &str) {
        self.put(self.at_now(type_, status, reason, message));
    }

    /// The same, but the same status and reason are confirmed: the message and the time of the update are new.
    pub(super) fn renew(&mut self, type_: &str, status: &str, reason: &str, message: &str) {
        let mut condition = self.at_now(type_, status, reason, message);
        if let Some(before) = self.find(type_).filter(|before| before.status == status) {
            condition
                .last_transition_time
                .clone_from(&before.last_transition_time);
        }
        self.remove(type_);
        self.list.push(condition);
    }

    /// Takes over a condition of a ReplicaSet, with its times.
    pub(super) fn copy(&mut self, from: &ReplicaSetCondition) {
        self.put(DeploymentCondition {
            type_: from.type_.clone(),
            status: from.status.clone(),
            last_transition_time: from.last_transition_time.clone(),
            last_update_time: from.last_transition_time.clone(),
            reason: from.reason.clone(),
            message: from.message.clone(),
        });
    }

    fn at_now(
        &self,
        type_: &str,
        status: &str,
        reason: &str,
        message: &str,
    ) -> DeploymentCondition {
        DeploymentCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            last_transition_time: Some(self.now.clone()),
            last_update_time: Some(self.now.clone()),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
        }
    }

    fn put(&mut self, mut condition: DeploymentCondition) {
        if let Some(before) = self.find(&condition.type_) {
            if before.status == condition.status && before.reason == condition.reason {
                return;
            }
            if before.status == condition.status {
                condition
                    .last_transition_time
                    .clone_from(&before.last_transition_time);
            }
        }
        self.remove(&condition.type_);
        self.list.push(condition);
    }
}
