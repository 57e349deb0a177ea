//! Asks the API server, and the metrics servers behind it, for what no cache holds. It decides nothing; what
//! comes back is data ([`Target`], [`Sample`]).
//! (upstream: metrics/client.go, horizontal.go `scaleForResourceMappings`)

use crate::memory::Memory;
use crate::world::{PodSample, Sample, Target, Unclear, World};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, MetricIdentifier, MetricSpec,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    APIGroup, APIResourceList, LabelSelector, ObjectMeta,
};
use objects::{Quantity, Selector, meta};
use plan::{Kind, Reference};
use runtime::{Caches, Key, ReadError, Reads, Runtime, Scales};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

const RESOURCE: &str = "/apis/metrics.k8s.io/v1beta1";
const CUSTOM: &str = "/apis/custom.metrics.k8s.io";
const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1";
/// The versions of the custom metrics API, the best one first.
const CUSTOM_VERSIONS: [&str; 2] = ["v1beta2", "v1beta1"];
/// The window of a custom metric that says none.
const WINDOW: SignedDuration = SignedDuration::from_mins(1);

/// Asks.
pub(crate) struct Senses {
    reads: Reads,
    scales: Scales,
    /// What was found out of the APIs that are served: versions by group, plurals by apiVersion and kind.
    /// What turns out to be wrong is asked for again.
    found: Mutex<HashMap<String, String>>,
}

impl Senses {
    pub(crate) fn new(runtime: &Runtime) -> Self {
        Self {
            reads: runtime.reads(),
            scales: runtime.scales(),
            found: Mutex::default(),
        }
    }

    /// What the autoscaler of `world` scales, and what was measured of it.
    pub(crate) async fn target(
        &self,
        world: &World,
        memory: &Memory,
        caches: &Caches,
    ) -> Result<Target, String> {
        let hpa = &*world.hpa;
        let namespace = meta::namespace(&hpa.metadata);
        let wanted = &hpa.spec.scale_target_ref;
        let (kind, scale) = self.scale(namespace, wanted).await?;
        let replicas = scale.spec.as_ref().and_then(|spec| spec.replicas);
        let replicas = count("spec.replicas", replicas.unwrap_or(0))?;
        let status = scale.status.clone().unwrap_or_default();
        let status_replicas = count("status.replicas", status.replicas)?;
        let text = status.selector.unwrap_or_default();
        let (mut selector, pods) = match Selector::from_text(&text) {
            _ if text.trim().is_empty() => (Err(Unclear::Missing), Vec::new()),
            Err(error) => (Err(Unclear::Invalid(error.to_string())), Vec::new()),
            Ok(selector) => {
                let pods = selected(caches, namespace, &selector);
                (Ok(selector), pods)
            }
        };
        if let Some(names) = rivals(hpa, wanted, &pods, memory, caches) {
            selector = Err(Unclear::Ambiguous(text, names));
        }
        let (mut samples, mut took) = (Vec::new(), Vec::new());
        if let (Ok(selector), None) = (&selector, world.spec.bounded(replicas)) {
            for metric in &world.spec.metrics {
                let begun = Instant::now();
                samples.push(self.sample(namespace, selector, metric).await);
                took.push(begun.elapsed());
            }
        }
        Ok(Target {
            on: Reference::from_meta(kind, &scale.metadata),
            history: memory.history(hpa, replicas, world.now()),
            replicas,
            status_replicas,
            scale,
            selector,
            pods,
            samples,
            took,
        })
    }

    async fn scale(
        &self,
        namespace: &str,
        wanted: &CrossVersionObjectReference,
    ) -> Result<(Kind, Scale), String> {
        let (kind, name) = (wanted.kind.as_str(), wanted.name.as_str());
        let version = wanted.api_version.as_deref().filter(|v| !v.is_empty());
        let version = version.unwrap_or("v1");
        if version.matches('/').count() > 1 {
            return Err(format!("unexpected GroupVersion string: {version}"));
        }
        let mut answer = self.scales.find(version, kind, namespace, name).await;
        // The version may be gone that the autoscaler was written with.
        if let (Err(error), Some((group, _))) = (&answer, version.split_once('/'))
            && !error.transient
        {
            match self.preferred(group).await {
                Some(now) if now != version => {
                    answer = self.scales.find(&now, kind, namespace, name).await;
                }
                _ => {}
            }
        }
        let (found, scale) = answer.map_err(|error| error.message)?;
        let scale = scale.ok_or_else(|| format!("{} \"{name}\" not found", qualified(&found)))?;
        if scale.metadata.name.as_deref() != Some(name) || scale.metadata.resource_version.is_none()
        {
            return Err(format!(
                "the scale of {} \"{name}\" does not say which object it is of",
                qualified(&found)
            ));
        }
        Ok((found, scale))
    }

