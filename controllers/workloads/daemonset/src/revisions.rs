//! The templates that a DaemonSet has had, and which of them is the current one.
//!
//! Upstream: `constructHistory` in `pkg/controller/daemon/update.go`.

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use objects::history::{self, CONTROLLER_REVISION_HASH};
use objects::{meta, template};
use std::sync::Arc;

/// A DaemonSet's revisions, sorted out.
#[derive(Clone, Debug, Default)]
pub struct Revisions {
    /// The one that stores the template.
    pub current: Current,
    /// What pods made from the template carry as `controller-revision-hash`.
    pub hash: String,
    /// The number that the current one must have at least.
    pub number: i64,
    /// Others that store the template too: to be deleted.
    pub duplicates: Vec<Arc<ControllerRevision>>,
    /// All others, oldest first.
    pub old: Vec<Arc<ControllerRevision>>,
}

/// The revision of the template.
#[derive(Clone, Debug)]
pub enum Current {
    /// It is there.
    There(Arc<ControllerRevision>),
    /// It has to be created like this.
    Missing(Box<ControllerRevision>),
}

impl Default for Current {
    fn default() -> Self {
        Self::Missing(Box::default())
    }
}

impl Revisions {
    /// Sorts out `revisions`, which are the set's own in any order.
    pub fn new(
        set: &DaemonSet,
        template: &PodTemplateSpec,
        mut revisions: Vec<Arc<ControllerRevision>>,
    ) -> Self {
        revisions.sort_by(|a, b| history::order(a, b));
        let data = history::data(template);
        let (mut same, old): (Vec<_>, Vec<_>) = revisions
            .into_iter()
            .partition(|revision| history::stores(revision, &data));
        let number = history::next_revision(&old);
        // The newest of the same ones stays.
        let (hash, current) = match same.pop() {
            Some(newest) => (hash_of(&newest), Current::There(newest)),
            None => {
                let collisions = set.status.as_ref().and_then(|s| s.collision_count);
                let hash = template::hash(template, collisions);
                let revision = snapshot(set, template, RawExtension(data), &hash, number);
                (hash, Current::Missing(Box::new(revision)))
            }
        };
        Self {
            current,
            hash,
            number,
            duplicates: same,
            old,
        }
    }

    /// Whether pods with this hash are made from the current template.
    pub fn is_current(&self, hash: &str) -> bool {
        hash == self.hash || self.duplicates.iter().any(|same| hash_of(same) == hash)
    }

    /// All that are there.
    pub(crate) fn all(&self) -> impl Iterator<Item = &ControllerRevision> {
        let current = match &self.current {
            Current::There(revision) => Some(revision),
            Current::Missing(_) => None,
        };
        let all = self.old.iter().chain(&self.duplicates).chain(current);
        all.map(|revision| &**revision)
    }
}

/// The hash that pods of a revision carry. One without the label gets its own name for it, as upstream does it, where
/// that may be a label.
pub(crate) fn hash_of(revision: &ControllerRevision) -> String {
    const LONGEST_LABEL: usize = 63;
    match meta::label(&revision.metadata, CONTROLLER_REVISION_HASH) {
        Some(hash) => hash.to_owned(),
        None => {
            let name = meta::name(&revision.metadata);
            let start = name.ceil_char_boundary(name.len().saturating_sub(LONGEST_LABEL));
            // A label starts with a letter or a digit.
            name[start..].trim_start_matches(['-', '.']).to_owned()
        }
    }
}

/// The revision that stores `data`. It carries the set's annotations: the change's cause is among them.
fn snapshot(
    set: &DaemonSet,
    template: &PodTemplateSpec,
    data: RawExtension,
    hash: &str,
    number: i64,
) -> ControllerRevision {
    let labels = template.metadata.as_ref().and_then(|m| m.labels.clone());
    let mut labels = labels.unwrap_or_default();
    labels.insert(CONTROLLER_REVISION_HASH.to_owned(), hash.to_owned());
    let owner = meta::owner_reference("apps/v1", "DaemonSet", &set.metadata);
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(history::name(meta::name(&set.metadata), hash)),
            namespace: set.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: set.metadata.annotations.clone(),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some(data),
        revision: number,
    }
}
