//! What the new ReplicaSet carries besides its size: the Deployment's annotations, its revision, `minReadySeconds`.
//!
//! Upstream: `pkg/controller/deployment/util/deployment_util.go` `SetNewReplicaSetAnnotations`.

use super::draft::Drafts;
use crate::annotations::{REVISION, REVISION_HISTORY, is_private};
use crate::world::{Settings, World};

/// The most characters that the list of old revisions may have.
const HISTORY_LENGTH: usize = 2000;

/// Brings the draft of the new ReplicaSet, if there is one, up to date.
pub(super) fn sync(world: &World, settings: &Settings, drafts: &mut Drafts) {
    let Some(new) = &mut drafts.new else { return };
    for (key, value) in world.deployment.metadata.annotations.iter().flatten() {
        if !is_private(key) {
            new.annotate(key, value);
        }
    }
    new.set_min_ready_seconds(settings.min_ready_seconds);

    // The new one has the highest number. It is raised only: old ones may have been deleted meanwhile.
    let next = world.next_revision();
    let held = new.annotation(REVISION).map(str::to_owned);
    match held
        .as_deref()
        .filter(|text| !text.is_empty())
        .map(str::parse)
    {
        None => new.annotate(REVISION, &next.to_string()),
        Some(Ok(number)) if next > number => {
            // It was rolled out before: its last number goes into its history.
            let before = new.annotation(REVISION_HISTORY).unwrap_or_default();
            let after = history(before, &number.to_string());
            new.annotate(REVISION, &next.to_string());
            new.annotate(REVISION_HISTORY, &after);
        }
        // Up to date, or somebody's own text, which nobody could count on from.
        Some(_) => {}
    }
}

/// `before` with `revision` at its end, without as many of its first entries as would make it too long.
pub(super) fn history(before: &str, revision: &str) -> String {
    let mut kept = before;
    while kept.len() + 1 + revision.len() > HISTORY_LENGTH {
        kept = kept.split_once(',').map_or("", |(_, rest)| rest);
        if kept.is_empty() {
            break;
        }
    }
    if kept.is_empty() {
        revision.to_owned()
    } else {
        format!("{kept},{revision}")
    }
}
