//! What a pod's failure means, and when enough has succeeded
//! (upstream: pod_failure_policy.go, success_policy.go).

use super::indexes::Indexes;
use crate::World;
use k8s_openapi::api::batch::v1::{
    PodFailurePolicyOnExitCodesRequirement as ExitCodes,
    PodFailurePolicyOnPodConditionsPattern as Pattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use objects::meta;

/// What a failed pod means to its Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// One more failure.
    Counts,
    /// Nothing: it is only replaced.
    Ignored,
    /// Its index has failed.
    FailsIndex,
    /// The whole Job has, with this message.
    FailsJob(String),
}

/// What the Job's policy says of a failed pod; the first rule that matches decides.
pub(crate) fn meaning(world: &World, pod: &Pod) -> Meaning {
    let Some((at, action, what)) = decisive(world, pod) else {
        return Meaning::Counts;
    };
    match action {
        "Ignore" => Meaning::Ignored,
        "FailIndex" => Meaning::FailsIndex,
        "FailJob" => Meaning::FailsJob(format!("{what} matching {action} rule at index {at}")),
        _ => Meaning::Counts,
    }
}

/// The action of the rule that decides about a failed pod, if one does.
pub(crate) fn action(world: &World, pod: &Pod) -> Option<&'static str> {
    decisive(world, pod).map(|(_, action, _)| action)
}

/// The first rule that matches: its index, its action and what of the pod it matches. Actions of a later version
/// are passed over, as if the rule were not there.
fn decisive(world: &World, pod: &Pod) -> Option<(usize, &'static str, String)> {
    const ACTIONS: [&str; 4] = ["Ignore", "FailIndex", "Count", "FailJob"];
    let rules = world.spec.failure_policy.iter().flat_map(|p| &p.rules);
    rules.enumerate().find_map(|(at, rule)| {
        let what = matched(rule, pod)?;
        let action = ACTIONS.into_iter().find(|action| *action == rule.action)?;
        Some((at, action, what))
    })
}

/// What of the pod the rule matches, as the message says it.
fn matched(rule: &PodFailurePolicyRule, pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let name = format!(
        "{}/{}",
        meta::namespace(&pod.metadata),
        meta::name(&pod.metadata)
    );
    if let Some(wanted) = &rule.on_exit_codes {
        let (regular, init) = (&status.container_statuses, &status.init_container_statuses);
        let containers = regular.iter().chain(init).flatten();
        let (container, code) = containers
            .into_iter()
            .find_map(|c| Some((c, exit_code(c, wanted)?)))?;
        return Some(format!(
            "Container {} for pod {name} failed with exit code {code}",
            container.name
        ));
    }
    let patterns = rule.on_pod_conditions.as_deref()?;
    let conditions = status.conditions.iter().flatten();
    let is = |pattern: &Pattern, kind: &str, status: &str| {
        pattern.type_ == kind && pattern.status.as_deref().unwrap_or("True") == status
    };
    let condition = conditions
        .into_iter()
        .find(|c| patterns.iter().any(|p| is(p, &c.type_, &c.status)))?;
    Some(format!("Pod {name} has condition {}", condition.type_))
}

/// The exit code of a container that has ended in failure, if the rule is about it.
fn exit_code(container: &ContainerStatus, wanted: &ExitCodes) -> Option<i32> {
    let code = container.state.as_ref()?.terminated.as_ref()?.exit_code;
    let named = wanted
        .container_name
        .as_ref()
        .is_none_or(|name| *name == container.name);
    let listed = wanted.values.contains(&code);
    let matches = match &*wanted.operator {
        "In" => listed,
        "NotIn" => !listed,
        _ => false,
    };
    (named && code != 0 && matches).then_some(code)
}

/// The message of the first rule of the success policy that is met.
pub(crate) fn success(world: &World, completed: &Indexes) -> Option<String> {
    if completed.total() == 0 {
        return None;
    }
    let rules = world.spec.success_policy.iter().flat_map(|p| &p.rules);
    let met = rules.enumerate().find(|(_, rule)| {
        let enough = |have: i64| rule.succeeded_count.is_some_and(|n| have >= i64::from(n));
        match &rule.succeeded_indexes {
            Some(text) => {
                let wanted = Indexes::parse(text, world.spec.indexes());
                let have = wanted.shared(completed);
                wanted.total() > 0 && (have == wanted.total() || enough(have))
            }
            None => enough(completed.total()),
        }
    });
    met.map(|(at, _)| format!("Matched rules at index {at}"))
}
