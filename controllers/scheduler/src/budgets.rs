//! Disruption budgets, as preemption looks at them.

use crate::pods::PodInfo;
use ahash::AHashMap;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use objects::{Selector, meta};
use std::collections::{BTreeMap, BTreeSet};

/// All budgets, by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Budgets(BTreeMap<String, BTreeMap<String, Budget>>);

#[derive(Clone, Debug)]
struct Budget {
    selector: Selector,
    allowed: i32,
    /// Names of pods that are being disrupted and counted already.
    disrupted: BTreeSet<String>,
}

impl Budgets {
    /// A budget as the watch shows it. One that selects nothing, everything, or what cannot be understood protects
    /// nobody here, as upstream has it.
    pub fn put(&mut self, budget: &PodDisruptionBudget) {
        let of = &budget.metadata;
        let spec = budget.spec.as_ref();
        let selector = spec.and_then(|spec| spec.selector.as_ref());
        let selector = selector.and_then(|selector| Selector::parse(selector).ok());
        let Some(selector) = selector.filter(|selector| !selector.is_empty()) else {
            return self.remove(budget);
        };
        let status = budget.status.as_ref();
        let disrupted = status.and_then(|status| status.disrupted_pods.as_ref());
        let there = self.0.entry(meta::namespace(of).to_owned()).or_default();
        let new = Budget {
            selector,
            allowed: status
                .and_then(|status| status.disruptions_allowed)
                .unwrap_or(0),
            disrupted: disrupted
                .into_iter()
                .flat_map(BTreeMap::keys)
                .cloned()
                .collect(),
        };
        there.insert(meta::name(of).to_owned(), new);
    }

    /// A budget that is gone.
    pub fn remove(&mut self, budget: &PodDisruptionBudget) {
        let namespace = meta::namespace(&budget.metadata);
        if let Some(there) = self.0.get_mut(namespace) {
            there.remove(meta::name(&budget.metadata));
            if there.is_empty() {
                self.0.remove(namespace);
            }
        }
    }

    /// For each pod, whether a budget would be violated if it left after those before it
    /// (default_preemption.go `filterPodsWithPDBViolation`).
    pub fn violations<'a>(&'a self, pods: impl Iterator<Item = &'a PodInfo>) -> Vec<bool> {
        let mut left: AHashMap<(&str, &str), i32> = AHashMap::new();
        let violates = |info: &'a PodInfo| {
            let of = &info.like.metadata;
            let namespace = meta::namespace(of);
            let there = self.0.get(namespace).into_iter().flatten();
            let has_labels = of.labels.as_ref().is_some_and(|labels| !labels.is_empty());
            let mut violates = false;
            for (name, budget) in there.filter(|_| has_labels) {
                let counted = budget.disrupted.contains(&*info.name);
                if !counted && budget.selector.matches(of.labels.as_ref()) {
                    let left = left.entry((namespace, name)).or_insert(budget.allowed);
                    *left -= 1;
                    violates |= *left < 0;
                }
            }
            violates
        };
        pods.map(violates).collect()
    }
}
