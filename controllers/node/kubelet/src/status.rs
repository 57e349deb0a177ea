//! The status that a pod should have. Pure.
//!
//! Semantics: `pkg/kubelet/kubelet_pods.go` (`getPhase`, `generateAPIPodStatus`, `convertStatusToAPIStatus`),
//! `pkg/kubelet/status/generate.go` (conditions), `status_manager.go` (`TerminatePod`).

use crate::hollow::{Exit, Hollow, Run, State, backoff, plus};
use crate::profile::{Behaviour, Profiles};
use crate::{hollow, image};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use objects::pod::is_sidecar;
use objects::{conditions, meta};
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;

/// The conditions that a kubelet writes; others belong to others.
const OWN: [&str; 5] = [
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
];

/// The status of `pod` on a node of this address when its containers are as `hollow` says.
pub fn pod_status(
    pod: &Pod,
    hollow: &Hollow,
    host: Ipv4Addr,
    profiles: &Profiles,
    now: Timestamp,
) -> PodStatus {
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let phase = phase(spec, hollow);
    let shared = PodStatus {
        phase: Some(phase.to_owned()),
        observed_generation: pod.metadata.generation,
        start_time: Some(Time(hollow.since)),
        reason: hollow.end.as_ref().map(|end| end.reason.clone()),
        message: hollow.end.as_ref().map(|end| end.message.clone()),
        ..PodStatus::default()
    };
    if hollow.end.as_ref().is_some_and(|end| end.refused) {
        return shared;
    }
    let init_specs = spec.init_containers.as_deref().unwrap_or_default();
    let statuses = |runs: &[Run], specs: &[Container], init: bool| {
        let pairs = runs.iter().zip(specs);
        let statuses = pairs.map(|(run, container)| {
            let does = profiles.behaviour(pod, container, init);
            container_status(pod, spec, hollow, run, container, &does, init, now)
        });
        let statuses: Vec<_> = statuses.collect();
        (!statuses.is_empty()).then_some(statuses)
    };
    let mut status = PodStatus {
        container_statuses: statuses(&hollow.main, &spec.containers, false),
        init_container_statuses: statuses(&hollow.init, init_specs, true),
        host_ip: Some(host.to_string()),
        host_ips: Some(vec![HostIP {
            ip: host.to_string(),
        }]),
        ..shared
    };
    let sandbox = has_sandbox(hollow);
    let host_network = spec.host_network == Some(true);
    let ip = if host_network { Some(host) } else { hollow.ip };
    if let Some(ip) = ip.filter(|_| sandbox || hollow.stopped) {
        status.pod_ip = Some(ip.to_string());
        status.pod_ips = Some(vec![PodIP { ip: ip.to_string() }]);
    }
    let old = pod
        .status
        .as_ref()
        .and_then(|old| old.conditions.as_deref());
    status.conditions = Some(
        verdicts(pod, spec, hollow, &status, sandbox)
            .into_iter()
            .map(|verdict| verdict.condition(old, pod.metadata.generation, now))
            .collect(),
    );
    status
}

/// What of a status is this agent's, without the times at which conditions changed: two statuses of the same
/// fingerprint need no write between them.
pub fn fingerprint(status: &PodStatus) -> u64 {
    let own = |condition: &PodCondition| {
        OWN.contains(&condition.type_.as_str())
            .then(|| PodCondition {
                last_probe_time: None,
                last_transition_time: None,
                ..condition.clone()
            })
    };
    let mut conditions: Vec<PodCondition> =
        status.conditions.iter().flatten().filter_map(own).collect();
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    let own = PodStatus {
        phase: status.phase.clone(),
        reason: status.reason.clone(),
        message: status.message.clone(),
        observed_generation: status.observed_generation,
        start_time: status.start_time.clone(),
        host_ip: status.host_ip.clone(),
        host_ips: status.host_ips.clone(),
        pod_ip: status.pod_ip.clone(),
        pod_ips: status.pod_ips.clone(),
        container_statuses: status.container_statuses.clone(),
        init_container_statuses: status.init_container_statuses.clone(),
        conditions: Some(conditions),
        ..PodStatus::default()
    };
    let mut hasher = DefaultHasher::new();
    // As text, because times have sub-seconds here and none in the API.
    serde_json::to_value(own)
        .unwrap_or(Value::Null)
        .to_string()
        .hash(&mut hasher);
    hasher.finish()
}

/// kubelet_pods.go getPhase; a stopped pod is Succeeded or Failed (status_manager.go TerminatePod).
fn phase(spec: &PodSpec, hollow: &Hollow) -> &'static str {
    let succeeded = |run: &Run| matches!(&run.state, State::Exited(exit) if exit.code == 0);
    if hollow.end.is_some() {
        return "Failed";
    }
    if hollow.stopped {
        return if hollow.main.iter().all(succeeded) {
            "Succeeded"
        } else {
            "Failed"
        };
    }
    let waits = |run: &Run| !run.has_begun() && run.last.is_none();
    if !hollow.is_initialized(spec) || hollow.main.iter().any(waits) {
        "Pending"
    } else {
        "Running"
    }
}

