//! The annotation `deprecated.deployment.rollback.to`, left over from `extensions/v1beta1`.
//!
//! Upstream: `pkg/controller/deployment/rollback.go`. `kubectl rollout undo` does not use it; it patches the template.

use super::draft::{Draft, Drafts};
use crate::annotations::{REVISION, ROLLBACK_TO, is_private};
use crate::world::{World, has_template};
use ::plan::{Action, Note};
use k8s_openapi::api::apps::v1::Deployment;
use objects::template;

/// Sets the template (and the annotations that go with it) back to those of `revision`, 0 being the last but one, and
/// takes the annotation away, found or not.
pub(super) fn actions(world: &World, revision: i64, drafts: &Drafts) -> Vec<Action> {
    let mut deployment = (*world.deployment).clone();
    deployment
        .metadata
        .annotations
        .get_or_insert_default()
        .remove(ROLLBACK_TO);
    let note = set_back(world, revision, drafts, &mut deployment);
    let mut action = Action::replace(deployment).because("rollback");
    action.note = Some(note);
    vec![action]
}

fn set_back(world: &World, revision: i64, drafts: &Drafts, deployment: &mut Deployment) -> Note {
    let not_found =
        |message| Note::warning(&world.me, "DeploymentRollbackRevisionNotFound", message);
    let revision = match revision {
        0 => last_revision(drafts),
        named => named,
    };
    if revision == 0 {
        return not_found("Unable to find last revision.");
    }
    let Some(to) = drafts.all().find(|draft| number(draft) == Some(revision)) else {
        return not_found("Unable to find the revision to rollback to.");
    };
    let name = &world.me.name;
    let (Some(spec), Some(from)) = (
        deployment.spec.as_mut(),
        to.rs.spec.as_ref().and_then(|spec| spec.template.as_ref()),
    ) else {
        return not_found("Unable to find the revision to rollback to.");
    };
    if has_template(&to.rs, &spec.template) {
        return Note::warning(
            &world.me,
            "DeploymentRollbackTemplateUnchanged",
            format!(
                "The rollback revision contains the same template as current deployment {name:?}"
            ),
        );
    }
    spec.template = from.clone();
    let labels = spec
        .template
        .metadata
        .as_mut()
        .and_then(|meta| meta.labels.as_mut());
    if let Some(labels) = labels {
        labels.remove(template::POD_TEMPLATE_HASH);
    }
    // The change-cause goes back too, or else the old one would be copied onto the ReplicaSet that is new again.
    let annotations = deployment.metadata.annotations.get_or_insert_default();
    annotations.retain(|key, _| is_private(key));
    let of_revision = to.rs.metadata.annotations.iter().flatten();
    let shared = of_revision.filter(|(key, _)| !is_private(key));
    annotations.extend(shared.map(|(key, value)| (key.clone(), value.clone())));
    Note::normal(
        &world.me,
        "DeploymentRollback",
        format!("Rolled back deployment {name:?} to revision {revision}"),
    )
}

/// The second highest revision; 0 if there is none.
fn last_revision(drafts: &Drafts) -> i64 {
    let (mut highest, mut second) = (0, 0);
    for number in drafts.all().filter_map(number) {
        if number >= highest {
            (second, highest) = (highest, number);
        } else {
            second = second.max(number);
        }
    }
    second
}

/// The number that it will have when the drafts are written; 0 without one.
fn number(draft: &Draft) -> Option<i64> {
    draft
        .annotation(REVISION)
        .map_or(Some(0), |text| text.parse().ok())
}
