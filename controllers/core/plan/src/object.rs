//! An API object of any kind, inside a plan.

use crate::{Kind, Reference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;

/// An object whose type has been put aside, so that one plan may write pods and ReplicaSets.
///
/// It is the text that is sent: a plan may create hundreds of pods, and as text a pod is a tenth of what it is as
/// a value. Cheap to clone.
#[derive(Clone)]
pub struct Object {
    kind: Kind,
    text: Arc<str>,
}

impl Object {
    /// Puts the type of an object aside.
    pub fn new<K>(object: K) -> Self
    where
        K: Resource + Metadata<Ty = ObjectMeta> + Serialize,
    {
        let text = serde_json::to_string(&object).expect(
            "only a map key that is no string cannot be written, and no Kubernetes type has one",
        );
        Self {
            kind: Kind::of::<K>(),
            text: text.into(),
        }
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its kind, place and UID.
    pub fn reference(&self) -> Reference {
        #[derive(serde::Deserialize)]
        struct Named {
            metadata: ObjectMeta,
        }
        let named: Named = serde_json::from_str(&self.text).expect("it was written by Object::new");
        Reference::from_meta(self.kind, &named.metadata)
    }

    /// The JSON body as the API server takes it.
    pub fn json(&self) -> &str {
        &self.text
    }

    /// The typed object again, if it is a `K`.
    pub fn read<K: Resource + DeserializeOwned>(&self) -> Option<K> {
        let same = self.kind.group == K::GROUP && self.kind.kind == K::KIND;
        same.then(|| serde_json::from_str(&self.text).ok())?
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reference())
    }
}
