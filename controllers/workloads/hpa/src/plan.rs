//! What to do about one HorizontalPodAutoscaler. Pure.

mod limits;
mod metrics;
mod replicas;

use crate::history::known_replicas;
use crate::world::{Bounded, Target, Unclear, World};
use k8s_openapi::api::autoscaling::v1::ScaleSpec;
use k8s_openapi::api::autoscaling::v2::MetricStatus;
use metrics::Invalid;
use plan::{Action, Note, Plan};
use std::cmp::Ordering;
use std::time::Duration;

/// How soon after its first status an autoscaler is looked at again.
const BEGIN: Duration = Duration::from_millis(100);

/// Writes the scale, where it should be another; says what is wrong.
pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    let decision = decide(world);
    plan.again(match decision.begins {
        true => BEGIN,
        false => world.options.sync_period,
    });
    for (reason, message) in decision.warnings {
        plan.note(Note::warning(&world.owner, reason, message));
    }
    if let (Ok(target), Some(rescale)) = (&world.target, decision.rescale) {
        let size = format!("New size: {}; reason: {}", rescale.to, rescale.reason);
        let mut scale = target.scale.clone();
        let spec = scale.spec.get_or_insert_with(ScaleSpec::default);
        spec.replicas = Some(rescale.to);
        let action = Action::replace_scale(target.on.clone(), scale)
            .warning(&world.owner, "FailedRescale", format!("{size}; error"))
            .noting(&world.owner, "SuccessfulRescale", size)
            .because("the metrics or the bounds ask for it");
        plan.then(vec![action]);
    }
    plan
}

/// All that follows from a world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decision {
    /// Type, status, reason, message; the last one of a type counts.
    pub(crate) conditions: Vec<Said>,
    /// Reason and message.
    pub(crate) warnings: Vec<(&'static str, String)>,
    /// The replicas of the target, if they are known.
    pub(crate) current: Option<i32>,
    /// How many there should be, if that is known.
    pub(crate) desired: Option<i32>,
    /// What was measured, one for each metric that was asked.
    pub(crate) metrics: Vec<MetricStatus>,
    /// What each of them asked for.
    pub(crate) proposed: Vec<Proposed>,
    /// What the metrics asked for.
    pub(crate) recommended: Option<i32>,
    /// Something is to be done once the status is written for the first time.
    pub(crate) begins: bool,
    /// What is done.
    pub(crate) rescale: Option<Rescale>,
}

/// What a metric asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proposed {
    /// So many.
    Replicas(i32),
    /// It says nothing.
    Nothing,
    /// There is no metric of its type.
    Unknown,
}

/// A condition: type, status, reason, message.
pub(crate) type Said = (&'static str, bool, &'static str, String);

/// A change of the number of replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rescale {
    pub(crate) from: i32,
    pub(crate) to: i32,
    pub(crate) reason: String,
}

/// (upstream: horizontal.go, `reconcileAutoscaler`)
pub(crate) fn decide(world: &World) -> Decision {
    let mut decision = Decision::default();
    let target = match &world.target {
        Ok(target) => target,
        Err(error) => {
            decision.warnings.push(("FailedGetScale", error.clone()));
            decision.say(
                "AbleToScale",
                false,
                "FailedGetScale",
                format!("the HPA controller was unable to get the target's current scale: {error}"),
            );
            return decision;
        }
    };
    let current = target.replicas;
    decision.current = Some(current);
    decision.say(
        "AbleToScale",
        true,
        "SucceededGetScale",
        "the HPA controller was able to get the target's current scale",
    );
    let (to, reason) = match world.spec.bounded(current) {
        Some(Bounded::Disabled) => {
            decision.say(
                "ScalingActive",
                false,
                "ScalingDisabled",
                "scaling is disabled since the replica count of the target is zero",
            );
            (current, String::new())
        }
        Some(Bounded::To(to, reason)) => (to, reason.to_owned()),
        None => match measured(world, target, &mut decision) {
            Some(answer) => answer,
            None => return decision,
        },
    };
    // Where a policy limits the pace, nothing is done before the status says where it began: after a crash
    // nobody could tell.
    if to != current && world.spec.behavior.is_some() && known_replicas(&world.hpa).is_none() {
        decision.desired = Some(current);
        decision.begins = true;
        return decision;
    }
    decision.desired = Some(to);
    if to != current {
        decision.rescale = Some(Rescale {
            from: current,
            to,
            reason,
        });
    }
    decision
}

