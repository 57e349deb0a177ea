//! Nodes as decisions see them: what filters and scores read, and no more. Of the object's kilobytes most are its status,
//! which kubelets write and the scheduler has no use for.

use k8s_openapi::api::core::v1::{self as api, ContainerImage, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::{Resources, node, resources};
use std::sync::Arc;

/// A node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Its name and labels.
    pub metadata: ObjectMeta,
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// What it offers to pods.
    pub allocatable: Resources,
    /// The images that it has.
    pub images: Vec<ContainerImage>,
    /// The features that its kubelet declares.
    pub features: Vec<String>,
    /// The object, if somebody is to be shown it.
    pub whole: Option<Arc<api::Node>>,
}

impl Node {
    /// The same, with the object itself.
    #[must_use]
    pub(crate) fn whole(self, of: Arc<api::Node>) -> Self {
        Self {
            whole: Some(of),
            ..self
        }
    }

    /// The object, as far as it is known.
    pub(crate) fn object(&self) -> Arc<api::Node> {
        self.whole.clone().unwrap_or_else(|| {
            Arc::new(api::Node {
                metadata: self.metadata.clone(),
                ..api::Node::default()
            })
        })
    }
}

impl From<&api::Node> for Node {
    fn from(of: &api::Node) -> Self {
        let status = of.status.as_ref();
        let images = status.and_then(|status| status.images.clone());
        let features = status.and_then(|status| status.declared_features.clone());
        Self {
            metadata: ObjectMeta {
                name: of.metadata.name.clone(),
                labels: of.metadata.labels.clone(),
                ..ObjectMeta::default()
            },
            unschedulable: node::is_unschedulable(of),
            taints: node::taints(of).to_vec(),
            allocatable: resources::allocatable(of),
            images: images.unwrap_or_default(),
            features: features.unwrap_or_default(),
            whole: None,
        }
    }
}

impl From<Arc<api::Node>> for Node {
    fn from(of: Arc<api::Node>) -> Self {
        Self::from(&*of)
    }
}
