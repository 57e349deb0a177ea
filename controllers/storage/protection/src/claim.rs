//! Claims, which pods use.

use crate::plan::{OF_CLAIMS, is_going, matters, plan};
use crate::{Use, World};
use ::plan::Plan;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use objects::volume::{self, BY_CLAIM};
use objects::{meta, pod};
use runtime::{Caches, Change, Controller, Key, Moment, Queue, ReadError, Reads, Watches};
use std::collections::HashMap;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The loop that protects claims.
#[derive(Clone)]
pub struct ClaimProtection {
    reads: Reads,
    listings: Arc<Lock<HashMap<String, Arc<Mutex<Listing>>>>>,
}

/// The pods of a namespace, and when it was begun to list them: it answers all who asked before that.
#[derive(Default)]
struct Listing {
    begun: Option<Instant>,
    pods: Arc<Vec<Pod>>,
}

impl ClaimProtection {
    /// The loop of a process.
    pub fn new(reads: Reads) -> Self {
        let listings = Arc::default();
        Self { reads, listings }
    }

    async fn used(&self, caches: &Caches, claim: &PersistentVolumeClaim) -> Use {
        let key = Key::of(&claim.metadata).to_string();
        let seen = caches.of::<Pod>().indexed(BY_CLAIM, &key);
        if seen.iter().any(|pod| uses(pod, claim)) {
            return Use::Yes;
        }
        match self.pods(meta::namespace(&claim.metadata)).await {
            Ok(pods) if pods.iter().any(|pod| uses(pod, claim)) => Use::Yes,
            Ok(_) => Use::No,
            Err(error) => {
                tracing::debug!(claim = key, %error, "its pods are not known");
                Use::Unknown
            }
        }
    }

    /// The pods of a namespace as they are now. Of those who ask at the same time one lists, and the others wait.
    async fn pods(&self, namespace: &str) -> Result<Arc<Vec<Pod>>, ReadError> {
        let asked = Instant::now();
        let shared = {
            let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
            listings.entry(namespace.to_owned()).or_default().clone()
        };
        let mut listing = shared.lock().await;
        if listing.begun.is_none_or(|begun| begun <= asked) {
            let begun = Instant::now();
            listing.pods = Arc::new(self.reads.list::<Pod>(namespace).await?);
            listing.begun = Some(begun);
        }
        let pods = listing.pods.clone();
        drop(listing);
        // The last one out takes the pods along.
        let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(&shared) == 2 {
            listings.remove(namespace);
        }
        Ok(pods)
    }
}

/// Whether a pod that is on a node uses this claim. What the node is done with does not (upstream:
/// `podUsesPVCForDeletion`); a pod that is on none will not be started with a claim that goes.
fn uses(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    let of = &pod.metadata;
    let is_shut_down = meta::is_deleting(of) && of.deletion_grace_period_seconds == Some(0);
    let is_this = |used: volume::Used| {
        used.claim == meta::name(&claim.metadata)
            && (!used.ephemeral || !is_shut_down && volume::is_for(&pod.metadata, claim).is_ok())
    };
    pod::node_name(pod).is_some() && volume::claims_of(pod).any(is_this)
}

impl Controller for ClaimProtection {
    const NAME: &'static str = "persistentvolumeclaim-protection-controller";
    const SOURCE: &'static str = "pvc-protection-controller";
    const QUEUE: &'static str = "pvcprotection";
    type Object = PersistentVolumeClaim;
    type World = World<PersistentVolumeClaim>;

    fn matters(claim: &PersistentVolumeClaim) -> bool {
        matters(&claim.metadata, OF_CLAIMS)
    }

    fn watch(watches: &Watches<'_>) {
        watches.reads::<Pod>().index(BY_CLAIM, volume::claim_keys);
        watches.on::<Pod>(wake);
    }

    async fn observe(
        &self,
        caches: &Caches,
        claim: Arc<PersistentVolumeClaim>,
        _: Moment,
    ) -> Self::World {
        let used = match is_going(&claim.metadata, OF_CLAIMS) {
            true => self.used(caches, &claim).await,
            false => Use::Unasked,
        };
        World {
            object: claim,
            used,
        }
    }

    fn plan(world: &Self::World) -> Plan {
        plan(world, OF_CLAIMS)
    }
}

/// A pod that goes, or is done with, wakes those of its claims that go too.
fn wake(change: &Change<Pod>, queue: &Queue, caches: &Caches) {
    let pod = change.latest();
    if change.new.is_some() && !pod::is_terminal(pod) && !meta::is_deleting(&pod.metadata) {
        return;
    }
    let namespace = meta::namespace(&pod.metadata);
    let keys = volume::claims_of(pod).map(|used| Key::new(namespace, &used.claim));
    let claims = caches.of::<PersistentVolumeClaim>();
    queue.add_those(&claims, keys, |claim| is_going(&claim.metadata, OF_CLAIMS));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::uses;
    use serde_json::{Value, from_value, json};

    #[test]
    fn a_pod_on_a_node_uses_its_claims_until_it_is_gone() {
        let named = json!([{ "name": "v", "persistentVolumeClaim": { "claimName": "web-data" } }]);
        let own =
            json!([{ "name": "data", "ephemeral": { "volumeClaimTemplate": { "spec": {} } } }]);
        let shut =
            json!({ "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0 });
        let none = json!({});
        let ours = json!([{ "apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "u-web", "controller": true }]);
        let cases: [(&Value, &str, &Value, &Value, bool); 7] = [
            (&named, "n1", &none, &none, true),
            (&named, "", &none, &none, false),
            (&named, "n1", &shut, &none, true),
            (&own, "n1", &none, &ours, true),
            (&own, "n1", &none, &none, false),
            (&own, "n1", &shut, &ours, false),
            (&json!([]), "n1", &none, &ours, false),
        ];
        for (volumes, node, more, owners, wanted) in cases {
            let mut meta = json!({ "name": "web", "namespace": "shop", "uid": "u-web" });
            meta.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let spec = json!({ "containers": [], "volumes": volumes, "nodeName": node });
            let pod = from_value(json!({ "metadata": meta, "spec": spec })).unwrap();
            let mut meta = json!({ "name": "web-data", "namespace": "shop" });
            if owners.is_array() {
                meta["ownerReferences"] = owners.clone();
            }
            let claim = from_value(json!({ "metadata": meta })).unwrap();
            assert_eq!(
                uses(&pod, &claim),
                wanted,
                "{volumes} {node} {more} {owners}"
            );
        }
    }
}
