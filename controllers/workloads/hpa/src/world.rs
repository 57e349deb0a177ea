//! What is looked at for one decision: the autoscaler, its target and what was measured, as data.

use crate::history::History;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingRules, HorizontalPodAutoscaler, MetricSpec, MetricTarget, ResourceMetricSource,
};
use k8s_openapi::api::core::v1::Pod;
use objects::Quantity;
use objects::Selector;
use plan::Reference;
use runtime::Moment;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What kube-controller-manager has flags for, with its defaults.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Time between two looks at one autoscaler (`--horizontal-pod-autoscaler-sync-period`).
    pub sync_period: Duration,
    /// Highest recommendation of so long counts when scaling down, if the autoscaler does not say.
    pub downscale_stabilization: SignedDuration,
    /// How far usage may be from its target with nothing done, if the autoscaler does not say.
    pub tolerance: f64,
    /// CPU samples of a pod younger than this count only when the pod is ready.
    pub cpu_initialization_period: SignedDuration,
    /// A pod that became unready within this time of its start was never ready.
    pub initial_readiness_delay: SignedDuration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync_period: Duration::from_secs(15),
            downscale_stabilization: SignedDuration::from_mins(5),
            tolerance: 0.1,
            cpu_initialization_period: SignedDuration::from_mins(5),
            initial_readiness_delay: SignedDuration::from_secs(30),
        }
    }
}

/// What the controller looks at when it decides about one HorizontalPodAutoscaler.
#[derive(Clone, Debug)]
pub struct World {
    /// The autoscaler as the cache holds it.
    pub hpa: Arc<HorizontalPodAutoscaler>,
    /// The autoscaler, to say what events are about.
    pub owner: Reference,
    /// What it scales, or why that cannot be had.
    pub target: Result<Target, String>,
    /// Bounds, metrics and rules with their defaults.
    pub spec: Spec,
    /// The settings.
    pub options: Options,
    /// The time of the decision.
    pub moment: Moment,
}

/// The spec with what is not said filled in (`pkg/apis/autoscaling/v2/defaults.go`).
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The fewest replicas.
    pub min: i32,
    /// The most replicas.
    pub max: i32,
    /// What is measured: CPU at 80 % of the requests where nothing is said.
    pub metrics: Vec<MetricSpec>,
    /// The rules of `behavior` (up, down); without them the rules of before it are in force.
    pub behavior: Option<(Rules, Rules)>,
    /// Tolerance downwards and upwards.
    pub tolerance: (f64, f64),
}

/// How fast one direction may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Recommendations of so long count.
    pub window: SignedDuration,
    /// Which of the policies is in force.
    pub select: Select,
    /// The policies.
    pub policies: Vec<Policy>,
}

/// `selectPolicy`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// The policy that allows the largest change.
    Max,
    /// The policy that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// So much a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Percent of the replicas at the beginning of the period; a number of pods if not.
    pub percent: bool,
    /// How many.
    pub value: i32,
    /// The period.
    pub period: SignedDuration,
}

/// What is scaled.
#[derive(Clone, Debug)]
pub struct Target {
    /// The object that has the scale.
    pub on: Reference,
    /// Its scale as the API server gave it.
    pub scale: Scale,
    /// `spec.replicas` of the scale.
    pub replicas: i32,
    /// `status.replicas` of the scale.
    pub status_replicas: i32,
    /// Which pods are meant, or why that cannot be said.
    pub selector: Result<Selector, Unclear>,
    /// The pods that are meant, in order of their names.
    pub pods: Vec<Arc<Pod>>,
    /// What was measured for each of [`Spec::metrics`]; empty where it was not asked for.
    pub samples: Vec<Result<Sample, String>>,
    /// How long it took to get each of them.
    pub took: Vec<Duration>,
    /// What was recommended and done before.
    pub history: History,
}

/// Why a selector does not say which pods are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unclear {
    /// The scale has none.
    Missing,
    /// It is no selector.
    Invalid(String),
    /// The autoscalers of these names select the same pods, this one among them.
    Ambiguous(String, Vec<String>),
}

/// What one metric says.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// Of each pod, by name.
    Pods(BTreeMap<String, PodSample>),
    /// Of one object, in thousandths.
    Object(i64),
    /// Of something outside of the cluster, in thousandths each.
    External(Vec<i64>),
}

