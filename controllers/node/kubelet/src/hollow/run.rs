//! One container: its states, its back-off, and its runs.

use super::probes::{Condemned, Probes};
use super::process::{self, Acts, Subject, Volumes};
use super::{News, Next, Site, plus};
use crate::command::Facts;
use crate::image;
use crate::profile::Behaviour;
use crate::script::Pause;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerStateTerminated, ContainerStatus, Pod, PodSpec,
};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// The first wait of a crash loop or pull back-off; it doubles up to [`LONGEST_BACKOFF`].
pub const FIRST_BACKOFF: Duration = Duration::from_secs(10);
/// The longest wait of a crash loop or pull back-off.
pub const LONGEST_BACKOFF: Duration = Duration::from_mins(5);
/// How long the error itself is shown before the back-off is.
pub const PULL_ERROR: Duration = Duration::from_secs(2);

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
    /// What it does from its start.
    pub acts: Acts,
    /// Its probes, where they say anything.
    pub probes: Option<Box<Probes>>,
    /// A probe has told it to stop.
    condemned: bool,
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
#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    /// When it had been started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Its exit code.
    pub code: i32,
    /// What it left to be told.
    pub message: Option<Arc<str>>,
}

/// What is to be done after an exit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Always,
    OnFailure,
    Never,
}

/// What is around a container when it is brought to a time.
pub(super) struct Turn<'a, 's> {
    pub(super) pod: &'a Pod,
    pub(super) facts: Facts,
    pub(super) volumes: &'a mut Volumes,
    pub(super) news: &'a mut Vec<News>,
    pub(super) site: &'a mut Site<'s>,
    pub(super) now: Timestamp,
    pub(super) next: &'a mut Next,
}

/// How a run ended.
struct Ended {
    exit: Exit,
    /// A probe ended it, so its code does not matter for what follows.
    condemned: bool,
}

// === impl Run ===

impl Run {
    pub(super) fn new(container: &Container) -> Self {
        Self {
            state: State::Waiting,
            restarts: 0,
            streak: 0,
            last: None,
            acts: Acts::Unseen,
            probes: None,
            condemned: false,
            image: hash(container.image.as_deref().unwrap_or_default()),
        }
    }

