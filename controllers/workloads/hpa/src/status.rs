//! The status that a HorizontalPodAutoscaler should have. Pure.
//! (upstream: horizontal.go, `setStatus`, `setCondition`)

use crate::history::{ANNOTATION, ScaleEvent, written};
use crate::plan::{Decision, Rescale, decide};
use crate::world::World;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use objects::conditions;
use plan::{Cause, Failure, Outcome};

/// The autoscaler with the status it should have, or `None` if it has it.
pub(crate) fn status(world: &World, outcome: &Outcome) -> Option<HorizontalPodAutoscaler> {
    if outcome.held {
        return None;
    }
    let mut decision = decide(world);
    let failure = outcome.failures.first();
    // Somebody wrote the target first: it is looked at again at once.
    if failure.is_some_and(|failure| failure.cause == Cause::Conflict) {
        return None;
    }
    let rescale = decision.rescale.take();
    let done = rescale.filter(|_| failure.is_none());
    tell(&mut decision, done.as_ref(), failure);

    let old = world.hpa.status.clone().unwrap_or_default();
    let new = HorizontalPodAutoscalerStatus {
        conditions: Some(conditions(world, &decision, old.conditions.as_deref())),
        ..match decision.current {
            None => old.clone(),
            Some(current) => HorizontalPodAutoscalerStatus {
                current_replicas: Some(current),
                desired_replicas: match failure {
                    None => decision.desired.unwrap_or(old.desired_replicas),
                    Some(_) => old.desired_replicas,
                },
                last_scale_time: match done {
                    Some(_) => Some(Time(world.now())),
                    None => old.last_scale_time.clone(),
                },
                current_metrics: Some(decision.metrics).filter(|list| !list.is_empty()),
                conditions: None,
                observed_generation: None,
            },
        }
    };
    let events = events(world, done.as_ref());
    if same(&old, &new) && events == recent(world, written(&world.hpa)) {
        return None;
    }
    let mut hpa = HorizontalPodAutoscaler::clone(&world.hpa);
    hpa.status = Some(new);
    let annotations = hpa.metadata.annotations.get_or_insert_default();
    if events.is_empty() {
        annotations.remove(ANNOTATION);
    } else if let Ok(text) = serde_json::to_string(&events) {
        annotations.insert(ANNOTATION.to_owned(), text);
    }
    Some(hpa)
}

/// What became of the write of the scale.
fn tell(decision: &mut Decision, done: Option<&Rescale>, failure: Option<&Failure>) {
    let said = match (done, failure) {
        (Some(rescale), _) => (
            "AbleToScale",
            true,
            "SucceededRescale",
            format!(
                "the HPA controller was able to update the target scale to {}",
                rescale.to
            ),
        ),
        (None, Some(failure)) => (
            "AbleToScale",
            false,
            "FailedUpdateScale",
            format!(
                "the HPA controller was unable to update the target scale: {}",
                failure.message
            ),
        ),
        (None, None) => return,
    };
    let (kind, holds, reason, message) = said;
    decision.say(kind, holds, reason, message);
}

fn conditions(
    world: &World,
    decision: &Decision,
    old: Option<&[HorizontalPodAutoscalerCondition]>,
) -> Vec<HorizontalPodAutoscalerCondition> {
    let mut list = old.unwrap_or_default().to_vec();
    for (kind, holds, reason, message) in &decision.conditions {
        let condition = HorizontalPodAutoscalerCondition {
            type_: (*kind).to_owned(),
            status: if *holds { "True" } else { "False" }.to_owned(),
            reason: Some((*reason).to_owned()),
            message: Some(message.clone()),
            last_transition_time: Some(Time(world.now())),
        };
        conditions::set(&mut list, condition);
    }
    list
}

/// The scalings that the policies may still ask for, the one just done among them.
fn events(world: &World, done: Option<&Rescale>) -> Vec<ScaleEvent> {
    let history = world.target.as_ref().map(|target| &target.history);
    let mut events = match history {
        Ok(history) => history.events.clone(),
        Err(_) => written(&world.hpa),
    };
    if let Some(rescale) = done {
        let change = rescale.to.saturating_sub(rescale.from);
        events.push((world.now(), Some(change)));
    }
    recent(world, events)
}

/// Without those that no policy asks for any more.
fn recent(world: &World, mut events: Vec<ScaleEvent>) -> Vec<ScaleEvent> {
    let since = world.now() - world.spec.longest_period();
    events.retain(|(at, _)| *at > since);
    events
}

/// Absent and empty are the same.
fn same(old: &HorizontalPodAutoscalerStatus, new: &HorizontalPodAutoscalerStatus) -> bool {
    old.current_replicas.unwrap_or(0) == new.current_replicas.unwrap_or(0)
        && old.desired_replicas == new.desired_replicas
        && old.last_scale_time == new.last_scale_time
        && old.observed_generation == new.observed_generation
        && old.current_metrics.as_deref().unwrap_or_default()
            == new.current_metrics.as_deref().unwrap_or_default()
        && old.conditions.as_deref().unwrap_or_default()
            == new.conditions.as_deref().unwrap_or_default()
}
