//! The loop over claims: what it looks at, and what wakes it.

use crate::plan::Course;
use crate::{BY_REFERENCE, FREE, NAME, SOURCE, metrics, plan, reference_key, reference_of, status};
use ::plan::{Kind, Metric, Note, Object, Outcome, Plan, Reference, Sample, Turn};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use objects::volume::{self, BY_CLAIM, Wish};
use objects::{meta, pod};
use runtime::{Caches, Change, Controller, Key, Moment, Queue, Reads, Watches};
use std::sync::Arc;

/// The index of claims by the volume that they name.
const BY_VOLUME: &str = "spec.volumeName";
/// The index of claims that have no volume yet, by class.
const WAITING: &str = "waiting of class";

/// The loop over claims.
#[derive(Clone)]
pub struct ClaimBinder {
    reads: Reads,
}

/// What is looked at when it is decided about one claim.
#[derive(Clone, Debug)]
pub struct ClaimWorld {
    /// The claim as the cache holds it.
    pub claim: Arc<PersistentVolumeClaim>,
    /// The volume that it names.
    pub named: Named,
    /// Its class.
    pub class: Class,
    /// The class that it would get if it does not say which it wants.
    pub default_class: Option<String>,
    /// The volumes that are reserved for it, and those of its class that are nobody's.
    pub volumes: Vec<Arc<PersistentVolume>>,
    /// The pods that use it and have no node yet.
    pub unscheduled: Vec<String>,
}

/// The volume that a claim names.
#[derive(Clone, Debug)]
pub enum Named {
    /// It names none.
    None,
    /// This one.
    Is(Arc<PersistentVolume>),
    /// One that is not there, as the API server says.
    Gone,
    /// One that the cache does not show; the API server has it, or does not answer.
    Unknown,
}

/// The class of a claim.
#[derive(Clone, Debug)]
pub enum Class {
    /// It has none.
    None,
    /// It names one that is not there.
    Missing(String),
    /// This one.
    Is(Arc<StorageClass>),
}

impl ClaimBinder {
    /// The loop of a process.
    pub fn new(reads: Reads) -> Self {
        Self { reads }
    }

    async fn named(&self, caches: &Caches, claim: &PersistentVolumeClaim) -> Named {
        let name = volume::volume_of(claim);
        if name.is_empty() {
            return Named::None;
        }
        if let Some(volume) = caches.of::<PersistentVolume>().get("", name) {
            return Named::Is(volume);
        }
        let lost = volume::claim_phase(claim) == "Lost";
        // Only where it would become `Lost` is it worth the question.
        if lost || !volume::is_marked(&claim.metadata, volume::BIND_COMPLETED) {
            return Named::Gone;
        }
        let kind = Kind::of::<PersistentVolume>();
        match self.reads.meta(kind, "", name).await {
            Ok(None) => Named::Gone,
            Ok(Some(_)) | Err(_) => Named::Unknown,
        }
    }
}