    pub(super) fn from_status(status: &ContainerStatus, since: Timestamp) -> Self {
        let exit = |t: &ContainerStateTerminated| {
            let finished = t.finished_at.as_ref().map_or(since, |at| at.0);
            Exit {
                started: t.started_at.as_ref().map_or(finished, |at| at.0),
                finished,
                code: t.exit_code,
                message: t.message.as_deref().map(Into::into),
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
                    let end = last.as_ref().map_or(since, |exit| exit.finished);
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
            acts: Acts::Lost,
            probes: None,
            condemned: false,
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
        let last = self.last.as_ref().map(|last| last.started);
        match &self.state {
            State::Exited(exit) if exit.code == 0 && !sidecar => Some(exit.finished),
            State::Running(since) if sidecar && self.is_started() => Some(last.unwrap_or(*since)),
            State::CrashLoop(_) if sidecar => last,
            State::Exited(exit) if sidecar => Some(exit.started),
            _ => None,
        }
    }

    /// Whether it runs and its startup probe has passed.
    pub fn is_started(&self) -> bool {
        matches!(self.state, State::Running(_))
            && self
                .probes
                .as_ref()
                .is_none_or(|probes| probes.is_started())
    }

    /// Whether it is ready: it runs, long enough, and its probes pass.
    pub fn is_ready(&self, does: &Behaviour, now: Timestamp) -> bool {
        let probed = self.probes.as_ref().is_none_or(|probes| probes.is_ready());
        match (&self.state, does.ready_after) {
            (State::Running(since), Some(after)) => probed && plus(*since, after) <= now,
            _ => false,
        }
    }

    /// Ends it at `at`, whatever it does; a script is killed.
    pub(super) fn kill(&mut self, does: &Behaviour, at: Timestamp) {
        match (&self.state, &self.last) {
            (State::Running(started), _) => {
                let code = match self.acts {
                    Acts::Script(_) => does.kill_code,
                    _ => does.stop_code,
                };
                self.state = State::Exited(Exit::new(*started, at.max(*started), code));
            }
            (State::CrashLoop(_), Some(last)) => self.state = State::Exited(last.clone()),
            _ => {}
        }
        self.acts = Acts::Unseen;
        self.probes = None;
    }

    /// Brings it to the time of `turn`; from `since` on it may start.
    pub(super) fn advance(
        &mut self,
        container: &Container,
        policy: Policy,
        does: &Behaviour,
        since: Timestamp,
        turn: &mut Turn<'_, '_>,
    ) {
        let now = turn.now;
        let image_name = container.image.as_deref().unwrap_or_default();
        let image = hash(image_name);
        if image != self.image {
            // The image is the one thing of a container that may be changed: it is killed and started anew.
            self.image = image;
            match self.state {
                State::Running(started) => {
                    self.last = Some(Exit::new(started, now, does.stop_code));
                    self.restarts += 1;
                    self.start(image_name, does, now);
                }
                State::InvalidImage | State::Unpullable(_) => self.state = State::Waiting,
                _ => {}
            }
        }
        loop {
            match &self.state {
                State::Waiting if since <= now => self.start(image_name, does, since),
                State::Waiting => return turn.next.at(since),
                State::InvalidImage => return,
                State::Unpullable(since) => {
                    let backing_off = plus(*since, PULL_ERROR);
                    if backing_off > now {
                        turn.next.at(backing_off);
                    }
                    return;
                }
                State::Running(started) => {
                    let started = *started;
                    let Some(ended) = self.live(container, does, started, turn) else {
                        return;
                    };
                    let restarts = match ended.condemned {
                        true => policy != Policy::Never,
                        false => policy.restarts(ended.exit.code),
                    };
                    self.acts = Acts::Unseen;
                    self.probes = None;
                    if !restarts {
                        self.state = State::Exited(ended.exit);
                        return;
                    }
                    // kubelet.go: a run of twice the longest back-off forgives what was before.
                    let end = ended.exit.finished;
                    if end.duration_since(started)
                        >= (2 * LONGEST_BACKOFF).try_into().unwrap_or_default()
                    {
                        self.streak = 0;
                    }
                    self.last = Some(ended.exit);
                    self.state = State::CrashLoop(plus(end, backoff(self.streak)));
                }
                State::CrashLoop(until) => {
                    let until = *until;
                    if until > now {
                        return turn.next.at(until);
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
                    let exit = exit.clone();
                    let until = plus(exit.finished, backoff(self.streak));
                    self.last = Some(exit);
                    self.state = State::CrashLoop(until);
                }
            }
        }
    }

    /// Lets it run up to now; how it ended, if it did.
    fn live(
        &mut self,
        container: &Container,
        does: &Behaviour,
        started: Timestamp,
        turn: &mut Turn<'_, '_>,
    ) -> Option<Ended> {
        if matches!(self.acts, Acts::Unseen | Acts::Lost) {
            self.begin(container, does, started, turn);
        }
        if let Some(ready) = does.ready_after.map(|after| plus(started, after))
            && ready > turn.now
        {
            turn.next.at(ready);
        }
        loop {
            // The script and its probes take turns in the order of time.
            let asked = self.probes.as_ref().and_then(|probes| probes.next());
            let horizon = asked.map_or(turn.now, |at| at.min(turn.now));
            if let Some(exit) = self.run_until(does, started, horizon, turn) {
                let condemned = std::mem::take(&mut self.condemned);
                return Some(Ended { exit, condemned });
            }
            let asked = asked?;
            if asked > turn.now {
                turn.next.at(asked);
                return None;
            }
            let condemned = self.probes.as_mut().and_then(|probes| {
                probes.ask(
                    &mut self.acts,
                    turn.volumes,
                    turn.site.disk,
                    asked,
                    turn.news,
                )
            });
            if let Some(condemned) = condemned
                && let Some(exit) = self.condemn(container, does, started, asked, &condemned, turn)
            {
                return Some(Ended {
                    exit,
                    condemned: true,
                });
            }
        }
    }

    /// Finds out what the container does, when it has started or is found running.
    fn begin(
        &mut self,
        container: &Container,
        does: &Behaviour,
        started: Timestamp,
        turn: &mut Turn<'_, '_>,
    ) {
        let about = Subject {
            pod: turn.pod,
            container,
            facts: turn.facts,
        };
        let lost = self.acts == Acts::Lost;
        self.acts = match does.is_told {
            true => Acts::Profile,
            false => process::begin(about, self.restarts, lost, started, turn.volumes, turn.site),
        };
        self.probes = Probes::of(container, &self.acts, does, started);
        self.condemned = false;
    }

    /// Runs it up to `horizon`: how it ended, or when it goes on.
    fn run_until(
        &mut self,
        does: &Behaviour,
        started: Timestamp,
        horizon: Timestamp,
        turn: &mut Turn<'_, '_>,
    ) -> Option<Exit> {
        match &mut self.acts {
            Acts::Script(process) => {
                let killed = process.killed_at;
                let until = killed.map_or(horizon, |at| at.min(horizon));
                let pause = process.run(turn.volumes, turn.site.disk, until);
                let (code, at) = match (pause, killed) {
                    (Pause::Ended(code, at), _) => (code, at),
                    (_, Some(killed)) if killed <= horizon => (does.kill_code, killed),
                    (pause, killed) => {
                        match pause {
                            Pause::Until(at) => turn.next.at(at),
                            Pause::Stuck(word) => {
                                tracing::debug!(pod = ?turn.pod.metadata.name, %word, "a script runs for ever");
                            }
                            _ => {}
                        }
                        if let Some(killed) = killed {
                            turn.next.at(killed);
                        }
                        return None;
                    }
                };
                let message = process.message(code).map(Into::into);
                Some(Exit {
                    message,
                    ..Exit::new(started, at.max(started), code)
                })
            }
            Acts::Profile => {
                let end = plus(started, does.run_for?);
                if end > horizon {
                    turn.next.at(end);
                    return None;
                }
                let nth = (self.restarts.max(0) as usize).min(does.exit_codes.len() - 1);
                Some(Exit::new(started, end, does.exit_codes[nth]))
            }
            Acts::Unseen | Acts::Lost | Acts::Forever => None,
        }
    }

    /// Ends a container because of a probe: a script is told to stop and has the time of grace.
    fn condemn(
        &mut self,
        container: &Container,
        does: &Behaviour,
        started: Timestamp,
        at: Timestamp,
        why: &Condemned,
        turn: &mut Turn<'_, '_>,
    ) -> Option<Exit> {
        let spec = turn.pod.spec.as_ref();
        let never = spec.and_then(|s| s.restart_policy.as_deref()) == Some("Never");
        let after = if never { "" } else { ", will be restarted" };
        turn.news.push(News {
            warning: false,
            reason: "Killing",
            message: format!(
                "Container {} failed {} probe{after}",
                container.name, why.by
            ),
        });
        self.probes = None;
        self.condemned = true;
        let grace = spec.and_then(|s| s.termination_grace_period_seconds);
        let grace = Duration::from_secs(grace.unwrap_or(30).max(0) as u64);
        match &mut self.acts {
            Acts::Script(process) => {
                process.stop(at, plus(at, why.grace.unwrap_or(grace)));
                None
            }
            _ => Some(Exit::new(started, at, does.stop_code)),
        }
    }

    /// Starts it at this time, if its image can be had.
    fn start(&mut self, image_name: &str, does: &Behaviour, at: Timestamp) {
        self.state = if image::check(image_name).is_err() {
            State::InvalidImage
        } else if does.fail_image {
            State::Unpullable(at)
        } else {
            State::Running(at)
        };
        self.acts = Acts::Unseen;
        self.probes = None;
    }
}

impl Exit {
    fn new(started: Timestamp, finished: Timestamp, code: i32) -> Self {
        Self {
            started,
            finished,
            code,
            message: None,
        }
    }
}

impl Policy {
    pub(super) fn restarts(self, code: i32) -> bool {
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

/// The container's own policy (KEP-753, KEP-5307), or the pod's; an init container is never started again
/// after it succeeded.
pub(super) fn policy(spec: &PodSpec, container: &Container, init: bool) -> Policy {
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