    /// The apiVersion that a group's objects are best read at.
    async fn preferred(&self, group: &str) -> Option<String> {
        let group: APIGroup = self.reads.get(&format!("/apis/{group}")).await.ok()?;
        let preferred = group.preferred_version.as_ref();
        Some(preferred.or(group.versions.first())?.group_version.clone())
    }

    async fn sample(
        &self,
        namespace: &str,
        selector: &Selector,
        metric: &MetricSpec,
    ) -> Result<Sample, String> {
        if let Some(source) = &metric.resource {
            let samples = self.resource(namespace, selector, &source.name, None);
            return samples.await.map(Sample::Pods);
        }
        if let Some(source) = &metric.container_resource {
            let container = Some(source.container.as_str());
            let samples = self.resource(namespace, selector, &source.name, container);
            return samples.await.map(Sample::Pods);
        }
        if let Some(source) = &metric.pods {
            let samples = self.pods(namespace, selector, &source.metric);
            return samples.await.map(Sample::Pods);
        }
        if let Some(source) = &metric.object {
            let value = self.object(namespace, &source.described_object, &source.metric);
            return value.await.map(Sample::Object);
        }
        if let Some(source) = &metric.external {
            let values = self.external(namespace, &source.metric);
            return values.await.map(Sample::External);
        }
        Err("there is nothing to be measured".to_owned())
    }

    async fn resource(
        &self,
        namespace: &str,
        selector: &Selector,
        resource: &str,
        container: Option<&str>,
    ) -> Result<BTreeMap<String, PodSample>, String> {
        let query = query(&[("labelSelector", selector.to_string())]);
        let path = format!("{RESOURCE}/namespaces/{namespace}/pods{query}");
        let list: List<PodMetrics> = self.reads.get(&path).await.map_err(|error| {
            let error = told(&error, "pods.metrics.k8s.io");
            format!("unable to fetch metrics from resource metrics API: {error}")
        })?;
        if list.items.is_empty() {
            return Err("no metrics returned from resource metrics API".to_owned());
        }
        let mut samples = BTreeMap::new();
        for item in list.items {
            if let Some(value) = item.usage(resource, container)? {
                let name = item.metadata.name.clone().unwrap_or_default();
                let sample = PodSample {
                    value,
                    at: item.timestamp.unwrap_or(Timestamp::UNIX_EPOCH),
                    window: item.window.parse().unwrap_or(WINDOW),
                };
                samples.insert(name, sample);
            }
        }
        Ok(samples)
    }

    async fn pods(
        &self,
        namespace: &str,
        selector: &Selector,
        metric: &MetricIdentifier,
    ) -> Result<BTreeMap<String, PodSample>, String> {
        let query = query(&[
            ("labelSelector", selector.to_string()),
            ("metricLabelSelector", labels(metric.selector.as_ref())?),
        ]);
        let name = encode(&metric.name);
        let path = format!("namespaces/{namespace}/pods/*/{name}{query}");
        let mut samples = BTreeMap::new();
        for item in self.custom(&path).await?.items {
            let pod = item.described_object.name;
            let value = milli(&item.value).map_err(|error| format!("of pod {pod}: {error}"))?;
            let window = item.window_seconds.map(SignedDuration::from_secs);
            let sample = PodSample {
                value,
                at: item.timestamp.unwrap_or(Timestamp::UNIX_EPOCH),
                window: window.unwrap_or(WINDOW),
            };
            samples.insert(pod, sample);
        }
        if samples.is_empty() {
            return Err("no metrics returned from custom metrics API".to_owned());
        }
        Ok(samples)
    }

    async fn object(
        &self,
        namespace: &str,
        object: &CrossVersionObjectReference,
        metric: &MetricIdentifier,
    ) -> Result<i64, String> {
        let version = object.api_version.as_deref().filter(|v| !v.is_empty());
        let version = version.unwrap_or("v1");
        let query = query(&[("metricLabelSelector", labels(metric.selector.as_ref())?)]);
        let (name, metric) = (encode(&object.name), encode(&metric.name));
        let path = if object.kind == "Namespace" && version == "v1" {
            // Its name is not asked for: an autoscaler looks at nothing outside of its namespace.
            format!("namespaces/{namespace}/metrics/{metric}{query}")
        } else {
            let resource = self.plural(version, &object.kind).await?;
            format!("namespaces/{namespace}/{resource}/{name}/{metric}{query}")
        };
        let list = self.custom(&path).await?;
        match list.items.as_slice() {
            [one] => milli(&one.value),
            several => Err(format!(
                "the custom metrics API server returned {} results when we asked for exactly one",
                several.len()
            )),
        }
    }

