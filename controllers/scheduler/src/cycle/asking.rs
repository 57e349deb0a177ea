//! Pods about which extenders are asked. It takes a while until they answer, and the others are not held up: they are
//! decided about meanwhile, and what has changed until the answer is there counts.
//!
//! One pod is asked about at a time, as upstream does, since an extender may count what it lets pass. Who else is to be
//! asked about waits for its turn, the most important first.

use super::{Cycle, Next, Told, profile_of};
use crate::decide::{Look, best, score, sift};
use crate::diagnosis::{Diagnosis, PluginSet};
use crate::extender::{self, About, Answer, Extender, Opinion, Question};
use crate::pods::PodInfo;
use crate::preempt::{Candidate, Preemption, choose};
use crate::snapshot::Snapshot;
use jiff::Timestamp;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who is asked, about what, and what waits to be asked.
#[derive(Default)]
pub(super) struct Asking {
    extenders: Arc<[Extender]>,
    /// What is not answered yet.
    asked: Option<Asked>,
    waiting: BTreeMap<(Reverse<i32>, u64), Arc<str>>,
    turns: u64,
}

/// A question that is not answered yet.
struct Asked {
    uid: Arc<str>,
    /// Only about the node that others made room on.
    is_nominated: bool,
    /// Why the pod cannot be on the other nodes; none if there are none.
    diagnosis: Diagnosis,
}

impl Asking {
    /// Whether an extender takes part in the decision about a pod.
    pub(super) fn is_about(&self, info: &PodInfo) -> bool {
        let mut all = self.extenders.iter();
        all.any(|of| of.decides() && of.is_interested(&info.like))
    }

    /// Whether an extender is asked who may leave for a pod.
    pub(super) fn preempts(&self, info: &PodInfo) -> bool {
        let mut all = self.extenders.iter();
        all.any(|of| !of.preempt.is_empty() && of.is_interested(&info.like))
    }

    /// Asks. Until the answer is there nobody else is asked about.
    pub(super) fn begin(&mut self, question: Question, diagnosis: Option<Diagnosis>) -> Next {
        self.asked = Some(Asked {
            uid: question.info.uid.clone(),
            is_nominated: false,
            diagnosis: diagnosis.unwrap_or_default(),
        });
        Next::Ask(question)
    }
}

