//! The union of rules (upstream: clusterroleaggregation_controller.go, `syncClusterRole`).

use crate::{Rules, World};
use ::plan::{Action, Note, PatchType, Plan, Reference};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::Selector;
use serde_json::json;
use std::sync::Arc;

pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    let on = Reference::to(&*world.role);
    match &world.rules {
        Rules::Own => {}
        Rules::Unknown(error) => {
            plan.note(Note::warning(&on, "InvalidAggregationRule", error));
        }
        Rules::Of(rules) => {
            let has = world.role.rules.as_deref().unwrap_or_default();
            let same = has.len() == rules.len() && has.iter().zip(rules).all(|(a, b)| equal(a, b));
            if !same {
                let body = json!({
                    "apiVersion": on.kind.api_version(),
                    "kind": on.kind.kind,
                    "metadata": { "name": on.name, "uid": on.uid },
                    "rules": rules,
                });
                plan.then(vec![Action::patch(on, PatchType::Apply, body)]);
            }
        }
    }
    plan
}

/// Parses selectors; an error names the field.
pub(crate) fn selectors(selectors: &[LabelSelector]) -> Result<Vec<Selector>, String> {
    let parse = |(n, selector)| {
        let at = |error| format!("aggregationRule.clusterRoleSelectors[{n}].{error}");
        Selector::parse(selector).map_err(at)
    };
    selectors.iter().enumerate().map(parse).collect()
}

/// The rules of the roles (in their order) that each selector matches, no rule twice.
pub(crate) fn union(selectors: &[Selector], roles: &[Arc<ClusterRole>]) -> Vec<PolicyRule> {
    let mut union: Vec<PolicyRule> = Vec::new();
    for selector in selectors {
        let matching = roles
            .iter()
            .filter(|role| selector.matches(role.metadata.labels.as_ref()));
        for rule in matching.flat_map(|role| role.rules.iter().flatten()) {
            if !union.iter().any(|has| equal(has, rule)) {
                union.push(rule.clone());
            }
        }
    }
    union
}

/// No list and an empty one are the same.
fn equal(one: &PolicyRule, other: &PolicyRule) -> bool {
    let lists = |rule: &PolicyRule| {
        [
            &rule.api_groups,
            &rule.non_resource_urls,
            &rule.resource_names,
            &rule.resources,
        ]
        .map(|list| list.clone().unwrap_or_default())
    };
    one.verbs == other.verbs && lists(one) == lists(other)
}

#[cfg(test)]
mod tests;
