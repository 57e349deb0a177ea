//! The revisions of a set: which one its pods have, which one they get, which are forgotten.
//!
//! Upstream: `getStatefulSetRevisions`, `truncateHistory` in `stateful_set_control.go`.

use crate::world::{Settings, World};
use ::plan::{Action, Confirm, PatchType, Reference};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use objects::{history, meta};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;

/// A revision's name is a label of its pods: no more than 63 bytes, with a dash and a hash of at most ten.
const PREFIX_LENGTH: usize = 52;

/// The two revisions that pods may have.
#[derive(Clone, Debug)]
pub(crate) struct Revisions {
    /// What the pods were made from when all of them were last the same.
    pub(crate) current: Revision,
    /// What they are to be made from.
    pub(crate) update: Revision,
    todo: Todo,
}

/// A template with its name.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    /// The name of the ControllerRevision.
    pub(crate) name: String,
    /// What it stores.
    pub(crate) template: PodTemplateSpec,
}

/// What makes the update revision the newest one.
#[derive(Clone, Debug)]
enum Todo {
    Nothing,
    /// An older one is what is wanted again.
    Renumber(Arc<ControllerRevision>),
    Create(Value),
}

impl Revisions {
    pub(crate) fn of(world: &World) -> Self {
        let template = world.template().cloned().unwrap_or_default();
        let data = history::data(&template);
        let (name, todo) = match history::find_equal(&world.revisions, &data).last() {
            Some(equal) => {
                let newest = world.revisions.last();
                let is_newest = newest.is_some_and(|newest| history::stores(newest, &data));
                // Of several equal ones at the end the last is meant.
                let update = if is_newest { newest } else { None }.unwrap_or(equal);
                let todo = match is_newest {
                    true => Todo::Nothing,
                    false => Todo::Renumber(update.clone()),
                };
                (meta::name(&update.metadata).to_owned(), todo)
            }
            // Nothing is made any more, so the status cannot name what is not there.
            None => match world.revisions.last().filter(|_| world.is_going()) {
                Some(newest) => (meta::name(&newest.metadata).to_owned(), Todo::Nothing),
                None => (name(world, &data), Todo::Create(data)),
            },
        };
        let update = Revision { name, template };
        Self {
            current: current(world).unwrap_or_else(|| update.clone()),
            update,
            todo,
        }
    }

    /// What has to be written before a pod can be of the update revision.
    pub(crate) fn write(&self, world: &World) -> Option<Action> {
        match &self.todo {
            Todo::Nothing => None,
            Todo::Renumber(revision) => {
                let body = json!({
                    "metadata": {
                        "uid": revision.metadata.uid,
                        "resourceVersion": revision.metadata.resource_version,
                    },
                    "revision": history::next_revision(&world.revisions),
                });
                let patch = Action::patch(Reference::to(&**revision), PatchType::Merge, body);
                Some(patch.because("it is wanted again"))
            }
            Todo::Create(data) => {
                let revision = self.object(world, data.clone());
                // A set that is gone without our knowing would get pods that are collected at once, again and again.
                let is_there = Confirm::Alive(world.owner.clone());
                let create = Action::create(revision).confirming(is_there);
                Some(create.because("new template"))
            }
        }
    }

    fn object(&self, world: &World, data: Value) -> ControllerRevision {
        let template = self.update.template.metadata.as_ref();
        let mut labels = template
            .and_then(|meta| meta.labels.clone())
            .unwrap_or_default();
        let hash = history::hash(&data, Some(collisions(world)));
        labels.insert(history::REVISION_HASH.to_owned(), hash);
        ControllerRevision {
            metadata: ObjectMeta {
                name: Some(self.update.name.clone()),
                namespace: Some(world.owner.namespace.clone()),
                labels: Some(labels),
                annotations: world.set.metadata.annotations.clone(),
                owner_references: Some(vec![world.owner_reference.clone()]),
                ..ObjectMeta::default()
            },
            data: Some(RawExtension(data)),
            revision: history::next_revision(&world.revisions),
        }
    }

    /// Deletes what is in nobody's use and beyond the limit.
    pub(crate) fn truncate(&self, world: &World, settings: &Settings) -> Vec<Action> {
        let mut live: HashSet<&str> = world.pods.values().filter_map(|pod| of_pod(pod)).collect();
        live.extend([self.current.name.as_str(), self.update.name.as_str()]);
        let is_live = |r: &&Arc<ControllerRevision>| live.contains(meta::name(&r.metadata));
        let dead = world.revisions.iter().filter(|r| !is_live(r));
        let dead: Vec<_> = dead.cloned().collect();
        let beyond = history::beyond_limit(&dead, settings.history_limit, |_| false);
        let delete = |r: &Arc<ControllerRevision>| Action::delete(&**r).because("history limit");
        beyond.into_iter().map(delete).collect()
    }
}

/// The revision that a pod was made from.
pub(crate) fn of_pod(pod: &Pod) -> Option<&str> {
    meta::label(&pod.metadata, history::CONTROLLER_REVISION_HASH)
}

/// The one that the status names. One that is gone, or stores no template, is none.
fn current(world: &World) -> Option<Revision> {
    let name = world.set.status.as_ref()?.current_revision.as_deref()?;
    let is_it = |r: &&Arc<ControllerRevision>| meta::name(&r.metadata) == name;
    let revision = world.revisions.iter().find(is_it)?;
    Some(Revision {
        name: name.to_owned(),
        template: history::template(revision)?,
    })
}

fn name(world: &World, data: &Value) -> String {
    let owner = &world.owner.name;
    let prefix = &owner[..owner.floor_char_boundary(PREFIX_LENGTH)];
    // What is cut may end in what a name must not have before a dash.
    let prefix = prefix.trim_end_matches(['.', '-']);
    history::name(prefix, &history::hash(data, Some(collisions(world))))
}

fn collisions(world: &World) -> i32 {
    let status = world.set.status.as_ref();
    status
        .and_then(|status| status.collision_count)
        .unwrap_or(0)
}
