//! The nodes of the worker: registered, leased, taken on, dropped.

use super::{Item, LeaseState, Place, View, Worker};
use crate::admit::Claim;
use crate::hollow::plus;
use crate::ip::{self, Addresses, Cidr};
use crate::node;
use crate::plan::Decision;
use crate::script::files::Tree;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use objects::meta;
use plan::{Action, Cause, Outcome};
use runtime::Key;
use std::cmp::Reverse;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

impl Worker {
    pub(super) fn register(&mut self, index: usize, view: &impl View, now: Timestamp) -> Decision {
        let name = self.options.name(index);
        let mut decision = Decision::default();
        if view.node(&name).is_none() {
            let cidr = self.options.own_ranges.then(|| self.range(index as u32));
            let node = node::registration(&self.options, index, cidr, now);
            decision.plan.then(vec![Action::create(node)]);
        }
        decision
    }

    /// A range that no node has, that of this number if it is free.
    fn range(&mut self, index: u32) -> Cidr {
        let mut cidr = Cidr::of_node(index);
        for _ in 0..ip::RANGES {
            if self.ranges.insert(cidr) {
                break;
            }
            // Foreign nodes are given ranges from the far end, where they meet ours last.
            self.next_range += 1;
            cidr = Cidr::of_node(ip::RANGES - self.next_range % ip::RANGES);
        }
        cidr
    }

    pub(super) fn look_at_node(
        &mut self,
        name: &Arc<str>,
        view: &impl View,
        now: Timestamp,
    ) -> (Decision, Vec<Item>) {
        let index = self.options.index(name);
        let node = view.node(name);
        let known = self.nodes.get(name).map(|place| place.uid.as_str());
        if known.is_some_and(|uid| node.as_ref().is_none_or(|n| meta::uid(&n.metadata) != uid)) {
            self.drop_node(name);
        }
        // A node that somebody deleted stays away until the agent is started anew, as a kubelet's does.
        let Some(node) = node else {
            return (Decision::default(), Vec::new());
        };
        let foreign = index.is_none();
        if foreign && !(self.options.manage_kwok_nodes && node::is_kwok(&node)) {
            self.drop_node(name);
            return (Decision::default(), Vec::new());
        }
        let mut more = Vec::new();
        if !self.nodes.contains_key(name) {
            self.take_on(name, &node, index, now);
            more.push(Item::Lease(name.clone()));
            let pods = view.pods_on(name);
            more.extend(pods.iter().map(|pod| Item::Pod(Key::of(&pod.metadata))));
            Self::sort(&mut more, view);
        }
        let mut decision = Decision::default();
        if let Some(place) = self.nodes.get_mut(name) {
            let silent = node::is_silent(&node);
            if std::mem::replace(&mut place.silent, silent) && !silent {
                more.push(Item::Lease(name.clone()));
                let pods = view.pods_on(name);
                more.extend(pods.iter().map(|pod| Item::Pod(Key::of(&pod.metadata))));
                Self::sort(&mut more, view);
            }
            if silent {
                return (decision, more);
            }
            place.follow(&node);
            decision.plan = node::plan(node::World {
                node: &node,
                options: &self.options,
                foreign,
                address: place.address,
                cidr: (self.options.own_ranges).then(|| place.addresses.cidr()),
                written: place.written,
                now,
            });
            if decision
                .plan
                .actions()
                .any(|action| action.subresource == "status")
            {
                place.written = Some(now);
            }
            let by_status = node::heartbeat_at(&node).filter(|at| *at > now);
            let next = by_status.unwrap_or_else(|| plus(now, node::HEARTBEAT));
            if place.heartbeat_at != Some(next) {
                place.heartbeat_at = Some(next);
                self.timers.push(Reverse((next, Item::Node(name.clone()))));
            }
        }
        (decision, more)
    }

