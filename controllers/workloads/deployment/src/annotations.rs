//! The annotations that a Deployment keeps on its ReplicaSets and itself.
//!
//! Upstream: `pkg/controller/deployment/util/deployment_util.go`; kubectl's `rollout history` and `undo` read them.

use k8s_openapi::api::apps::v1::ReplicaSet;
use objects::meta;

/// Which rollout a ReplicaSet was last made new in; on the Deployment, which one is now.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
/// The revisions that a ReplicaSet had before, comma separated, oldest first.
pub(crate) const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The Deployment's `replicas` when the ReplicaSet was last sized.
pub(crate) const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// The Deployment's `replicas + maxSurge` then.
pub(crate) const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// Asks for a rollback to a revision; 0 is the last one.
pub(crate) const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Whether this annotation belongs to one object alone and is copied neither from a Deployment to its ReplicaSet nor
/// back.
pub(crate) fn is_private(key: &str) -> bool {
    matches!(
        key,
        LAST_APPLIED | REVISION | REVISION_HISTORY | DESIRED_REPLICAS | MAX_REPLICAS | ROLLBACK_TO
    )
}

/// The revision of a ReplicaSet: 0 when it has none, nothing when what it has is not a number.
pub(crate) fn revision(rs: &ReplicaSet) -> Option<i64> {
    meta::annotation(&rs.metadata, REVISION).map_or(Some(0), |text| text.parse().ok())
}

/// The highest readable revision; 0 if there is none.
pub(crate) fn max_revision<'a>(replica_sets: impl IntoIterator<Item = &'a ReplicaSet>) -> i64 {
    replica_sets
        .into_iter()
        .filter_map(revision)
        .fold(0, i64::max)
}

/// A count in an annotation; what is no count is as if it were not there.
pub(crate) fn count(text: Option<&str>) -> Option<i32> {
    text?.parse().ok().filter(|count| *count >= 0)
}
