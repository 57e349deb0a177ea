//! What must hold of the counters of Jobs: each pod that ends is counted once.

use ::objects::meta;
use k8s_openapi::api::batch::v1::Job;
use serde_json::Value;
use sim::{State, Write};
use std::collections::{HashMap, HashSet};

const FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// What was seen of Jobs and their pods.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// By UID of the Job: the pods that ended or began to be deleted before they were let go.
    ended: HashMap<String, HashSet<String>>,
    /// The largest parallelism that it had.
    parallelism: HashMap<String, u64>,
}

impl Jobs {
    /// What is wrong with this write.
    pub(super) fn write(&mut self, state: &State, write: &Write, ours: bool) -> Vec<String> {
        match write.kind {
            "Job" => self.job(write),
            "Pod" => self.pod(state, write, ours),
            _ => Vec::new(),
        }
    }

    fn job(&mut self, write: &Write) -> Vec<String> {
        let mut wrong = Vec::new();
        let parallelism = write.object["spec"]["parallelism"].as_u64().unwrap_or(1);
        let most = self.parallelism.entry(write.uid.clone()).or_default();
        *most = parallelism.max(*most);
        let count = |object: &Value| {
            let of = |field: &str| object["status"][field].as_u64().unwrap_or(0);
            of("succeeded") + of("failed")
        };
        let now = count(&write.object);
        let before = write.before.as_ref().map_or(0, |before| count(before));
        if now < before {
            wrong.push(format!("O4: {before} pods had ended, and now {now}"));
        }
        let ended = self.ended.get(&write.uid).map_or(0, HashSet::len) as u64;
        if now > ended {
            wrong.push(format!("O4: {now} pods are counted, {ended} have ended"));
        }
        wrong
    }

    fn pod(&mut self, state: &State, write: &Write, ours: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        let Some(job) = owner(&write.object).or(write.before.as_deref().and_then(owner)) else {
            return wrong;
        };
        let was_tracked = write.before.as_deref().is_some_and(is_tracked);
        let ends = |object: &Value| {
            let phase = object["status"]["phase"].as_str();
            let going = object["metadata"]["deletionTimestamp"].is_string();
            going || matches!(phase, Some("Succeeded" | "Failed"))
        };
        if is_tracked(&write.object) && ends(&write.object) {
            let ended = self.ended.entry(job.clone()).or_default();
            ended.insert(write.uid.clone());
        }
        let jobs = state.list::<Job>(None);
        let Some(job) = jobs.iter().find(|j| meta::uid(&j.metadata) == job) else {
            return wrong;
        };
        let lost = was_tracked && (write.gone || !is_tracked(&write.object));
        let ended = write.before.as_deref().is_some_and(|before| {
            matches!(
                before["status"]["phase"].as_str(),
                Some("Succeeded" | "Failed")
            )
        });
        if ours && lost && ended && !is_written(job, write) {
            wrong.push("O4: let go before it was written down".to_owned());
        }
        let most = self.parallelism.get(meta::uid(&job.metadata)).copied();
        if ours && write.before.is_none() {
            let pods = state.list::<k8s_openapi::api::core::v1::Pod>(None);
            let active = pods.iter().filter(|pod| {
                ::objects::pod::is_active(pod)
                    && meta::is_controlled_by(&pod.metadata, meta::uid(&job.metadata))
            });
            let active = active.count() as u64;
            if most.is_some_and(|most| active > most) {
                wrong.push(format!("O4: {active} pods run at once"));
            }
        }
        wrong
    }
}

/// The pod's UID, or its index, stands in the status; or the Job has no use for it any more.
fn is_written(job: &Job, write: &Write) -> bool {
    let status = job.status.clone().unwrap_or_default();
    let uncounted = status.uncounted_terminated_pods.unwrap_or_default();
    let mut uids = uncounted
        .succeeded
        .iter()
        .chain(&uncounted.failed)
        .flatten();
    let ending = status.conditions.iter().flatten().any(|c| {
        matches!(&*c.type_, "SuccessCriteriaMet" | "Complete" | "Failed") && c.status == "True"
    });
    uids.any(|uid| *uid == write.uid)
        || status.completed_indexes.is_some()
        || ending
        || meta::is_deleting(&job.metadata)
}

fn owner(pod: &Value) -> Option<String> {
    let owners = pod["metadata"]["ownerReferences"].as_array()?;
    let job = owners
        .iter()
        .find(|o| o["kind"] == "Job" && o["controller"] == true)?;
    job["uid"].as_str().map(str::to_owned)
}

fn is_tracked(pod: &Value) -> bool {
    let finalizers = pod["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|list| list.iter().any(|f| f == FINALIZER))
}
