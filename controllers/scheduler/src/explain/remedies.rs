//! Which changes might help, by the plugin that is in the way. They are guesses, made from what the plugin asks for; what
//! is told is what was tried.
//!
//! A plugin of one's own, which nothing is known of here, gets another empty node and nothing else.

use crate::decide::{Decision, decide};
use crate::explain::edits::{Edit, requested};
use crate::explain::survey::{self, Distance, Shortage};
use crate::explain::{Trial, named};
use crate::node::Node;
use crate::pods::PodInfo;
use crate::preempt::{Preemption, preempt};
use crate::snapshot::{NodeInfo, Snapshot};
use k8s_openapi::api::core::v1::{Container, NodeSelectorRequirement, PodAffinityTerm};
use objects::volume;
use std::sync::Arc;

/// Nodes of each kind that changes are looked for on.
const NEAR: usize = 3;
/// Pods on a node that are tried without.
const OTHERS: usize = 4;
/// The highest priority that is not kept for the system's own pods (`HighestUserDefinablePriority`).
const HIGHEST: i32 = 1_000_000_000;
/// Labels that say what a node is: to set another would be a lie.
const FACTS: [&str; 3] = [
    "kubernetes.io/",
    "topology.kubernetes.io/",
    "node.kubernetes.io/",
];

/// Tries single changes: those that may win over a plugin which alone is against some nodes.
pub(super) fn single(trial: &mut Trial<'_>, distances: &[Distance]) {
    for plugin in 0..trial.table.filters.len() {
        let mut near = distances
            .iter()
            .filter(|each| each.against == [plugin])
            .take(NEAR)
            .peekable();
        if near.peek().is_none() {
            continue;
        }
        for edits in for_pod(trial, plugin) {
            trial.helps(edits);
        }
        for each in near {
            let found = on_node(trial, plugin, each.slot);
            // What takes several changes is for when no single one does.
            for edits in found.into_iter().filter(|edits| edits.len() == 1) {
                trial.helps(edits);
            }
        }
    }
    // A cordoned node has a taint as well, and both go at once.
    let (table, all) = (trial.table, trial.all.snapshot());
    let is_cordoned = |each: &&Distance| {
        let by = each
            .against
            .iter()
            .map(|index| table.filters[*index].name());
        each.against.len() > 1
            && by
                .into_iter()
                .all(|name| name == "NodeUnschedulable" || name == "TaintToleration")
    };
    let cordoned = distances.iter().filter(is_cordoned).take(NEAR);
    let cordoned = cordoned.filter_map(|each| all.at(each.slot));
    let cordoned: Vec<String> = cordoned.map(|(info, _)| info.name.to_string()).collect();
    for node in cordoned {
        trial.helps(vec![Edit::Uncordon { node }]);
    }
    raise_max_skew(trial);
    raise_priority(trial);
    let all = trial.all.snapshot();
    let like = distances.iter().take(NEAR);
    let like = like.filter_map(|each| all.at(each.slot));
    let like: Vec<String> = like.map(|(info, _)| info.name.to_string()).collect();
    for like in like {
        if trial.helps(vec![Edit::AddNode { like }]) {
            break;
        }
    }
}

/// Tries several changes at once: for each of the nearest nodes, one against each plugin that is in the way.
pub(super) fn together(trial: &mut Trial<'_>, distances: &[Distance]) {
    for each in distances.iter().take(NEAR) {
        let mut edits = Vec::new();
        for plugin in &each.against {
            let mut guesses = for_pod(trial, *plugin);
            guesses.extend(on_node(trial, *plugin, each.slot));
            guesses.sort_by_key(|guess| guess.iter().map(Edit::size).sum::<u64>());
            let wins = guesses.into_iter().find_map(|guess| {
                let mut more: Vec<Edit> = edits.clone();
                more.extend(guess.into_iter().filter(|edit| !edits.contains(edit)));
                let wins = trial.with(&more, |table, pod, all| {
                    let filter = table.filters[*plugin].as_ref();
                    !survey::rejects(filter, pod, all.snapshot(), each.slot)
                });
                (wins == Some(true)).then_some(more)
            });
            match wins {
                Some(more) => edits = more,
                None => break,
            }
        }
        if !edits.is_empty() {
            trial.helps(edits);
        }
    }
}

