//! The pretended containers of one pod, and how time changes them. Pure.
//!
//! [`Hollow::advance`] brings a pod to `now`: init containers and sidecars start in order, containers start,
//! exit and are restarted by the pod's restart policy with the kubelet's crash-loop back-off
//! (`kuberuntime_manager.go` computePodActions, `doBackOff`). Nothing is remembered that the pod's status
//! does not also say, so [`Hollow::from_status`] can go on where another process stopped.

use crate::image;
use crate::profile::{Behaviour, Profiles};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerStateTerminated, ContainerStatus, Pod, PodSpec,
};
use objects::pod::is_sidecar;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;
use std::time::Duration;

/// The first wait of a crash loop or pull back-off; it doubles up to [`LONGEST_BACKOFF`].
pub const FIRST_BACKOFF: Duration = Duration::from_secs(10);
/// The longest wait of a crash loop or pull back-off.
pub const LONGEST_BACKOFF: Duration = Duration::from_mins(5);
/// How long the error itself is shown before the back-off is.
pub const PULL_ERROR: Duration = Duration::from_secs(2);

/// One pod's containers.
#[derive(Clone, Debug, PartialEq)]
pub struct Hollow {
    /// When the node took the pod on: `status.startTime`.
    pub since: Timestamp,
    /// The pod's own address; none with the host's network, and after a refusal.
    pub ip: Option<Ipv4Addr>,
    /// The init containers and sidecars, in the order of the spec.
    pub init: Vec<Run>,
    /// The containers, in the order of the spec.
    pub main: Vec<Run>,
    /// The pod as a whole ended for this reason: refused, or its deadline passed.
    pub end: Option<End>,
    /// All containers have been stopped and nothing starts any more.
    pub stopped: bool,
}

/// Why a pod as a whole ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// `status.reason`.
    pub reason: String,
    /// `status.message`.
    pub message: String,
    /// The node never took it on.
    pub refused: bool,
}

/// One container.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What it does.
    pub state: State,
    /// How often it was restarted.
    pub restarts: i32,
    /// How many exits count for the back-off; long runs clear it.
    pub streak: u32,
    /// The exit before the present state.
    pub last: Option<Exit>,
    /// Hash of the image that it was started with.
    image: u64,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Not started yet; has its turn (`ContainerCreating`) or not (`PodInitializing`).
    Waiting,
    /// The image reference is none.
    InvalidImage,
    /// The image cannot be pulled, since then.
    Unpullable(Timestamp),
    /// It runs since then.
    Running(Timestamp),
    /// It exited, and starts again then.
    CrashLoop(Timestamp),
    /// It exited for good.
    Exited(Exit),
}

/// The end of a container.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exit {
    /// When it had been started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Its exit code.
    pub code: i32,
}

/// What is to be done after an exit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Always,
    OnFailure,
    Never,
}

/// The earliest moment at which something changes by itself.
#[derive(Default)]
struct Next(Option<Timestamp>);

impl Next {
    fn at(&mut self, time: Timestamp) {
        self.0 = Some(self.0.map_or(time, |earliest| earliest.min(time)));
    }
}

// === impl Hollow ===

impl Hollow {
    /// A pod that the node takes on now.
    pub fn begin(pod: &Pod, ip: Option<Ipv4Addr>, now: Timestamp) -> Self {
        let runs = |containers: &[Container]| containers.iter().map(Run::new).collect();
        let spec = pod.spec.as_ref();
        Self {
            since: now,
            ip,
            init: runs(
                spec.and_then(|s| s.init_containers.as_deref())
                    .unwrap_or_default(),
            ),
            main: runs(spec.map_or(&[], |s| s.containers.as_slice())),
            end: None,
            stopped: false,
        }
    }

    /// A pod that the node refuses.
    pub fn refuse(pod: &Pod, reason: String, message: String, now: Timestamp) -> Self {
        Self {
            end: Some(End {
                reason,
                message,
                refused: true,
            }),
            stopped: true,
            ..Self::begin(pod, None, now)
        }
    }

