//! No policy of an autoscaler's `behavior` is broken, whatever was forgotten or lost on the way.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{HPAScalingRules, HorizontalPodAutoscaler};
use sim::{State, Write};

/// A scaling counts from when it was decided; the server may have been asked a second time.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

/// What was scaled through `/scale`, and when.
#[derive(Default)]
pub(super) struct Rates {
    done: Vec<(String, Timestamp, i64)>,
}

impl Rates {
    /// Looks at a write; says what is wrong with it.
    pub(super) fn write(&mut self, state: &State, write: &Write) -> Option<String> {
        if write.subresource != "scale" {
            return None;
        }
        let size = |object: &serde_json::Value| object["spec"]["replicas"].as_i64().unwrap_or(0);
        let before = write.before.as_ref().map_or(0, |before| size(before));
        let change = size(&write.object) - before;
        self.done.push((write.name.clone(), write.at, change));
        let all = state.list::<HorizontalPodAutoscaler>(None);
        let of = |hpa: &HorizontalPodAutoscaler| hpa.spec.scale_target_ref.name == write.name;
        let hpa = all.iter().find(|hpa| of(hpa))?;
        if change == 0 {
            return Some("O4: scaled to the size that it has".to_owned());
        }
        let size = before + change;
        let bounds = i64::from(hpa.spec.min_replicas.unwrap_or(1))..=hpa.spec.max_replicas.into();
        if !bounds.contains(&size) {
            return Some(format!("O4: scaled to {size}, which is out of bounds"));
        }
        let behavior = hpa.spec.behavior.as_ref()?;
        let rules = match change > 0 {
            true => behavior.scale_up.as_ref()?,
            false => behavior.scale_down.as_ref()?,
        };
        self.broken(rules, write, change.signum())
    }

    /// Scenarios have one policy in each direction, of so many pods.
    fn broken(&self, rules: &HPAScalingRules, write: &Write, sign: i64) -> Option<String> {
        let policy = rules.policies.as_ref()?.first()?;
        let period = SignedDuration::from_secs(policy.period_seconds.into());
        let since = write.at - period + SLACK;
        let recent = self.done.iter().filter(|(name, at, change)| {
            *name == write.name && *at > since && change.signum() == sign
        });
        let sum: i64 = recent.map(|(.., change)| change.abs()).sum();
        let allowed = i64::from(policy.value);
        (sum > allowed).then(|| {
            let seconds = policy.period_seconds;
            format!("O4: {sum} pods within {seconds} s, {allowed} are allowed")
        })
    }
}
