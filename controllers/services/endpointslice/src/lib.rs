//! The endpointslice-controller: for each Service with a selector, the EndpointSlices that say where its pods are.
//!
//! **Promises.** Each pod with an address that has not ended is in exactly one slice of each IP family of the
//! Service, with the ports that it really listens on; slices hold at most 100 endpoints and are changed as few as
//! possible, because every node reads every write. A Service without pods has one empty slice a family. Slices that
//! somebody edited, deleted or relabelled are put right. A burst of changes costs one round of writes each
//! [`WRITE_GAP`], and of a Service with thousands of endpoints, where a round is many slices, one each half second.
//!
//! **Never.** Slices that another manager made (label `endpointslice.kubernetes.io/managed-by`) are not touched, and
//! neither are Services without selector or of type ExternalName. Slices of a deleted Service are the garbage
//! collector's. Slices are not rebalanced: that would be traffic for no gain.
//!
//! Read [`plan`] first. The semantics are upstream's `staging/src/k8s.io/endpointslice/reconciler.go` and
//! `pkg/controller/endpointslice/endpointslice_controller.go`, with these differences: what was made known last is
//! read from the slices and not from memory, so a restart changes nothing; a Service is looked at again when the zone
//! of a node with its pods changes; all labels are repaired and not only the Service's; an empty slice beside others
//! goes.
#![forbid(unsafe_code)]

mod metrics;
mod plan;

pub use objects::endpoint::{MANAGED_BY_LABEL, SERVICE_NAME_LABEL};
pub use plan::topology::Shares;

use ::plan::{Kind, Metric, Plan, Sample, Turn};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::endpoint::{self, Pace};
use objects::meta;
use plan::topology;
use runtime::{Caches, Change, Controller, Key, Moment, Queue, Watches};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The value of [`MANAGED_BY_LABEL`] on the slices of this controller.
pub const MANAGED_BY: &str = "endpointslice-controller.k8s.io";
/// The least time between two rounds of writes for one Service.
pub const WRITE_GAP: Duration = Duration::from_millis(100);
/// As much for each of its slices, if that is more, but never more than this.
const SLICE_GAP: Duration = Duration::from_millis(10);
const MAX_GAP: Duration = Duration::from_secs(1);
/// The most endpoints that a slice may hold; the API server's limit is 1000.
pub const MAX_ENDPOINTS_PER_SLICE: usize = 100;

const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";
const TOPOLOGY_AWARE_HINTS: &str = "service.kubernetes.io/topology-aware-hints";
/// Pods by the name of their node.
const BY_NODE: &str = "spec.nodeName";
/// Slices of this controller by `namespace/name` of the Services that their label and their owner name.
const BY_SERVICE: &str = "endpointslices of this controller by service";

/// The controller. It remembers, a Service, nothing that the end state depends on: when its slices changed last, and
/// which version of it was told about.
#[derive(Debug)]
pub struct EndpointSliceController {
    max_endpoints: usize,
    memories: Mutex<HashMap<Key, Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    uid: String,
    pace: Pace<(usize, u64)>,
    version: Option<String>,
    was_auto: bool,
}

/// What is known about a Service.
#[derive(Debug)]
pub enum World {
    /// Its endpoints are somebody else's business: no selector, or ExternalName.
    NotOurs,
    /// Its slices were written a moment ago; look again after this time.
    Resting(Duration),
    /// All that its slices follow from.
    Selecting(Box<Selecting>),
}

/// A Service with a selector, and what its slices follow from. The order of the lists does not matter.
#[derive(Debug)]
pub struct Selecting {
    /// The Service.
    pub service: Arc<Service>,
    /// The pods that it selects.
    pub pods: Vec<Arc<Pod>>,
    /// The slices of this controller that carry its name or belong to it, but for those on their way out.
    pub slices: Vec<Arc<EndpointSlice>>,
    /// The nodes that the pods are on, as far as there are such nodes.
    pub nodes: BTreeMap<String, Arc<Node>>,
    /// Which endpoints proxies should prefer.
    pub routing: Routing,
    /// The Service is new or was changed since it was last looked at: what cannot be done for it is worth an event.
    pub news: bool,
    /// When it was last looked at, its topology mode was Auto.
    pub was_auto: bool,
    /// The most endpoints that a slice may hold.
    pub max_endpoints: usize,
    /// Random bits for the names of new slices.
    pub seed: u64,
}