/// Changes of the pod that do not depend on a node.
fn for_pod(trial: &Trial<'_>, plugin: usize) -> Vec<Vec<Edit>> {
    let (pod, all) = (trial.info, trial.all.snapshot());
    let edits: Vec<Edit> = match trial.table.filters[plugin].name() {
        "InterPodAffinity" => pod_terms(pod),
        "PodTopologySpread" => hard_spread(pod)
            .map(|(index, key, _)| Edit::RelaxSpread { index, key })
            .collect(),
        "NodeAffinity" => {
            let spec = pod.spec().affinity.as_ref();
            let node = spec.and_then(|affinity| affinity.node_affinity.as_ref());
            let required = node.and_then(|node| {
                node.required_during_scheduling_ignored_during_execution
                    .as_ref()
            });
            required
                .map(|_| Edit::DropNodeAffinity)
                .into_iter()
                .collect()
        }
        "VolumeBinding" | "VolumeRestrictions" => {
            let namespace = pod.namespace();
            let is_free = |name: &str| {
                let claim = all.storage().claim(namespace, name);
                claim.is_none_or(|claim| volume::volume_of(claim).is_empty())
            };
            let claims = pod.claims.iter().map(|used| used.claim.clone());
            claims
                .filter(|claim| is_free(claim))
                .map(|claim| Edit::BindClaim { claim })
                .collect()
        }
        _ => Vec::new(),
    };
    edits.into_iter().map(|edit| vec![edit]).collect()
}

/// Changes that may win over a plugin on one node; each is one or several edits.
fn on_node(trial: &Trial<'_>, plugin: usize, slot: u32) -> Vec<Vec<Edit>> {
    let (pod, all) = (trial.info, trial.all.snapshot());
    let Some((info, node)) = all.at(slot) else {
        return Vec::new();
    };
    match trial.table.filters[plugin].name() {
        "NodeResourcesFit" => room(pod, info),
        "NodeUnschedulable" => vec![vec![Edit::Uncordon {
            node: info.name.to_string(),
        }]],
        "TaintToleration" => {
            let taints = survey::untolerated(pod, node).into_iter();
            let edits = taints.map(|taint| Edit::AddToleration {
                key: taint.key.clone(),
                value: taint.value.clone().filter(|value| !value.is_empty()),
                effect: taint.effect.clone(),
            });
            vec![edits.collect()]
        }
        "NodeAffinity" => labels(pod, info, node),
        "NodePorts" => {
            let holders = survey::holders(pod, info);
            let ports = holders
                .iter()
                .map(|(port, _)| Edit::DropHostPort { port: *port });
            let mut found = vec![ports.collect()];
            if let [(_, one), others @ ..] = &holders[..]
                && others.iter().all(|(_, other)| other.uid == one.uid)
            {
                found.push(vec![delete(one, info, 0)]);
            }
            found
        }
        "InterPodAffinity" => beside(pod, info, all),
        _ => Vec::new(),
    }
}

/// Ways to find room: ask for less, offer more, or let another pod go.
fn room(pod: &PodInfo, info: &NodeInfo) -> Vec<Vec<Edit>> {
    let short = survey::shortages(pod, info);
    let mut found = Vec::new();
    let lower: Option<Vec<Edit>> = short.iter().map(|each| lower(pod, each)).collect();
    found.extend(lower);
    let grow = short.iter().map(|each| Edit::GrowNode {
        node: info.name.to_string(),
        resource: each.resource.clone(),
        from: each.offered,
        to: each.offered.saturating_add(each.lack()),
    });
    found.push(grow.collect());
    let mut others: Vec<(u64, &Arc<PodInfo>)> = info
        .pods
        .iter()
        .filter(|other| !other.leaving)
        .filter_map(|other| Some((waste(other, &short)?, other)))
        .collect();
    others.sort_by_key(|(waste, other)| (other.priority, *waste, other.uid.clone()));
    found.extend(
        others
            .into_iter()
            .take(1)
            .map(|(waste, other)| vec![delete(other, info, waste)]),
    );
    found
}

