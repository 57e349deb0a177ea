//! The resource quota controller: says in the status of each ResourceQuota what is limited and what is used of it.
//!
//! **Promises.** `status.hard` is `spec.hard`; `status.used` is what the namespace holds: pods with all that they ask
//! for, Services, PersistentVolumeClaims, ResourceClaims, and objects of any kind that is served, custom ones too. When
//! something goes, or ends, the room is given back at once. It is the API server's admission that refuses, and raises
//! `used` as it lets something in; this loop corrects it.
//!
//! **Never.** It never takes back what admission has let in and what may not be stored or seen yet ([`recent`]), also
//! not after a crash or with a watch that stands still: a quota does not admit too much. Upstream writes what its
//! caches hold, and lets one more in where a deletion and a creation cross.
//!
//! **Costs.** Kinds are watched when a quota names them, of most only the metadata; upstream watches all there are. A
//! namespace with many pods is counted less often.
//!
//! Also unlike upstream: what is too low is corrected when an object appears and not at the next full count in five
//! minutes; a pod that hangs in its deletion stops counting when its grace period is over, and not at the next full
//! count either; a resource that nobody serves, and one that no scope of the quota goes with, is told in an event.
//!
//! Semantics: upstream `pkg/controller/resourcequota`, `pkg/quota/v1/evaluator/core`. Start reading at [`tally`].
#![forbid(unsafe_code)]

mod census;
mod plan;
pub mod recent;
mod status;
pub mod tally;
#[cfg(test)]
mod tests;

use ::plan::{Note, Object, Outcome, Plan};
use ahash::AHashMap;
use census::{Census, wake};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::meta;
use recent::{Recent, Young};
use runtime::{Caches, Controller, Moment, Runtime, Watched, Watches};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tally::{Amounts, Content, Needs, Tally, hard, place, pods, services, volumes};

/// A namespace is not counted again for so long, times the number of objects that were looked at: counting takes a
/// small part of the time.
const REST: Duration = Duration::from_micros(100);
/// Quotas that have gone are forgotten now and then.
const SWEEP: usize = 1000;

/// The control loop for ResourceQuotas.
pub struct ResourceQuotaController {
    census: Census,
    memory: Mutex<Memory>,
}

/// Nothing of it is needed for the right result in the end.
#[derive(Default)]
struct Memory {
    recent: Recent,
    /// When each quota, by UID, was counted last for the limits that it had, and until when it rests.
    counted: AHashMap<String, (Amounts, Timestamp)>,
}

/// What it looks at when it decides about one quota.
#[derive(Clone, Debug)]
pub struct World {
    /// The quota as the cache holds it.
    pub quota: Arc<ResourceQuota>,
    /// What its namespace uses; none if that was counted a moment ago.
    pub tally: Option<Tally>,
    /// How long that is a moment ago.
    pub rest: Duration,
    /// What admission may just have let in.
    pub young: Young,
    /// The time of the decision.
    pub now: Timestamp,
}

impl ResourceQuotaController {
    /// The controller of a process.
    pub fn new(runtime: &Runtime) -> Self {
        Self {
            census: Census::new(runtime),
            memory: Mutex::default(),
        }
    }

    /// All that a quota counts.
    fn content(&self, caches: &Caches, needs: &Needs, namespace: &str) -> Content {
        let mut content = Content::default();
        if needs.pods {
            content.pods = caches.of::<Pod>().in_namespace(namespace);
        }
        if needs.services {
            content.services = caches.of::<Service>().in_namespace(namespace);
        }
        if needs.volumes {
            content.volumes = caches.of::<PersistentVolumeClaim>().in_namespace(namespace);
        }
        if needs.devices {
            content.devices = self.census.devices(namespace);
        }
        let count = |place: &tally::Place| self.census.count(place, namespace).0;
        content.counts = needs.kinds.iter().map(|p| (p.clone(), count(p))).collect();
        content
    }

