//! The HorizontalPodAutoscaler controller: keeps as many replicas as the load asks for.
//!
//! **Promises.** Each autoscaler is looked at every 15 s, all of them spread over that time. What it measures
//! (resources of pods or containers, metrics of pods, of objects, from outside) becomes a number of replicas
//! within its bounds; windows and policies of `behavior` hold. It scales whatever has a scale, custom
//! resources too. A metric that says nothing may hide a need: then it may scale up and never down. What is
//! wrong (no such target, no selector, the pods of another autoscaler, values that are none or negative)
//! stands in the conditions, and nothing is written elsewhere.
//!
//! **Rate limits hold.** Upstream keeps what it did in memory, and so exceeds a policy such as one pod a
//! minute after each restart (and after each change of the leader). Here a scaling is written down with the
//! status, and what a crash or a lost answer left open counts as done: see [`history`]. What the metrics asked
//! for in the last minutes is forgotten by a restart, as upstream forgets it: the replicas at that time stand
//! in for it, so nothing is taken away before the whole window is over.
//!
//! **Another bug of upstream that is not here.** Upstream answers a conflict by writing its decision over
//! whatever was written in between, a user's `kubectl scale` for instance; here it is decided anew.
//!
//! **Never.** It never looks at the workload itself, only at its scale; it never lists pods by anything but the
//! scale's selector.
//!
//! Semantics: upstream `pkg/controller/podautoscaler`. Start reading at [`World`], then `plan.rs`.
#![forbid(unsafe_code)]

pub mod history;
mod memory;
mod metrics;
mod plan;
mod sense;
mod status;
#[cfg(test)]
mod tests;
pub mod world;

pub use world::{Options, World};

use ::plan::{Metric, Object, Outcome, Plan, Reference, Sample, Turn};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use memory::Memory;
use objects::meta;
use runtime::{Backoff, Caches, Controller, Key, Moment, Runtime, Watches};
use sense::Senses;
use std::sync::Arc;
use std::time::Duration;
use world::Spec;

/// The control loop for HorizontalPodAutoscalers.
pub struct HorizontalPodAutoscalerController {
    senses: Senses,
    memory: Memory,
    options: Options,
}

impl HorizontalPodAutoscalerController {
    /// The loop with upstream's settings; `runtime` asks for scales and metrics.
    pub fn new(runtime: &Runtime) -> Self {
        Self::with(runtime, Options::default())
    }

    /// The loop with other settings.
    pub fn with(runtime: &Runtime, options: Options) -> Self {
        Self {
            senses: Senses::new(runtime),
            memory: Memory::default(),
            options,
        }
    }
}

impl Controller for HorizontalPodAutoscalerController {
    const NAME: &'static str = "horizontal-pod-autoscaler";
    const QUEUE: &'static str = "horizontalpodautoscaler";
    const METRICS: &'static [&'static Metric] = metrics::METRICS;
    /// A look costs several requests.
    const BACKOFF: Backoff = Backoff {
        base: Duration::from_millis(100),
        max: Duration::from_secs(15),
    };
    type Object = HorizontalPodAutoscaler;
    type World = World;

    /// Its turns follow one another by the clock: no change of it makes one, its own status the least.
    fn matters(_: &HorizontalPodAutoscaler) -> bool {
        false
    }

    fn watch(watches: &Watches<'_>) {
        watches.reads::<Pod>();
        let autoscalers = watches.reads::<HorizontalPodAutoscaler>();
        autoscalers.index(sense::TARGET, sense::target_of);
        watches.on::<HorizontalPodAutoscaler>(|change, queue, _| {
            let (None, Some(hpa)) = (&change.old, &change.new) else {
                return;
            };
            queue.add_after(Key::of(&hpa.metadata), first(hpa));
        });
    }

    async fn observe(
        &self,
        caches: &Caches,
        hpa: Arc<HorizontalPodAutoscaler>,
        moment: Moment,
    ) -> World {
        let mut world = World {
            owner: Reference::to(&*hpa),
            spec: Spec::of(&hpa, &self.options),
            target: Err(String::new()),
            options: self.options,
            moment,
            hpa,
        };
        let (senses, memory) = (&self.senses, &self.memory);
        world.target = senses.target(&world, memory, caches).await;
        memory.decided(&world, &plan::decide(&world));
        world
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }

    fn status(world: &World, outcome: &Outcome) -> Option<Object> {
        status::status(world, outcome).map(Object::new)
    }

    fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
        metrics::measure(world, turn)
    }

    fn gone(&self, _: &Caches, key: &Key) -> Plan {
        self.memory.forget(key);
        Plan::none()
    }
}

/// How long an autoscaler that was not seen before waits: one that is new not at all; those that are there when
/// the process starts are spread over the period.
fn first(hpa: &HorizontalPodAutoscaler) -> Duration {
    let status = hpa.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref());
    if conditions.is_none_or(<[_]>::is_empty) {
        return Duration::ZERO;
    }
    let period = Options::default().sync_period.as_millis() as u64;
    let bytes = meta::uid(&hpa.metadata).bytes();
    let share = bytes.fold(0_u64, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into()));
    Duration::from_millis(share % period)
}
