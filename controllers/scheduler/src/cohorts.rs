//! Pods that others see alike: same namespace, labels and wishes about other pods. How many of them are on which node is
//! counted once for all who ask, change by change, so a selector is asked once for a thousand replicas.
//!
//! Upstream goes through the pods of all nodes for each pod (`calPreFilterState`, `getExistingAntiAffinityCounts`).

use crate::pods::PodInfo;
use crate::signature::is_personal;
use crate::terms::{Term, Terms};
use ahash::{AHashMap, RandomState};
use k8s_openapi::api::core::v1::{Pod, PodAffinity, PodAntiAffinity};
use objects::{Selector, meta};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

/// All cohorts of the pods that are on nodes.
#[derive(Clone, Debug, Default)]
pub struct Cohorts {
    /// What is dissolved leaves nothing behind: it would keep a pod that is long gone.
    all: Vec<Option<Cohort>>,
    free: Vec<u32>,
    /// How many there have been.
    founded: u64,
    by_hash: AHashMap<u64, Vec<u32>>,
    by_namespace: AHashMap<String, BTreeSet<u32>>,
    /// Those with any wish about other pods, and those that refuse to be beside some.
    wishing: BTreeSet<u32>,
    refusing: BTreeSet<u32>,
    /// How many have wishes that look at labels which tell the pods of one controller from each other.
    personal: usize,
}

/// Pods that are alike.
#[derive(Clone, Debug)]
pub struct Cohort {
    /// One of them, maybe gone by now.
    pub like: Arc<PodInfo>,
    /// How many of them are in which slot.
    pub on: AHashMap<u32, Count>,
    /// Which it is.
    pub(crate) mark: Mark,
}

/// A cohort by its place and by how many there have been before it: the place may be taken by another one later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    pub(crate) birth: u64,
    place: u32,
    /// Whether its pods have wishes about other pods.
    pub(crate) wishes: bool,
}

/// How many pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub all: u32,
    /// Those that are not being deleted.
    pub living: u32,
}

impl Cohort {
    /// The namespace of its pods.
    pub fn namespace(&self) -> &str {
        self.like.namespace()
    }

    /// The labels of its pods.
    pub fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.like.like.metadata.labels.as_ref()
    }
}

/// A number that alike pods have in common, and others hardly ever.
pub(crate) fn hash_of(pod: &Pod) -> u64 {
    let mut hasher = RandomState::with_seeds(1, 2, 3, 4).build_hasher();
    meta::namespace(&pod.metadata).hash(&mut hasher);
    let labels = pod.metadata.labels.iter().flatten();
    labels.for_each(|label| label.hash(&mut hasher));
    if let Some(affinity) = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref()) {
        // Few pods have some, and it is asked of each once.
        let wishes = (&affinity.pod_affinity, &affinity.pod_anti_affinity);
        if let Ok(text) = serde_json::to_string(&wishes) {
            text.hash(&mut hasher);
        }
    }
    hasher.finish()
}

fn are_alike(one: &Pod, other: &Pod) -> bool {
    let (a, b) = (&one.metadata, &other.metadata);
    a.namespace == b.namespace && a.labels == b.labels && wishes(one) == wishes(other)
}

fn looks_closely(info: &PodInfo) -> bool {
    let terms = info.terms.iter().flat_map(Terms::each);
    terms.filter_map(Term::selector).any(is_personal)
}

fn wishes(pod: &Pod) -> (Option<&PodAffinity>, Option<&PodAntiAffinity>) {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
    let near = affinity.and_then(|affinity| affinity.pod_affinity.as_ref());
    let apart = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref());
    (near, apart)
}

impl Cohorts {
    /// A pod came to the node in this slot.
    pub(crate) fn enter(&mut self, info: &Arc<PodInfo>, slot: u32) -> Option<Mark> {
        let index = self.find(info).unwrap_or_else(|| self.found(info));
        let cohort = self.all[index as usize].as_mut()?;
        let count = cohort.on.entry(slot).or_default();
        count.all += 1;
        count.living += u32::from(!info.leaving);
        Some(cohort.mark)
    }

    /// A pod that came has left.
    pub(crate) fn leave(&mut self, info: &PodInfo, slot: u32) -> Option<Mark> {
        let index = self.find(info)?;
        let Cohort { on, mark, .. } = self.all[index as usize].as_mut()?;
        let mark = *mark;
        if let Some(count) = on.get_mut(&slot) {
            count.all -= 1;
            count.living -= u32::from(!info.leaving);
            if count.all == 0 {
                on.remove(&slot);
            }
        }
        if on.is_empty() {
            self.dissolve(index);
        }
        Some(mark)
    }

