//! The garbage collector: deletes what has no owner any more, and lets objects go that wait for their dependents.
//!
//! **Promises.** An object goes when it names owners and the API server says of each of them that it is not there, or is
//! another incarnation: a deletion of the owner seen by a watch is a reason to ask, not an answer. A 404 that is about
//! anything but that very object (its kind is not served, a server behind the API server is away) is no answer either.
//! Each deletion carries the UID and the resourceVersion at which the owner references were read, so a reference that
//! is added in the meantime saves the object; upstream gives the version up after one conflict. An object with the
//! finalizer `foregroundDeletion` goes after the dependents that block it, one with `orphan` goes after the references
//! to it, on every kind that can be listed, watched and deleted, also kinds that are installed later: discovery is read
//! every 30 s, and a second after a CustomResourceDefinition or APIService changes.
//!
//! **Better than upstream.** References in a version of a kind that is not served any more find their owner in the
//! versions that are, where upstream gives up on them forever. A finalizer of an owner is not taken away while a kind that may have
//! dependents has not been listed; one kind that cannot be read (kubernetes#101078) holds that up for 30 s and no
//! longer. A cluster-scoped object with an owner in a namespace is never deleted (kubernetes#65200).
//!
//! **Costs.** One watch of metadata a kind, none for kinds that this process watches anyway; about 200 bytes an object.
//! Deleting an object takes one request, and one a set for its owner.
//!
//! Semantics: upstream `pkg/controller/garbagecollector`. Start reading at [`plan`]; [`graph`] says what is looked at,
//! `collect.rs` looks, `monitor.rs` keeps the watches.
#![forbid(unsafe_code)]

mod collect;
pub mod graph;
mod monitor;
pub mod plan;
pub mod uid;

use ::plan::{Metric, Stability};
use collect::Collector;
use runtime::Runtime;

/// Upstream's name of this controller: event source, field manager.
pub const NAME: &str = "garbage-collector-controller";

/// (upstream: `pkg/controller/garbagecollector/metrics/metrics.go`)
static SYNC_ERRORS: Metric = Metric::counter(
    "garbagecollector_controller_resources_sync_error_total",
    Stability::Alpha,
    &[],
    "Times that what the API server serves could not be read",
);

/// Runs it, with this many objects looked at at once. To be called before the runtime is started.
pub fn run(runtime: &Runtime, workers: usize) {
    runtime.metrics().declare(&[&SYNC_ERRORS]);
    let collector = Collector::new(runtime);
    runtime.spawn(
        "garbage collector: kinds",
        monitor::run(collector.clone(), runtime.metrics().clone()),
    );
    for _ in 0..workers {
        runtime.spawn("garbage collector", collector.clone().work());
    }
}
