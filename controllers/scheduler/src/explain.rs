//! Why a pod has no node, and the smallest change that would give it one. Pure.
//!
//! Three questions, a file each: which plugins are against which nodes, and how near is the nearest ([`survey`]); what
//! could be changed about the pod, a node or another pod ([`remedies`], which are [`edits`]); and how all that reads
//! ([`text`]). A change is only told after it was tried: it is made to a copy of the cluster, and [`decide`] has given
//! the pod a node there.
//!
//! Nothing like it is upstream, where a pending pod has the one line of its condition. That line is told too.

mod edits;
mod objects;
mod remedies;
mod survey;
mod text;

pub use self::objects::Objects;
pub use edits::Edit;
pub use survey::{Gap, Miss, Rejections};

use crate::cluster::Cluster;
use crate::cycle::scheduler_of;
use crate::decide::{Decision, decide};
use crate::diagnosis::Diagnosis;
use crate::plugins::{Table, is_gated};
use crate::pods::PodInfo;
use crate::preempt::{Preemption, preempt};
use ::objects::{meta, pod};
use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;
use std::sync::Arc;
use survey::Survey;

/// What there is to say about a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum Answer {
    /// It is being deleted, and is given no node any more.
    Deleting,
    /// It has ended.
    #[serde(rename_all = "camelCase")]
    Ended {
        /// `Succeeded` or `Failed`.
        phase: String,
    },
    /// It has a node.
    #[serde(rename_all = "camelCase")]
    Scheduled {
        /// The node's name.
        node: String,
    },
    /// It waits for its gates to be taken away.
    #[serde(rename_all = "camelCase")]
    Gated {
        /// Their names.
        gates: Vec<String>,
    },
    /// Another scheduler looks after it.
    #[serde(rename_all = "camelCase")]
    Foreign {
        /// `spec.schedulerName`.
        scheduler: String,
        /// The names that this one serves.
        ours: Vec<String>,
    },
    /// A node will do: it only has to be tried.
    #[serde(rename_all = "camelCase")]
    Fits {
        /// The best node.
        node: String,
    },
    /// No node will do.
    Pending(Obstacles),
}

/// Why no node will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Obstacles {
    /// How many nodes there are.
    pub nodes: usize,
    /// The words of the `FailedScheduling` event.
    pub message: String,
    /// By plugin, the one against the most nodes first.
    pub plugins: Vec<Rejections>,
    /// The node that lacks the least.
    pub nearest: Option<Miss>,
    /// Room that others make for it: it will run without any change.
    pub room: Option<Coming>,
    /// What would let it run, the smallest change first; each was tried.
    pub changes: Vec<Change>,
}

/// Room that other pods make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Coming {
    /// The node's name.
    pub node: String,
    /// The pods that leave it, as `namespace/name`; none are named if they have been told already.
    pub victims: Vec<String>,
}

/// A change that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What is changed: one thing, unless no single one is enough.
    pub edits: Vec<Edit>,
    /// The node that the pod gets then.
    pub node: String,
}

impl Change {
    /// How much it asks for; see [`Edit::size`].
    fn size(&self) -> u64 {
        self.edits.iter().map(Edit::size).sum()
    }
}

/// How many changes are told.
const TOLD: usize = 6;

/// What can be said about a pod without looking at any node: None if it waits for one of the schedulers `ours`.
pub fn standing(pod: &Pod, ours: &[&str]) -> Option<Answer> {
    if meta::is_deleting(&pod.metadata) {
        return Some(Answer::Deleting);
    }
    if pod::is_terminal(pod) {
        let phase = pod::phase(pod).to_owned();
        return Some(Answer::Ended { phase });
    }
    if let Some(node) = pod::node_name(pod) {
        let node = node.to_owned();
        return Some(Answer::Scheduled { node });
    }
    let scheduler = scheduler_of(pod);
    if !ours.contains(&scheduler) {
        return Some(Answer::Foreign {
            scheduler: scheduler.to_owned(),
            ours: ours.iter().map(|name| (*name).to_owned()).collect(),
        });
    }
    let info = PodInfo::of(pod);
    if is_gated(&info) {
        let gates = info.spec().scheduling_gates.iter().flatten();
        let gates = gates.map(|gate| gate.name.clone()).collect();
        return Some(Answer::Gated { gates });
    }
    None
}