/// How many replicas there should be by the metrics, within what is allowed, and why; nothing where that
/// cannot be said.
fn measured(world: &World, target: &Target, decision: &mut Decision) -> Option<(i32, String)> {
    if let Err(unclear) = &target.selector {
        unclear_selector(unclear, decision);
        return None;
    }
    let current = target.replicas;
    let (wanted, name) = highest(world, target, decision)?;
    decision.recommended = Some(wanted);
    let reason = match wanted.cmp(&current) {
        Ordering::Greater => format!("{name} above target"),
        Ordering::Less => "All metrics below target".to_owned(),
        Ordering::Equal => String::new(),
    };
    let limited = limits::limit(
        &world.spec,
        world.options.downscale_stabilization,
        &target.history,
        world.now(),
        current,
        wanted,
    );
    let (able, message) = limited.able;
    decision.say("AbleToScale", true, able, message);
    let (is_limited, why, message) = limited.limited;
    decision.say("ScalingLimited", is_limited, why, message);
    Some((limited.replicas, reason))
}

/// The most that any metric asks for, and which. Metrics that say nothing can hide a need: then it may become
/// more and never less (upstream: horizontal.go, `computeReplicasForMetrics`).
fn highest(world: &World, target: &Target, decision: &mut Decision) -> Option<(i32, String)> {
    let mut highest: Option<(i32, String)> = None;
    let mut invalid: Vec<Invalid> = Vec::new();
    let unasked = Err("it was not asked for".to_owned());
    for (index, spec) in world.spec.metrics.iter().enumerate() {
        let sample = target.samples.get(index).unwrap_or(&unasked);
        match metrics::propose(world, target, spec, sample) {
            Ok(proposal) => {
                decision.metrics.push(proposal.status);
                decision
                    .proposed
                    .push(Proposed::Replicas(proposal.replicas));
                if highest
                    .as_ref()
                    .is_none_or(|(most, _)| proposal.replicas > *most)
                {
                    highest = Some((proposal.replicas, proposal.name));
                }
            }
            Err(wrong) => {
                decision.metrics.push(MetricStatus::default());
                decision.proposed.push(match wrong.reason {
                    metrics::UNKNOWN => Proposed::Unknown,
                    _ => Proposed::Nothing,
                });
                let warning = (wrong.reason, wrong.message.clone());
                decision.warnings.push(warning);
                invalid.push(wrong);
            }
        }
    }
    let less = |(most, _): &(i32, String)| *most < target.replicas;
    if let Some(first) = invalid.first()
        && highest.as_ref().is_none_or(less)
    {
        let message = format!(
            "the HPA was unable to compute the replica count: {}",
            first.message
        );
        decision.say("ScalingActive", false, first.reason, message);
        let message = format!(
            "invalid metrics ({} invalid out of {}), first error is: {}",
            invalid.len(),
            world.spec.metrics.len(),
            first.summary
        );
        decision
            .warnings
            .push(("FailedComputeMetricsReplicas", message));
        return None;
    }
    let (wanted, name) = highest?;
    decision.say(
        "ScalingActive",
        true,
        "ValidMetricFound",
        format!("the HPA was able to successfully calculate a replica count from {name}"),
    );
    Some((wanted, name))
}

/// (upstream: horizontal.go, `validateAndParseSelector`)
fn unclear_selector(unclear: &Unclear, decision: &mut Decision) {
    let (event, reason, message, told) = match unclear {
        Unclear::Missing => (
            "SelectorRequired",
            "InvalidSelector",
            "the HPA target's scale is missing a selector".to_owned(),
            "selector is required".to_owned(),
        ),
        Unclear::Invalid(error) => {
            let message = format!(
                "couldn't convert selector into a corresponding internal selector object: {error}"
            );
            let told = message.clone();
            ("InvalidSelector", "InvalidSelector", message, told)
        }
        Unclear::Ambiguous(selector, names) => {
            let message = format!(
                "pods by selector {selector} are controlled by multiple HPAs: [{}]",
                names.join(" ")
            );
            let told = message.clone();
            ("AmbiguousSelector", "AmbiguousSelector", message, told)
        }
    };
    decision.say("ScalingActive", false, reason, message);
    decision.warnings.push((event, told.clone()));
    decision
        .warnings
        .push(("FailedComputeMetricsReplicas", told));
}

impl Decision {
    pub(crate) fn say(
        &mut self,
        kind: &'static str,
        holds: bool,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let said = (kind, holds, reason, message.into());
        match self.conditions.iter_mut().find(|(of, ..)| *of == kind) {
            Some(before) => *before = said,
            None => self.conditions.push(said),
        }
    }
}
