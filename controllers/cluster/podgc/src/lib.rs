//! The pod garbage collector: removes pods that nobody else can remove.
//!
//! **Promises.** These pods go, without a grace period, each after its status says `Failed` if it did not end by itself:
//! - pods on a node that is gone, 40 s after that was seen and once the API server itself says so, with the condition
//!   `DisruptionTarget`;
//! - pods that are being deleted on a node that is not ready and has the taint `node.kubernetes.io/out-of-service`;
//! - pods that are being deleted and have no node;
//! - the oldest of those that have ended, evicted ones first, when there are more than so many.
//!
//! **Never.** It never deletes an incarnation that it has not seen (upstream deletes by name; kubernetes#29522), and
//! nothing because of a node that it only cannot see. What a finalizer holds is not deleted over and over.
//!
//! A node that comes back under the same name within the 40 s, and is another machine, is another node: the pods of the
//! one before go as well. Upstream looks at the name only, and the new machine inherits them, secrets included
//! (kubernetes#141365). Which machine a node was is known as long as this process runs.
//!
//! Upstream looks at all pods every 20 s; here a pod is looked at when it, or its node, changes.
//!
//! Semantics: upstream `pkg/controller/podgc`. Start reading at [`plan`]; `collect.rs` looks and does.
#![forbid(unsafe_code)]

mod collect;
mod machines;
mod metrics;
pub mod plan;
#[cfg(test)]
mod tests;

use collect::Collector;
use runtime::Runtime;

/// Upstream's name of this controller: event source, field manager.
pub const NAME: &str = "pod-garbage-collector-controller";
/// So many pods that have ended are kept (upstream: `--terminated-pod-gc-threshold`).
pub const THRESHOLD: usize = 12_500;

/// Runs it, with this many pods removed at once. Of pods that have ended it keeps `threshold`; all of them if that is 0.
/// To be called before the runtime is started.
pub fn run(runtime: &Runtime, threshold: usize, workers: usize) {
    let collector = Collector::new(runtime, threshold);
    collector.listen();
    runtime.spawn("pod garbage collector: ended", collector.clone().count());
    for _ in 0..workers {
        runtime.spawn("pod garbage collector", collector.clone().work());
    }
}