impl Controller for ClaimBinder {
    const NAME: &'static str = NAME;
    const SOURCE: &'static str = SOURCE;
    const QUEUE: &'static str = "claims";
    const METRICS: &'static [&'static Metric] = metrics::OF_CLAIMS;
    type Object = PersistentVolumeClaim;
    type World = ClaimWorld;

    fn watch(watches: &Watches<'_>) {
        let claims = watches.reads::<PersistentVolumeClaim>();
        claims.index(BY_VOLUME, |claim| match volume::volume_of(claim) {
            "" => Vec::new(),
            name => vec![name.to_owned()],
        });
        claims.index(WAITING, |claim| match volume::volume_of(claim) {
            "" => vec![volume::class_of_claim(claim).to_owned()],
            _ => Vec::new(),
        });
        let volumes = watches.reads::<PersistentVolume>();
        volumes.index(BY_REFERENCE, |volume| {
            reference_key(volume).into_iter().collect()
        });
        volumes.index(FREE, |volume| match reference_of(volume) {
            None => vec![volume::class_of_volume(volume).to_owned()],
            Some(_) => Vec::new(),
        });
        watches.reads::<Pod>().index(BY_CLAIM, volume::claim_keys);
        watches.on::<PersistentVolume>(wake_by_volume);
        watches.on::<StorageClass>(wake_by_class);
        watches.on::<Pod>(wake_by_pod);
    }

    async fn observe(
        &self,
        caches: &Caches,
        claim: Arc<PersistentVolumeClaim>,
        _: Moment,
    ) -> ClaimWorld {
        let classes = caches.of::<StorageClass>();
        let class_name = volume::class_of_claim(&claim);
        let key = Key::of(&claim.metadata).to_string();
        let mut world = ClaimWorld {
            named: self.named(caches, &claim).await,
            class: match class_name {
                "" => Class::None,
                name => classes
                    .get("", name)
                    .map_or_else(|| Class::Missing(name.to_owned()), Class::Is),
            },
            default_class: None,
            volumes: Vec::new(),
            unscheduled: Vec::new(),
            claim: claim.clone(),
        };
        if !matches!(world.named, Named::None) {
            return world;
        }
        let volumes = caches.of::<PersistentVolume>();
        world.volumes = volumes.indexed(BY_REFERENCE, &key);
        world.volumes.extend(volumes.indexed(FREE, class_name));
        let pods = caches.of::<Pod>().indexed(BY_CLAIM, &key);
        let waiting = pods
            .iter()
            .filter(|pod| !pod::is_terminal(pod) && pod::node_name(pod).is_none());
        world.unscheduled = waiting
            .map(|pod| meta::name(&pod.metadata).to_owned())
            .collect();
        world.unscheduled.sort_unstable();
        if !volume::has_class(&claim) {
            let default = classes.all();
            let default = volume::default_class(&default);
            world.default_class = default.map(|class| meta::name(&class.metadata).to_owned());
        }
        world
    }

    fn plan(world: &ClaimWorld) -> Plan {
        plan::claim(world)
    }

    fn status(world: &ClaimWorld, _: &Outcome) -> Option<Object> {
        status::claim(world).map(Object::new)
    }

    fn measure(world: &ClaimWorld, turn: &Turn<'_>) -> Vec<Sample> {
        metrics::of_claim(world, turn)
    }

    fn status_notes(world: &ClaimWorld, _: &Object) -> Vec<Note> {
        let about = Reference::to(&*world.claim);
        match Course::of(world) {
            Course::Lost(reason, message) => vec![Note::warning(&about, reason, message)],
            _ => Vec::new(),
        }
    }
}

/// A volume wakes the claims that name it, the one that it is for, and if it is nobody's those that it would do for.
fn wake_by_volume(change: &Change<PersistentVolume>, queue: &Queue, caches: &Caches) {
    let claims = caches.of::<PersistentVolumeClaim>();
    for volume in change.old.iter().chain(&change.new) {
        if let Some(reference) = reference_of(volume) {
            let namespace = reference.namespace.as_deref().unwrap_or_default();
            queue.add(Key::new(
                namespace,
                reference.name.as_deref().unwrap_or_default(),
            ));
        }
    }
    for claim in claims.indexed(BY_VOLUME, meta::name(&change.latest().metadata)) {
        queue.add(Key::of(&claim.metadata));
    }
    let Some(volume) = change
        .new
        .as_ref()
        .filter(|volume| reference_of(volume).is_none())
    else {
        return;
    };
    for claim in claims.indexed(WAITING, volume::class_of_volume(volume)) {
        if Wish::of(&claim).is_ok_and(|wish| wish.suits(volume)) {
            queue.add(Key::of(&claim.metadata));
        }
    }
}

/// A class wakes the claims of it that wait for a volume, and as the default those that have none.
fn wake_by_class(change: &Change<StorageClass>, queue: &Queue, caches: &Caches) {
    let Some(class) = &change.new else { return };
    let claims = caches.of::<PersistentVolumeClaim>();
    for claim in claims.indexed(WAITING, meta::name(&class.metadata)) {
        queue.add(Key::of(&claim.metadata));
    }
    if volume::is_default(class) {
        let without = claims.indexed(WAITING, "");
        for claim in without.iter().filter(|claim| !volume::has_class(claim)) {
            queue.add(Key::of(&claim.metadata));
        }
    }
}

/// A pod that comes, or goes, wakes those of its claims that have no volume: they say what they wait for.
fn wake_by_pod(change: &Change<Pod>, queue: &Queue, caches: &Caches) {
    if change.old.is_some() && change.new.is_some() {
        return;
    }
    let pod = change.latest();
    if pod::node_name(pod).is_some() {
        return;
    }
    let namespace = meta::namespace(&pod.metadata);
    let keys = volume::claims_of(pod).map(|used| Key::new(namespace, &used.claim));
    let claims = caches.of::<PersistentVolumeClaim>();
    queue.add_those(&claims, keys, |claim| volume::volume_of(claim).is_empty());
}
