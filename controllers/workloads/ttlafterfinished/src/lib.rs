//! The TTL-after-finished controller: deletes Jobs some time after they have finished.
//!
//! **Promises.** A Job that is Complete or Failed goes, with its pods, `spec.ttlSecondsAfterFinished` after the
//! transition of that condition: not before, whatever the caches say. The deletion is of the version that was
//! looked at, so a TTL that was changed meanwhile is respected. Upstream asks again before it deletes and loses
//! a change that comes between that question and the deletion.
//!
//! **Never.** It never touches a Job that has not finished, has no TTL or is being deleted.
//!
//! Semantics: upstream `pkg/controller/ttlafterfinished/ttlafterfinished_controller.go`. Start reading at [`plan`].
#![forbid(unsafe_code)]

mod metrics;
mod plan;

use ::plan::{Metric, Plan, Sample, Turn};
use k8s_openapi::api::batch::v1::Job;
use runtime::{Caches, Controller, Moment};
use std::sync::Arc;

/// The control loop for finished Jobs.
#[derive(Clone, Copy, Debug, Default)]
pub struct TtlAfterFinishedController;

/// A Job and the time.
#[derive(Clone, Debug)]
pub struct World {
    /// The Job as the cache holds it.
    pub job: Arc<Job>,
    /// The time of the decision.
    pub moment: Moment,
}

impl Controller for TtlAfterFinishedController {
    const NAME: &'static str = "ttl-after-finished-controller";
    const QUEUE: &'static str = "ttl_jobs_to_delete";
    const METRICS: &'static [&'static Metric] = metrics::METRICS;
    type Object = Job;
    type World = World;

    fn matters(job: &Job) -> bool {
        plan::needs_cleanup(job)
    }

    async fn observe(&self, _: &Caches, job: Arc<Job>, moment: Moment) -> World {
        World { job, moment }
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }

    fn measure(world: &World, turn: &Turn<'_>) -> Vec<Sample> {
        metrics::measure(world, turn)
    }
}