/// Explains a pod that waits for a node. `all` is a copy of the cluster, in which changes are tried.
pub fn explain(table: &Table, info: &Arc<PodInfo>, mut all: Cluster) -> Answer {
    let diagnosis = match decide(table, info, all.snapshot(), 0) {
        Decision::Bind { node, .. } => {
            let node = node.to_string();
            return Answer::Fits { node };
        }
        Decision::Nobody(diagnosis) => diagnosis,
    };
    let (message, room) = room(table, info, &all, &diagnosis);
    let (plugins, nearest, distances) = {
        let survey = Survey::of(table, info, all.snapshot());
        (survey.rejections(), survey.nearest(), survey.distances())
    };
    let mut trial = Trial {
        table,
        info,
        all: &mut all,
        found: Vec::new(),
    };
    remedies::single(&mut trial, &distances);
    if trial.found.is_empty() {
        remedies::together(&mut trial, &distances);
    }
    let mut changes = trial.found;
    changes.sort_by_key(Change::size);
    let mut kinds = Vec::new();
    changes.retain(|change| {
        let kind: Vec<_> = change.edits.iter().map(Edit::kind).collect();
        let is_new = !kinds.contains(&kind);
        kinds.push(kind);
        is_new
    });
    changes.truncate(TOLD);
    Answer::Pending(Obstacles {
        nodes: diagnosis.nodes,
        message,
        plugins,
        nearest,
        room,
        changes,
    })
}

/// What the event says, and the room that is made for the pod.
fn room(
    table: &Table,
    info: &Arc<PodInfo>,
    all: &Cluster,
    diagnosis: &Diagnosis,
) -> (String, Option<Coming>) {
    let all = all.snapshot();
    let outcome = table
        .preempts
        .then(|| preempt(table, info, all, diagnosis, 0));
    let text = outcome.as_ref().map_or("", Preemption::text);
    let message = diagnosis.message(text);
    let coming = match outcome {
        Some(Preemption::Room(room)) => Some(Coming {
            node: room.node.to_string(),
            victims: room.victims.iter().map(|victim| named(victim)).collect(),
        }),
        // It was told already, and they are on their way.
        Some(Preemption::Ineligible(_)) => all.nominated(&info.uid).map(|node| Coming {
            node: node.name.to_string(),
            victims: Vec::new(),
        }),
        _ => None,
    };
    (message, coming)
}

/// `namespace/name`.
fn named(info: &PodInfo) -> String {
    format!("{}/{}", info.namespace(), info.name)
}

/// A copy of the cluster in which changes are tried.
struct Trial<'a> {
    table: &'a Table,
    info: &'a Arc<PodInfo>,
    all: &'a mut Cluster,
    found: Vec<Change>,
}

impl Trial<'_> {
    /// Whether the pod gets a node with these edits; if so, it is one of the changes that are told.
    fn helps(&mut self, edits: Vec<Edit>) -> bool {
        if self.found.iter().any(|found| found.edits == edits) {
            return true;
        }
        let node = self.tried(&edits);
        let helps = node.is_some();
        self.found.extend(node.map(|node| Change { edits, node }));
        helps
    }

    /// The node that the pod gets with these edits.
    fn tried(&mut self, edits: &[Edit]) -> Option<String> {
        let node = self.with(edits, |table, info, all| {
            match decide(table, info, all.snapshot(), 0) {
                Decision::Bind { node, .. } => Some(node.to_string()),
                Decision::Nobody(_) => None,
            }
        });
        node.flatten()
    }

    /// Looks at the cluster with these edits, and takes them back; None if they cannot be made.
    fn with<T>(
        &mut self,
        edits: &[Edit],
        look: impl FnOnce(&Table, &Arc<PodInfo>, &Cluster) -> T,
    ) -> Option<T> {
        let before = self.info.object();
        let mut pod = before.clone();
        let mut undo = Vec::new();
        let made = edits
            .iter()
            .all(|edit| edit.make(&mut pod, self.all, &mut undo));
        let changed = match pod == before {
            true => self.info.clone(),
            false => Arc::new(PodInfo::of(&pod)),
        };
        let seen = made.then(|| look(self.table, &changed, self.all));
        while let Some(step) = undo.pop() {
            step.take_back(self.all);
        }
        seen
    }
}

#[cfg(test)]
mod tests;