/// How many thousandths of what a pod holds would be more than what is lacking; None if it is not enough.
fn waste(other: &PodInfo, short: &[Shortage]) -> Option<u64> {
    let waste = short.iter().map(|each| {
        let holds = other.requests.get(&each.resource);
        let more = holds.checked_sub(each.lack()).filter(|more| *more >= 0)?;
        u64::try_from(i128::from(more) * 1000 / i128::from(holds.max(1))).ok()
    });
    waste.sum()
}

fn delete(other: &PodInfo, info: &NodeInfo, waste: u64) -> Edit {
    Edit::DeletePod {
        pod: named(other),
        uid: other.uid.to_string(),
        node: info.name.to_string(),
        waste,
    }
}

/// The request that is lowered so that so much less is asked for: that of the whole pod if there is one, else that of the
/// container which asks for the most.
fn lower(pod: &PodInfo, short: &Shortage) -> Option<Edit> {
    if short.free < 0 || short.resource == "pods" {
        return None;
    }
    let (spec, resource) = (pod.spec(), &*short.resource);
    let whole = spec.resources.as_ref();
    let whole = whole.and_then(|whole| requested(whole.requests.as_ref(), resource));
    let (container, from) = if let Some(whole) = whole {
        (None, whole)
    } else {
        let asks = |of: &Container| {
            let resources = of.resources.as_ref()?;
            let asks = requested(resources.requests.as_ref(), resource)?;
            Some((asks, of.name.clone()))
        };
        let regular = spec.containers.iter();
        let all = regular.chain(spec.init_containers.iter().flatten());
        let (most, name) = all.filter_map(asks).max_by_key(|(most, _)| *most)?;
        (Some(name), most)
    };
    let to = from.checked_sub(short.lack()).filter(|to| *to >= 0)?;
    Some(Edit::LowerRequest {
        container,
        resource: resource.to_owned(),
        from,
        to,
    })
}

/// Ways to make a node one that the pod selects: the pod asks for less, or the node gets the labels.
fn labels(pod: &PodInfo, info: &NodeInfo, node: &Node) -> Vec<Vec<Edit>> {
    let (entries, expressions) = (survey::unselected(pod, node), survey::unheld(pod, node));
    let drop_entries = entries.iter().map(|(key, value)| Edit::DropSelector {
        key: (*key).clone(),
        value: (*value).clone(),
    });
    let mut places: Vec<_> = expressions.clone();
    // The last first, so that the places of the others stay what they are.
    places.reverse();
    let drop_expressions = places
        .into_iter()
        .map(|(term, index, of)| Edit::DropExpression {
            term,
            index,
            text: survey::expression(of),
        });
    let label = |key: &str, value: &str| {
        let is_fact = FACTS.iter().any(|fact| key.starts_with(fact));
        (!is_fact).then(|| Edit::LabelNode {
            node: info.name.to_string(),
            key: key.to_owned(),
            value: value.to_owned(),
        })
    };
    let entered = entries.iter().map(|(key, value)| label(key, value));
    let expressed = expressions
        .iter()
        .map(|(_, _, of)| label(&of.key, &wanted(of)?));
    let given: Option<Vec<Edit>> = entered.chain(expressed).collect();
    let mut found = vec![drop_entries.chain(drop_expressions).collect::<Vec<Edit>>()];
    found.extend(given);
    found.retain(|edits| !edits.is_empty());
    found
}

/// A value with which an expression holds.
fn wanted(of: &NodeSelectorRequirement) -> Option<String> {
    let values = of.values.as_deref().unwrap_or_default();
    match (&*of.operator, values) {
        ("In", [first, ..]) => Some(first.clone()),
        ("Exists", _) => Some(String::new()),
        ("Gt", [number]) => Some(number.parse::<i64>().ok()?.checked_add(1)?.to_string()),
        ("Lt", [number]) => Some(number.parse::<i64>().ok()?.checked_sub(1)?.to_string()),
        _ => None,
    }
}

