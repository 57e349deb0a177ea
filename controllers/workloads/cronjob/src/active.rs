//! Which Jobs of a CronJob run.

use crate::World;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ObjectReference;
use objects::meta;
use plan::{Kind, Reference};
use std::sync::Arc;

/// What `status.active` says, compared with the Jobs that there are.
#[derive(Clone, Debug, Default)]
pub struct Active {
    /// What it should say: the Jobs that this loop made and that have not finished.
    pub references: Vec<ObjectReference>,
    /// Those it says that have finished, and how: `Complete` or `Failed`.
    pub finished: Vec<(Arc<Job>, &'static str)>,
    /// The names of those it says that are not there.
    pub missing: Vec<String>,
    /// Jobs that run and that somebody else made in the CronJob's name.
    pub unexpected: Vec<Arc<Job>>,
}

impl Active {
    pub(crate) fn of(world: &World) -> Self {
        let mut active = Self::default();
        let said = world.cronjob.status.iter().flat_map(|s| s.active.iter());
        for reference in said.flatten() {
            let uid = reference.uid.as_deref().unwrap_or_default();
            match world.job(uid) {
                Some(job) => match finished(job) {
                    Some(how) => active.finished.push((job.clone(), how)),
                    None => active.references.push(reference.clone()),
                },
                None if world.gone.contains(uid) => {
                    active
                        .missing
                        .push(reference.name.clone().unwrap_or_default());
                }
                None => active.references.push(reference.clone()),
            }
        }
        for job in &world.jobs {
            let is_said = active.references.iter().any(|r| r.uid == job.metadata.uid);
            if is_said || finished(job).is_some() || meta::is_deleting(&job.metadata) {
                continue;
            }
            match world.made_for(job) {
                // The status was not written after it was made.
                Some(_) => {
                    let on = Reference::to(&**job);
                    let version = job.metadata.resource_version.clone();
                    active.references.push(reference(&on, version));
                }
                None => active.unexpected.push(job.clone()),
            }
        }
        active
    }
}

/// How `status.active` names a Job.
pub(crate) fn reference(job: &Reference, version: Option<String>) -> ObjectReference {
    ObjectReference {
        api_version: Some(Kind::of::<Job>().api_version()),
        kind: Some("Job".to_owned()),
        namespace: Some(job.namespace.clone()),
        name: Some(job.name.clone()),
        uid: Some(job.uid.clone()),
        resource_version: version,
        ..ObjectReference::default()
    }
}

/// How a Job ended, if it did (upstream: pkg/controller/job/util, `FinishedCondition`).
pub(crate) fn finished(job: &Job) -> Option<&'static str> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let is = |kind: &str| {
        conditions
            .iter()
            .any(|c| c.type_ == kind && c.status == "True")
    };
    ["Complete", "Failed"].into_iter().find(|kind| is(kind))
}
