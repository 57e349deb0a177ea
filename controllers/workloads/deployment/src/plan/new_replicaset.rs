//! The ReplicaSet of a template that has none yet.
//!
//! Upstream: `pkg/controller/deployment/sync.go` `getNewReplicaSet`.

use super::draft::{Draft, Drafts};
use crate::world::{NewReplicaSet, Settings, World};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::{meta, template};
use std::collections::BTreeMap;

/// Drafts the new ReplicaSet, without pods, if it is missing. Where its name is taken by something else, nothing is
/// drafted: `status` asks for another name.
pub(super) fn ensure(world: &World, settings: &Settings, drafts: &mut Drafts) {
    let NewReplicaSet::Missing {
        hash,
        name,
        occupant: None,
    } = &world.new
    else {
        return;
    };
    if drafts.new.is_some() {
        return;
    }
    let Some(spec) = &world.deployment.spec else {
        return;
    };
    let with_hash = |labels: Option<&BTreeMap<String, String>>| {
        let mut labels = labels.cloned().unwrap_or_default();
        labels.insert(template::POD_TEMPLATE_HASH.to_owned(), hash.clone());
        Some(labels)
    };

    let mut pods = spec.template.clone();
    let pods_meta = pods.metadata.get_or_insert_with(ObjectMeta::default);
    pods_meta.labels = with_hash(pods_meta.labels.as_ref());
    let mut selector = spec.selector.clone();
    selector.match_labels = with_hash(selector.match_labels.as_ref());
    let owner = meta::owner_reference("apps/v1", "Deployment", &world.deployment.metadata);

    let mut draft = Draft::to_create(ReplicaSet {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: world.deployment.metadata.namespace.clone(),
            labels: pods.metadata.as_ref().and_then(|m| m.labels.clone()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: Some(settings.min_ready_seconds),
            selector,
            template: Some(pods),
        }),
        status: None,
    });
    draft.note_size(settings);
    drafts.new = Some(draft);
}
