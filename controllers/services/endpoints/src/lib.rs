//! The endpoints-controller: for each Service with a selector, the Endpoints object of the same name, which old
//! clients read instead of EndpointSlices.
//!
//! **Promises.** The addresses of the Service's pods, in the primary IP family, ready ones apart from others, in the
//! canonical packing of addresses and ports; at most 1000, and an annotation where some had to be left out. What
//! somebody edited is put right; the Endpoints of a deleted Service are deleted, also of one that was deleted while
//! nobody looked. After a write the next one waits for [`WRITE_GAP`]: an object of 1000 addresses is sent to
//! whoever watches, at each change of a pod.
//!
//! **Never.** The Endpoints of a Service without selector are its owner's, and so are those that hold a leader
//! election.
//!
//! Read [`plan`] first. The semantics are upstream's `pkg/controller/endpoint/endpoints_controller.go` and
//! `pkg/api/v1/endpoints/util.go`, with these differences: what was made known last is read from the object and not
//! from memory; subsets and ports are sorted by what they are and not by a hash of it, and objects in another order
//! are left alone; a truncated object is not written again and again.
#![forbid(unsafe_code)]

mod plan;

use ::plan::{Action, Plan};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use objects::endpoint::{self, LEADER_ANNOTATION, Pace};
use objects::meta;
use runtime::{Caches, Change, Controller, Key, Moment, Queue, Watches};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Which program an Endpoints object belongs to.
pub const MANAGED_BY_LABEL: &str = "endpoints.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY_LABEL`] on the Endpoints of this controller.
pub const MANAGED_BY: &str = "endpoint-controller";
/// The least time between two writes of one Endpoints object.
pub const WRITE_GAP: Duration = Duration::from_millis(500);
/// The most addresses that an Endpoints object holds.
pub const MAX_ADDRESSES: usize = 1000;

/// The controller. It remembers only when the Endpoints of each Service changed last.
#[derive(Debug, Default)]
pub struct EndpointsController {
    paces: Mutex<HashMap<Key, Pace<Option<u64>>>>,
}

/// What is known about a Service.
#[derive(Debug)]
pub enum World {
    /// Its endpoints are somebody else's business: no selector, or ExternalName.
    NotOurs,
    /// Its Endpoints were written a moment ago; look again after this time.
    Resting(Duration),
    /// All that its Endpoints follow from.
    Selecting(Selecting),
}

/// A Service with a selector, and what its Endpoints follow from. The order of the pods does not matter.
#[derive(Debug)]
pub struct Selecting {
    /// The Service.
    pub service: Arc<Service>,
    /// The pods that it selects.
    pub pods: Vec<Arc<Pod>>,
    /// The Endpoints of its name as they are.
    pub endpoints: Option<Arc<Endpoints>>,
}

impl Controller for EndpointsController {
    const NAME: &'static str = "endpoints-controller";
    const SOURCE: &'static str = "endpoint-controller";
    const QUEUE: &'static str = "endpoint";
    type Object = Service;
    type World = World;

    fn watch(watches: &Watches<'_>) {
        watches.on::<Pod>(pod_changed);
        watches.on::<Endpoints>(endpoints_changed);
    }

    async fn observe(&self, caches: &Caches, service: Arc<Service>, moment: Moment) -> World {
        let Some(selector) = endpoint::selector(&service) else {
            return World::NotOurs;
        };
        let key = Key::of(&service.metadata);
        let endpoints = caches.of::<Endpoints>().find(&key);
        let stored = endpoints
            .as_ref()
            .and_then(|object| meta::resource_version(&object.metadata));
        let wait = {
            let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
            let pace = paces.entry(key.clone()).or_default();
            pace.wait(stored, moment.now, WRITE_GAP)
        };
        if let Some(rest) = wait {
            return World::Resting(rest);
        }
        let pods = caches.of::<Pod>().select(&key.namespace, &selector);
        World::Selecting(Selecting {
            service,
            pods,
            endpoints,
        })
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }

    fn gone(&self, caches: &Caches, key: &Key) -> Plan {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        paces.remove(key);
        let mut plan = Plan::none();
        if let Some(endpoints) = caches.of::<Endpoints>().find(key)
            && is_leftover(&endpoints)
        {
            plan.then(vec![
                Action::delete(&*endpoints).because("its Service is gone"),
            ]);
        }
        plan
    }
}

/// Whether Endpoints of which there is no Service are to be deleted.
fn is_leftover(endpoints: &Endpoints) -> bool {
    meta::annotation(&endpoints.metadata, LEADER_ANNOTATION).is_none()
        && !meta::is_deleting(&endpoints.metadata)
}

fn pod_changed(change: &Change<Pod>, queue: &Queue, caches: &Caches) {
    let namespace = meta::namespace(&change.latest().metadata);
    for service in caches.of::<Service>().in_namespace(namespace) {
        if endpoint::concerns(&service, change.old.as_deref(), change.new.as_deref()) {
            queue.add(Key::of(&service.metadata));
        }
    }
}

/// Endpoints wake if they were ever ours, if they are gone, and all that were there before us (what upstream does once,
/// in `checkLeftoverEndpoints`). Not those that somebody else makes: whoever makes the Endpoints of a Service without
/// selector may begin with them.
fn endpoints_changed(change: &Change<Endpoints>, queue: &Queue, caches: &Caches) {
    let ours = |meta| meta::label(meta, MANAGED_BY_LABEL) == Some(MANAGED_BY);
    let first = || !caches.of::<Endpoints>().is_synced();
    if change.new.is_none() || change.metas().any(ours) || first() {
        queue.add(Key::of(&change.latest().metadata));
    }
}

#[cfg(test)]
mod tests;