/// The question whether these may leave for a pod.
pub(super) fn about_victims(info: Arc<PodInfo>, candidates: &[Candidate<'_>]) -> Question {
    let each = candidates.iter().map(|of| extender::Candidate {
        node: of.info.name.clone(),
        victims: of.victims.clone(),
        violations: of.violations,
        pods: of.info.pods.clone(),
    });
    Question {
        info,
        about: About::Victims(each.collect()),
    }
}

impl Cycle {
    /// With these extenders, those that are not gone on without first.
    #[must_use]
    pub fn asking(mut self, extenders: Arc<[Extender]>) -> Self {
        self.asking.extenders = extenders;
        self
    }

    /// The next pod that can be decided about now.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Arc<PodInfo>> {
        loop {
            let is_free = self.asking.asked.is_none();
            if is_free && let Some((_, uid)) = self.asking.waiting.pop_first() {
                match self.queue.get(&uid) {
                    Some(info) => return Some(info.clone()),
                    // It needs no node any more.
                    None => continue,
                }
            }
            let info = self.queue.pop(now)?;
            if is_free || !self.asking.is_about(&info) {
                return Some(info);
            }
            self.asking.turns += 1;
            let turn = (Reverse(info.priority), self.asking.turns);
            self.asking.waiting.insert(turn, info.uid.clone());
        }
    }

    /// Lets the extenders be asked on which nodes a pod can be, `everywhere` or at first on the one that others made room
    /// on.
    pub(super) fn ask(
        &mut self,
        info: Arc<PodInfo>,
        everywhere: bool,
        seed: u64,
        now: Timestamp,
    ) -> Next {
        let Some(profile) = profile_of(&self.profiles, &info) else {
            return Next::Idle(None);
        };
        let (table, all) = (&self.profiles[profile].table, self.cluster.snapshot());
        let look = Look {
            everywhere,
            reasons: true,
            only: None,
        };
        self.meter.begin(profile);
        let (feasible, diagnosis) = sift(table, &info, all, seed, look, &self.meter);
        if feasible.is_empty() {
            return self.nobody(info, diagnosis, seed, now);
        }
        let nominated = all.nominated(&info.uid).map(|node| node.slot);
        let is_nominated = !everywhere && nominated.is_some_and(|slot| feasible == [slot]);
        let nodes = feasible.iter().map(|slot| &all.slots[*slot as usize]);
        let question = Question {
            about: About::Nodes(
                nodes
                    .filter_map(|info| Some(info.node.as_ref()?.object()))
                    .collect(),
            ),
            info,
        };
        self.asking.asked = Some(Asked {
            uid: question.info.uid.clone(),
            is_nominated,
            diagnosis,
        });
        Next::Ask(question)
    }

    /// What the extenders said to the last question, and what to do now; None if the pod needs no node any more, or is
    /// tried again.
    pub fn answered(&mut self, answer: Answer, now: Timestamp, seed: u64) -> Option<Next> {
        let asked = self.asking.asked.take()?;
        let info = self.queue.get(&asked.uid)?.clone();
        if self.cluster.holds(&info.uid) {
            self.dequeue(&info.uid);
            return None;
        }
        let opinion = match answer {
            Answer::Victims(victims) => {
                let preemption = self.chosen(&info, victims);
                return Some(self.park(info, &asked.diagnosis, Some(preemption), now));
            }
            Answer::Nodes(opinion) => opinion,
        };
        match opinion {
            Ok(opinion) if !opinion.passed.is_empty() => self.answer(info, &opinion, seed, now),
            _ if asked.is_nominated => Some(self.ask(info, true, seed, now)),
            Ok(opinion) => {
                let all = self.cluster.snapshot();
                let diagnosis = rejected(asked.diagnosis, &opinion, all);
                Some(self.nobody(info, diagnosis, seed, now))
            }
            Err(message) => Some(self.fail(info, message.into(), now)),
        }
    }

    /// A pod goes to the best of the nodes that extenders let pass, if it still can be there.
    fn answer(
        &mut self,
        info: Arc<PodInfo>,
        opinion: &Opinion,
        seed: u64,
        now: Timestamp,
    ) -> Option<Next> {
        let profile = profile_of(&self.profiles, &info)?;
        let (table, all) = (&self.profiles[profile].table, self.cluster.snapshot());
        let passed = opinion.passed.iter().filter_map(|name| all.slot(name));
        let look = Look {
            only: Some(&passed.collect::<Vec<_>>()),
            everywhere: true,
            reasons: false,
        };
        // Others were decided about since.
        self.meter.begin(profile);
        let (feasible, _) = sift(table, &info, all, seed, look, &self.meter);
        let slot = match feasible[..] {
            [] => {
                // Others were quicker.
                self.queue.again(&info.uid);
                return None;
            }
            [one] => one,
            _ => {
                let mut totals = score(table, &info, all, &feasible, &self.meter);
                for (slot, total) in feasible.iter().zip(&mut totals) {
                    let name = &*all.slots[*slot as usize].name;
                    let more = opinion.scores.get(name).copied().unwrap_or(0);
                    *total = total.saturating_add(more);
                }
                best(&feasible, &totals, seed).0
            }
        };
        let node = all.slots[slot as usize].name.clone();
        Some(self.place(info, node, now))
    }

    /// What the extenders leave of the room that could be made.
    fn chosen(
        &self,
        info: &PodInfo,
        victims: Result<Vec<extender::Candidate>, String>,
    ) -> Preemption {
        let victims = match victims {
            Ok(victims) => victims,
            Err(message) => return Preemption::Ineligible(message.into()),
        };
        let all = self.cluster.snapshot();
        let stays = |slot, pod: &Arc<PodInfo>| self.cluster.slot_of_pod(&pod.uid) == Some(slot);
        let each = victims.into_iter().filter_map(|of| {
            let (node, _) = all.get(&of.node)?;
            let are_there = of.victims.iter().all(|victim| stays(node.slot, victim));
            are_there.then_some(Candidate {
                info: node,
                victims: of.victims,
                violations: of.violations,
            })
        });
        choose(info, each.collect())
    }

    /// Something went wrong about a pod, and no change of the cluster will mend it.
    fn fail(&mut self, info: Arc<PodInfo>, message: Arc<str>, now: Timestamp) -> Next {
        self.queue.fail(&info.uid, now);
        self.unnominate(&info, now);
        let told = Told {
            message: message.clone(),
            nominated: None,
        };
        let old = self.told.insert(info.uid.clone(), told.clone());
        Next::Failed {
            info,
            message,
            changed: old.is_none_or(|old| old != told),
        }
    }
}

/// Why a pod cannot be anywhere, extenders among those who say so.
fn rejected(mut diagnosis: Diagnosis, opinion: &Opinion, all: &Snapshot) -> Diagnosis {
    for (node, (why, resolvable)) in &opinion.failed {
        *diagnosis.reasons.entry(why.clone()).or_default() += 1;
        diagnosis
            .resolvable
            .extend(all.slot(node).filter(|_| *resolvable));
    }
    diagnosis.rejected_by.insert(PluginSet::EXTENDER);
    diagnosis
}
