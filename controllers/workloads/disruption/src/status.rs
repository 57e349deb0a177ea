//! The status that a budget should have. Pure. (upstream: `updatePdbStatus`, `failSafe`, and
//! `component-helpers/apps/poddisruptionbudget/helpers.go`)

pub(crate) mod counts;
mod notes;

pub(crate) use notes::notes;

use crate::World;
use counts::{Counts, Failed, count};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use objects::conditions;

const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";

/// The budget with the status that it should have, or `None` if it has it.
pub(crate) fn status(world: &World) -> Option<PodDisruptionBudget> {
    let old = world.budget.status.clone().unwrap_or_default();
    let new = match count(world) {
        Ok(counts) => counted(world, &old, &counts),
        Err(failed) => failed_safe(world, &old, &failed),
    };
    (!same(&old, &new)).then(|| PodDisruptionBudget {
        status: Some(new),
        ..PodDisruptionBudget::clone(&world.budget)
    })
}

fn counted(
    world: &World,
    old: &PodDisruptionBudgetStatus,
    counts: &Counts,
) -> PodDisruptionBudgetStatus {
    let generation = world.budget.metadata.generation;
    let (status, reason) = match counts.allowed {
        0 => ("False", "InsufficientPods"),
        _ => ("True", "SufficientPods"),
    };
    let condition = condition(world, status, reason, "", generation);
    PodDisruptionBudgetStatus {
        conditions: Some(with(old, condition)),
        current_healthy: Some(counts.healthy),
        desired_healthy: Some(counts.desired),
        expected_pods: Some(counts.expected),
        disruptions_allowed: Some(counts.allowed),
        disrupted_pods: Some(counts.disrupted.clone()).filter(|pods| !pods.is_empty()),
        observed_generation: generation,
    }
}

/// Nothing may be evicted while nobody knows how many pods there should be.
fn failed_safe(
    world: &World,
    old: &PodDisruptionBudgetStatus,
    failed: &Failed,
) -> PodDisruptionBudgetStatus {
    let generation = old.observed_generation;
    let condition = condition(world, "False", "SyncFailed", &failed.message, generation);
    PodDisruptionBudgetStatus {
        conditions: Some(with(old, condition)),
        disruptions_allowed: Some(0),
        ..old.clone()
    }
}

fn condition(
    world: &World,
    status: &str,
    reason: &str,
    message: &str,
    generation: Option<i64>,
) -> Condition {
    Condition {
        type_: DISRUPTION_ALLOWED.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: generation,
        last_transition_time: Time(world.now),
    }
}

fn with(old: &PodDisruptionBudgetStatus, condition: Condition) -> Vec<Condition> {
    let mut list = old.conditions.clone().unwrap_or_default();
    conditions::set(&mut list, condition);
    list
}

/// Zero and absent are the same number, and so are an empty map and none. But a budget that has no status yet gets
/// one: it gets a condition.
fn same(old: &PodDisruptionBudgetStatus, new: &PodDisruptionBudgetStatus) -> bool {
    let number = |n: Option<i32>| n.unwrap_or(0);
    let generation = |n: Option<i64>| n.unwrap_or(0);
    let plain = |list: &Option<Vec<Condition>>| -> Vec<Condition> {
        let mut list = list.clone().unwrap_or_default();
        for condition in &mut list {
            condition.observed_generation = Some(generation(condition.observed_generation));
        }
        list
    };
    number(old.current_healthy) == number(new.current_healthy)
        && number(old.desired_healthy) == number(new.desired_healthy)
        && number(old.expected_pods) == number(new.expected_pods)
        && number(old.disruptions_allowed) == number(new.disruptions_allowed)
        && old.disrupted_pods.clone().unwrap_or_default()
            == new.disrupted_pods.clone().unwrap_or_default()
        && generation(old.observed_generation) == generation(new.observed_generation)
        && plain(&old.conditions) == plain(&new.conditions)
}
