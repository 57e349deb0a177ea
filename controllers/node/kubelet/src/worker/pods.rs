//! The pods of the worker: taken on or refused, looked at, dropped.

use super::{Entry, Item, Place, View, Worker};
use crate::admit::{self, Claim};
use crate::claims;
use crate::hollow::Hollow;
use crate::ip::Addresses;
use crate::plan::{self as pod_plan, Decision};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use objects::volume::claims_of;
use objects::{meta, pod as pods};
use runtime::Key;
use std::cmp::Reverse;

impl Worker {
    pub(super) fn look_at_pod(&mut self, key: &Key, view: &impl View, now: Timestamp) -> Decision {
        let pod = view.pod(key);
        let stale = |entry: &Entry| {
            pod.as_ref().is_none_or(|pod| {
                meta::uid(&pod.metadata) != entry.uid
                    || pods::node_name(pod) != Some(entry.node.as_ref())
            })
        };
        if self.pods.get(key).is_some_and(stale) {
            self.drop_pod(key);
        }
        let Some(pod) = pod else {
            self.failures.remove(&Item::Pod(key.clone()));
            return Decision::default();
        };
        let place = pods::node_name(&pod).and_then(|name| self.nodes.get(name));
        if place.is_some_and(|place| place.silent) {
            return Decision::default();
        }
        if !self.pods.contains_key(key) && !self.take_on_pod(key, &pod, view, now) {
            return Decision::default();
        }
        let Some(entry) = self.pods.get_mut(key) else {
            return Decision::default();
        };
        let Some(place) = self.nodes.get_mut(&entry.node) else {
            return Decision::default();
        };
        if pods::is_terminal(&pod) {
            free(entry, place, &mut self.overflow);
            entry.hollow = None;
        }
        if let Some(hollow) = entry.hollow.as_deref_mut()
            && claims_of(&pod).next().is_some()
            && hollow.never_started()
        {
            let namespace = meta::namespace(&pod.metadata);
            let there = claims::check(
                &pod,
                |name| view.claim(namespace, name),
                |name| view.volume(name),
            );
            hollow.mount(there, now);
        }
        let world = pod_plan::World {
            pod: &pod,
            host: place.address,
            profiles: &self.options.profiles,
            events: self.options.events,
            written: entry.written,
            deleted: entry.deleted,
            now,
        };
        let decision = match entry.hollow.as_deref_mut() {
            Some(hollow) => pod_plan::plan(world, hollow, &mut place.disk),
            None => pod_plan::plan_terminal(world),
        };
        if let Some(at) = decision.next {
            self.wake_pod(key, at);
        } else {
            entry.due = None;
        }
        decision
    }

    /// Takes a pod on, or refuses it; false when it is on no node of ours.
    fn take_on_pod(&mut self, key: &Key, pod: &Pod, view: &impl View, now: Timestamp) -> bool {
        let known = pods::node_name(pod).and_then(|name| self.nodes.get_key_value(name));
        let Some(name) = known.map(|(name, _)| name.clone()) else {
            return false;
        };
        let (Some(place), Some(node)) = (self.nodes.get(&name), view.node(&name)) else {
            return false;
        };
        let claim = Claim::of(pod);
        if admit::admit(pod, &claim, &node, &place.used).is_err() {
            // The scheduler may have seen sooner than we that a pod is gone whose room this one has.
            self.drop_departed(&name, view);
        }
        let Some(place) = self.nodes.get_mut(&name) else {
            return false;
        };
        let mut entry = Entry {
            uid: meta::uid(&pod.metadata).to_owned(),
            node: name,
            hollow: None,
            claim: None,
            written: None,
            deleted: None,
            due: None,
        };
        if !pods::is_terminal(pod) {
            let before = Hollow::from_status(pod);
            // What a former process admitted is admitted, and what is being deleted needs no room.
            let free = before.is_some() || meta::is_deleting(&pod.metadata);
            let verdict = if free {
                Ok(())
            } else {
                admit::admit(pod, &claim, &node, &place.used)
            };
            let hollow = match verdict {
                Ok(()) => {
                    place.used.add(&claim);
                    entry.claim = Some(Box::new(claim));
                    let mut hollow = before.unwrap_or_else(|| Hollow::begin(pod, None, now));
                    let own = pod
                        .spec
                        .as_ref()
                        .is_none_or(|s| s.host_network != Some(true));
                    match hollow.ip {
                        Some(ip) if !place.addresses.hold(ip) => {
                            self.overflow.hold(ip);
                        }
                        None if own => {
                            place.follow(&node);
                            let ip = place.addresses.take();
                            hollow.ip = ip.or_else(|| self.overflow.take());
                        }
                        _ => {}
                    }
                    hollow
                }
                Err(refusal) => {
                    let message = format!("Pod was rejected: {}", refusal.message);
                    Hollow::refuse(pod, refusal.reason, message, now)
                }
            };
            entry.hollow = Some(Box::new(hollow));
        }
        self.pods.insert(key.clone(), entry);
        true
    }

    /// Gives back what pods of this node had that have ended or are not there any more. They may not have been
    /// looked at since, as the plan that ended them is still on its way.
    fn drop_departed(&mut self, node: &str, view: &impl View) {
        let mut gone = Vec::new();
        for (key, entry) in &mut self.pods {
            if *entry.node != *node {
                continue;
            }
            let pod = view.pod(key);
            let pod = pod.filter(|pod| meta::uid(&pod.metadata) == entry.uid);
            match pod {
                None => gone.push(key.clone()),
                Some(pod) if pods::is_terminal(&pod) => {
                    if let Some(place) = self.nodes.get_mut(node) {
                        free(entry, place, &mut self.overflow);
                    }
                }
                Some(_) => {}
            }
        }
        for key in gone {
            self.drop_pod(&key);
        }
    }

    fn drop_pod(&mut self, key: &Key) {
        if let Some(mut entry) = self.pods.remove(key)
            && let Some(place) = self.nodes.get_mut(&entry.node)
        {
            free(&mut entry, place, &mut self.overflow);
        }
    }

    pub(super) fn wake_pod(&mut self, key: &Key, at: Timestamp) {
        if let Some(entry) = self.pods.get_mut(key)
            && entry.due != Some(at)
        {
            entry.due = Some(at);
            self.timers.push(Reverse((at, Item::Pod(key.clone()))));
        }
    }
}

/// Gives back what a pod took of its node.
fn free(entry: &mut Entry, place: &mut Place, overflow: &mut Addresses) {
    if let Some(claim) = entry.claim.take() {
        place.used.sub(&claim);
    }
    if let Some(ip) = entry.hollow.as_mut().and_then(|hollow| hollow.ip.take()) {
        place.addresses.release(ip);
        overflow.release(ip);
    }
}
