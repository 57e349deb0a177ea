//! What each metric asks for.
//! (upstream: horizontal.go, `computeReplicasForMetric` and what it calls)

use super::replicas::{self, Goal, Question, Usage};
use crate::world::{Sample, Target, World};
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, ExternalMetricSource, ExternalMetricStatus, MetricIdentifier,
    MetricSpec, MetricStatus, MetricTarget, MetricValueStatus, ObjectMetricSource,
    ObjectMetricStatus, PodsMetricStatus, ResourceMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::{Quantity, meta};
use std::fmt::Write;

/// What a metric asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proposal {
    pub(crate) replicas: i32,
    /// What the metric is called in an event.
    pub(crate) name: String,
    pub(crate) status: MetricStatus,
}

/// Why a metric asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    /// Reason of the event and of the condition ScalingActive.
    pub(crate) reason: &'static str,
    /// Message of the event.
    pub(crate) message: String,
    /// What it is called among several.
    pub(crate) summary: String,
}

/// The reason where a metric has no type that there is.
pub(crate) const UNKNOWN: &str = "InvalidMetricSourceType";

type Answer = Result<Proposal, Invalid>;

/// What the metric `spec` asks for, of which `sample` was measured.
pub(crate) fn propose(
    world: &World,
    target: &Target,
    spec: &MetricSpec,
    sample: &Result<Sample, String>,
) -> Answer {
    let about = About {
        world,
        target,
        sample,
    };
    match (
        spec.type_.as_str(),
        &spec.resource,
        &spec.container_resource,
        &spec.pods,
        &spec.object,
        &spec.external,
    ) {
        ("Resource", Some(source), ..) => {
            let reason = "FailedGetResourceMetric";
            let (replicas, current, utilization) = about
                .resource(&source.name, None, &source.target)
                .map_err(|message| Invalid {
                    summary: format!(
                        "failed to get {} resource metric value: {message}",
                        source.name
                    ),
                    reason,
                    message,
                })?;
            let status = MetricStatus {
                resource: Some(ResourceMetricStatus {
                    name: source.name.clone(),
                    current,
                }),
                ..named("Resource")
            };
            let name = match utilization {
                true => format!(
                    "{} resource utilization (percentage of request)",
                    source.name
                ),
                false => format!("{} resource", source.name),
            };
            Ok(Proposal {
                replicas,
                name,
                status,
            })
        }
        ("ContainerResource", _, Some(source), ..) => {
            let (replicas, current, utilization) = about
                .resource(&source.name, Some(&source.container), &source.target)
                .map_err(|message| Invalid {
                    summary: format!(
                        "failed to get {} container metric value: {message}",
                        source.container
                    ),
                    reason: "FailedGetContainerResourceMetric",
                    message,
                })?;
            let status = MetricStatus {
                container_resource: Some(ContainerResourceMetricStatus {
                    name: source.name.clone(),
                    container: source.container.clone(),
                    current,
                }),
                ..named("ContainerResource")
            };
            let name = match utilization {
                true => format!(
                    "{} container resource utilization (percentage of request)",
                    source.name
                ),
                false => format!("{} resource", source.name),
            };
            Ok(Proposal {
                replicas,
                name,
                status,
            })
        }
        ("Pods", _, _, Some(source), ..) => {
            let answer = about.average(&source.metric.name, &source.target);
            let (replicas, usage) = answer.map_err(|message| Invalid {
                summary: format!("failed to get pods metric value: {message}"),
                reason: "FailedGetPodsMetric",
                message,
            })?;
            let status = MetricStatus {
                pods: Some(PodsMetricStatus {
                    metric: source.metric.clone(),
                    current: average(usage.average),
                }),
                ..named("Pods")
            };
            let name = format!("pods metric {}", source.metric.name);
            Ok(Proposal {
                replicas,
                name,
                status,
            })
        }
        ("Object", _, _, _, Some(source), _) => about.object(source),
        ("External", .., Some(source)) => about.external(source),
        (other, ..) => {
            let message = format!("unknown metric source type \"{other}\"");
            Err(Invalid {
                reason: UNKNOWN,
                summary: message.clone(),
                message,
            })
        }
    }
}

struct About<'a> {
    world: &'a World,
    target: &'a Target,
    sample: &'a Result<Sample, String>,
}

