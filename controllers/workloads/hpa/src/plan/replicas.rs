//! From what was measured of pods to a number of replicas.
//! (upstream: replica_calculator.go, `GetResourceReplicas`, `calcPlainMetricReplicas`, `groupPods`)

use crate::world::{Options, PodSample};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use objects::{Quantity, meta, pod as pods, resources};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All that the answer depends on.
pub(crate) struct Question<'a> {
    pub(crate) options: &'a Options,
    pub(crate) now: Timestamp,
    /// Tolerance downwards and upwards.
    pub(crate) tolerance: (f64, f64),
    /// `spec.replicas` of the scale.
    pub(crate) current: i32,
    pub(crate) pods: &'a [Arc<Pod>],
    pub(crate) samples: &'a BTreeMap<String, PodSample>,
    /// `cpu`, `memory`…; empty for metrics that are no resource.
    pub(crate) resource: &'a str,
    /// This container only.
    pub(crate) container: Option<&'a str>,
    pub(crate) goal: Goal,
}

/// What each pod should use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// So many percent of what it requests.
    Utilization(i32),
    /// So many thousandths.
    Average(i64),
}

/// What pods use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// In percent of what they request.
    pub(crate) percent: i32,
    /// In thousandths, each.
    pub(crate) average: i64,
}

/// How many replicas there should be so that each pod uses what it should, and what they use now.
///
/// A pod of which nothing was measured is taken to use what it may where there would be fewer pods, and
/// nothing where there would be more; so is a pod that is not ready where there would be more. If the answer
/// turns round by that, all stays as it is.
pub(crate) fn wanted(question: &Question<'_>) -> Result<(i32, Usage), String> {
    if question.pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let groups = Groups::of(question);
    let mut values = groups.ready.clone();
    if values.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
    }
    let requests = match question.goal {
        Goal::Utilization(_) => requests(question)?,
        Goal::Average(_) => BTreeMap::new(),
    };
    let (ratio, usage) = measure(question, &values, &requests)?;
    let stays = Ok((question.current, usage));
    let up_with_unready = !groups.unready.is_empty() && ratio > 1.0;
    if !up_with_unready && groups.missing.is_empty() {
        if within(question.tolerance, ratio) {
            return stays;
        }
        return Ok((ceil(ratio * values.len() as f64), usage));
    }
    for pod in &groups.missing {
        if ratio < 1.0 {
            values.insert(pod, assumed(question, requests.get(pod).copied()));
        } else if ratio > 1.0 {
            values.insert(pod, 0);
        }
    }
    if up_with_unready {
        values.extend(groups.unready.iter().map(|pod| (*pod, 0)));
    }
    let (again, _) = measure(question, &values, &requests)?;
    let turned = (ratio < 1.0 && again > 1.0) || (ratio > 1.0 && again < 1.0);
    if within(question.tolerance, again) || turned {
        return stays;
    }
    let replicas = ceil(again * values.len() as f64);
    let against = (again < 1.0 && replicas > question.current)
        || (again > 1.0 && replicas < question.current);
    if against {
        return stays;
    }
    Ok((replicas, usage))
}

/// Whether usage is as good as what it should be.
pub(crate) fn within((down, up): (f64, f64), ratio: f64) -> bool {
    (1.0 - down) <= ratio && ratio <= (1.0 + up)
}

/// The next whole number, at most the largest there is.
pub(crate) fn ceil(replicas: f64) -> i32 {
    replicas.ceil() as i32
}

/// How many of the pods run and are ready.
pub(crate) fn ready(pods: &[Arc<Pod>]) -> usize {
    let ready = |pod: &&Arc<Pod>| pods::phase(pod) == "Running" && pods::is_ready(pod);
    pods.iter().filter(ready).count()
}

type Values<'a> = BTreeMap<&'a str, i64>;

/// How many times of what it should be usage is.
fn measure(
    question: &Question<'_>,
    values: &Values<'_>,
    requests: &Values<'_>,
) -> Result<(f64, Usage), String> {
    let total: i128 = values.values().map(|value| i128::from(*value)).sum();
    let average = clamp(total / values.len().max(1) as i128);
    match question.goal {
        Goal::Average(target) => {
            let usage = Usage {
                percent: 0,
                average,
            };
            Ok((average as f64 / target as f64, usage))
        }
        Goal::Utilization(target) => {
            let requested = values.keys().filter_map(|pod| requests.get(pod));
            let requested: i128 = requested.map(|request| i128::from(*request)).sum();
            if requested <= 0 {
                return Err("no metrics returned matched known pods".to_owned());
            }
            let percent = i32::try_from(total * 100 / requested).unwrap_or(i32::MAX);
            let usage = Usage { percent, average };
            Ok((f64::from(percent) / f64::from(target), usage))
        }
    }
}