    /// A pod that a former process had taken on, from what it wrote; none when it had written nothing.
    pub fn from_status(pod: &Pod) -> Option<Self> {
        let status = pod.status.as_ref()?;
        let since = status.start_time.as_ref()?.0;
        let host_network = pod.spec.as_ref().and_then(|s| s.host_network) == Some(true);
        let ip = status.pod_ip.as_deref().and_then(|ip| ip.parse().ok());
        let fresh = Self::begin(pod, ip.filter(|_| !host_network), since);
        let spec = pod.spec.as_ref();
        let restore =
            |runs: Vec<Run>, specs: &[Container], found: Option<&Vec<ContainerStatus>>| {
                let found = found.map_or(&[][..], Vec::as_slice);
                let restore = runs.into_iter().zip(specs).map(|(run, spec)| {
                    match found.iter().find(|status| status.name == spec.name) {
                        Some(status) => Run::from_status(status, since),
                        None => run,
                    }
                });
                restore.collect()
            };
        let init_specs = spec
            .and_then(|s| s.init_containers.as_deref())
            .unwrap_or_default();
        let main_specs = spec.map_or(&[][..], |s| s.containers.as_slice());
        Some(Self {
            init: restore(
                fresh.init,
                init_specs,
                status.init_container_statuses.as_ref(),
            ),
            main: restore(fresh.main, main_specs, status.container_statuses.as_ref()),
            ..fresh
        })
    }

    /// Brings the containers to `now` and says when to come again, if anything changes by itself.
    pub fn advance(&mut self, pod: &Pod, profiles: &Profiles, now: Timestamp) -> Option<Timestamp> {
        if self.stopped {
            return None;
        }
        let spec = pod.spec.as_ref()?;
        let mut next = Next::default();
        if let Some(seconds) = spec.active_deadline_seconds {
            let deadline = plus(self.since, Duration::from_secs(seconds.max(0) as u64));
            if deadline <= now {
                self.stop(pod, profiles, deadline);
                self.end = Some(End {
                    reason: "DeadlineExceeded".to_owned(),
                    message: "Pod was active on the node longer than the specified deadline"
                        .to_owned(),
                    refused: false,
                });
                return None;
            }
            next.at(deadline);
        }
        let begin = plus(self.since, profiles.start_delay(pod));
        if begin > now && self.never_started() {
            next.at(begin);
            return next.0;
        }
        if let Some(ready) = self.initialize(pod, spec, profiles, begin, now, &mut next) {
            for (run, container) in self.main.iter_mut().zip(&spec.containers) {
                let does = profiles.behaviour(pod, container, false);
                run.advance(
                    container,
                    policy(spec, container, false),
                    &does,
                    ready,
                    now,
                    &mut next,
                );
            }
            self.finish(pod, spec, profiles);
        }
        if self.stopped { None } else { next.0 }
    }

    /// Stops what still runs, at `at`, and starts nothing any more.
    pub fn stop(&mut self, pod: &Pod, profiles: &Profiles, at: Timestamp) {
        let Some(spec) = pod.spec.as_ref() else {
            return;
        };
        let init = spec.init_containers.iter().flatten();
        let init = self.init.iter_mut().zip(init).map(|(r, c)| (r, c, true));
        let main = self.main.iter_mut().zip(&spec.containers);
        let main = main.map(|(r, c)| (r, c, false));
        for (run, container, init) in init.chain(main) {
            match (&run.state, run.last) {
                (State::Running(started), _) => {
                    run.state = State::Exited(Exit {
                        started: *started,
                        finished: at.max(*started),
                        code: profiles.behaviour(pod, container, init).stop_code,
                    });
                }
                (State::CrashLoop(_), Some(last)) => run.state = State::Exited(last),
                _ => {}
            }
        }
        self.stopped = true;
    }

    /// True when no container has been running yet.
    pub fn never_started(&self) -> bool {
        let idle = |run: &Run| run.restarts == 0 && run.last.is_none() && !run.has_begun();
        self.init.iter().chain(&self.main).all(idle)
    }

    /// True when all init containers have succeeded and all sidecars have been started.
    pub fn is_initialized(&self, spec: &PodSpec) -> bool {
        // Once a container has started, the init containers are not looked at again.
        self.main
            .iter()
            .any(|run| run.has_begun() || run.last.is_some())
            || self
                .init
                .iter()
                .zip(spec.init_containers.iter().flatten())
                .all(|(run, container)| run.passes(is_sidecar(container)).is_some())
    }