/// Which endpoints proxies should prefer, told them by hints.
#[derive(Clone, Debug, PartialEq)]
pub enum Routing {
    /// No hints.
    Anywhere,
    /// `trafficDistribution: PreferSameZone`, or its older name `PreferClose`.
    SameZone,
    /// `trafficDistribution: PreferSameNode`.
    SameNode,
    /// `service.kubernetes.io/topology-mode: Auto`: zones get endpoints by their share of the CPUs, which is here,
    /// or why there is none.
    Auto(Result<Shares, &'static str>),
}

impl Default for EndpointSliceController {
    fn default() -> Self {
        Self::new(MAX_ENDPOINTS_PER_SLICE)
    }
}

impl EndpointSliceController {
    /// A controller whose slices hold at most `max_endpoints` (1 to 1000).
    pub fn new(max_endpoints: usize) -> Self {
        Self {
            max_endpoints: max_endpoints.clamp(1, 1000),
            memories: Mutex::default(),
        }
    }

    fn remember<T>(&self, key: &Key, uid: &str, ask: impl FnOnce(&mut Memory) -> T) -> T {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = memories.entry(key.clone()).or_default();
        if memory.uid != uid {
            *memory = Memory {
                uid: uid.to_owned(),
                ..Memory::default()
            };
        }
        ask(memory)
    }
}

impl Controller for EndpointSliceController {
    const NAME: &'static str = "endpointslice-controller";
    const SOURCE: &'static str = "endpoint-slice-controller";
    const QUEUE: &'static str = "endpoint_slice";
    const METRICS: &'static [&'static Metric] = metrics::METRICS;
    type Object = Service;
    type World = World;

    fn watch(watches: &Watches<'_>) {
        watches.reads::<Pod>().index(BY_NODE, |pod| {
            endpoint::node_name(pod)
                .map(str::to_owned)
                .into_iter()
                .collect()
        });
        watches.reads::<EndpointSlice>().index(BY_SERVICE, |slice| {
            let namespace = meta::namespace(&slice.metadata);
            let names = services_of(&slice.metadata);
            names.map(|name| index_key(namespace, name)).collect()
        });
        watches.on::<Pod>(pod_changed);
        watches.on::<Node>(node_changed);
        watches.on::<EndpointSlice>(|change, queue, _| {
            for meta in change.metas() {
                for name in services_of(meta) {
                    queue.add(Key::new(meta::namespace(meta), name));
                }
            }
        });
    }

    async fn observe(&self, caches: &Caches, service: Arc<Service>, moment: Moment) -> World {
        let Some(selector) = endpoint::selector(&service) else {
            return World::NotOurs;
        };
        let key = Key::of(&service.metadata);
        let uid = meta::uid(&service.metadata);
        let slices = own_slices(caches, &key);
        let versions = slices
            .iter()
            .filter_map(|slice| meta::resource_version(&slice.metadata));
        let stored = (slices.len(), versions.max().unwrap_or_default());
        let wait = self.remember(&key, uid, |memory| {
            memory.pace.wait(stored, moment.now, gap(slices.len()))
        });
        if let Some(rest) = wait {
            return World::Resting(rest);
        }

        let pods = caches.of::<Pod>().select(&key.namespace, &selector);
        let cluster = caches.of::<Node>();
        let names = pods.iter().filter_map(|pod| endpoint::node_name(pod));
        let nodes = names.filter_map(|name| Some((name.to_owned(), cluster.get("", name)?)));
        let nodes = nodes.collect();
        let routing = routing(&service, || topology::shares(&cluster.all()));
        let auto = matches!(routing, Routing::Auto(_));
        let (news, was_auto) = self.remember(&key, uid, |memory| {
            let version = service.metadata.resource_version.clone();
            (
                std::mem::replace(&mut memory.version, version)
                    != service.metadata.resource_version,
                std::mem::replace(&mut memory.was_auto, auto),
            )
        });
        World::Selecting(Box::new(Selecting {
            pods,
            slices,
            nodes,
            routing,
            news,
            was_auto,
            max_endpoints: self.max_endpoints,
            seed: moment.seed,
            service,
        }))
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }

    fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
        metrics::measure(world, turn)
    }

    fn held(_: Kind) -> Option<Sample> {
        Some(metrics::held())
    }

    fn gone(&self, _: &Caches, key: &Key) -> Plan {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        memories.remove(key);
        Plan::none()
    }
}

// === What is looked at ===

/// The least time between two rounds of writes for a Service of so many slices.
fn gap(slices: usize) -> Duration {
    let each = SLICE_GAP.saturating_mul(u32::try_from(slices).unwrap_or(u32::MAX));
    each.clamp(WRITE_GAP, MAX_GAP)
}

/// The slices of this controller that are to be judged with this Service. One that belongs to another Service and
/// carries this one's name is left to the other, which puts it right.
fn own_slices(caches: &Caches, key: &Key) -> Vec<Arc<EndpointSlice>> {
    let cache = caches.of::<EndpointSlice>();
    let mut slices = cache.indexed(BY_SERVICE, &index_key(&key.namespace, &key.name));
    slices.retain(|slice| {
        !meta::is_deleting(&slice.metadata)
            && owner_name(&slice.metadata).is_none_or(|owner| owner == &*key.name)
    });
    slices
}

fn index_key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

/// The names of the Services that a slice of this controller is about: by its label and by its owner, which differ
/// only where somebody has changed one.
fn services_of(slice: &ObjectMeta) -> impl Iterator<Item = &str> {
    let ours = meta::label(slice, MANAGED_BY_LABEL) == Some(MANAGED_BY);
    let label = meta::label(slice, SERVICE_NAME_LABEL);
    let owner = owner_name(slice).filter(|owner| Some(*owner) != label);
    label.into_iter().chain(owner).filter(move |_| ours)
}

fn owner_name(slice: &ObjectMeta) -> Option<&str> {
    let owner = meta::controller_of(slice)?;
    (owner.kind == "Service").then_some(owner.name.as_str())
}

/// `utils.go hintsEnabled`, and `trafficDistribution` where that says nothing.
fn routing(service: &Service, shares: impl FnOnce() -> Result<Shares, &'static str>) -> Routing {
    if is_auto(service) {
        return Routing::Auto(shares());
    }
    let spec = service.spec.as_ref();
    match spec.and_then(|spec| spec.traffic_distribution.as_deref()) {
        Some("PreferClose" | "PreferSameZone") => Routing::SameZone,
        Some("PreferSameNode") => Routing::SameNode,
        _ => Routing::Anywhere,
    }
}

fn is_auto(service: &Service) -> bool {
    let mode = meta::annotation(&service.metadata, TOPOLOGY_AWARE_HINTS)
        .or_else(|| meta::annotation(&service.metadata, TOPOLOGY_MODE));
    matches!(mode, Some("Auto" | "auto"))
}

// === What wakes ===

fn pod_changed(change: &Change<Pod>, queue: &Queue, caches: &Caches) {
    let namespace = meta::namespace(&change.latest().metadata);
    for service in caches.of::<Service>().in_namespace(namespace) {
        if endpoint::concerns(&service, change.old.as_deref(), change.new.as_deref()) {
            queue.add(Key::of(&service.metadata));
        }
    }
}

fn node_changed(change: &Change<Node>, queue: &Queue, caches: &Caches) {
    let (old, new) = (change.old.as_deref(), change.new.as_deref());
    let services = caches.of::<Service>();
    if old.map(topology::zone) != new.map(topology::zone) {
        let name = meta::name(&change.latest().metadata);
        for pod in caches.of::<Pod>().indexed(BY_NODE, name) {
            for service in services.in_namespace(meta::namespace(&pod.metadata)) {
                if endpoint::selects(&service, pod.metadata.labels.as_ref()) {
                    queue.add(Key::of(&service.metadata));
                }
            }
        }
    }
    if old.map(topology::capacity) != new.map(topology::capacity) {
        for service in services.all() {
            if is_auto(&service) {
                queue.add(Key::of(&service.metadata));
            }
        }
    }
}

#[cfg(test)]
mod tests;
