//! One pod, one decision. Pure.
//!
//! [`plan`] brings the pretended containers to `now`, writes the status that follows if the pod does not
//! have it, and deletes the pod once it has been told to stop and has stopped: status first, as a kubelet
//! does (`status_manager.go` syncPod), because whoever holds a finalizer (Job) looks at the phase.

use crate::hollow::{Hollow, Site, State, Stops, plus};
use crate::profile::Profiles;
use crate::script::files::Tree;
use crate::status;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use objects::{meta, pod as pods};
use plan::{Action, Note, PatchType, Plan, Reference};
use serde_json::json;
use std::net::Ipv4Addr;
use std::time::Duration;

/// After this time a write that the cache still does not show is done again (status_manager.go checks all
/// statuses every 10 s).
pub const REWRITE: Duration = Duration::from_secs(10);

/// What is known of one pod that this node has taken on.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The pod as the cache shows it.
    pub pod: &'a Pod,
    /// The address of its node.
    pub host: Ipv4Addr,
    /// What containers do.
    pub profiles: &'a Profiles,
    /// Record the events of normal life too.
    pub events: bool,
    /// The fingerprint of the last status that was written, and when.
    pub written: Option<(u64, Timestamp)>,
    /// When the pod was last deleted for good.
    pub deleted: Option<Timestamp>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// What was decided.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// The writes, and the events.
    pub plan: Plan,
    /// The fingerprint of the status in it.
    pub writes: Option<u64>,
    /// True when the pod is deleted in it.
    pub deletes: bool,
    /// When something changes by itself.
    pub next: Option<Timestamp>,
}

/// Decides about a pod and brings `hollow` to the time of the decision; `disk` is what is on its node.
pub fn plan(world: World<'_>, hollow: &mut Hollow, disk: &mut Tree) -> Decision {
    let World { pod, now, .. } = world;
    let mut decision = Decision::default();
    let before = Before::of(hollow);
    let deleting = meta::is_deleting(&pod.metadata);
    if deleting && hollow.never_started() {
        hollow.stop(pod, world.profiles, now);
    }
    let mut site = Site {
        host: world.host,
        profiles: world.profiles,
        disk,
    };
    decision.next = if deleting && !hollow.stopped {
        hollow.wind_down(pod, &mut site, stops(pod, world.profiles), now)
    } else {
        hollow.advance(pod, &mut site, now)
    };
    // A terminal phase is final: it is not written again, whatever is in memory.
    if !pods::is_terminal(pod) {
        let wanted = status::pod_status(pod, hollow, world.host, world.profiles, now);
        write_status(world, &wanted, &mut decision);
        notes(world, &before, hollow, &mut decision.plan);
    }
    hollow.news.clear();
    if deleting && (hollow.stopped || pods::is_terminal(pod)) {
        delete(world, &mut decision);
    }
    decision
}

/// Decides about a pod of terminal phase, of which nothing else is known.
pub fn plan_terminal(world: World<'_>) -> Decision {
    let mut decision = Decision::default();
    if meta::is_deleting(&world.pod.metadata) {
        delete(world, &mut decision);
    }
    decision
}

fn write_status(world: World<'_>, wanted: &PodStatus, decision: &mut Decision) {
    let fingerprint = status::fingerprint(wanted);
    let has = world.pod.status.as_ref().map(status::fingerprint);
    if has == Some(fingerprint) {
        return;
    }
    if let Some((print, at)) = world.written
        && print == fingerprint
        && plus(at, REWRITE) > world.now
    {
        let again = plus(at, REWRITE);
        decision.next = Some(decision.next.map_or(again, |next| next.min(again)));
        return;
    }
    let uid = meta::uid(&world.pod.metadata);
    let body = json!({ "metadata": { "uid": uid }, "status": wanted });
    let patch = Action::patch_status(Reference::to(world.pod), PatchType::Strategic, body);
    decision.plan.then(vec![patch]);
    decision.writes = Some(fingerprint);
}

fn delete(world: World<'_>, decision: &mut Decision) {
    let meta = &world.pod.metadata;
    // With grace 0 it has been deleted already; what keeps it are finalizers.
    let gone = meta.deletion_grace_period_seconds == Some(0);
    let on_its_way = world
        .deleted
        .is_some_and(|at| plus(at, REWRITE) > world.now);
    if gone || on_its_way {
        return;
    }
    decision.plan.then(vec![
        Action::delete(world.pod)
            .with_grace(0)
            .because("its containers have ended"),
    ]);
    decision.deletes = true;
}