    async fn custom(&self, path: &str) -> Result<List<MetricValue>, String> {
        let failed = |error| format!("unable to fetch metrics from custom metrics API: {error}");
        let version = self.custom_version().await.map_err(failed)?;
        let answer = self.reads.get(&format!("{CUSTOM}/{version}/{path}")).await;
        answer.map_err(|error: ReadError| {
            if error.not_found {
                self.found().remove(CUSTOM);
            }
            failed(told(&error, "custom.metrics.k8s.io"))
        })
    }

    async fn custom_version(&self) -> Result<String, String> {
        if let Some(version) = self.found().get(CUSTOM) {
            return Ok(version.clone());
        }
        let none = || "no custom metrics API (custom.metrics.k8s.io) registered".to_owned();
        let group: APIGroup =
            self.reads
                .get(CUSTOM)
                .await
                .map_err(|error: ReadError| match error.not_found {
                    true => none(),
                    false => error.message,
                })?;
        let served = |version: &&&str| group.versions.iter().any(|v| v.version == **version);
        let version = CUSTOM_VERSIONS.iter().find(served).ok_or_else(none)?;
        let version = (*version).to_owned();
        self.found().insert(CUSTOM.to_owned(), version.clone());
        Ok(version)
    }

    async fn external(
        &self,
        namespace: &str,
        metric: &MetricIdentifier,
    ) -> Result<Vec<i64>, String> {
        let query = query(&[("labelSelector", labels(metric.selector.as_ref())?)]);
        let name = encode(&metric.name);
        let path = format!("{EXTERNAL}/namespaces/{namespace}/{name}{query}");
        let list: List<ExternalValue> = self.reads.get(&path).await.map_err(|error| {
            let resource = format!("{}.external.metrics.k8s.io", metric.name);
            let error = told(&error, &resource);
            format!("unable to fetch metrics from external metrics API: {error}")
        })?;
        if list.items.is_empty() {
            return Err("no metrics returned from external metrics API".to_owned());
        }
        list.items.iter().map(|item| milli(&item.value)).collect()
    }

    /// `ingresses.networking.k8s.io`
    async fn plural(&self, version: &str, kind: &str) -> Result<String, String> {
        let key = format!("{version} {kind}");
        if let Some(known) = self.found().get(&key) {
            return Ok(known.clone());
        }
        let path = match version.contains('/') {
            true => format!("/apis/{version}"),
            false => format!("/api/{version}"),
        };
        let unknown = || format!("no matches for kind \"{kind}\" in version \"{version}\"");
        let list: APIResourceList =
            self.reads
                .get(&path)
                .await
                .map_err(|error: ReadError| match error.not_found {
                    true => unknown(),
                    false => error.message,
                })?;
        let mut resources = list.resources.iter();
        let resource = resources.find(|r| r.kind == kind && !r.name.contains('/'));
        let name = &resource.ok_or_else(unknown)?.name;
        let found = match version.split_once('/') {
            Some((group, _)) => format!("{name}.{group}"),
            None => name.clone(),
        };
        self.found().insert(key, found.clone());
        Ok(found)
    }

    fn found(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct List<T> {
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

/// `metrics.k8s.io`
#[derive(Deserialize)]
struct PodMetrics {
    metadata: ObjectMeta,
    timestamp: Option<Timestamp>,
    #[serde(default)]
    window: String,
    #[serde(default)]
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    #[serde(default)]
    name: String,
    #[serde(default)]
    usage: BTreeMap<String, Value>,
}

/// `custom.metrics.k8s.io`, either version.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricValue {
    described_object: Described,
    timestamp: Option<Timestamp>,
    #[serde(alias = "window")]
    window_seconds: Option<i64>,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    name: String,
}

/// `external.metrics.k8s.io`
#[derive(Deserialize)]
struct ExternalValue {
    #[serde(default)]
    value: Value,
}

impl PodMetrics {
    /// What the pod or one of its containers uses, in thousandths; nothing if that was not measured wholly.
    fn usage(&self, resource: &str, container: Option<&str>) -> Result<Option<i64>, String> {
        let mut sum = None;
        for one in &self.containers {
            if container.is_some_and(|only| only != one.name) {
                continue;
            }
            let Some(value) = one.usage.get(resource) else {
                return Ok(None);
            };
            let pod = meta::name(&self.metadata);
            let value = milli(value).map_err(|error| format!("of pod {pod}: {error}"))?;
            sum = Some(i64::saturating_add(sum.unwrap_or(0), value));
        }
        Ok(sum)
    }
}

/// A quantity in thousandths.
fn milli(value: &Value) -> Result<i64, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => return Err(format!("the value {other} is not a quantity")),
    };
    let quantity = text.parse::<Quantity>();
    quantity
        .map(Quantity::milli_value)
        .map_err(|error| format!("the value {error}"))
}

