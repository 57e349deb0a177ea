//! One write.

use crate::{Kind, Note, NoteType, Object, OnFailure, Reference};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde_json::Value;

/// One write to the API server with all that makes it safe to repeat.
///
/// Every creation carries a name chosen here, every deletion the UID that was observed, every replacement
/// a resourceVersion: whatever happens to the answer, doing it again cannot do it twice.
#[derive(Clone, Debug)]
pub struct Action {
    /// The object that is written.
    pub on: Reference,
    /// `status`, `binding`, `scale`…; empty for the object itself.
    pub subresource: &'static str,
    /// What is done to it.
    pub verb: Verb,
    /// What must be true, asked of the API server itself and not of a cache, just before.
    pub confirm: Option<Confirm>,
    /// The event that is recorded once the write is done.
    pub note: Option<Note>,
    /// The event that is recorded when it failed; the error is appended to its message.
    pub on_failure: Option<OnFailure>,
    /// Why: shown in the plan, not sent anywhere.
    pub why: &'static str,
}

/// What is done to the object.
#[derive(Clone, Debug)]
pub enum Verb {
    /// POST.
    Create(Object),
    /// PUT; the object carries the resourceVersion that was observed.
    Replace(Object),
    /// PATCH with this body.
    Patch(PatchType, Value),
    /// DELETE of the incarnation in [`Action::on`].
    Delete {
        /// Seconds; the object's own grace period when none.
        grace: Option<i64>,
        /// What becomes of the dependents; the kind's default when none.
        propagation: Option<Propagation>,
        /// Delete only this version of it.
        resource_version: Option<String>,
    },
}

/// The media type of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 7386.
    Merge,
    /// Kubernetes' strategic merge patch.
    Strategic,
    /// Server-side apply with the loop's name as field manager.
    Apply,
}

/// Deletion propagation policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The garbage collector deletes the dependents afterwards.
    Background,
    /// The object goes after its dependents.
    Foreground,
    /// The dependents stay.
    Orphan,
}

/// A condition that the executor checks with an uncached GET, once a plan and object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// The object still exists with this UID and is not being deleted
    /// (upstream: controller_ref_manager.go, `CanAdopt`).
    Alive(Reference),
    /// No object of this name has this UID any more. A cache that does not hold it may only be behind.
    Gone(Reference),
}

impl Action {
    /// Create `object`, whose name the caller chose.
    pub fn create<K>(object: K) -> Self
    where
        K: Resource + Metadata<Ty = ObjectMeta> + Serialize,
    {
        let on = Reference::from_meta(Kind::of::<K>(), object.metadata());
        Self::new(on, Verb::Create(Object::new(object)))
    }

