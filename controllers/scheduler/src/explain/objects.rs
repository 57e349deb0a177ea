//! The cluster out of objects that were read once, for those who explain without a scheduler's watches.

use crate::cluster::Cluster;
use crate::cycle::scheduler_of;
use crate::pods::Looks;
use ::objects::pod;
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{
    Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ReplicationController, Service,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment,
};
use std::sync::Arc;

/// All that a scheduler looks at, of all namespaces.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is named after its kind")]
pub struct Objects {
    pub nodes: Vec<Node>,
    pub pods: Vec<Pod>,
    pub namespaces: Vec<Namespace>,
    pub claims: Vec<PersistentVolumeClaim>,
    pub volumes: Vec<PersistentVolume>,
    pub classes: Vec<StorageClass>,
    pub csi_nodes: Vec<CSINode>,
    pub csi_drivers: Vec<CSIDriver>,
    pub capacities: Vec<CSIStorageCapacity>,
    pub attachments: Vec<VolumeAttachment>,
    pub budgets: Vec<PodDisruptionBudget>,
    pub services: Vec<Service>,
    pub replication_controllers: Vec<ReplicationController>,
    pub replica_sets: Vec<ReplicaSet>,
    pub stateful_sets: Vec<StatefulSet>,
}

impl Objects {
    /// The cluster as a scheduler of pods with one of these names would have it.
    pub fn cluster(self, ours: &[&str]) -> Cluster {
        let mut all = Cluster::default();
        for node in self.nodes {
            all.put_node(Arc::new(node));
        }
        for namespace in self.namespaces {
            all.put_namespace(Arc::new(namespace));
        }
        let storage = all.storage_mut();
        for class in self.classes {
            storage.put_class(Arc::new(class));
        }
        for volume in self.volumes {
            storage.put_volume(Arc::new(volume));
        }
        for claim in self.claims {
            storage.put_claim(Arc::new(claim));
        }
        self.csi_nodes
            .iter()
            .for_each(|node| storage.put_csi_node(node));
        let space = storage.space_mut();
        for driver in &self.csi_drivers {
            space.put_driver(driver);
        }
        for capacity in &self.capacities {
            space.put(capacity);
        }
        for attachment in self.attachments {
            storage.put_attachment(Arc::new(attachment));
        }
        self.budgets
            .iter()
            .for_each(|budget| all.budgets_mut().put(budget));
        let owners = all.owners_mut();
        self.services.iter().for_each(|of| owners.put(of));
        self.replication_controllers
            .iter()
            .for_each(|of| owners.put(of));
        self.replica_sets.iter().for_each(|of| owners.put(of));
        self.stateful_sets.iter().for_each(|of| owners.put(of));
        let mut looks = Looks::default();
        for of in self.pods.into_iter().filter(|of| !pod::is_terminal(of)) {
            let info = Arc::new(looks.info(&Arc::new(of)));
            match info.node_name() {
                Some(node) => drop(all.put_pod(info.clone(), node)),
                None if ours.contains(&scheduler_of(&info.like)) => {
                    if let Some(node) = info.nominated() {
                        all.nominate(&info, Some(node));
                    }
                }
                None => {}
            }
        }
        all
    }
}