    /// The cohort of this mark, if it is still there.
    pub(crate) fn marked(&self, mark: Mark) -> Option<&Cohort> {
        let there = self.all.get(mark.place as usize)?.as_ref();
        there.filter(|cohort| cohort.mark == mark)
    }

    /// How many have wishes that look at labels which tell the pods of one controller from each other.
    pub(crate) fn personal(&self) -> usize {
        self.personal
    }

    /// How many cohorts there have been: those to come are born later.
    pub(crate) fn founded(&self) -> u64 {
        self.founded
    }

    fn find(&self, info: &PodInfo) -> Option<u32> {
        let mut candidates = self.by_hash.get(&info.alike)?.iter().copied();
        candidates.find(|index| {
            let cohort = self.all[*index as usize].as_ref();
            cohort.is_some_and(|cohort| {
                cohort.like.shares_look(info) || are_alike(&cohort.like.like, &info.like)
            })
        })
    }

    fn found(&mut self, info: &Arc<PodInfo>) -> u32 {
        let index = self.free.pop().unwrap_or(self.all.len() as u32);
        let cohort = Cohort {
            like: info.clone(),
            on: AHashMap::new(),
            mark: Mark {
                birth: self.founded,
                place: index,
                wishes: info.terms.is_some(),
            },
        };
        self.founded += 1;
        match self.all.get_mut(index as usize) {
            Some(free) => *free = Some(cohort),
            None => self.all.push(Some(cohort)),
        }
        self.by_hash.entry(info.alike).or_default().push(index);
        let namespace = info.namespace().to_owned();
        self.by_namespace
            .entry(namespace)
            .or_default()
            .insert(index);
        if let Some(terms) = &info.terms {
            self.wishing.insert(index);
            self.personal += usize::from(looks_closely(info));
            if !terms.refuses.is_empty() {
                self.refusing.insert(index);
            }
        }
        index
    }

    fn dissolve(&mut self, index: u32) {
        let Some(Cohort { like, .. }) = self.all[index as usize].take() else {
            return;
        };
        if let Some(same) = self.by_hash.get_mut(&like.alike) {
            same.retain(|other| *other != index);
            if same.is_empty() {
                self.by_hash.remove(&like.alike);
            }
        }
        let namespace = like.namespace();
        if let Some(beside) = self.by_namespace.get_mut(namespace) {
            beside.remove(&index);
            if beside.is_empty() {
                self.by_namespace.remove(namespace);
            }
        }
        self.wishing.remove(&index);
        self.personal -= usize::from(looks_closely(&like));
        self.refusing.remove(&index);
        self.free.push(index);
    }

    fn of<'a>(&'a self, indexes: Option<&'a BTreeSet<u32>>) -> impl Iterator<Item = &'a Cohort> {
        let indexes = indexes.into_iter().flatten();
        indexes.filter_map(|index| self.all[*index as usize].as_ref())
    }

    /// All cohorts.
    pub(crate) fn everywhere(&self) -> impl Iterator<Item = &Cohort> {
        self.all.iter().flatten()
    }

    /// The cohorts of a namespace.
    pub(crate) fn within(&self, namespace: &str) -> impl Iterator<Item = &Cohort> {
        self.of(self.by_namespace.get(namespace))
    }

    /// The cohorts of a namespace that a selector selects.
    pub fn selected<'a>(
        &'a self,
        namespace: &str,
        selector: &'a Selector,
    ) -> impl Iterator<Item = &'a Cohort> {
        let there = self.of(self.by_namespace.get(namespace));
        there.filter(|cohort| selector.matches(cohort.labels()))
    }

    /// The cohorts that a term may mean: those of the namespaces that it names, or all.
    pub fn meant_by<'a>(&'a self, term: &'a Term) -> Box<dyn Iterator<Item = &'a Cohort> + 'a> {
        if term.looks_everywhere() {
            return Box::new(self.by_namespace.values().flat_map(|of| self.of(Some(of))));
        }
        let named = term.namespaces.iter();
        Box::new(named.flat_map(|name| self.of(self.by_namespace.get(&**name))))
    }

    /// The cohorts that have any wish about other pods.
    pub fn wishing(&self) -> impl Iterator<Item = &Cohort> {
        self.of(Some(&self.wishing))
    }

    /// The cohorts that refuse to be beside some pods.
    pub fn refusing(&self) -> impl Iterator<Item = &Cohort> {
        self.of(Some(&self.refusing))
    }
}

#[cfg(test)]
mod tests;