    /// Create `body` as the subresource of the object `on` (`binding`, `eviction`).
    pub fn create_sub<B>(on: Reference, subresource: &'static str, body: B) -> Self
    where
        B: Resource + Metadata<Ty = ObjectMeta> + Serialize,
    {
        Self {
            subresource,
            ..Self::new(on, Verb::Create(Object::new(body)))
        }
    }

    /// Put `object` in the place of the version whose resourceVersion it carries. Pods cannot be put, only patched:
    /// caches hold a part of each.
    ///
    /// ```compile_fail
    /// plan::Action::replace(k8s_openapi::api::core::v1::Pod::default());
    /// ```
    pub fn replace<K>(object: K) -> Self
    where
        K: Resource + Metadata<Ty = ObjectMeta> + Serialize,
    {
        const { assert!(!is_pod::<K>(), "caches hold a part of each pod: patch it") };
        let on = Reference::from_meta(Kind::of::<K>(), object.metadata());
        Self::new(on, Verb::Replace(Object::new(object)))
    }

    /// Put the status of `object` in the place of the version whose resourceVersion it carries. Pods cannot be put,
    /// only patched: caches hold a part of each.
    pub fn replace_status<K>(object: K) -> Self
    where
        K: Resource + Metadata<Ty = ObjectMeta> + Serialize,
    {
        const { assert!(!is_pod::<K>(), "caches hold a part of each pod: patch it") };
        let on = Reference::from_meta(Kind::of::<K>(), object.metadata());
        Self::put_status_of(on, Object::new(object))
    }

    /// [`Action::replace_status`] of an object whose type has been put aside.
    pub fn put_status(object: Object) -> Self {
        let on = object.reference();
        Self::put_status_of(on, object)
    }

    fn put_status_of(on: Reference, object: Object) -> Self {
        Self {
            subresource: "status",
            ..Self::new(on, Verb::Replace(object))
        }
    }

    /// Put `scale` in the place of the scale of the object `on`; it carries the resourceVersion that was read.
    pub fn replace_scale(on: Reference, scale: Scale) -> Self {
        Self {
            subresource: "scale",
            ..Self::new(on, Verb::Replace(Object::new(scale)))
        }
    }

    /// Patch the object `on`. Put `metadata.uid` into `body` where another object of the same name must
    /// not be hit.
    pub fn patch(on: Reference, patch: PatchType, body: Value) -> Self {
        Self::new(on, Verb::Patch(patch, body))
    }

    /// Patch the status of the object `on`.
    pub fn patch_status(on: Reference, patch: PatchType, body: Value) -> Self {
        Self {
            subresource: "status",
            ..Self::patch(on, patch, body)
        }
    }

    /// Delete the observed incarnation of `object`.
    pub fn delete<K: Resource + Metadata<Ty = ObjectMeta>>(object: &K) -> Self {
        Self::delete_ref(Reference::from_meta(Kind::of::<K>(), object.metadata()))
    }

    /// Delete the incarnation that `on` names.
    pub fn delete_ref(on: Reference) -> Self {
        Self::new(
            on,
            Verb::Delete {
                grace: None,
                propagation: None,
                resource_version: None,
            },
        )
    }

    /// Sets the grace period in seconds of a deletion; other verbs have none.
    #[must_use]
    pub fn with_grace(mut self, seconds: i64) -> Self {
        if let Verb::Delete { grace, .. } = &mut self.verb {
            *grace = Some(seconds);
        }
        self
    }

    /// Sets what becomes of the dependents of what is deleted; other verbs have none.
    #[must_use]
    pub fn with_propagation(mut self, policy: Propagation) -> Self {
        if let Verb::Delete { propagation, .. } = &mut self.verb {
            *propagation = Some(policy);
        }
        self
    }

    /// Deletes only this version of the object, so that nothing can have changed since; other verbs have
    /// none.
    #[must_use]
    pub fn at_version(mut self, version: Option<String>) -> Self {
        if let Verb::Delete {
            resource_version, ..
        } = &mut self.verb
        {
            *resource_version = version;
        }
        self
    }

    /// Makes the action wait for an uncached check.
    #[must_use]
    pub fn confirming(mut self, confirm: Confirm) -> Self {
        self.confirm = Some(confirm);
        self
    }

    /// The event to record when it is done.
    #[must_use]
    pub fn noting(
        mut self,
        about: &Reference,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        self.note = Some(Note::new(about, NoteType::Normal, reason, message));
        self
    }

    /// The warning to record when it failed: `message` followed by `: ` and the error.
    #[must_use]
    pub fn warning(
        mut self,
        about: &Reference,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        self.on_failure = Some(OnFailure {
            about: about.clone(),
            reason,
            message: message.into(),
        });
        self
    }

    /// Says why, for whoever reads the plan.
    #[must_use]
    pub fn because(mut self, why: &'static str) -> Self {
        self.why = why;
        self
    }

    fn new(on: Reference, verb: Verb) -> Self {
        Self {
            on,
            subresource: "",
            verb,
            confirm: None,
            note: None,
            on_failure: None,
            why: "",
        }
    }
}

const fn is_pod<K: Resource>() -> bool {
    matches!(K::GROUP.as_bytes(), b"") && matches!(K::KIND.as_bytes(), b"Pod")
}
