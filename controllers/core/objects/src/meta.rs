//! Questions about metadata: who owns an object, what it is called, whether it is on its way out.
//!
//! Upstream: `apimachinery/pkg/apis/meta/v1/controller_ref.go`.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// The owner reference with `controller: true`; the first one if there are several.
pub fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references
        .as_deref()?
        .iter()
        .find(|reference| reference.controller == Some(true))
}

/// Whether the controller of this object has this UID. An empty UID controls nothing.
pub fn is_controlled_by(meta: &ObjectMeta, uid: &str) -> bool {
    !uid.is_empty() && controller_of(meta).is_some_and(|reference| reference.uid == uid)
}

/// Whether a deletion was asked for; the object may live on for its grace period or its finalizers.
pub fn is_deleting(meta: &ObjectMeta) -> bool {
    meta.deletion_timestamp.is_some()
}

/// The UID; empty for an object that was never stored.
pub fn uid(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or_default()
}

/// The name; empty for an object that has none yet.
pub fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

/// The namespace; empty for cluster-scoped objects.
pub fn namespace(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}

/// The value of a label.
pub fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

/// The value of an annotation.
pub fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The resource version as a number, which may be compared among objects of one kind (KEP-5504).
pub fn resource_version(meta: &ObjectMeta) -> Option<u64> {
    meta.resource_version.as_deref()?.parse().ok()
}

/// When the object was created; the API server keeps whole seconds.
pub fn created(meta: &ObjectMeta) -> Option<Timestamp> {
    meta.creation_timestamp.as_ref().map(|time| time.0)
}

/// A controller reference to the object with this metadata: `controller` and `blockOwnerDeletion` are true.
pub fn owner_reference(api_version: &str, kind: &str, owner: &ObjectMeta) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name(owner).to_owned(),
        uid: uid(owner).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned_by(references: &[(&str, Option<bool>)]) -> ObjectMeta {
        ObjectMeta {
            owner_references: Some(
                references
                    .iter()
                    .map(|(uid, controller)| OwnerReference {
                        uid: (*uid).to_owned(),
                        controller: *controller,
                        ..OwnerReference::default()
                    })
                    .collect(),
            ),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn the_controller_is_the_first_reference_that_says_so() {
        let meta = owned_by(&[
            ("a", None),
            ("b", Some(false)),
            ("c", Some(true)),
            ("d", Some(true)),
        ]);
        assert_eq!(
            controller_of(&meta).map(|reference| reference.uid.as_str()),
            Some("c")
        );
        assert!(is_controlled_by(&meta, "c"));
        assert!(!is_controlled_by(&meta, "a"));
        assert!(!is_controlled_by(&meta, "d"));
    }

    #[test]
    fn an_empty_uid_controls_nothing() {
        assert!(!is_controlled_by(&owned_by(&[("", Some(true))]), ""));
        assert!(!is_controlled_by(&ObjectMeta::default(), ""));
    }

    #[test]
    fn an_owner_reference_points_back() {
        let owner = ObjectMeta {
            name: Some("web".into()),
            uid: Some("u1".into()),
            ..ObjectMeta::default()
        };
        let child = ObjectMeta {
            owner_references: Some(vec![owner_reference("apps/v1", "ReplicaSet", &owner)]),
            ..ObjectMeta::default()
        };
        assert!(is_controlled_by(&child, "u1"));
        let reference = controller_of(&child).expect("it was just set");
        assert_eq!(
            (reference.kind.as_str(), reference.name.as_str()),
            ("ReplicaSet", "web")
        );
        assert_eq!(reference.block_owner_deletion, Some(true));
    }

    #[test]
    fn resource_versions_are_numbers() {
        for (text, expected) in [(Some("12"), Some(12)), (Some("x"), None), (None, None)] {
            let meta = ObjectMeta {
                resource_version: text.map(str::to_owned),
                ..ObjectMeta::default()
            };
            assert_eq!(resource_version(&meta), expected);
        }
    }
}
