//! A provisioner for classes of the provisioner `hostpath.corten.dev`: volumes that are directories of a node, as kind
//! and minikube have them. Not upstream's; it keeps to the protocol of external provisioners, so it works with
//! upstream's binder as well, and other provisioners work with ours.
//!
//! **Promises.** A claim that asks for it gets the volume `pvc-UID`, once, whatever dies when. Where the class waits for
//! its first consumer, the volume is on the node that the scheduler chose, and can be used there only. A volume with
//! the policy `Delete` goes when its claim is gone.
//!
//! **Never.** It touches no node: a directory is made by whoever mounts it, and stays. So it is for tests and for
//! learning, where nodes do not outlive their cluster. What it cannot do (block devices, data sources, selectors, mount
//! options) is told in an event of the claim.
//!
//! The class may say where the directories are: `parameters.path`, `/var/lib/corten/volumes` without.
//!
//! Protocol: `sig-storage-lib-external-provisioner`. Start reading at [`plan`].
#![forbid(unsafe_code)]

pub mod plan;

use ::plan::Plan;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use objects::{meta, volume};
use runtime::{Caches, Controller, Key, Moment, Runtime, Watches};
use std::sync::Arc;

/// The provisioner's name, which its classes carry.
pub const PROVISIONER: &str = "hostpath.corten.dev";

const NAME: &str = "hostpath-provisioner-controller";

/// Runs both loops.
pub fn run(runtime: &Runtime, workers: usize) {
    runtime.run(Provisioner, workers);
    runtime.run(Deleter, workers);
}

/// The loop that makes volumes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Provisioner;

/// What is looked at when it is decided about one claim.
#[derive(Clone, Debug)]
pub struct World {
    /// The claim as the cache holds it.
    pub claim: Arc<PersistentVolumeClaim>,
    /// Its class.
    pub class: Option<Arc<StorageClass>>,
    /// The node that was chosen for it.
    pub node: Option<Arc<Node>>,
    /// Whether its volume is there already.
    pub is_made: bool,
}

fn is_asked(claim: &PersistentVolumeClaim) -> bool {
    let by = meta::annotation(&claim.metadata, volume::STORAGE_PROVISIONER);
    by == Some(PROVISIONER)
        && volume::volume_of(claim).is_empty()
        && !meta::is_deleting(&claim.metadata)
}

impl Controller for Provisioner {
    const NAME: &'static str = NAME;
    const SOURCE: &'static str = PROVISIONER;
    const QUEUE: &'static str = "hostpath_claims";
    type Object = PersistentVolumeClaim;
    type World = World;

    fn matters(claim: &PersistentVolumeClaim) -> bool {
        is_asked(claim)
    }

    fn watch(watches: &Watches<'_>) {
        watches.reads::<Node>();
        watches.reads::<PersistentVolume>();
        watches.on::<StorageClass>(|change, queue, caches| {
            let class = meta::name(&change.latest().metadata);
            let claims = caches.of::<PersistentVolumeClaim>().all();
            let asked = claims.iter().filter(|claim| is_asked(claim));
            for claim in asked.filter(|claim| volume::class_of_claim(claim) == class) {
                queue.add(Key::of(&claim.metadata));
            }
        });
    }

    async fn observe(
        &self,
        caches: &Caches,
        claim: Arc<PersistentVolumeClaim>,
        _: Moment,
    ) -> World {
        let class = caches
            .of::<StorageClass>()
            .get("", volume::class_of_claim(&claim));
        let node = meta::annotation(&claim.metadata, volume::SELECTED_NODE);
        let node = node.and_then(|node| caches.of::<Node>().get("", node));
        let is_made = caches
            .of::<PersistentVolume>()
            .get("", &plan::name(&claim))
            .is_some();
        World {
            claim,
            class,
            node,
            is_made,
        }
    }

    fn plan(world: &World) -> Plan {
        match is_asked(&world.claim) {
            true => plan::plan(world),
            false => Plan::none(),
        }
    }
}

/// The loop that takes volumes away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deleter;

impl Controller for Deleter {
    const NAME: &'static str = NAME;
    const SOURCE: &'static str = PROVISIONER;
    const QUEUE: &'static str = "hostpath_volumes";
    type Object = PersistentVolume;
    type World = Arc<PersistentVolume>;

    fn matters(volume: &PersistentVolume) -> bool {
        plan::is_left(volume)
    }

    async fn observe(&self, _: &Caches, volume: Arc<PersistentVolume>, _: Moment) -> Self::World {
        volume
    }

    fn plan(volume: &Self::World) -> Plan {
        plan::delete(volume)
    }
}