    /// Runs the init containers in order; the time from which the containers may start when all passed.
    fn initialize(
        &mut self,
        pod: &Pod,
        spec: &PodSpec,
        profiles: &Profiles,
        begin: Timestamp,
        now: Timestamp,
        next: &mut Next,
    ) -> Option<Timestamp> {
        let mut turn = begin;
        let mains_begun = self
            .main
            .iter()
            .any(|run| run.has_begun() || run.last.is_some());
        for (run, container) in self
            .init
            .iter_mut()
            .zip(spec.init_containers.iter().flatten())
        {
            let sidecar = is_sidecar(container);
            if mains_begun && !sidecar {
                continue;
            }
            let does = profiles.behaviour(pod, container, true);
            let policy = policy(spec, container, true);
            run.advance(container, policy, &does, turn, now, next);
            match run.passes(sidecar) {
                Some(at) => turn = turn.max(at),
                None if mains_begun => {}
                None => {
                    if let State::Exited(exit) = run.state {
                        // It failed and is not restarted: the pod has failed.
                        self.stop(pod, profiles, exit.finished);
                    }
                    return None;
                }
            }
        }
        Some(turn)
    }

    /// When all containers have ended for good, the sidecars end too and the pod is over.
    fn finish(&mut self, pod: &Pod, spec: &PodSpec, profiles: &Profiles) {
        let ends = self
            .main
            .iter()
            .zip(&spec.containers)
            .map(|(run, _)| match run.state {
                State::Exited(exit) => Some(exit.finished),
                _ => None,
            });
        if let Some(ends) = ends.collect::<Option<Vec<_>>>()
            && let Some(last) = ends.into_iter().max()
        {
            self.stop(pod, profiles, last);
        }
    }
}

// === impl Run ===

impl Run {
    fn new(container: &Container) -> Self {
        Self {
            state: State::Waiting,
            restarts: 0,
            streak: 0,
            last: None,
            image: hash(container.image.as_deref().unwrap_or_default()),
        }
    }

    fn from_status(status: &ContainerStatus, since: Timestamp) -> Self {
        let exit = |t: &ContainerStateTerminated| {
            let finished = t.finished_at.as_ref().map_or(since, |at| at.0);
            Exit {
                started: t.started_at.as_ref().map_or(finished, |at| at.0),
                finished,
                code: t.exit_code,
            }
        };
        let last = status
            .last_state
            .as_ref()
            .and_then(|s| s.terminated.as_ref());
        let last = last.map(exit);
        let streak = status.restart_count.max(0) as u32;
        let state = match status.state.as_ref() {
            Some(s) if let Some(running) = &s.running => {
                State::Running(running.started_at.as_ref().map_or(since, |at| at.0))
            }
            Some(s) if let Some(terminated) = &s.terminated => State::Exited(exit(terminated)),
            Some(s) if let Some(waiting) = &s.waiting => match waiting.reason.as_deref() {
                Some("CrashLoopBackOff") => {
                    let end = last.map_or(since, |exit| exit.finished);
                    State::CrashLoop(plus(end, backoff(streak)))
                }
                Some("InvalidImageName") => State::InvalidImage,
                Some("ErrImagePull" | "ImagePullBackOff") => State::Unpullable(since),
                _ => State::Waiting,
            },
            _ => State::Waiting,
        };
        Self {
            state,
            restarts: status.restart_count,
            streak,
            last,
            image: hash(&status.image),
        }
    }

    /// True while it runs or when it ran and was not restarted.
    pub fn has_begun(&self) -> bool {
        matches!(
            self.state,
            State::Running(_) | State::CrashLoop(_) | State::Exited(_)
        )
    }

    /// Since when the init container lets the next one start: it succeeded, or as a sidecar it was started.
    pub(crate) fn passes(&self, sidecar: bool) -> Option<Timestamp> {
        match self.state {
            State::Exited(exit) if exit.code == 0 && !sidecar => Some(exit.finished),
            State::Running(since) if sidecar => Some(self.last.map_or(since, |last| last.started)),
            State::CrashLoop(_) if sidecar => self.last.map(|last| last.started),
            State::Exited(exit) if sidecar => Some(exit.started),
            _ => None,
        }
    }

