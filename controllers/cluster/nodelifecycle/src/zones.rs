//! Zones: how many of their nodes are ready, and how fast they may lose nodes. Pure but for its memory.
//!
//! Semantics: upstream node_lifecycle_controller.go (`ComputeZoneState`, `handleDisruption`, `setLimiterInZone`).

use crate::book::later;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;
use objects::{meta, node as nodes};
use std::collections::{BTreeMap, HashMap};

/// Nodes with this label are not counted.
const EXCLUDED: &str = "node.kubernetes.io/exclude-disruption";
/// A zone with more nodes than this is large (upstream: `--large-cluster-size-threshold`).
const LARGE: usize = 50;
/// A zone with this share of its nodes not ready, in percent, is unhealthy (upstream: `--unhealthy-zone-threshold`).
const UNHEALTHY: usize = 55;
/// The time between two nodes (upstream: `--node-eviction-rate`, 0.1 a second).
const PACE: SignedDuration = SignedDuration::from_secs(10);
/// The same in a large unhealthy zone (upstream: `--secondary-node-eviction-rate`, 0.01 a second).
const SLOW: SignedDuration = SignedDuration::from_secs(100);

/// How a zone fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneState {
    /// Most nodes are ready.
    Normal,
    /// 55 % or more are not, and more than two.
    PartialDisruption,
    /// None is.
    FullDisruption,
}

/// All zones of a cluster.
#[derive(Debug, Default)]
pub struct Zones {
    nodes: HashMap<String, Member>,
    zones: BTreeMap<String, Zone>,
    disrupted: bool,
    resumed: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
struct Member {
    zone: String,
    ready: bool,
}

#[derive(Debug, Default)]
struct Zone {
    ready: usize,
    unready: usize,
    /// When it lost a node last, or was told to begin to.
    last: Option<Timestamp>,
}

/// The name of a node's zone: its region and zone, `:` and a zero byte between them as upstream has it in its metrics.
pub fn zone_of(node: &Node) -> String {
    let region = [nodes::REGION, "failure-domain.beta.kubernetes.io/region"];
    let region = region
        .iter()
        .find_map(|key| meta::label(&node.metadata, key));
    match (
        region.unwrap_or_default(),
        nodes::zone(node).unwrap_or_default(),
    ) {
        ("", "") => String::new(),
        (region, zone) => format!("{region}:\0:{zone}"),
    }
}

impl Zones {
    /// A node as it is now.
    pub fn put(&mut self, node: &Node, now: Timestamp) {
        let name = meta::name(&node.metadata);
        if meta::label(&node.metadata, EXCLUDED).is_some() {
            return self.remove(name, now);
        }
        let member = Member {
            zone: zone_of(node),
            ready: nodes::is_ready(node),
        };
        if self.nodes.get(name) == Some(&member) {
            return;
        }
        self.change(now, |zones| {
            zones.take(name);
            *zones.count(&member) += 1;
            zones.nodes.insert(name.to_owned(), member);
        });
    }

    /// A node that is gone.
    pub fn remove(&mut self, name: &str, now: Timestamp) {
        self.change(now, |zones| zones.take(name));
    }

    /// A node of a zone was tainted at that time, by whomever.
    pub fn tainted(&mut self, zone: String, at: Timestamp) {
        let zone = self.zones.entry(zone).or_default();
        zone.last = zone.last.max(Some(at));
    }

    /// True when there are nodes and none of any zone is ready.
    pub fn are_disrupted(&self) -> bool {
        self.disrupted
    }

    /// When that was last over.
    pub fn resumed(&self) -> Option<Timestamp> {
        self.resumed
    }

    /// When the zone may lose the next node; never when there is none.
    pub fn opens(&self, zone: String) -> Option<Timestamp> {
        let none = Zone::default();
        let zone = self.zones.get(&zone).unwrap_or(&none);
        let pace = zone.pace().filter(|_| !self.disrupted)?;
        Some(zone.last.map_or(Timestamp::MIN, |last| later(last, pace)))
    }

    /// Whether the zone may lose a node now. If so, the next one has to wait.
    pub fn claim(&mut self, zone: String, now: Timestamp) -> bool {
        let opens = self.opens(zone.clone());
        let is_open = opens.is_some_and(|at| at <= now);
        if is_open {
            self.zones.entry(zone).or_default().last = Some(now);
        }
        is_open
    }

    /// Name, number of nodes, and number of those that are not ready, of each zone.
    pub fn counts(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        let zones = self.zones.iter();
        zones.map(|(name, zone)| (name.as_str(), zone.size(), zone.unready))
    }

    /// How a zone fares.
    pub fn state(&self, zone: &str) -> ZoneState {
        self.zones.get(zone).map_or(ZoneState::Normal, Zone::state)
    }

    /// Changes the counts, and sees to what begins anew by that.
    fn change(&mut self, now: Timestamp, change: impl FnOnce(&mut Self)) {
        let paused = |zones: &Self| {
            let paused = zones.zones.iter();
            let paused = paused.filter(|(_, zone)| zones.disrupted || zone.pace().is_none());
            paused.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let before = paused(self);
        change(self);
        let sizes = self.zones.values().filter(|zone| zone.size() > 0);
        let mut states = sizes.map(Zone::state).peekable();
        let is = states.peek().is_some() && states.all(|s| s == ZoneState::FullDisruption);
        if self.disrupted && !is {
            self.resumed = Some(now);
        }
        self.disrupted = is;
        let after = paused(self);
        for name in before.iter().filter(|name| !after.contains(name)) {
            if let Some(zone) = self.zones.get_mut(name) {
                // As upstream, which drains the new bucket: what has waited so long can wait for its turn.
                zone.last = zone.last.max(Some(now));
            }
        }
    }

    fn take(&mut self, name: &str) {
        if let Some(member) = self.nodes.remove(name) {
            *self.count(&member) -= 1;
        }
    }

    fn count(&mut self, member: &Member) -> &mut usize {
        let zone = self.zones.entry(member.zone.clone()).or_default();
        match member.ready {
            true => &mut zone.ready,
            false => &mut zone.unready,
        }
    }
}

impl Zone {
    fn size(&self) -> usize {
        self.ready + self.unready
    }

    fn state(&self) -> ZoneState {
        if self.ready == 0 && self.unready > 0 {
            ZoneState::FullDisruption
        } else if self.unready > 2 && self.unready * 100 >= self.size() * UNHEALTHY {
            ZoneState::PartialDisruption
        } else {
            ZoneState::Normal
        }
    }

    /// The time between two nodes; none if it may lose none.
    fn pace(&self) -> Option<SignedDuration> {
        match self.state() {
            ZoneState::Normal | ZoneState::FullDisruption => Some(PACE),
            ZoneState::PartialDisruption if self.size() > LARGE => Some(SLOW),
            ZoneState::PartialDisruption => None,
        }
    }
}

#[cfg(test)]
mod tests;
