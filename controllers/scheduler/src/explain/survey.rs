//! What every filter says about every node: who is against how many, and which node lacks the least.
//!
//! A decision asks no further once one filter is against a node. Here all are asked about all nodes, so that a node which
//! lacks one thing is told from one that lacks three.

use crate::explain::edits::amount;
use crate::node::Node;
use crate::plugin::{Check, Filter, Prepared};
use crate::plugins::Table;
use crate::pods::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};
use k8s_openapi::api::core::v1::{NodeSelectorRequirement, Taint};
use objects::affinity::node_selector_term_matches;
use objects::{meta, taints};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one plugin is against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejections {
    /// The plugin.
    pub plugin: &'static str,
    /// How many nodes it rejects, whatever others say of them.
    pub nodes: usize,
    /// How many of those no other plugin rejects.
    pub alone: usize,
    /// Its reasons, and how many nodes each is given for.
    pub reasons: BTreeMap<String, usize>,
}

/// The node that lacks the least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Miss {
    /// The node's name.
    pub node: String,
    /// What it lacks.
    pub gaps: Vec<Gap>,
}

/// What one plugin has against one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// The plugin.
    pub plugin: &'static str,
    /// By how much the node will not do, in words.
    pub text: String,
}

/// How far a node is from being one that will do.
#[derive(Clone, Debug)]
pub(super) struct Distance {
    pub(super) slot: u32,
    /// The plugins against it, by their place in the table.
    pub(super) against: Vec<usize>,
    /// Thousandths of what is asked for that are not there, and some number for what cannot be measured.
    pub(super) far: u64,
}

/// What the filters say.
pub(super) struct Survey<'a> {
    table: &'a Table,
    pod: &'a PodInfo,
    all: &'a Snapshot,
    /// By place in the table: those that are against every node, whatever it is.
    never: Vec<(usize, String)>,
    found: Vec<Distance>,
    reasons: BTreeMap<usize, BTreeMap<String, usize>>,
}

impl<'a> Survey<'a> {
    /// Asks all filters about all nodes.
    pub(super) fn of(table: &'a Table, pod: &'a PodInfo, all: &'a Snapshot) -> Self {
        let (mut checks, mut never) = (Vec::new(), Vec::new());
        for (index, filter) in table.filters.iter().enumerate() {
            match filter.prepare(pod, all) {
                Prepared::Skip => {}
                Prepared::Never(reason) => never.push((index, reason.into_owned())),
                Prepared::Check(check) => checks.push((index, filter.as_ref(), check)),
            }
        }
        let mut reasons: BTreeMap<usize, BTreeMap<String, usize>> = BTreeMap::new();
        for (index, reason) in &never {
            let of = reasons.entry(*index).or_default();
            of.insert(reason.clone(), all.len());
        }
        let mut found = Vec::with_capacity(all.len());
        for (info, node) in all.nodes() {
            let beside = beside(pod, info);
            let mut against: Vec<usize> = never.iter().map(|(index, _)| *index).collect();
            let mut far = 1000 * against.len() as u64;
            for (index, filter, check) in &checks {
                let Some(said) = ask(*filter, check, &beside, info, node) else {
                    continue;
                };
                against.push(*index);
                far += measure(filter.name(), pod, &beside, node);
                let of = reasons.entry(*index).or_default();
                for reason in said {
                    *of.entry(reason.to_owned()).or_default() += 1;
                }
            }
            let slot = info.slot;
            found.push(Distance { slot, against, far });
        }
        Self {
            table,
            pod,
            all,
            never,
            found,
            reasons,
        }
    }

    /// The plugins that are against a node, the one against the most first.
    pub(super) fn rejections(&self) -> Vec<Rejections> {
        let all = self.reasons.iter().map(|(index, reasons)| {
            let rejects = |found: &&Distance| found.against.contains(index);
            let alone = |found: &&Distance| found.against == [*index];
            Rejections {
                plugin: self.table.filters[*index].name(),
                nodes: self.found.iter().filter(rejects).count(),
                alone: self.found.iter().filter(alone).count(),
                reasons: reasons.clone(),
            }
        });
        let mut all: Vec<Rejections> = all.collect();
        all.sort_by_key(|each| std::cmp::Reverse(each.nodes));
        all
    }

    /// All nodes, the nearest first: those that the fewest plugins are against, then by how much they lack.
    pub(super) fn distances(&self) -> Vec<Distance> {
        let mut all = self.found.clone();
        all.sort_by_key(|each| (each.against.len(), each.far, each.slot));
        all
    }

    /// The nearest node, and what it lacks.
    pub(super) fn nearest(&self) -> Option<Miss> {
        let nearest = self.found.iter();
        let nearest = nearest.min_by_key(|each| (each.against.len(), each.far, each.slot))?;
        let (info, node) = self.all.at(nearest.slot)?;
        let gaps = nearest.against.iter().map(|index| {
            let plugin = self.table.filters[*index].name();
            let never = self.never.iter().find(|(never, _)| never == index);
            let text = match never {
                Some((_, reason)) => reason.clone(),
                None => gap(
                    &*self.table.filters[*index],
                    self.pod,
                    self.all,
                    (info, node),
                ),
            };
            Gap { plugin, text }
        });
        Some(Miss {
            node: info.name.to_string(),
            gaps: gaps.collect(),
        })
    }
}