/// What a pod is taken to use of which nothing was measured, where few replicas seem to be enough.
fn assumed(question: &Question<'_>, request: Option<i64>) -> i64 {
    match question.goal {
        Goal::Average(target) => target,
        Goal::Utilization(target) => {
            let request = i128::from(request.unwrap_or_default());
            clamp(request * i128::from(target.max(100)) / 100)
        }
    }
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// The pods by what is known of them; those that end or failed are in none.
#[derive(Default)]
struct Groups<'a> {
    /// What was measured counts.
    ready: Values<'a>,
    /// What was measured does not say how they will be.
    unready: BTreeSet<&'a str>,
    /// Nothing was measured.
    missing: BTreeSet<&'a str>,
}

impl<'a> Groups<'a> {
    fn of(question: &Question<'a>) -> Self {
        let mut groups = Self::default();
        for pod in question.pods {
            let name = meta::name(&pod.metadata);
            let sample = question.samples.get(name);
            if meta::is_deleting(&pod.metadata) || pods::phase(pod) == "Failed" {
                continue;
            }
            if pods::phase(pod) == "Pending" {
                groups.unready.insert(name);
                continue;
            }
            let Some(sample) = sample else {
                groups.missing.insert(name);
                continue;
            };
            if question.resource == "cpu" && is_warming_up(question, pod, sample) {
                groups.unready.insert(name);
            } else {
                groups.ready.insert(name, sample.value);
            }
        }
        groups
    }
}

/// Whether the CPU that a pod used was that of its start.
fn is_warming_up(question: &Question<'_>, pod: &Pod, sample: &PodSample) -> bool {
    let started = pod.status.as_ref().and_then(|s| s.start_time.as_ref());
    let (Some(ready), Some(started)) = (pods::condition(pod, "Ready"), started) else {
        return true;
    };
    let changed = ready.last_transition_time.as_ref();
    let changed = changed.map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let unready = ready.status == "False";
    if started.0 + question.options.cpu_initialization_period > question.now {
        unready || sample.at < changed + sample.window
    } else {
        unready && started.0 + question.options.initial_readiness_delay > changed
    }
}

/// What each pod requests of the resource, in thousandths.
fn requests<'a>(question: &Question<'a>) -> Result<Values<'a>, String> {
    let pods = question.pods.iter();
    pods.map(|pod| Ok((meta::name(&pod.metadata), request(question, pod)?)))
        .collect()
}

fn request(question: &Question<'_>, pod: &Pod) -> Result<i64, String> {
    let (name, resource) = (meta::name(&pod.metadata), question.resource);
    let Some(spec) = &pod.spec else {
        return Ok(0);
    };
    let of_pod = spec.resources.as_ref().and_then(|r| r.requests.as_ref());
    if question.container.is_none() && of_pod.is_some_and(|requests| !requests.is_empty()) {
        let all = resources::pod_requests(spec);
        let request = match resource {
            "cpu" => all.milli_cpu,
            "memory" => all.memory.saturating_mul(1000),
            other => all
                .extended
                .get(other)
                .map_or(0, |n| n.saturating_mul(1000)),
        };
        if request == 0 {
            return Err(format!(
                "missing pod-level request for {resource} in Pod {name}"
            ));
        }
        return Ok(request);
    }
    let mut sum = 0_i64;
    for container in spec.containers.iter().chain(pods::sidecars(spec)) {
        if question
            .container
            .is_some_and(|only| only != container.name)
        {
            continue;
        }
        let request = container_request(container, resource).ok_or_else(|| {
            let container = &container.name;
            format!("missing request for {resource} in container {container} of Pod {name}")
        })?;
        let request = Quantity::try_from(request).map_err(|error| error.to_string())?;
        sum = sum.saturating_add(request.milli_value());
        if question.container.is_some() {
            return Ok(sum);
        }
    }
    match question.container {
        Some(container) => Err(format!("container {container} not found in Pod {name}")),
        None => Ok(sum),
    }
}

fn container_request<'a>(container: &'a Container, resource: &str) -> Option<&'a ApiQuantity> {
    let requests = container.resources.as_ref()?.requests.as_ref()?;
    requests.get(resource)
}