/// What was measured of one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodSample {
    /// In thousandths.
    pub value: i64,
    /// When.
    pub at: Timestamp,
    /// Over which time before.
    pub window: SignedDuration,
}

impl World {
    /// The time of the decision.
    pub fn now(&self) -> Timestamp {
        self.moment.now
    }
}

impl Spec {
    /// The spec of an autoscaler.
    pub fn of(hpa: &HorizontalPodAutoscaler, options: &Options) -> Self {
        let spec = &hpa.spec;
        let mut metrics = spec.metrics.clone().unwrap_or_default();
        if metrics.is_empty() {
            metrics.push(cpu());
        }
        let behavior = spec.behavior.as_ref();
        let tolerance = |rules: Option<&HPAScalingRules>| {
            let said = rules.and_then(|rules| rules.tolerance.as_ref());
            let said = said.and_then(|quantity| Quantity::try_from(quantity).ok());
            said.map_or(options.tolerance, |quantity| quantity.nanos() as f64 / 1e9)
        };
        let max = spec.max_replicas.max(0);
        Self {
            min: spec.min_replicas.unwrap_or(1).clamp(0, max),
            max,
            metrics,
            tolerance: (
                tolerance(behavior.and_then(|b| b.scale_down.as_ref())),
                tolerance(behavior.and_then(|b| b.scale_up.as_ref())),
            ),
            behavior: behavior.map(|behavior| {
                let up = Rules::of(behavior.scale_up.as_ref(), SignedDuration::ZERO, &UP);
                let down = behavior.scale_down.as_ref();
                (
                    up,
                    Rules::of(down, options.downscale_stabilization, &[ALL_AT_ONCE]),
                )
            }),
        }
    }

    /// What is decided without a look at any metric: the size that the bounds command, and why; or that
    /// there is nothing to scale.
    pub fn bounded(&self, replicas: i32) -> Option<Bounded> {
        if replicas == 0 {
            Some(Bounded::Disabled)
        } else if replicas > self.max {
            Some(Bounded::To(
                self.max,
                "Current number of replicas above Spec.MaxReplicas",
            ))
        } else if replicas < self.min {
            Some(Bounded::To(
                self.min,
                "Current number of replicas below Spec.MinReplicas",
            ))
        } else {
            None
        }
    }

    /// The longest period of any policy.
    pub fn longest_period(&self) -> SignedDuration {
        let rules = self.behavior.iter().flat_map(|(up, down)| [up, down]);
        let periods = rules.flat_map(|rules| rules.policies.iter().map(|policy| policy.period));
        periods.max().unwrap_or_default()
    }
}

/// See [`Spec::bounded`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounded {
    /// The target was scaled to nothing by somebody: it is left alone.
    Disabled,
    /// To so many, because.
    To(i32, &'static str),
}

const PERIOD: SignedDuration = SignedDuration::from_secs(15);
const ALL_AT_ONCE: Policy = Policy {
    percent: true,
    value: 100,
    period: PERIOD,
};
const UP: [Policy; 2] = [
    Policy {
        percent: false,
        value: 4,
        period: PERIOD,
    },
    ALL_AT_ONCE,
];

impl Rules {
    fn of(rules: Option<&HPAScalingRules>, window: SignedDuration, policies: &[Policy]) -> Self {
        let said = rules.and_then(|rules| rules.stabilization_window_seconds);
        let seconds = |n: i32| SignedDuration::from_secs(i64::from(n.max(0)));
        let policy = |policy: &k8s_openapi::api::autoscaling::v2::HPAScalingPolicy| Policy {
            percent: policy.type_ == "Percent",
            value: policy.value.max(0),
            period: seconds(policy.period_seconds),
        };
        let own = rules.and_then(|rules| rules.policies.as_deref());
        let own: Vec<Policy> = own.unwrap_or_default().iter().map(policy).collect();
        Self {
            window: said.map_or(window, seconds),
            select: match rules.and_then(|rules| rules.select_policy.as_deref()) {
                Some("Disabled") => Select::Disabled,
                Some("Min") => Select::Min,
                _ => Select::Max,
            },
            policies: if own.is_empty() {
                policies.to_vec()
            } else {
                own
            },
        }
    }
}

fn cpu() -> MetricSpec {
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: "cpu".to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(80),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}
