//! An API object of any kind, inside a plan.

use crate::{Kind, Reference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A typed object whose type has been put aside, so that one plan may write pods and ReplicaSets.
/// Cheap to clone; serialised only when it is sent.
#[derive(Clone)]
pub struct Object(Arc<dyn Erased>);

trait Erased: Any + Send + Sync {
    fn kind(&self) -> Kind;
    fn meta(&self) -> &ObjectMeta;
    fn to_json(&self) -> Result<Vec<u8>, serde_json::Error>;
    fn as_any(&self) -> &dyn Any;
}

impl<K> Erased for K
where
    K: Resource + Metadata<Ty = ObjectMeta> + Serialize + Send + Sync + 'static,
{
    fn kind(&self) -> Kind {
        Kind::of::<K>()
    }
    fn meta(&self) -> &ObjectMeta {
        self.metadata()
    }
    fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object {
    /// Wraps a typed object.
    pub fn new<K>(object: K) -> Self
    where
        K: Resource + Metadata<Ty = ObjectMeta> + Serialize + Send + Sync + 'static,
    {
        Self(Arc::new(object))
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.0.kind()
    }

    /// Its metadata.
    pub fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    /// Its kind, place and UID.
    pub fn reference(&self) -> Reference {
        Reference::from_meta(self.kind(), self.meta())
    }

    /// The JSON body as the API server takes it. Fails only where a map key is not a string, which no
    /// Kubernetes type has.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        self.0.to_json()
    }

    /// The typed object again, if it is a `K`.
    pub fn downcast<K: 'static>(&self) -> Option<&K> {
        self.0.as_any().downcast_ref()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reference())
    }
}
