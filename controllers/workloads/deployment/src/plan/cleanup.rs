//! Old ReplicaSets beyond the history that is kept.
//!
//! Upstream: `pkg/controller/deployment/sync.go` `cleanupDeployment`.

use super::draft::{Draft, Drafts};
use crate::annotations;
use crate::replicas;
use crate::world::{Settings, by_age};
use ::plan::{Action, Verb};

/// Deletes the oldest revisions, those that have no pods and ask for none.
pub(super) fn actions(settings: &Settings, drafts: &Drafts) -> Vec<Action> {
    let Some(limit) = settings.history_limit else {
        return Vec::new();
    };
    let alive = drafts
        .old
        .iter()
        .filter(|old| !replicas::is_deleting(&old.rs));
    let mut alive: Vec<&Draft> = alive.collect();
    let excess = alive.len().saturating_sub(limit);
    alive.sort_by(|a, b| {
        let revision = |draft: &Draft| annotations::revision(&draft.rs);
        let by_revision = match (revision(a), revision(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            // A text that is no number has no place among numbers; first, as the least useful for a rollback.
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        by_revision.then_with(|| by_age(&a.rs, &b.rs))
    });
    let oldest = alive.into_iter().take(excess);
    oldest.filter(|old| is_unused(old)).map(delete).collect()
}

fn is_unused(old: &Draft) -> bool {
    old.replicas == 0
        && replicas::wanted(&old.rs) == 0
        && replicas::active(&old.rs) == 0
        && replicas::is_current(&old.rs)
}

/// Only the version that was seen to be unused: somebody may have given it pods since.
fn delete(old: &Draft) -> Action {
    let mut action = Action::delete(&*old.rs).because("revision history");
    if let Verb::Delete {
        resource_version, ..
    } = &mut action.verb
    {
        resource_version.clone_from(&old.rs.metadata.resource_version);
    }
    action
}
