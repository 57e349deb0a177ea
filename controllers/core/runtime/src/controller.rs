//! The contract that every controller fills in.

use crate::caches::{Cache, Caches, Change, Key};
use crate::metrics::Metrics;
use crate::queue::{Backoff, Queue};
use crate::watched::Watched;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use plan::{Kind, Metric, Note, Object, Outcome, Plan, Sample, Turn};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// A control loop: *observe → plan → execute → status*, of which it fills in the first, the second and
/// the fourth. The third exists once, in [`crate::execute`].
///
/// Any loop may be killed anywhere and started again, and two of them may run at once: `plan` must be
/// level-triggered, made from what is and not from what happened.
pub trait Controller: Send + Sync + Sized + 'static {
    /// Upstream's name of the controller, for `--controllers`, `/debug/plans` and logs.
    const NAME: &'static str;
    /// The component that its events come from, and its field manager; upstream's is not always its name.
    const SOURCE: &'static str = Self::NAME;
    /// Upstream's name of the work queue, the label `name` of `workqueue_*` metrics.
    const QUEUE: &'static str;
    /// How long a key waits after a failure.
    const BACKOFF: Backoff = Backoff::DEFAULT;
    /// One object is not looked at again within this time: events that come in a burst are seen together.
    const PAUSE: Duration = Duration::from_millis(20);
    /// After a status write, further changes of the same object's status are gathered for this long.
    const STATUS_WINDOW: Duration = Duration::from_millis(100);
    /// What it counts, by upstream's names.
    const METRICS: &'static [&'static Metric] = &[];

    /// The kind that it reconciles.
    type Object: Watched;
    /// What it looks at: validated input, options resolved, selectors parsed. `Arc`s from the caches.
    type World: Send + Sync;

    /// Whether an object in this state is worth a turn: for kinds of which there are many, and few that
    /// matter. A change wakes if the state before or after it is, a deletion always. It runs in the watch's task.
    fn matters(object: &Self::Object) -> bool {
        let _ = object;
        true
    }

    /// Declares which changes of which kinds wake which objects. Changes of [`Self::Object`] itself wake
    /// it without a word here. Called once, before any cache is filled.
    fn watch(watches: &Watches<'_>) {
        let _ = watches;
    }

    /// As [`Self::watch`], for a controller that must itself be told of changes, or that is woken by what no watch of
    /// a known kind tells. Called after it.
    fn listen(&self, watches: &Watches<'_>) {
        let _ = watches;
    }

    /// Reads the caches. Waits for nothing but, where a loop needs them, other APIs (metrics).
    fn observe(
        &self,
        caches: &Caches,
        object: Arc<Self::Object>,
        moment: Moment,
    ) -> impl Future<Output = Self::World> + Send;

    /// Decides. Pure.
    fn plan(world: &Self::World) -> Plan;

    /// The object with the status that it should have, or `None` if it has it already. Pure. The runtime
    /// writes it to the status subresource, the first change at once, then at most once a
    /// [`Self::STATUS_WINDOW`].
    fn status(world: &Self::World, outcome: &Outcome) -> Option<Object> {
        let _ = (world, outcome);
        None
    }

    /// The events that describe what `status` says: recorded once it is written. Pure.
    fn status_notes(world: &Self::World, status: &Object) -> Vec<Note> {
        let _ = (world, status);
        Vec::new()
    }

    /// What a turn adds to the metrics. What it says of gauges holds until another turn about the object says
    /// something of any, or until the object is gone. Pure.
    fn measure(world: &Self::World, turn: &Turn<'_>) -> Vec<Sample> {
        let _ = (world, turn);
        Vec::new()
    }

    /// What a turn adds that is put off, because the cache of this kind does not show our own last write yet.
    fn held(behind: Kind) -> Option<Sample> {
        let _ = behind;
        None
    }

    /// The status was written: for a controller that tells what others say in it from what it has said itself.
    fn written(&self, world: &Self::World, status: &Object) {
        let _ = (world, status);
    }

    /// What to do for an object that is no longer there. Pure over the caches.
    fn gone(&self, caches: &Caches, key: &Key) -> Plan {
        let _ = (caches, key);
        Plan::none()
    }
}

/// What a world needs besides the caches, so that nothing below has to ask for it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time of the decision.
    pub now: Timestamp,
    /// Random bits for the names of what is created.
    pub seed: u64,
}

/// Where a controller says what wakes it. See [`Controller::watch`].
pub struct Watches<'a> {
    pub(crate) caches: &'a Caches,
    pub(crate) queue: Queue,
    pub(crate) metrics: Metrics,
}

impl Watches<'_> {
    /// The queue, for whatever else wakes objects.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// The metrics, for what is counted at each change and not at each turn.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Makes sure that `K` is watched, without being woken by it.
    pub fn reads<K: Watched>(&self) -> Arc<Cache<K>> {
        self.caches.of::<K>()
    }

    /// Calls `wake` at each change of a `K`, with a handle to put keys into the queue. It runs in the
    /// watch's task: it must be quick and must not wait.
    pub fn on<K: Watched>(
        &self,
        wake: impl Fn(&Change<K>, &Queue, &Caches) + Send + Sync + 'static,
    ) {
        let queue = self.queue.clone();
        let caches = self.caches.weak();
        self.caches.of::<K>().listen(Box::new(move |change| {
            if let Some(caches) = caches.upgrade() {
                wake(change, &queue, &caches);
            }
        }));
    }

    /// Each change of a `K` wakes the object of kind `owner` that controls it, the old one too if that
    /// changed.
    pub fn owned<K: Watched>(&self, owner: &'static str) {
        self.on::<K>(move |change, queue, _| {
            for meta in change.metas() {
                if let Some(key) = controller_key(meta, owner) {
                    queue.add(key);
                }
            }
        });
    }
}

/// The key of the object of kind `owner` that controls the object with `meta`.
pub fn controller_key(meta: &ObjectMeta, owner: &str) -> Option<Key> {
    let reference = objects::meta::controller_of(meta)?;
    (reference.kind == owner).then(|| Key::new(objects::meta::namespace(meta), &reference.name))
}