fn pod_terms(pod: &PodInfo) -> Vec<Edit> {
    let affinity = pod.spec().affinity.as_ref();
    let near = affinity.and_then(|affinity| affinity.pod_affinity.as_ref());
    let near = near.and_then(|near| {
        near.required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    let apart = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref());
    let apart = apart.and_then(|apart| {
        apart
            .required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    let edit = |anti: bool, index: usize, of: &PodAffinityTerm| Edit::DropPodTerm {
        anti,
        index,
        key: of.topology_key.clone(),
    };
    let near = near.into_iter().flatten().enumerate();
    let apart = apart.into_iter().flatten().enumerate();
    near.map(|(index, of)| edit(false, index, of))
        .chain(apart.map(|(index, of)| edit(true, index, of)))
        .collect()
}

/// The pods on a node that do not want this one beside them, or that it does not want.
fn beside(pod: &PodInfo, info: &NodeInfo, all: &Snapshot) -> Vec<Vec<Edit>> {
    let refuses = |one: &PodInfo, other: &PodInfo| {
        let terms = one.terms.as_ref();
        terms.is_some_and(|terms| {
            terms
                .refuses
                .iter()
                .any(|term| term.means(&other.like, all))
        })
    };
    let others = info
        .pods
        .iter()
        .filter(|other| refuses(pod, other) || refuses(other, pod));
    others
        .take(OTHERS)
        .map(|other| vec![delete(other, info, 500)])
        .collect()
}

/// The constraints on spreading that have to hold: their places, topology keys and limits.
fn hard_spread(pod: &PodInfo) -> impl Iterator<Item = (usize, String, i32)> {
    let all = pod.spec().topology_spread_constraints.iter().flatten();
    let hard = all
        .enumerate()
        .filter(|(_, each)| each.when_unsatisfiable == "DoNotSchedule");
    hard.map(|(index, each)| (index, each.topology_key.clone(), each.max_skew))
}

/// Where it helps to let go of a constraint on spreading, the least that its limit has to be raised to.
fn raise_max_skew(trial: &mut Trial<'_>) {
    let constraints: Vec<_> = hard_spread(trial.info).collect();
    for (index, key, from) in constraints {
        let relaxed = vec![Edit::RelaxSpread {
            index,
            key: key.clone(),
        }];
        if !trial.found.iter().any(|found| found.edits == relaxed) {
            continue;
        }
        let raised = |to: i32| {
            let key = key.clone();
            vec![Edit::RaiseMaxSkew {
                index,
                key,
                from,
                to,
            }]
        };
        let (mut low, mut step) = (from, 1);
        // A node without the label is none whatever the limit.
        let high = loop {
            let high = from.saturating_add(step);
            if trial.tried(&raised(high)).is_some() {
                break Some(high);
            }
            if step > 1 << 10 {
                break None;
            }
            (low, step) = (high, step * 2);
        };
        let Some(mut high) = high else {
            continue;
        };
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            match trial.tried(&raised(middle)) {
                Some(_) => high = middle,
                None => low = middle,
            }
        }
        trial.helps(raised(high));
    }
}

/// The least priority with which others would leave for the pod, and who.
fn raise_priority(trial: &mut Trial<'_>) {
    let info = trial.info;
    let may_preempt = info.spec().preemption_policy.as_deref() == Some("Never");
    let from = info.priority;
    let edit = |to: i32, node: String, victims: Vec<String>| {
        vec![Edit::RaisePriority {
            from,
            to,
            may_preempt,
            node,
            victims,
        }]
    };
    if !trial.table.preempts {
        return;
    }
    let highest = edit(HIGHEST.max(from), String::new(), Vec::new());
    let room = trial.with(&highest, |table, pod, all| {
        let all = all.snapshot();
        let Decision::Nobody(diagnosis) = decide(table, pod, all, 0) else {
            return None;
        };
        match preempt(table, pod, all, &diagnosis, 0) {
            Preemption::Room(room) => Some(room),
            _ => None,
        }
    });
    let Some(room) = room.flatten() else {
        return;
    };
    let most = room.victims.iter().map(|victim| victim.priority).max();
    let to = most.unwrap_or(from).saturating_add(1).max(from);
    if to <= HIGHEST.max(from) && (to > from || may_preempt) {
        let victims = room.victims.iter().map(|victim| named(victim)).collect();
        trial.helps(edit(to, room.node.to_string(), victims));
    }
}
