//! The space that CSI drivers tell of: where a volume can still be made, and how large.
//!
//! Upstream: `framework/plugins/volumebinding/binder.go` (`hasEnoughCapacity`); KEP-1472.

use crate::node::Node;
use ahash::{AHashMap, AHashSet};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::{CSIDriver, CSIStorageCapacity, StorageClass};
use objects::{Quantity, Selector, meta, volume};
use std::collections::BTreeMap;

/// What is left by class and by topology.
#[derive(Clone, Debug, Default)]
pub struct Space {
    /// The drivers that tell of it; the others have enough.
    telling: AHashSet<String>,
    /// By class, then by the namespace and name of the object.
    left: AHashMap<String, BTreeMap<(String, String), Left>>,
}

/// So much is left near these nodes.
#[derive(Clone, Debug)]
struct Left {
    most: Quantity,
    near: Selector,
}

impl Space {
    /// A driver as the watch shows it; true if it told of its space and does no more.
    pub fn put_driver(&mut self, driver: &CSIDriver) -> bool {
        let name = meta::name(&driver.metadata);
        if driver.spec.storage_capacity == Some(true) {
            self.telling.insert(name.to_owned());
            return false;
        }
        self.telling.remove(name)
    }

    /// A driver that is gone; true if it told of its space.
    pub fn remove_driver(&mut self, name: &str) -> bool {
        self.telling.remove(name)
    }

    /// What a driver tells, as the watch shows it; true if there is more than before.
    pub fn put(&mut self, capacity: &CSIStorageCapacity) -> bool {
        let old = self.remove(capacity);
        // It is precise, where the sum may be of several disks.
        let most = capacity.maximum_volume_size.as_ref();
        let most = most.or(capacity.capacity.as_ref());
        let most = most.and_then(|most| Quantity::try_from(most).ok());
        let near = capacity.node_topology.as_ref();
        let near = near.and_then(|near| Selector::parse(near).ok());
        let (Some(most), Some(near)) = (most, near) else {
            return false;
        };
        let of_class = self
            .left
            .entry(capacity.storage_class_name.clone())
            .or_default();
        of_class.insert(key_of(capacity), Left { most, near });
        old.is_none_or(|old| most > old)
    }

    /// What a driver tells no more; gives how much it was.
    pub fn remove(&mut self, capacity: &CSIStorageCapacity) -> Option<Quantity> {
        let class = &capacity.storage_class_name;
        let of_class = self.left.get_mut(class)?;
        let old = of_class.remove(&key_of(capacity));
        if of_class.is_empty() {
            self.left.remove(class);
        }
        old.map(|old| old.most)
    }

    /// Whether there is enough for this claim near the node, as far as anybody tells.
    pub(super) fn suffices(
        &self,
        claim: &PersistentVolumeClaim,
        class: &StorageClass,
        node: &Node,
    ) -> bool {
        if !self.telling.contains(&class.provisioner) {
            return true;
        }
        let wanted = volume::request(claim);
        let left = self.left.get(meta::name(&class.metadata));
        let labels = node.metadata.labels.as_ref();
        let mut left = left.into_iter().flat_map(BTreeMap::values);
        left.any(|left| left.most >= wanted && left.near.matches(labels))
    }
}

fn key_of(capacity: &CSIStorageCapacity) -> (String, String) {
    let of = &capacity.metadata;
    (meta::namespace(of).to_owned(), meta::name(of).to_owned())
}