fn has_sandbox(hollow: &Hollow) -> bool {
    let begun = |run: &Run| run.state != State::Waiting || run.last.is_some();
    !hollow.stopped && hollow.init.iter().chain(&hollow.main).any(begun)
}

#[allow(clippy::too_many_arguments)] // one container, seen from all sides
fn container_status(
    pod: &Pod,
    spec: &PodSpec,
    hollow: &Hollow,
    run: &Run,
    container: &Container,
    does: &Behaviour,
    init: bool,
    now: Timestamp,
) -> ContainerStatus {
    let image = container.image.clone().unwrap_or_default();
    let uid = meta::uid(&pod.metadata);
    let id = |restarts: i32| format!("hollow://{uid}-{}-{restarts}", container.name);
    let lost = hollow.stopped && !init && !run.has_begun() && hollow.is_initialized(spec);
    let waiting = |reason: &str, message: Option<String>| ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(reason.to_owned()),
            message,
        }),
        ..ContainerState::default()
    };
    let state = match &run.state {
        _ if lost => ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code: 137,
                reason: Some("ContainerStatusUnknown".to_owned()),
                message: Some(
                    "The container could not be located when the pod was terminated".to_owned(),
                ),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        },
        State::Waiting if hollow.init.is_empty() => waiting("ContainerCreating", None),
        State::Waiting => waiting("PodInitializing", None),
        State::InvalidImage => waiting("InvalidImageName", Some(invalid_image(&image))),
        State::Unpullable(since) if plus(*since, hollow::PULL_ERROR) > now => {
            waiting("ErrImagePull", Some(pull_error(&image)))
        }
        State::Unpullable(_) => waiting(
            "ImagePullBackOff",
            Some(format!(
                "Back-off pulling image \"{image}\": ErrImagePull: {}",
                pull_error(&image)
            )),
        ),
        State::CrashLoop(_) => waiting(
            "CrashLoopBackOff",
            Some(format!(
                "back-off {} restarting failed container={} pod={}",
                go_duration(backoff(run.streak).as_secs()),
                container.name,
                named(pod)
            )),
        ),
        State::Running(since) => ContainerState {
            running: Some(ContainerStateRunning {
                started_at: Some(Time(*since)),
            }),
            ..ContainerState::default()
        },
        State::Exited(exit) => terminated(exit, id(run.restarts)),
    };
    let begun = run.has_begun();
    let sidecar = init && is_sidecar(container);
    let last = run
        .last
        .as_ref()
        .filter(|last| !matches!(&run.state, State::Exited(exit) if exit == *last));
    // While it backs off the exited container is the current one; once restarted the one before.
    let last_id = if matches!(run.state, State::CrashLoop(_)) {
        run.restarts
    } else {
        run.restarts - 1
    };
    ContainerStatus {
        name: container.name.clone(),
        image_id: if begun { image.clone() } else { String::new() },
        image,
        container_id: begun.then(|| id(run.restarts)),
        started: Some(run.is_started()),
        ready: if init && !sidecar {
            // An init container is ready when it has succeeded.
            matches!(&run.state, State::Exited(exit) if exit.code == 0)
        } else {
            run.is_ready(does, now)
        },
        restart_count: run.restarts,
        state: Some(state),
        last_state: Some(last.map_or_else(ContainerState::default, |exit| {
            terminated(exit, id(last_id))
        })),
        allocated_resources: container
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.clone())
            .filter(|requests| !requests.is_empty()),
        resources: Some(container.resources.clone().unwrap_or_default()),
        ..ContainerStatus::default()
    }
}

fn terminated(exit: &Exit, id: String) -> ContainerState {
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            container_id: Some(id),
            exit_code: exit.code,
            reason: Some(if exit.code == 0 { "Completed" } else { "Error" }.to_owned()),
            message: exit.message.as_deref().map(str::to_owned),
            started_at: Some(Time(exit.started)),
            finished_at: Some(Time(exit.finished)),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    }
}