impl About<'_> {
    fn wanted(
        &self,
        resource: &str,
        container: Option<&str>,
        goal: Goal,
    ) -> Result<(i32, Usage), String> {
        let samples = match self.sample {
            Ok(Sample::Pods(samples)) => samples,
            Ok(_) => return Err("the metric is of another kind than was asked for".to_owned()),
            Err(error) if resource.is_empty() => return Err(error.clone()),
            Err(error) => {
                return Err(format!(
                    "unable to get metrics for resource {resource}: {error}"
                ));
            }
        };
        if let Some((pod, sample)) = samples.iter().find(|(_, sample)| sample.value < 0) {
            let value = Quantity::from_milli(sample.value);
            return Err(format!("the value {value} of pod {pod} is negative"));
        }
        replicas::wanted(&Question {
            options: &self.world.options,
            now: self.world.now(),
            tolerance: self.world.spec.tolerance,
            current: self.target.replicas,
            pods: &self.target.pods,
            samples,
            resource,
            container,
            goal,
        })
    }

    /// Replicas, what is used, and whether that is told in percent.
    fn resource(
        &self,
        name: &str,
        container: Option<&str>,
        target: &MetricTarget,
    ) -> Result<(i32, MetricValueStatus, bool), String> {
        if let Some(each) = &target.average_value {
            let each = positive("averageValue", each);
            let answer = each.and_then(|each| self.wanted(name, container, Goal::Average(each)));
            let (replicas, usage) =
                answer.map_err(|error| format!("failed to get {name} usage: {error}"))?;
            let current = MetricValueStatus {
                average_value: Some(amount(name, usage.average)),
                ..MetricValueStatus::default()
            };
            return Ok((replicas, current, false));
        }
        let Some(percent) = target.average_utilization else {
            return Err("invalid resource metric source: neither an average utilization target nor an average value (usage) target was set".to_owned());
        };
        let goal = match percent {
            1.. => Ok(Goal::Utilization(percent)),
            _ => Err(format!("averageUtilization {percent} is not positive")),
        };
        let answer = goal.and_then(|goal| self.wanted(name, container, goal));
        let (replicas, usage) =
            answer.map_err(|error| format!("failed to get {name} utilization: {error}"))?;
        let current = MetricValueStatus {
            average_utilization: Some(usage.percent),
            average_value: Some(amount(name, usage.average)),
            value: None,
        };
        Ok((replicas, current, true))
    }

    fn average(&self, metric: &str, target: &MetricTarget) -> Result<(i32, Usage), String> {
        let each = target.average_value.as_ref();
        let each = each.ok_or_else(|| {
            "invalid pods metric source: no average value target was set".to_owned()
        })?;
        let answer = positive("averageValue", each)
            .and_then(|each| self.wanted("", None, Goal::Average(each)));
        answer.map_err(|error| format!("unable to get metric {metric}: {error}"))
    }

    fn object(&self, source: &ObjectMetricSource) -> Answer {
        let (metric, described) = (&source.metric.name, &source.described_object);
        let whole = source.target.type_ == "Value" && source.target.value.is_some();
        let each = source.target.type_ == "AverageValue" && source.target.average_value.is_some();
        let invalid = |message: String, told: String| Invalid {
            reason: "FailedGetObjectMetric",
            summary: format!("failed to get object metric value: {told}"),
            message,
        };
        if !whole && !each {
            let message = "invalid object metric source: neither a value target nor an average value target was set";
            return Err(invalid(message.to_owned(), message.to_owned()));
        }
        let namespace = meta::namespace(&self.world.hpa.metadata);
        let value = match self.sample {
            Ok(Sample::Object(value)) => not_negative(*value),
            Ok(_) => Err("the metric is of another kind than was asked for".to_owned()),
            Err(error) => Err(format!(
                "unable to get metric {metric}: {error} on {} {namespace}/{}",
                described.kind, described.name
            )),
        };
        let (answer, name) = if whole {
            let answer = value.and_then(|value| self.of_value(value, &source.target));
            let answer = answer.map_err(|message| invalid(message.clone(), message))?;
            (answer, format!("{} metric {metric}", described.kind))
        } else {
            let answer = value.and_then(|value| self.of_average(value, &source.target));
            let answer = answer.map_err(|message| {
                let told = format!("failed to get {metric} object metric: {message}");
                invalid(message, told)
            })?;
            (answer, external_name(&source.metric))
        };
        let (replicas, current) = answer;
        let status = MetricStatus {
            object: Some(ObjectMetricStatus {
                described_object: described.clone(),
                metric: source.metric.clone(),
                current,
            }),
            ..named("Object")
        };
        Ok(Proposal {
            replicas,
            name,
            status,
        })
    }

    fn external(&self, source: &ExternalMetricSource) -> Answer {
        let metric = &source.metric.name;
        let invalid = |message: String, told: String| Invalid {
            reason: "FailedGetExternalMetric",
            summary: format!("failed to get {metric} external metric value: {told}"),
            message,
        };
        let namespace = meta::namespace(&self.world.hpa.metadata);
        let value = match self.sample {
            Ok(Sample::External(values)) => match values.iter().find(|value| **value < 0) {
                Some(negative) => not_negative(*negative),
                None => Ok(values.iter().fold(0, |sum: i64, v| sum.saturating_add(*v))),
            },
            Ok(_) => Err("the metric is of another kind than was asked for".to_owned()),
            Err(error) => Err(format!(
                "unable to get external metric {namespace}/{metric}/{}: {error}",
                go_selector(source.metric.selector.as_ref())
            )),
        };
        let answer = if source.target.average_value.is_some() {
            let answer = value.and_then(|value| self.of_average(value, &source.target));
            answer.map_err(|message| {
                let told = format!("failed to get {metric} external metric: {message}");
                invalid(message, told)
            })
        } else if source.target.value.is_some() {
            let answer = value.and_then(|value| self.of_value(value, &source.target));
            answer.map_err(|message| {
                let told = format!("failed to get external metric {metric}: {message}");
                invalid(message, told)
            })
        } else {
            let message = "invalid external metric source: neither a value target nor an average value target was set";
            Err(invalid(message.to_owned(), message.to_owned()))
        };
        let (replicas, current) = answer?;
        let status = MetricStatus {
            external: Some(ExternalMetricStatus {
                metric: source.metric.clone(),
                current,
            }),
            ..named("External")
        };
        Ok(Proposal {
            replicas,
            name: external_name(&source.metric),
            status,
        })
    }

    /// The whole should be so much, and the ready pods make it so
    /// (upstream: replica_calculator.go, `getUsageRatioReplicaCount`).
    fn of_value(
        &self,
        value: i64,
        target: &MetricTarget,
    ) -> Result<(i32, MetricValueStatus), String> {
        let wanted = positive("value", &target.value.clone().unwrap_or_default())?;
        let ratio = value as f64 / wanted as f64;
        let current = MetricValueStatus {
            value: Some(Quantity::from_milli(value).into()),
            ..MetricValueStatus::default()
        };
        if replicas::within(self.world.spec.tolerance, ratio) {
            return Ok((self.target.replicas, current));
        }
        if self.target.pods.is_empty() {
            return Err("unable to calculate ready pods: no pods returned by selector while calculating replica count".to_owned());
        }
        let ready = replicas::ready(&self.target.pods);
        Ok((replicas::ceil(ratio * ready as f64), current))
    }

    /// Each replica should have so much of the whole
    /// (upstream: replica_calculator.go, `GetObjectPerPodMetricReplicas`).
    fn of_average(
        &self,
        value: i64,
        target: &MetricTarget,
    ) -> Result<(i32, MetricValueStatus), String> {
        let each = target.average_value.clone().unwrap_or_default();
        let each = positive("averageValue", &each)?;
        let replicas = self.target.status_replicas;
        let ratio = value as f64 / (each as f64 * f64::from(replicas));
        let wanted = match replicas::within(self.world.spec.tolerance, ratio) {
            true => replicas,
            false => replicas::ceil(value as f64 / each as f64),
        };
        let usage = (value as f64 / f64::from(replicas.max(1))).ceil() as i64;
        Ok((wanted, average(usage)))
    }
}