    /// Whether it is ready: it runs, and long enough.
    pub fn is_ready(&self, does: &Behaviour, now: Timestamp) -> bool {
        match (&self.state, does.ready_after) {
            (State::Running(since), Some(after)) => plus(*since, after) <= now,
            _ => false,
        }
    }

    fn advance(
        &mut self,
        container: &Container,
        policy: Policy,
        does: &Behaviour,
        turn: Timestamp,
        now: Timestamp,
        next: &mut Next,
    ) {
        let image_name = container.image.as_deref().unwrap_or_default();
        let image = hash(image_name);
        if image != self.image {
            // The image is the one thing of a container that may be changed: it is killed and started anew.
            self.image = image;
            match self.state {
                State::Running(started) => {
                    self.last = Some(Exit {
                        started,
                        finished: now,
                        code: does.stop_code,
                    });
                    self.restarts += 1;
                    self.start(image_name, does, now);
                }
                State::InvalidImage | State::Unpullable(_) => self.state = State::Waiting,
                _ => {}
            }
        }
        loop {
            match self.state {
                State::Waiting if turn <= now => self.start(image_name, does, turn),
                State::Waiting => return next.at(turn),
                State::InvalidImage => return,
                State::Unpullable(since) => {
                    let backing_off = plus(since, PULL_ERROR);
                    if backing_off > now {
                        next.at(backing_off);
                    }
                    return;
                }
                State::Running(started) => {
                    if let Some(ready) = does.ready_after.map(|after| plus(started, after))
                        && ready > now
                    {
                        next.at(ready);
                    }
                    let Some(end) = does.run_for.map(|time| plus(started, time)) else {
                        return;
                    };
                    if end > now {
                        return next.at(end);
                    }
                    let nth = (self.restarts.max(0) as usize).min(does.exit_codes.len() - 1);
                    let exit = Exit {
                        started,
                        finished: end,
                        code: does.exit_codes[nth],
                    };
                    if !policy.restarts(exit.code) {
                        self.state = State::Exited(exit);
                        return;
                    }
                    // kubelet.go: a run of twice the longest back-off forgives what was before.
                    if end.duration_since(started)
                        >= (2 * LONGEST_BACKOFF).try_into().unwrap_or_default()
                    {
                        self.streak = 0;
                    }
                    self.last = Some(exit);
                    self.state = State::CrashLoop(plus(end, backoff(self.streak)));
                }
                State::CrashLoop(until) => {
                    if until > now {
                        return next.at(until);
                    }
                    self.restarts += 1;
                    self.streak += 1;
                    self.state = State::Running(until);
                }
                State::Exited(exit) => {
                    // Only after a restart of the agent: the exit was seen, what follows was not.
                    if !policy.restarts(exit.code) {
                        return;
                    }
                    self.last = Some(exit);
                    self.state = State::CrashLoop(plus(exit.finished, backoff(self.streak)));
                }
            }
        }
    }

    fn start(&mut self, image_name: &str, does: &Behaviour, at: Timestamp) {
        self.state = if image::check(image_name).is_err() {
            State::InvalidImage
        } else if does.fail_image {
            State::Unpullable(at)
        } else {
            State::Running(at)
        };
    }
}

impl Policy {
    fn restarts(self, code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => code != 0,
            Self::Never => false,
        }
    }
}

/// The wait after an exit when `streak` exits that count were before it: none, 10 s, 20 s, … 300 s.
pub fn backoff(streak: u32) -> Duration {
    match streak {
        0 => Duration::ZERO,
        n => FIRST_BACKOFF
            .saturating_mul(1u32.checked_shl(n - 1).unwrap_or(u32::MAX))
            .min(LONGEST_BACKOFF),
    }
}

/// `time` later by `by`; the end of time when there is none.
pub fn plus(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The container's own policy (KEP-753, KEP-5307), or the pod's; an init container is never started again
/// after it succeeded.
fn policy(spec: &PodSpec, container: &Container, init: bool) -> Policy {
    let own = container.restart_policy.as_deref();
    let pod = spec.restart_policy.as_deref();
    match own.or(pod) {
        Some("Never") => Policy::Never,
        Some("OnFailure") => Policy::OnFailure,
        _ if init && own.is_none() => Policy::OnFailure,
        _ => Policy::Always,
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