/// The node as it is with the pods on it that others make room for.
fn beside<'a>(pod: &PodInfo, info: &'a NodeInfo) -> Cow<'a, NodeInfo> {
    let counts =
        |nominee: &&Arc<PodInfo>| nominee.priority >= pod.priority && nominee.uid != pod.uid;
    if info.nominees.iter().any(|nominee| counts(&nominee)) {
        let mut with = info.clone();
        for nominee in info.nominees.iter().filter(counts) {
            with.add(nominee);
        }
        return Cow::Owned(with);
    }
    Cow::Borrowed(info)
}

/// The reasons of a filter against a node; None if it has none.
fn ask<'c>(
    filter: &dyn Filter,
    check: &'c Check<'_>,
    beside: &NodeInfo,
    info: &NodeInfo,
    node: &Node,
) -> Option<Vec<&'c str>> {
    if check
        .only
        .as_ref()
        .is_some_and(|names| !names.contains(&&*info.name))
    {
        return Some(
            check
                .reasons
                .first()
                .map(|reason| &**reason)
                .into_iter()
                .collect(),
        );
    }
    let suppose = |more: i64| {
        let nominees = beside.pods.iter().skip(info.pods.len());
        if let (Some(suppose), false) = (&check.suppose, filter.is_local()) {
            nominees.for_each(|nominee| suppose(nominee, info, more));
        }
    };
    suppose(1);
    let mut verdict = (check.judge)(beside, node);
    suppose(-1);
    if verdict.reasons == 0 && beside.pods.len() != info.pods.len() {
        verdict = (check.judge)(info, node);
    }
    let given = |(bit, _): &(usize, _)| verdict.reasons >> bit & 1 == 1;
    let reasons = check.reasons.iter().enumerate().filter(given);
    (verdict.reasons != 0).then(|| reasons.map(|(_, reason)| &**reason).collect())
}

/// Whether a filter is against a node.
pub(super) fn rejects(filter: &dyn Filter, pod: &PodInfo, all: &Snapshot, slot: u32) -> bool {
    let Some((info, node)) = all.at(slot) else {
        return true;
    };
    match filter.prepare(pod, all) {
        Prepared::Skip => false,
        Prepared::Never(_) => true,
        Prepared::Check(check) => {
            let beside = beside(pod, info);
            ask(filter, &check, &beside, info, node).is_some()
        }
    }
}

/// A resource that a node has too little of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    pub(super) resource: String,
    pub(super) asked: i64,
    pub(super) free: i64,
    pub(super) offered: i64,
}

impl Shortage {
    /// How much is not there.
    pub(super) fn lack(&self) -> i64 {
        self.asked.saturating_sub(self.free)
    }

    /// Thousandths of what is asked for.
    pub(super) fn part(&self) -> u64 {
        let part = i128::from(self.lack()) * 1000 / i128::from(self.asked.max(1));
        u64::try_from(part).unwrap_or(0).max(1)
    }
}

/// What a node has too little of.
pub(super) fn shortages(pod: &PodInfo, info: &NodeInfo) -> Vec<Shortage> {
    let beside = beside(pod, info);
    let mut asked: Vec<(&str, i64)> = pod.requests.each().collect();
    asked.sort_unstable();
    let short = asked.into_iter().filter_map(|(resource, asked)| {
        let offered = beside.allocatable.get(resource);
        let free = offered.saturating_sub(beside.requested.get(resource));
        (asked > 0 && asked > free).then_some(Shortage {
            resource: resource.to_owned(),
            asked,
            free,
            offered,
        })
    });
    short.collect()
}

/// The taints that keep the pod away.
pub(super) fn untolerated<'n>(pod: &PodInfo, node: &'n Node) -> Vec<&'n Taint> {
    let tolerations = pod.spec().tolerations.as_deref().unwrap_or_default();
    let all = node.taints.iter();
    let keeping = all.filter(|taint| taints::keeps_away(&taint.effect));
    keeping
        .filter(|taint| !taints::tolerates(tolerations, taint))
        .collect()
}

/// The entries of the pod's `nodeSelector` that the node does not have.
pub(super) fn unselected<'p>(pod: &'p PodInfo, node: &Node) -> Vec<(&'p String, &'p String)> {
    let selector = pod.spec().node_selector.iter().flatten();
    selector
        .filter(|(key, value)| meta::label(&node.metadata, key) != Some(value))
        .collect()
}