fn named(kind: &str) -> MetricStatus {
    MetricStatus {
        type_: kind.to_owned(),
        ..MetricStatus::default()
    }
}

fn average(milli: i64) -> MetricValueStatus {
    MetricValueStatus {
        average_value: Some(Quantity::from_milli(milli).into()),
        ..MetricValueStatus::default()
    }
}

/// Bytes in powers of 1024, as metrics-server writes them.
fn amount(resource: &str, milli: i64) -> ApiQuantity {
    let quantity = match resource {
        "memory" if milli % 1000 == 0 => Quantity::from_bytes(milli / 1000),
        _ => Quantity::from_milli(milli),
    };
    quantity.into()
}

/// The target in thousandths. The API server's validation lets no other pass.
fn positive(field: &str, quantity: &ApiQuantity) -> Result<i64, String> {
    let value = Quantity::try_from(quantity).map_err(|error| format!("{field}: {error}"))?;
    match value.milli_value() {
        milli @ 1.. => Ok(milli),
        _ => Err(format!("{field} {} is not positive", quantity.0)),
    }
}

fn not_negative(value: i64) -> Result<i64, String> {
    match value {
        0.. => Ok(value),
        _ => Err(format!(
            "the value {} is negative",
            Quantity::from_milli(value)
        )),
    }
}

fn external_name(metric: &MetricIdentifier) -> String {
    let selector = go_selector(metric.selector.as_ref());
    format!("external metric {}({selector})", metric.name)
}

/// A selector as upstream's messages show it.
fn go_selector(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else {
        return "nil".to_owned();
    };
    let mut text = "&LabelSelector{MatchLabels:map[string]string{".to_owned();
    for (key, value) in selector.match_labels.iter().flatten() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{key}: {value},");
    }
    text.push_str("},MatchExpressions:[]LabelSelectorRequirement{");
    for one in selector.match_expressions.iter().flatten() {
        let values = one.values.as_deref().unwrap_or_default().join(" ");
        let _ = write!(
            text,
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},",
            one.key, one.operator
        );
    }
    text.push_str("},}");
    text
}