fn count(field: &str, replicas: i32) -> Result<i32, String> {
    match replicas {
        0.. => Ok(replicas),
        _ => Err(format!(
            "the scale has {field} {replicas}, which is no number of pods"
        )),
    }
}

/// The pods of a namespace that a selector selects, in order of their names.
fn selected(caches: &Caches, namespace: &str, selector: &Selector) -> Vec<Arc<Pod>> {
    let mut pods = caches.of::<Pod>().select(namespace, selector);
    pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    pods
}

/// The autoscalers that scale the same pods as `hpa`, if there are any besides it: those that have the same
/// target, and those whose target was seen to select one of the pods.
fn rivals(
    hpa: &HorizontalPodAutoscaler,
    target: &CrossVersionObjectReference,
    pods: &[Arc<Pod>],
    memory: &Memory,
    caches: &Caches,
) -> Option<Vec<String>> {
    if pods.is_empty() {
        return None;
    }
    let namespace = meta::namespace(&hpa.metadata);
    let all = caches.of::<HorizontalPodAutoscaler>();
    let same = all.indexed(TARGET, &target_key(namespace, target));
    let same = same.iter().filter(|other| {
        other.metadata.uid != hpa.metadata.uid && other.spec.scale_target_ref == *target
    });
    let same = same.map(|other| meta::name(&other.metadata).to_owned());
    // Those of one template have the same.
    let mut labels: Vec<_> = pods
        .iter()
        .map(|pod| pod.metadata.labels.as_ref())
        .collect();
    labels.dedup();
    let others = memory.rivals(&Key::of(&hpa.metadata), &labels);
    let others = others.iter().map(|key| key.name.to_string());
    let mut names: BTreeSet<String> = same.chain(others).collect();
    if names.is_empty() {
        return None;
    }
    names.insert(meta::name(&hpa.metadata).to_owned());
    let shown = names.iter().map(|name| format!("{{{name} {namespace}}}"));
    Some(shown.collect())
}

/// The index of autoscalers by what they scale.
pub(crate) const TARGET: &str = "scale-target";

/// Under what an autoscaler is found in it.
pub(crate) fn target_of(hpa: &HorizontalPodAutoscaler) -> Vec<String> {
    let namespace = meta::namespace(&hpa.metadata);
    vec![target_key(namespace, &hpa.spec.scale_target_ref)]
}

fn target_key(namespace: &str, target: &CrossVersionObjectReference) -> String {
    format!("{namespace}/{}/{}", target.kind, target.name)
}

/// `deployments.apps`
fn qualified(kind: &Kind) -> String {
    match kind.group {
        "" => kind.plural.to_owned(),
        group => format!("{}.{group}", kind.plural),
    }
}

/// What client-go says where the answer itself says nothing
/// (upstream: apimachinery/pkg/api/errors, `NewGenericServerResponse`).
fn told(error: &ReadError, resource: &str) -> String {
    let mute = error.message.starts_with("the server answered");
    match error.code.map(|code| code.as_u16()) {
        Some(404) if mute => {
            format!("the server could not find the requested resource (get {resource})")
        }
        Some(503) if mute => {
            format!("the server is currently unable to handle the request (get {resource})")
        }
        _ => error.message.clone(),
    }
}

/// A selector of metrics; none selects all.
fn labels(selector: Option<&LabelSelector>) -> Result<String, String> {
    match selector {
        None => Ok(String::new()),
        Some(selector) => Selector::parse(selector)
            .map(|selector| selector.to_string())
            .map_err(|error| format!("metric.selector: {error}")),
    }
}

fn query(parameters: &[(&str, String)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (key, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(key, value);
    }
    match query.finish() {
        empty if empty.is_empty() => empty,
        query => format!("?{query}"),
    }
}

/// One segment of a path.
fn encode(segment: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(segment.as_bytes()).collect();
    encoded.replace('+', "%20")
}