    /// The version up to which all is known that a resource counts.
    fn seen(&self, caches: &Caches, name: &str, namespace: &str) -> u64 {
        if pods::counts(name) {
            return caches.of::<Pod>().seen();
        }
        if services::counts(name) {
            return caches.of::<Service>().seen();
        }
        if volumes::counts(name) {
            return caches.of::<PersistentVolumeClaim>().seen();
        }
        match place(name) {
            Some(place) => self.census.count(&place, namespace).1,
            None => self.census.devices_seen(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Controller for ResourceQuotaController {
    const NAME: &'static str = "resourcequota-controller";
    const QUEUE: &'static str = "resourcequota_primary";
    type Object = ResourceQuota;
    type World = World;

    fn watch(watches: &Watches<'_>) {
        wake_at::<Pod>(watches, pods::differs);
        wake_at::<Service>(watches, services::differs);
        wake_at::<PersistentVolumeClaim>(watches, volumes::differs);
    }

    fn listen(&self, watches: &Watches<'_>) {
        self.census.wakes(watches.queue());
    }

    async fn observe(&self, caches: &Caches, quota: Arc<ResourceQuota>, moment: Moment) -> World {
        let now = moment.now;
        let namespace = meta::namespace(&quota.metadata);
        let needs = Needs::of(&quota);
        if needs.devices || !needs.kinds.is_empty() {
            self.census.learn(&needs.kinds).await;
        }
        let seen = |name: &str| self.seen(caches, name, namespace);
        let young = self.memory().recent.observe(&quota, seen, now);
        let rest = self.memory().rest(&quota, now);
        let mut world = World {
            tally: None,
            rest,
            young,
            quota: quota.clone(),
            now,
        };
        if rest.is_zero() {
            let content = self.content(caches, &needs, namespace);
            let tally = tally::tally(&world.quota, &content, now);
            self.memory().counted(&world.quota, &tally, now);
            world.tally = Some(tally);
        }
        world
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }

    fn status(world: &World, _: &Outcome) -> Option<Object> {
        status::status(world).map(Object::new)
    }

    fn written(&self, world: &World, _: &Object) {
        if let Some(quota) = status::status(world) {
            self.memory().recent.written(&quota);
        }
    }

    fn status_notes(world: &World, _: &Object) -> Vec<Note> {
        status::notes(world)
    }
}

impl Memory {
    /// How long the quota rests; not at all if its limits have changed.
    fn rest(&self, quota: &ResourceQuota, now: Timestamp) -> Duration {
        let counted = self.counted.get(meta::uid(&quota.metadata));
        let same = counted.filter(|(limits, _)| *limits == status::amounts(hard(quota)));
        let left = same.map(|(_, until)| until.duration_since(now));
        left.map_or(Duration::ZERO, |left| {
            Duration::try_from(left).unwrap_or_default()
        })
    }

    fn counted(&mut self, quota: &ResourceQuota, tally: &Tally, now: Timestamp) {
        if self.counted.len() > SWEEP {
            self.counted.retain(|_, (_, until)| *until > now);
        }
        let rest = REST * u32::try_from(tally.looked_at).unwrap_or(u32::MAX);
        let rest = SignedDuration::try_from(rest).unwrap_or_default();
        let until = now.saturating_add(rest).unwrap_or(now);
        let limits = status::amounts(hard(quota));
        let uid = meta::uid(&quota.metadata).to_owned();
        self.counted.insert(uid, (limits, until));
    }
}

/// The quotas of a namespace are woken when something comes or goes, or counts for something else.
fn wake_at<K: Watched>(watches: &Watches<'_>, differs: fn(&K, &K) -> bool) {
    watches.on::<K>(move |change, queue, caches| {
        if let (Some(old), Some(new)) = (&change.old, &change.new)
            && !differs(old, new)
        {
            return;
        }
        wake(caches, queue, meta::namespace(metadata(&**change.latest())));
    });
}

fn metadata<K: Metadata<Ty = ObjectMeta>>(object: &K) -> &ObjectMeta {
    object.metadata()
}

impl World {
    /// Whether something would be lowered if it were known that nothing is on its way.
    fn is_held_up(&self) -> bool {
        let Some(tally) = &self.tally else {
            return false;
        };
        let said = status::said(&self.quota);
        let mut counted = tally.used.iter();
        counted.any(|(name, counted)| said.get(name).is_some_and(|said| said > counted))
    }
}
