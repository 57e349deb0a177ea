//! What is counted, by upstream's names (`pkg/controller/podautoscaler/monitor/metrics.go`). Pure.
//!
//! Upstream shows the replicas of autoscalers that are long gone.

use crate::plan::{Proposed, decide};
use crate::world::{Spec, World};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use plan::Stability::{Alpha, Beta};
use plan::{Metric, Sample, Turn, exponential};
use std::cmp::Ordering;
use std::time::Duration;

static RECONCILIATIONS: Metric = Metric::counter(
    "horizontal_pod_autoscaler_controller_reconciliations_total",
    Beta,
    &["action", "error"],
    "Turns about autoscalers by what was done (scale_up, scale_down, none) and what went wrong first (spec, internal, none)",
);
static RECONCILIATION_SECONDS: Metric = Metric::histogram(
    "horizontal_pod_autoscaler_controller_reconciliation_duration_seconds",
    Beta,
    &["action", "error"],
    exponential(0.001, 2.0, 15),
    "Seconds that a turn about an autoscaler took",
);
static COMPUTATIONS: Metric = Metric::counter(
    "horizontal_pod_autoscaler_controller_metric_computation_total",
    Beta,
    &["action", "error", "metric_type"],
    "Metrics by what they asked for (scale_up, scale_down, none), what was wrong with them (spec, internal, none) and their type",
);
static COMPUTATION_SECONDS: Metric = Metric::histogram(
    "horizontal_pod_autoscaler_controller_metric_computation_duration_seconds",
    Beta,
    &["action", "error", "metric_type"],
    exponential(0.001, 2.0, 15),
    "Seconds that it took to get the values of a metric",
);
static AUTOSCALERS: Metric = Metric::gauge(
    "horizontal_pod_autoscaler_controller_num_horizontal_pod_autoscalers",
    Alpha,
    &[],
    "Autoscalers that are looked after",
);
static DESIRED: Metric = Metric::gauge(
    "horizontal_pod_autoscaler_controller_desired_replicas",
    Alpha,
    &["namespace", "hpa_name"],
    "Replicas that an autoscaler wants",
);

pub(crate) const METRICS: &[&Metric] = &[
    &RECONCILIATIONS,
    &RECONCILIATION_SECONDS,
    &COMPUTATIONS,
    &COMPUTATION_SECONDS,
    &AUTOSCALERS,
    &DESIRED,
];

/// What a turn adds.
pub(crate) fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
    let decision = decide(world);
    let done = decision
        .rescale
        .as_ref()
        .filter(|_| !turn.outcome.done.is_empty());
    let action = match done.map(|rescale| rescale.to.cmp(&rescale.from)) {
        Some(Ordering::Greater) => "scale_up",
        Some(_) => "scale_down",
        None => "none",
    };
    let error = if world.target.is_err() && is_unreadable(&world.hpa) {
        "spec"
    } else if !decision.warnings.is_empty() || !turn.success {
        "internal"
    } else {
        "none"
    };
    let mut samples = vec![
        RECONCILIATIONS.at([action, error], 1.0),
        RECONCILIATION_SECONDS.at([action, error], turn.took.as_secs_f64()),
        AUTOSCALERS.of(1.0),
    ];
    let known = world.hpa.status.as_ref();
    let refused = decision.rescale.is_some() && done.is_none();
    let desired = decision.desired.filter(|_| !refused);
    if let Some(desired) = desired.or(known.map(|status| status.desired_replicas)) {
        let labels = [world.owner.namespace.clone(), world.owner.name.clone()];
        samples.push(DESIRED.at(labels, f64::from(desired)));
    }
    let current = known.and_then(|status| status.current_replicas);
    for (index, proposed) in decision.proposed.iter().enumerate() {
        computation(world, index, *proposed, current.unwrap_or(0), &mut samples);
    }
    samples
}

/// What one metric asked for (upstream: `computeReplicasForMetric`).
fn computation(
    world: &World,
    index: usize,
    proposed: Proposed,
    current: i32,
    samples: &mut Vec<Sample>,
) {
    let (action, error) = match proposed {
        Proposed::Replicas(replicas) if replicas > current => ("scale_up", "none"),
        Proposed::Replicas(replicas) if replicas < current => ("scale_down", "none"),
        Proposed::Replicas(_) => ("none", "none"),
        Proposed::Nothing => ("none", "internal"),
        Proposed::Unknown => ("none", "spec"),
    };
    let labels = [action, error, kind(&world.spec, index)];
    let took = world
        .target
        .as_ref()
        .ok()
        .and_then(|target| target.took.get(index));
    samples.push(COMPUTATIONS.at(labels, 1.0));
    samples.push(COMPUTATION_SECONDS.at(labels, took.map_or(0.0, Duration::as_secs_f64)));
}

/// The type of a metric, one of those that there are.
fn kind(spec: &Spec, index: usize) -> &'static str {
    let kinds = [
        "Resource",
        "ContainerResource",
        "Pods",
        "Object",
        "External",
    ];
    let said = spec.metrics.get(index).map(|metric| metric.type_.as_str());
    kinds
        .into_iter()
        .find(|kind| Some(*kind) == said)
        .unwrap_or_default()
}

/// Whether the spec cannot be right: the target's apiVersion is none.
fn is_unreadable(hpa: &HorizontalPodAutoscaler) -> bool {
    let version = hpa.spec.scale_target_ref.api_version.as_deref();
    version.is_some_and(|version| version.matches('/').count() > 1)
}