/// When the containers of a pod that is being deleted stop: after the preStop sleep and the profile's
/// `stopAfter`, and never later than the grace period allows.
fn stops(pod: &Pod, profiles: &Profiles) -> Stops {
    let meta = &pod.metadata;
    let deadline = meta.deletion_timestamp.as_ref().map(|at| at.0);
    let deadline = deadline.unwrap_or(Timestamp::MAX);
    let grace = meta.deletion_grace_period_seconds.unwrap_or(0).max(0) as u64;
    let asked = deadline
        .checked_sub(Duration::from_secs(grace))
        .unwrap_or(deadline);
    let containers = pod.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
    let sleep = containers
        .iter()
        .filter_map(|c| c.lifecycle.as_ref()?.pre_stop.as_ref()?.sleep.as_ref())
        .map(|sleep| Duration::from_secs(sleep.seconds.max(0) as u64))
        .max();
    let told = plus(asked, sleep.unwrap_or_default()).min(deadline);
    let after = profiles.stop_after(pod);
    Stops {
        told,
        done: plus(told, after.unwrap_or_default()).min(deadline),
        said: after.is_some(),
        killed: deadline,
    }
}

/// What the containers did before a decision, as far as events need it.
struct Before {
    states: Vec<State>,
    ended: bool,
}

impl Before {
    fn of(hollow: &Hollow) -> Self {
        let runs = hollow.init.iter().chain(&hollow.main);
        Self {
            states: runs.map(|run| run.state.clone()).collect(),
            ended: hollow.end.is_some(),
        }
    }
}

/// The events of what changed since the last decision. Upstream: `pkg/kubelet/events/event.go`.
fn notes(world: World<'_>, before: &Before, after: &Hollow, plan: &mut Plan) {
    let pod = world.pod;
    let about = Reference::to(pod);
    for news in &after.news {
        let note = if news.warning {
            Note::warning
        } else {
            Note::normal
        };
        plan.note(note(&about, news.reason, &news.message));
    }
    if let Some(end) = &after.end {
        // A refusal is decided before the first look, so `before` says the same.
        let told = if end.refused {
            world.written.is_some()
        } else {
            before.ended
        };
        if let (false, Some(reason)) = (told, event_reason(&end.reason)) {
            plan.note(Note::warning(&about, reason, end.message.clone()));
        }
        return;
    }
    let spec = pod.spec.as_ref();
    let init = spec
        .and_then(|s| s.init_containers.as_deref())
        .unwrap_or_default();
    let main = spec.map_or(&[][..], |s| s.containers.as_slice());
    let runs = after.init.iter().chain(&after.main);
    for ((old, new), container) in before.states.iter().zip(runs).zip(init.iter().chain(main)) {
        if *old == new.state {
            continue;
        }
        let (name, image) = (
            &container.name,
            container.image.as_deref().unwrap_or_default(),
        );
        let mut warn = |reason, message: String| {
            plan.note(Note::warning(&about, reason, message));
        };
        match &new.state {
            State::InvalidImage => {
                warn("InspectFailed", status::invalid_image(image));
                warn("Failed", "Error: InvalidImageName".to_owned());
            }
            State::Unpullable(_) => {
                let error = status::pull_error(image);
                warn(
                    "Failed",
                    format!("Failed to pull image \"{image}\": {error}"),
                );
                warn("Failed", "Error: ErrImagePull".to_owned());
                plan.note(Note::normal(
                    &about,
                    "BackOff",
                    format!("Back-off pulling image \"{image}\""),
                ));
            }
            State::CrashLoop(_) => warn(
                "BackOff",
                format!(
                    "Back-off restarting failed container {name} in pod {}",
                    status::named(pod)
                ),
            ),
            State::Running(_) if world.events => {
                let pulled = format!("Container image \"{image}\" already present on machine");
                for (reason, message) in [
                    ("Pulled", pulled),
                    ("Created", format!("Container created: {name}")),
                    ("Started", format!("Container started: {name}")),
                ] {
                    plan.note(Note::normal(&about, reason, message));
                }
            }
            State::Exited(_) if world.events && meta::is_deleting(&pod.metadata) => {
                plan.note(Note::normal(
                    &about,
                    "Killing",
                    format!("Stopping container {name}"),
                ));
            }
            _ => {}
        }
    }
}

/// Event reasons are a closed list; a shortage of a resource that only some nodes have is told without its name.
fn event_reason(reason: &str) -> Option<&'static str> {
    const REASONS: [&str; 8] = [
        "OutOfpods",
        "OutOfcpu",
        "OutOfmemory",
        "OutOfephemeral-storage",
        "NodeAffinity",
        "NodePorts",
        "TaintToleration",
        "DeadlineExceeded",
    ];
    let known = REASONS.into_iter().find(|known| *known == reason);
    known.or(Some("UnexpectedAdmissionError"))
}

#[cfg(test)]
mod tests;