/// A condition before its times.
struct Verdict {
    kind: &'static str,
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Verdict {
    fn new(kind: &'static str, holds: bool) -> Self {
        Self {
            kind,
            holds,
            reason: None,
            message: None,
        }
    }

    fn because(self, reason: &'static str, message: Option<String>) -> Self {
        Self {
            reason: Some(reason),
            message,
            ..self
        }
    }

    fn condition(
        self,
        old: Option<&[PodCondition]>,
        generation: Option<i64>,
        now: Timestamp,
    ) -> PodCondition {
        let status = if self.holds { "True" } else { "False" };
        let old = conditions::find(old, self.kind).filter(|old| old.status == status);
        PodCondition {
            type_: self.kind.to_owned(),
            status: status.to_owned(),
            reason: self.reason.map(str::to_owned),
            message: self.message,
            observed_generation: generation,
            last_probe_time: None,
            last_transition_time: old
                .and_then(|old| old.last_transition_time.clone())
                .or(Some(Time(now))),
        }
    }
}

fn verdicts(
    pod: &Pod,
    spec: &PodSpec,
    hollow: &Hollow,
    status: &PodStatus,
    sandbox: bool,
) -> [Verdict; 5] {
    let phase = status.phase.as_deref().unwrap_or_default();
    let containers = containers_ready(spec, status, phase);
    let ready = if containers.holds {
        gates(pod, spec)
    } else {
        Verdict {
            kind: "Ready",
            message: containers.message.clone(),
            ..containers
        }
    };
    [
        Verdict::new("PodReadyToStartContainers", sandbox),
        initialized(spec, hollow, phase),
        ready,
        containers,
        Verdict::new("PodScheduled", true),
    ]
}

/// generate.go GenerateContainersReadyCondition
fn containers_ready(spec: &PodSpec, status: &PodStatus, phase: &str) -> Verdict {
    let verdict = Verdict::new("ContainersReady", false);
    match phase {
        "Succeeded" => return verdict.because("PodCompleted", None),
        "Failed" => return verdict.because("PodFailed", None),
        _ => {}
    }
    let sidecars: Vec<&str> = objects::pod::sidecars(spec)
        .map(|c| c.name.as_str())
        .collect();
    let sidecars = status
        .init_container_statuses
        .iter()
        .flatten()
        .filter(|s| sidecars.contains(&s.name.as_str()));
    let unready: Vec<&str> = sidecars
        .chain(status.container_statuses.iter().flatten())
        .filter(|status| !status.ready)
        .map(|status| status.name.as_str())
        .collect();
    if unready.is_empty() {
        Verdict::new("ContainersReady", true)
    } else {
        let message = format!("containers with unready status: [{}]", unready.join(" "));
        verdict.because("ContainersNotReady", Some(message))
    }
}

/// generate.go GeneratePodReadyCondition, where all containers are ready
fn gates(pod: &Pod, spec: &PodSpec) -> Verdict {
    let found = pod.status.as_ref().and_then(|s| s.conditions.as_deref());
    let closed: Vec<String> = spec
        .readiness_gates
        .iter()
        .flatten()
        .filter_map(|gate| {
            let gate = &gate.condition_type;
            match conditions::find(found, gate) {
                None => Some(format!(
                    "corresponding condition of pod readiness gate \"{gate}\" does not exist."
                )),
                Some(c) if c.status != "True" => Some(format!(
                    "the status of pod readiness gate \"{gate}\" is not \"True\", but {}",
                    c.status
                )),
                Some(_) => None,
            }
        })
        .collect();
    if closed.is_empty() {
        Verdict::new("Ready", true)
    } else {
        Verdict::new("Ready", false).because("ReadinessGatesNotReady", Some(closed.join(", ")))
    }
}

/// generate.go GeneratePodInitializedCondition
fn initialized(spec: &PodSpec, hollow: &Hollow, phase: &str) -> Verdict {
    if phase == "Succeeded" {
        return Verdict::new("Initialized", true).because("PodCompleted", None);
    }
    if hollow.is_initialized(spec) {
        return Verdict::new("Initialized", true);
    }
    let incomplete: Vec<&str> = hollow
        .init
        .iter()
        .zip(spec.init_containers.iter().flatten())
        .filter(|(run, container)| run.passes(is_sidecar(container)).is_none())
        .map(|(_, container)| container.name.as_str())
        .collect();
    let message = format!(
        "containers with incomplete status: [{}]",
        incomplete.join(" ")
    );
    Verdict::new("Initialized", false).because("ContainersNotInitialized", Some(message))
}

/// The message of an image reference that is none (image_manager.go).
pub fn invalid_image(image: &str) -> String {
    let why = image::check(image).err().unwrap_or_default();
    format!(
        "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": {why}"
    )
}

/// The message of an image that cannot be pulled, as a registry without it gives.
pub fn pull_error(image: &str) -> String {
    format!(
        "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": {image}: not found"
    )
}

/// `name_namespace(uid)`, as a kubelet names pods in messages.
pub fn named(pod: &Pod) -> String {
    let meta = &pod.metadata;
    format!(
        "{}_{}({})",
        meta::name(meta),
        meta::namespace(meta),
        meta::uid(meta)
    )
}

/// Whole seconds as Go prints a duration: `10s`, `1m20s`, `5m0s`.
fn go_duration(seconds: u64) -> String {
    if seconds < 60 {
        format!("{seconds}s")
    } else {
        format!("{}m{}s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests;
