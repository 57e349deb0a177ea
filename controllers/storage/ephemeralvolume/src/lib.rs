//! Generic ephemeral volumes: each is a claim that is made with its pod and goes with it.
//!
//! **Promises.** For each volume with `ephemeral.volumeClaimTemplate` of a pod there is a claim `POD-VOLUME` that the
//! pod owns, with what the template says. One that somebody deletes is made again while the pod lives. The garbage
//! collector takes them away with the pod.
//!
//! **Never.** A claim of that name that is not the pod's own is neither taken nor changed: an event says so, and the
//! pod waits until it is gone. A pod that has ended gets no claims any more, which upstream makes for it.
//!
//! Semantics: upstream `pkg/controller/volume/ephemeral/controller.go`. Start reading at [`plan`].
#![forbid(unsafe_code)]

mod metrics;
mod plan;

use ::plan::{Metric, Plan, Sample, Turn};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use objects::volume::{self, BY_CLAIM};
use objects::{meta, pod};
use runtime::{Caches, Change, Controller, Key, Moment, Queue, Watches};
use std::sync::Arc;

/// The control loop for ephemeral volumes.
#[derive(Clone, Copy, Debug, Default)]
pub struct EphemeralVolumeController;

/// What is looked at when it is decided about one pod.
#[derive(Clone, Debug)]
pub struct World {
    /// The pod as the cache holds it.
    pub pod: Arc<Pod>,
    /// The claims of its namespace that have the names of its own.
    pub claims: Vec<Arc<PersistentVolumeClaim>>,
}

fn names(pod: &Pod) -> impl Iterator<Item = String> {
    let own = volume::claims_of(pod).filter(|used| used.ephemeral);
    own.map(|used| used.claim)
}

impl Controller for EphemeralVolumeController {
    const NAME: &'static str = "ephemeral-volume-controller";
    const SOURCE: &'static str = "ephemeral_volume";
    const QUEUE: &'static str = "ephemeral_volume";
    const METRICS: &'static [&'static Metric] = metrics::METRICS;
    type Object = Pod;
    type World = World;

    fn matters(pod: &Pod) -> bool {
        pod::is_active(pod) && names(pod).next().is_some()
    }

    fn watch(watches: &Watches<'_>) {
        watches.reads::<Pod>().index(BY_CLAIM, volume::claim_keys);
        watches.on::<PersistentVolumeClaim>(wake);
    }

    async fn observe(&self, caches: &Caches, pod: Arc<Pod>, _: Moment) -> World {
        let (claims, namespace) = (
            caches.of::<PersistentVolumeClaim>(),
            meta::namespace(&pod.metadata),
        );
        let found = names(&pod).filter_map(|name| claims.get(namespace, &name));
        let claims = found.collect();
        World { pod, claims }
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }

    fn measure(_: &World, turn: &Turn<'_>) -> Vec<Sample> {
        metrics::measure(turn)
    }
}

/// A claim that goes wakes the pods whose it was, or in whose way it was.
fn wake(change: &Change<PersistentVolumeClaim>, queue: &Queue, caches: &Caches) {
    if change.new.is_some() {
        return;
    }
    let claim = Key::of(&change.latest().metadata).to_string();
    for pod in caches.of::<Pod>().indexed(BY_CLAIM, &claim) {
        queue.add(Key::of(&pod.metadata));
    }
}
