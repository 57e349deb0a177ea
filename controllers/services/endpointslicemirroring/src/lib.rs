//! The EndpointSlice mirroring controller: Endpoints that somebody made by hand or by program, for a Service without
//! selector, as the EndpointSlices that proxies and DNS read.
//!
//! **Promises.** One slice for each IP family and set of ports, with the addresses of all subsets of these ports, at
//! most 1000 of a subset; the labels and annotations of the Endpoints on it, but for those that say whose slice it is
//! and those that were about the Endpoints' own history. Slices that somebody edited are put right. Without Endpoints
//! or Service, with a selector, with the label `endpointslice.kubernetes.io/skip-mirror=true` or with a leader
//! election's annotation there are none.
//!
//! **Never.** Slices that another manager made (label `endpointslice.kubernetes.io/managed-by`) are not touched.
//!
//! Read [`plan`] first. The semantics are upstream's `pkg/controller/endpointslicemirroring`, with these differences:
//! slices are replaced only in the version that was seen, so that an edit of others is never overwritten blindly; what
//! cannot be mirrored is told once a change of the Endpoints and not at each look; a failed write is an event (upstream
//! has the reason `FailedToUpdateEndpointSlices`, and never uses it) and is tried until it succeeds, not 15 times.
#![forbid(unsafe_code)]

mod metrics;
mod plan;
#[cfg(test)]
mod tests;

use ::plan::{Action, Metric, Plan, Sample, Turn};
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::endpoint::{LEADER_ANNOTATION, MANAGED_BY_LABEL, SERVICE_NAME_LABEL};
use objects::meta;
use runtime::{Caches, Change, Controller, Key, Moment, Queue, Watches};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The value of the label `endpointslice.kubernetes.io/managed-by` on the slices of this controller.
pub const MANAGED_BY: &str = "endpointslicemirroring-controller.k8s.io";
/// The most addresses of a subset that are mirrored, and so of a slice.
pub const MAX_ENDPOINTS_PER_SUBSET: usize = 1000;

/// On Endpoints that are not to be mirrored, with the value `true`.
const SKIP_LABEL: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Slices of this controller by `namespace/name` of the Service that their label names.
const BY_SERVICE: &str = "mirrored endpointslices by service";

/// The controller. It remembers only which version of each Endpoints object was told about.
#[derive(Debug)]
pub struct MirroringController {
    max: usize,
    told: Mutex<HashMap<Key, Option<String>>>,
}

/// What is known about an Endpoints object.
#[derive(Debug)]
pub enum World {
    /// It is not to be mirrored: none of these slices are to be there.
    Unmirrored(Vec<Arc<EndpointSlice>>),
    /// All that its slices follow from.
    Mirrored(Box<Mirrored>),
}

/// Endpoints of a Service without selector, and their slices, of which the order does not matter.
#[derive(Debug)]
pub struct Mirrored {
    /// The Endpoints.
    pub endpoints: Arc<Endpoints>,
    /// The slices of this controller that carry its name, but for those on their way out.
    pub slices: Vec<Arc<EndpointSlice>>,
    /// It is new or was changed since it was last looked at: what cannot be mirrored is worth an event.
    pub news: bool,
    /// The most addresses of a subset that are mirrored.
    pub max: usize,
    /// Random bits for the names of new slices.
    pub seed: u64,
}

impl Default for MirroringController {
    fn default() -> Self {
        Self::new(MAX_ENDPOINTS_PER_SUBSET)
    }
}

impl MirroringController {
    /// A controller that mirrors at most `max` (1 to 1000) addresses of a subset.
    pub fn new(max: usize) -> Self {
        Self {
            max: max.clamp(1, MAX_ENDPOINTS_PER_SUBSET),
            told: Mutex::default(),
        }
    }

    /// Whether this version is another one than at the last look.
    fn is_news(&self, key: &Key, version: Option<&String>) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let version = version.cloned();
        told.insert(key.clone(), version.clone()) != Some(version)
    }
}

impl Controller for MirroringController {
    const NAME: &'static str = "endpointslice-mirroring-controller";
    const SOURCE: &'static str = "endpoint-slice-mirroring-controller";
    const QUEUE: &'static str = "endpoint_slice_mirroring";
    const METRICS: &'static [&'static Metric] = metrics::METRICS;
    type Object = Endpoints;
    type World = World;

    fn watch(watches: &Watches<'_>) {
        watches.reads::<EndpointSlice>().index(BY_SERVICE, |slice| {
            let namespace = meta::namespace(&slice.metadata);
            let name = service_of(&slice.metadata);
            name.map(|name| index_key(namespace, name))
                .into_iter()
                .collect()
        });
        watches.on::<EndpointSlice>(|change, queue, _| {
            for meta in change.metas() {
                if let Some(name) = service_of(meta) {
                    queue.add(Key::new(meta::namespace(meta), name));
                }
            }
        });
        watches.on::<Service>(service_changed);
    }

    async fn observe(&self, caches: &Caches, endpoints: Arc<Endpoints>, moment: Moment) -> World {
        let key = Key::of(&endpoints.metadata);
        let slices = slices(caches, &key);
        let service = caches.of::<Service>().find(&key);
        let is_custom = service.is_some_and(|service| !has_selector(&service));
        if !is_custom || is_exempt(&endpoints) {
            return World::Unmirrored(slices);
        }
        World::Mirrored(Box::new(Mirrored {
            news: self.is_news(&key, endpoints.metadata.resource_version.as_ref()),
            endpoints,
            slices,
            max: self.max,
            seed: moment.seed,
        }))
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }

    fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
        metrics::measure(world, turn)
    }

    fn gone(&self, caches: &Caches, key: &Key) -> Plan {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.remove(key);
        plan::plan(&World::Unmirrored(slices(caches, key)))
    }
}

/// Whether somebody wants these Endpoints not to be mirrored.
fn is_exempt(endpoints: &Endpoints) -> bool {
    meta::label(&endpoints.metadata, SKIP_LABEL) == Some("true")
        || meta::annotation(&endpoints.metadata, LEADER_ANNOTATION).is_some()
}

/// Whether the Service chooses its endpoints itself.
fn has_selector(service: &Service) -> bool {
    let selector = service.spec.as_ref().and_then(|s| s.selector.as_ref());
    selector.is_some_and(|labels| !labels.is_empty())
}

fn slices(caches: &Caches, key: &Key) -> Vec<Arc<EndpointSlice>> {
    let cache = caches.of::<EndpointSlice>();
    let mut slices = cache.indexed(BY_SERVICE, &index_key(&key.namespace, &key.name));
    slices.retain(|slice| !meta::is_deleting(&slice.metadata));
    slices
}

fn index_key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

/// The name of the Service, and so of the Endpoints, that a slice of this controller is about.
fn service_of(slice: &ObjectMeta) -> Option<&str> {
    let ours = meta::label(slice, MANAGED_BY_LABEL) == Some(MANAGED_BY);
    meta::label(slice, SERVICE_NAME_LABEL).filter(|_| ours)
}

/// Services wake when they come or go without a selector, and when they get or lose it.
fn service_changed(change: &Change<Service>, queue: &Queue, _: &Caches) {
    let custom = |service: &Option<Arc<Service>>| {
        let service = service.as_ref();
        service.is_some_and(|service| !has_selector(service))
    };
    if custom(&change.old) != custom(&change.new) {
        queue.add(Key::of(&change.latest().metadata));
    }
}

fn delete(slice: &EndpointSlice, why: &'static str) -> Action {
    Action::delete(slice).because(why)
}
