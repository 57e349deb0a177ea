//! The finalizer that keeps a pod until it has been counted.

use crate::{FINALIZER, job_of};
use k8s_openapi::api::core::v1::Pod;
use plan::{Action, Confirm, PatchType, Reference};
use serde_json::{Value, json};

/// Whether a pod has the finalizer.
pub(crate) fn is_tracked(pod: &Pod) -> bool {
    let finalizers = pod.metadata.finalizers.iter().flatten();
    finalizers
        .into_iter()
        .any(|finalizer| finalizer == FINALIZER)
}

/// Takes the finalizer from a pod.
pub(crate) fn release(pod: &Pod) -> Action {
    Action::patch(Reference::to(pod), PatchType::Strategic, body(pod, None))
}

/// Takes the finalizer from this version of a pod: if it has changed meanwhile, it may have to be counted.
pub(crate) fn release_unchanged(pod: &Pod) -> Action {
    let version = pod.metadata.resource_version.as_deref();
    Action::patch(Reference::to(pod), PatchType::Strategic, body(pod, version))
}

/// Takes the finalizer from a pod whose Job is no more; the API server has to say so too. A pod without any
/// owner must be as it was seen: a Job may adopt it meanwhile (upstream: `handleSingleOrphanPod`).
pub(crate) fn orphan(pod: &Pod) -> Action {
    let action = release_unchanged(pod).because("its Job is gone");
    match job_of(pod) {
        Some(job) => action.confirming(Confirm::Gone(job)),
        None => action,
    }
}

fn body(pod: &Pod, version: Option<&str>) -> Value {
    let mut metadata = json!({
        "uid": pod.metadata.uid,
        "$deleteFromPrimitiveList/finalizers": [FINALIZER],
    });
    if let Some(version) = version {
        metadata["resourceVersion"] = version.into();
    }
    json!({ "metadata": metadata })
}
