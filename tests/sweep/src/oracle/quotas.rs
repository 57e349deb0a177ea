//! A quota that is in force lets no more in than it says.

use ::objects::pod;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use sim::{State, Verb, Write};

/// What is wrong with a creation that was let in.
pub(super) fn wrong(state: &State, write: &Write) -> Option<String> {
    if write.kind != "Pod" || write.verb != Verb::Create || !write.subresource.is_empty() {
        return None;
    }
    let pods = state.list::<Pod>(Some(&write.namespace));
    let there = pods.iter().filter(|pod| !pod::is_terminal(pod)).count();
    let quotas = state.list::<ResourceQuota>(Some(&write.namespace));
    quotas.iter().find_map(|quota| {
        let limit = quota.status.as_ref()?.hard.as_ref()?.get("pods")?;
        let limit: usize = limit.0.parse().ok()?;
        (there > limit).then(|| format!("O4: {there} pods, the quota allows {limit}"))
    })
}
