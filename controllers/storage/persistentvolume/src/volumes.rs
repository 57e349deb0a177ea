//! The loop over volumes: what it looks at, and what wakes it.

use crate::plan::Fate;
use crate::{BY_REFERENCE, NAME, SOURCE, metrics, plan, reference_key, reference_of, status};
use ::plan::{Kind, Metric, Note, Object, Outcome, Plan, Sample, Turn};
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim};
use objects::{meta, volume};
use runtime::{Caches, Change, Controller, Key, Moment, Queue, Reads, Watches};
use std::sync::Arc;

/// The loop over volumes.
#[derive(Clone)]
pub struct VolumeBinder {
    reads: Reads,
}

/// What is looked at when it is decided about one volume.
#[derive(Clone, Debug)]
pub struct VolumeWorld {
    /// The volume as the cache holds it.
    pub volume: Arc<PersistentVolume>,
    /// Whose it is.
    pub claimed: Claimed,
}

/// Whose a volume is.
#[derive(Clone, Debug)]
pub enum Claimed {
    /// Nobody's, or reserved for a claim of some name that did not get it yet.
    Not,
    /// Of this claim.
    By(Arc<PersistentVolumeClaim>),
    /// Of a claim that is not there any more, as the API server says.
    ByNobody,
    /// The cache does not show the claim; the API server has it, or does not answer.
    Unknown,
}

impl VolumeBinder {
    /// The loop of a process.
    pub fn new(reads: Reads) -> Self {
        Self { reads }
    }

    async fn claimed(&self, caches: &Caches, volume: &PersistentVolume) -> Claimed {
        let Some((reference, uid)) = incarnation(volume) else {
            return Claimed::Not;
        };
        let namespace = reference.namespace.as_deref().unwrap_or_default();
        let name = reference.name.as_deref().unwrap_or_default();
        let claim = caches.of::<PersistentVolumeClaim>().get(namespace, name);
        if let Some(claim) = claim.filter(|claim| meta::uid(&claim.metadata) == uid) {
            return Claimed::By(claim);
        }
        // What was found out once stays so: there is no second claim of this UID.
        if matches!(volume::volume_phase(volume), "Released" | "Failed") {
            return Claimed::ByNobody;
        }
        let kind = Kind::of::<PersistentVolumeClaim>();
        match self.reads.meta(kind, namespace, name).await {
            Ok(live) if live.as_ref().is_none_or(|live| live.uid != uid) => Claimed::ByNobody,
            Ok(_) | Err(_) => Claimed::Unknown,
        }
    }
}

/// The claim that a volume is for, if it is bound to one incarnation of it.
fn incarnation(volume: &PersistentVolume) -> Option<(&ObjectReference, &str)> {
    let reference = reference_of(volume)?;
    let uid = reference.uid.as_deref().filter(|uid| !uid.is_empty())?;
    Some((reference, uid))
}

impl Controller for VolumeBinder {
    const NAME: &'static str = NAME;
    const SOURCE: &'static str = SOURCE;
    const QUEUE: &'static str = "volumes";
    const METRICS: &'static [&'static Metric] = metrics::OF_VOLUMES;
    type Object = PersistentVolume;
    type World = VolumeWorld;

    fn watch(watches: &Watches<'_>) {
        let volumes = watches.reads::<PersistentVolume>();
        volumes.index(BY_REFERENCE, |volume| {
            reference_key(volume).into_iter().collect()
        });
        watches.on::<PersistentVolumeClaim>(wake_by_claim);
    }

    async fn observe(
        &self,
        caches: &Caches,
        volume: Arc<PersistentVolume>,
        _: Moment,
    ) -> VolumeWorld {
        let claimed = self.claimed(caches, &volume).await;
        VolumeWorld { volume, claimed }
    }

    fn plan(world: &VolumeWorld) -> Plan {
        plan::volume(world)
    }

    fn status(world: &VolumeWorld, _: &Outcome) -> Option<Object> {
        status::volume(world).map(Object::new)
    }

    fn measure(world: &VolumeWorld, turn: &Turn<'_>) -> Vec<Sample> {
        metrics::of_volume(world, turn)
    }

    fn status_notes(world: &VolumeWorld, _: &Object) -> Vec<Note> {
        match Fate::of(world) {
            Fate::Failed(note) => vec![note],
            _ => Vec::new(),
        }
    }
}

/// A claim wakes the volume that it names or named, and those that are for it.
fn wake_by_claim(change: &Change<PersistentVolumeClaim>, queue: &Queue, caches: &Caches) {
    for claim in change.old.iter().chain(&change.new) {
        let name = volume::volume_of(claim);
        if !name.is_empty() {
            queue.add(Key::new("", name));
        }
    }
    let key = Key::of(&change.latest().metadata).to_string();
    for volume in caches.of::<PersistentVolume>().indexed(BY_REFERENCE, &key) {
        queue.add(Key::of(&volume.metadata));
    }
}
