//! Worlds with little in them.

use crate::history::History;
use crate::world::{Options, PodSample, Sample, Spec, Target, Unclear, World};
use crate::{plan, status};
use ::plan::{Kind, Outcome, Plan, Reference};
use jiff::{SignedDuration, Timestamp};
use json_patch::merge;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use objects::Selector;
use runtime::Moment;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

pub(super) fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// An autoscaler, its target and what was measured of it.
pub(super) struct Scene {
    pub(super) hpa: Arc<HorizontalPodAutoscaler>,
    pub(super) target: Result<Target, String>,
}

/// CPU should be at 50 %, 1 to 10 replicas; the pods `p0`, `p1`… request one core each and run since long.
pub(super) fn scene(replicas: i32) -> Scene {
    let hpa = json!({
        "metadata": {"name": "bellows", "namespace": "forge", "uid": "hpa-1"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "anvil"},
            "minReplicas": 1,
            "maxReplicas": 10,
            "metrics": [resource("cpu", 50)],
        },
        "status": {
            "currentReplicas": replicas, "desiredReplicas": replicas,
            "conditions": [{"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale"}],
        },
    });
    let scale = json!({
        "metadata": {"name": "anvil", "namespace": "forge", "uid": "d-1", "resourceVersion": "7"},
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "selector": "app=anvil"},
    });
    let scale: Scale = serde_json::from_value(scale).unwrap();
    let target = Target {
        on: Reference::from_meta(Kind::of::<Deployment>(), &scale.metadata),
        scale,
        replicas,
        status_replicas: replicas,
        selector: Ok(Selector::from_text("app=anvil").unwrap()),
        pods: (0..replicas)
            .map(|n| pod(&format!("p{n}"), json!({})))
            .collect(),
        samples: Vec::new(),
        took: Vec::new(),
        history: History::default(),
    };
    Scene {
        hpa: Arc::new(serde_json::from_value(hpa).unwrap()),
        target: Ok(target),
    }
}

pub(super) fn resource(name: &str, percent: i32) -> Value {
    json!({"type": "Resource", "resource": {
        "name": name, "target": {"type": "Utilization", "averageUtilization": percent},
    }})
}

pub(super) fn pod(name: &str, more: Value) -> Arc<Pod> {
    let mut pod = json!({
        "metadata": {"name": name, "namespace": "forge", "labels": {"app": "anvil"}},
        "spec": {"containers": [
            {"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}},
        ]},
        "status": {
            "phase": "Running",
            "startTime": ago(1200),
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ago(1100)}],
        },
    });
    merge(&mut pod, &more);
    Arc::new(serde_json::from_value(pod).unwrap())
}

pub(super) fn samples(values: &[i64]) -> Sample {
    let named = values.iter().enumerate();
    Sample::Pods(
        named
            .map(|(n, value)| {
                let sample = PodSample {
                    value: *value,
                    at: ago(5),
                    window: SignedDuration::from_secs(30),
                };
                (format!("p{n}"), sample)
            })
            .collect::<BTreeMap<_, _>>(),
    )
}

impl Scene {
    /// Changes the spec.
    pub(super) fn spec(self, more: Value) -> Self {
        self.hpa(json!({ "spec": more }))
    }

    /// Changes the autoscaler.
    pub(super) fn hpa(mut self, more: Value) -> Self {
        let mut hpa = serde_json::to_value(&*self.hpa).unwrap();
        merge(&mut hpa, &more);
        self.hpa = Arc::new(serde_json::from_value(hpa).unwrap());
        self
    }

    pub(super) fn metrics(self, metrics: Value) -> Self {
        self.spec(json!({ "metrics": metrics }))
    }

    /// What the pods use, in thousandths.
    pub(super) fn cpu(self, values: &[i64]) -> Self {
        self.measured(vec![Ok(samples(values))])
    }

    pub(super) fn measured(mut self, samples: Vec<Result<Sample, String>>) -> Self {
        self.target.as_mut().unwrap().samples = samples;
        self
    }

    pub(super) fn pod(mut self, pod: Arc<Pod>) -> Self {
        let pods = &mut self.target.as_mut().unwrap().pods;
        pods.retain(|old| old.metadata.name != pod.metadata.name);
        pods.push(pod);
        self
    }

    pub(super) fn history(mut self, history: History) -> Self {
        self.target.as_mut().unwrap().history = history;
        self
    }

    pub(super) fn unclear(mut self, unclear: Unclear) -> Self {
        self.target.as_mut().unwrap().selector = Err(unclear);
        self
    }

    pub(super) fn lost(mut self, error: &str) -> Self {
        self.target = Err(error.to_owned());
        self
    }

    pub(super) fn world(&self) -> World {
        let options = Options::default();
        World {
            owner: Reference::to(&*self.hpa),
            spec: Spec::of(&self.hpa, &options),
            hpa: self.hpa.clone(),
            target: self.target.clone(),
            options,
            moment: Moment {
                now: now(),
                seed: 7,
            },
        }
    }

    pub(super) fn plan(&self) -> Plan {
        plan::plan(&self.world())
    }

    /// The plan's lines but for the time of the next look.
    pub(super) fn planned(&self) -> Vec<String> {
        let text = self.plan().to_string();
        let lines = text.lines().filter(|line| !line.starts_with("again in"));
        lines
            .map(|line| line.split(" (the metrics").next().unwrap().to_owned())
            .collect()
    }

    /// The new size, if there is one.
    pub(super) fn replicas(&self) -> Option<i32> {
        plan::decide(&self.world())
            .rescale
            .map(|rescale| rescale.to)
    }

    /// The message of the event of the new size.
    pub(super) fn reason(&self) -> String {
        let plan = self.plan();
        let action = plan.actions().next().unwrap();
        action.note.as_ref().unwrap().message.clone()
    }

    pub(super) fn status(&self, outcome: &Outcome) -> Option<HorizontalPodAutoscaler> {
        status::status(&self.world(), outcome)
    }

    /// Reason and message of ScalingActive, after a look at which nothing is written but the status.
    pub(super) fn inactive(&self) -> (String, String) {
        assert_eq!(self.plan().len(), 0);
        let hpa = self.status(&Outcome::default()).unwrap();
        let (holds, reason, message) = condition(&hpa, "ScalingActive").unwrap();
        assert_eq!(holds, "False");
        (reason, message)
    }
}

/// Status, reason and message.
pub(super) fn condition(
    hpa: &HorizontalPodAutoscaler,
    kind: &str,
) -> Option<(String, String, String)> {
    let conditions = hpa.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|c| c.type_ == kind)?;
    Some((
        condition.status.clone(),
        condition.reason.clone()?,
        condition.message.clone()?,
    ))
}