    fn take_on(&mut self, name: &Arc<str>, node: &Node, index: Option<usize>, now: Timestamp) {
        let addresses = match (range_of(node), index) {
            (Some(cidr), _) => {
                self.ranges.insert(cidr);
                Addresses::new(cidr)
            }
            (None, _) if !self.options.own_ranges => Addresses::none(),
            (None, Some(index)) => Addresses::new(self.range(index as u32)),
            (None, None) => Addresses::new(self.range(ip::RANGES - 1)),
        };
        let number = index.unwrap_or(self.options.count + self.nodes.len());
        let address = internal_ip(node)
            .or(self.options.address)
            .unwrap_or_else(|| ip::of_node(number as u32));
        // A node that is older than a renewal may have a Lease; a new one has none.
        let age = meta::created(&node.metadata).map(|at| now.duration_since(at));
        let old = age.is_none_or(|age| age > jiff::SignedDuration::from_secs(10));
        let place = Place {
            uid: meta::uid(&node.metadata).to_owned(),
            foreign: index.is_none(),
            silent: node::is_silent(node),
            address,
            addresses,
            used: Claim::default(),
            disk: Tree::default(),
            written: None,
            lease: if old {
                LeaseState::Unknown
            } else {
                LeaseState::Missing
            },
            renew_at: now,
            heartbeat_at: None,
        };
        tracing::debug!(node = %name, foreign = place.foreign, "keeping node");
        self.nodes.insert(name.clone(), place);
    }

    fn drop_node(&mut self, name: &Arc<str>) {
        if let Some(place) = self.nodes.remove(name) {
            self.ranges.remove(&place.addresses.cidr());
            let overflow = &mut self.overflow;
            self.pods.retain(|_, entry| {
                let stays = entry.node != *name;
                if let Some(ip) = entry.hollow.as_ref().filter(|_| !stays).and_then(|h| h.ip) {
                    overflow.release(ip);
                }
                stays
            });
        }
    }

    pub(super) fn renew(&mut self, name: &Arc<str>, view: &impl View, now: Timestamp) -> Decision {
        let mut decision = Decision::default();
        if let (Some(place), Some(node)) = (self.nodes.get(name), view.node(name))
            && !place.silent
        {
            let action = match place.lease {
                LeaseState::Unknown => node::take_lease(&node, now),
                LeaseState::Missing => Action::create(node::lease(&node, None, now)),
                LeaseState::At(version) => Action::replace(node::lease(&node, Some(version), now)),
            };
            decision.plan.then(vec![action]);
        }
        decision
    }

    pub(super) fn renewed(
        &mut self,
        name: &Arc<str>,
        outcome: &Outcome,
        retry: Option<Timestamp>,
        now: Timestamp,
    ) {
        let phase = self.phase(name);
        let Some(place) = self.nodes.get_mut(name) else {
            return;
        };
        let first = place.renew_at <= now && !matches!(place.lease, LeaseState::At(_));
        let gone = outcome.failures.iter().any(|f| f.cause == Cause::NotFound);
        place.lease = match outcome.done.first() {
            Some(done) => done.version.map_or(LeaseState::Unknown, LeaseState::At),
            None if gone => LeaseState::Missing,
            None => LeaseState::Unknown,
        };
        place.renew_at = match outcome.done.first() {
            // The first renewal spreads the nodes over the interval; from then on it is regular.
            Some(_) if first => plus(now, phase),
            Some(_) => plus(place.renew_at, node::RENEW).max(plus(now, node::RENEW / 2)),
            None if gone => now,
            None => retry.unwrap_or(now),
        };
        self.timers
            .push(Reverse((place.renew_at, Item::Lease(name.clone()))));
    }

    /// Where in the interval of renewals this node has its place, after a first one.
    fn phase(&self, name: &str) -> Duration {
        let count = self.options.count.max(1) as u64;
        let share = match self.options.index(name) {
            Some(index) => index as u64 * 1000 / count,
            None => {
                name.bytes()
                    .fold(7u64, |h, b| h.wrapping_mul(31) + u64::from(b))
                    % 1000
            }
        };
        node::RENEW * (1000 - share as u32) / 1000
    }
}

impl Place {
    /// Somebody else gives the node its range, and may have done so since. Pods that have an address keep it.
    pub(super) fn follow(&mut self, node: &Node) {
        if let Some(given) = range_of(node).filter(|given| *given != self.addresses.cidr()) {
            self.addresses = Addresses::new(given);
        }
    }
}

/// The range of IPv4 that the node has for its pods.
fn range_of(node: &Node) -> Option<Cidr> {
    let spec = node.spec.as_ref()?;
    let mut all = spec.pod_cidr.iter().chain(spec.pod_cidrs.iter().flatten());
    all.find_map(|cidr| cidr.parse().ok())
}

fn internal_ip(node: &Node) -> Option<Ipv4Addr> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    let mut internal = addresses.iter().filter(|a| a.type_ == "InternalIP");
    internal.find_map(|a| a.address.parse().ok())
}