/// The expressions of the nearest term of the pod's required node affinity that do not hold on the node, with their places
/// in it; none if a term holds.
pub(super) fn unheld<'p>(
    pod: &'p PodInfo,
    node: &Node,
) -> Vec<(usize, usize, &'p NodeSelectorRequirement)> {
    let affinity = pod.spec().affinity.as_ref();
    let affinity = affinity.and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|node| {
        node.required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    let terms = required.map_or(&[][..], |required| &required.node_selector_terms);
    let failing = terms.iter().enumerate().map(|(at, term)| {
        let expressions = term.match_expressions.iter().flatten().enumerate();
        let fails = expressions.filter(|(_, expression)| {
            let alone = k8s_openapi::api::core::v1::NodeSelectorTerm {
                match_expressions: Some(vec![(*expression).clone()]),
                match_fields: None,
            };
            !node_selector_term_matches(&alone, &node.metadata)
        });
        fails
            .map(|(index, expression)| (at, index, expression))
            .collect::<Vec<_>>()
    });
    failing.min_by_key(Vec::len).unwrap_or_default()
}

/// How an expression reads.
pub(super) fn expression(of: &NodeSelectorRequirement) -> String {
    let values = of.values.as_deref().unwrap_or_default();
    match values {
        [] => format!("{} {}", of.key, of.operator),
        values => format!("{} {} [{}]", of.key, of.operator, values.join(", ")),
    }
}

/// A taint as kubectl writes it.
pub(super) fn taint(of: &Taint) -> String {
    match of.value.as_deref().filter(|value| !value.is_empty()) {
        Some(value) => format!("{}={value}:{}", of.key, of.effect),
        None => format!("{}:{}", of.key, of.effect),
    }
}

/// How much a node lacks of what a plugin asks for.
fn measure(plugin: &str, pod: &PodInfo, info: &NodeInfo, node: &Node) -> u64 {
    match plugin {
        "NodeResourcesFit" => shortages(pod, info).iter().map(Shortage::part).sum(),
        "NodeUnschedulable" => 100,
        "TaintToleration" => 600 * untolerated(pod, node).len() as u64,
        "NodeAffinity" => {
            let missing = unselected(pod, node).len() + unheld(pod, node).len();
            1000 * missing.max(1) as u64
        }
        _ => 500,
    }
}

/// By how much a node will not do for a plugin, in words.
fn gap(
    filter: &dyn Filter,
    pod: &PodInfo,
    all: &Snapshot,
    (info, node): (&NodeInfo, &Node),
) -> String {
    let reasons = || match filter.prepare(pod, all) {
        Prepared::Skip => String::new(),
        Prepared::Never(reason) => reason.into_owned(),
        Prepared::Check(check) => {
            let said = ask(filter, &check, &beside(pod, info), info, node);
            said.unwrap_or_default().join(", ")
        }
    };
    let label = |key: &str| match meta::label(&node.metadata, key) {
        Some(value) => format!("has {value}"),
        None => "has no such label".to_owned(),
    };
    let texts: Vec<String> = match filter.name() {
        "NodeResourcesFit" => shortages(pod, info).iter().map(short).collect(),
        "NodeUnschedulable" => vec!["is cordoned".to_owned()],
        "TaintToleration" => untolerated(pod, node)
            .into_iter()
            .map(|of| format!("taint {} is not tolerated", taint(of)))
            .collect(),
        "NodeAffinity" => unselected(pod, node)
            .into_iter()
            .map(|(key, value)| format!("{key} has to be {value}, and it {}", label(key)))
            .chain(unheld(pod, node).into_iter().map(|(_, _, of)| {
                format!("{} does not hold, as it {}", expression(of), label(&of.key))
            }))
            .collect(),
        "NodePorts" => holders(pod, info)
            .into_iter()
            .map(|(port, holder)| format!("port {port} is taken by {}", super::named(holder)))
            .collect(),
        _ => Vec::new(),
    };
    match texts.is_empty() {
        true => reasons(),
        false => texts.join("; "),
    }
}

fn short(of: &Shortage) -> String {
    let write = |amounts| amount(&of.resource, amounts);
    if of.resource == "pods" {
        return format!(
            "{} of {} pods are there",
            write(of.offered - of.free),
            write(of.offered)
        );
    }
    let (asked, offered, lack) = (write(of.asked), write(of.offered), write(of.lack()));
    match of.free {
        free if free > 0 => format!(
            "{lack} {} too few: asks for {asked}, {} of {offered} are free",
            of.resource,
            write(free)
        ),
        _ => format!(
            "{lack} {} too few: asks for {asked}, none of {offered} is free",
            of.resource
        ),
    }
}

/// The pods on a node that have a host port which the pod wants.
pub(super) fn holders<'n>(pod: &PodInfo, info: &'n NodeInfo) -> Vec<(i32, &'n Arc<PodInfo>)> {
    let wanted = pod.ports.iter();
    let held = wanted.filter_map(|port| {
        let holds = |other: &&Arc<PodInfo>| other.ports.iter().any(|used| port.conflicts(used));
        info.pods.iter().find(holds).map(|other| (port.port, other))
    });
    held.collect()
}
