//! When each node was last heard of, by our own clock. Pure but for its memory.

use crate::plan::{NOT_READY, UNREACHABLE};
use crate::zones::{Zones, zone_of};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use objects::{meta, node as nodes};
use std::collections::HashMap;

/// A node may be silent for this long (upstream: `--node-monitor-grace-period`).
const GRACE: SignedDuration = SignedDuration::from_secs(50);
/// The same for one whose kubelet never posted a status (upstream: `--node-startup-grace-period`).
const STARTUP: SignedDuration = SignedDuration::from_secs(60);
/// A node of this age was not there before.
const NEW: SignedDuration = SignedDuration::from_mins(1);

/// All that is remembered of nodes.
#[derive(Debug, Default)]
pub struct Book {
    nodes: HashMap<String, Known>,
    /// What the Lease of each node says, which may be seen before the node: a time by its clock, only compared with
    /// itself.
    renewed: HashMap<String, Timestamp>,
    zones: Zones,
    /// UIDs of nodes that are gone, by their names, until somebody takes note.
    gone: HashMap<String, String>,
}

/// What is remembered of one node.
#[derive(Debug)]
struct Known {
    uid: String,
    /// When something was last heard of it.
    heard: Timestamp,
    /// What its condition Ready said then, by its clock.
    beat: Option<Timestamp>,
    /// Something has moved since we first saw it.
    signs: bool,
    /// Nobody has been told of it.
    is_new: bool,
}

/// What is known of a node's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// When it will have been silent for its grace period if nothing is heard. None while the API server is away.
    pub overdue_at: Option<Timestamp>,
    /// Something of it has moved since this process saw it first.
    pub signs: bool,
    /// It has come lately, and nobody has been told.
    pub is_new: bool,
    /// No node of any zone is ready.
    pub disrupted: bool,
    /// When its zone may lose the next node, if it may lose one at all.
    pub opens: Option<Timestamp>,
}

impl Health {
    /// Whether the grace period is over.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.overdue_at.is_some_and(|at| at <= now)
    }
}

impl Book {
    /// Takes note of a change of a node.
    pub fn node(&mut self, old: Option<&Node>, new: Option<&Node>, now: Timestamp) {
        let Some(node) = new else {
            let name = old.map_or("", |old| meta::name(&old.metadata));
            self.zones.remove(name, now);
            self.renewed.remove(name);
            if let Some(known) = self.nodes.remove(name) {
                self.gone.insert(name.to_owned(), known.uid);
            }
            return;
        };
        let name = meta::name(&node.metadata);
        self.zones.put(node, now);
        for taint in nodes::taints(node)
            .iter()
            .filter(|t| t.effect == "NoExecute")
        {
            if let ([NOT_READY | UNREACHABLE], Some(at)) = ([&*taint.key], &taint.time_added) {
                self.zones.tainted(zone_of(node), at.0.min(now));
            }
        }
        let beat = heartbeat(node);
        match self.nodes.get_mut(name) {
            Some(known) if known.uid == meta::uid(&node.metadata) => {
                if beat.is_some() && known.beat != beat {
                    known.beat = beat;
                    known.sign(now);
                }
            }
            _ => {
                let created = meta::created(&node.metadata).unwrap_or(now).min(now);
                let known = Known {
                    uid: meta::uid(&node.metadata).to_owned(),
                    heard: if beat.is_some() { now } else { created },
                    beat,
                    signs: false,
                    is_new: now.duration_since(created) < NEW,
                };
                self.gone.remove(name);
                self.nodes.insert(name.to_owned(), known);
            }
        }
    }

    /// Takes note of a node's Lease. Says whether it tells anything new.
    pub fn lease(&mut self, lease: &Lease, now: Timestamp) -> bool {
        let renewed = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.renew_time.as_ref());
        let renewed = renewed.map(|time| time.0);
        let Some(renewed) = renewed else { return false };
        let name = meta::name(&lease.metadata);
        let before = self.renewed.insert(name.to_owned(), renewed);
        if before == Some(renewed) {
            return false;
        }
        match (self.nodes.get_mut(name), before) {
            // What it was before is not known, so it may be old.
            (Some(known), None) => known.heard = now,
            (Some(known), Some(_)) => known.sign(now),
            (None, _) => {}
        }
        true
    }

    /// What is known of a node, with the API server in contact since that time.
    pub fn look(&mut self, node: &Node, contact: Option<Timestamp>, now: Timestamp) -> Health {
        let grace = match nodes::condition(node, "Ready") {
            Some(_) => GRACE,
            None => STARTUP,
        };
        let known = self.nodes.get_mut(meta::name(&node.metadata));
        let (heard, signs, is_new) = match known {
            Some(known) => {
                // A clock that was set back must not make anybody live longer.
                known.heard = known.heard.min(now);
                let is_new = std::mem::take(&mut known.is_new);
                (known.heard, known.signs, is_new)
            }
            None => (now, true, false),
        };
        let heard = self.zones.resumed().map_or(heard, |at| heard.max(at));
        Health {
            overdue_at: contact.map(|since| later(heard.max(since), grace)),
            signs,
            is_new,
            disrupted: self.zones.are_disrupted(),
            opens: self.zones.opens(zone_of(node)),
        }
    }

    /// Asks the zone of a node whether the node may be tainted now. If so, the next one has to wait.
    pub fn claim(&mut self, node: &Node, now: Timestamp) -> bool {
        self.zones.claim(zone_of(node), now)
    }

    /// The zones.
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// The UID of a node that is gone, once.
    pub fn forget(&mut self, name: &str) -> Option<String> {
        self.gone.remove(name)
    }
}

impl Known {
    fn sign(&mut self, now: Timestamp) {
        self.heard = now;
        self.signs = true;
    }
}

/// What the kubelet last said in its condition Ready. Nothing if that is not by a kubelet.
fn heartbeat(node: &Node) -> Option<Timestamp> {
    let ready = nodes::condition(node, "Ready")?;
    let by_us = ready.reason.as_deref() == Some(crate::status::NEVER_UPDATED);
    let beat = ready.last_heartbeat_time.as_ref().map(|time| time.0);
    (!by_us).then(|| beat.unwrap_or(Timestamp::MIN))
}

/// `at` and so much more.
pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
