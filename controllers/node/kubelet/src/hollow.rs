//! The pretended containers of one pod, and how time changes them. Pure.
//!
//! [`Hollow::advance`] brings a pod to `now`: init containers and sidecars start in order, containers start,
//! exit and are restarted by the pod's restart policy with the kubelet's crash-loop back-off
//! (`kuberuntime_manager.go` computePodActions, `doBackOff`). Nothing is remembered that the pod's status
//! does not also say, so [`Hollow::from_status`] can go on where another process stopped.

mod probes;
mod process;
mod run;

pub use probes::Probes;
pub use process::{Acts, Process, Volumes};
pub use run::{Exit, FIRST_BACKOFF, LONGEST_BACKOFF, PULL_ERROR, Run, State, backoff};

use crate::command::Facts;
use crate::profile::Profiles;
use crate::script::files::Tree;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec};
use objects::pod::is_sidecar;
use run::{Policy, Turn, policy};
use std::net::Ipv4Addr;
use std::time::Duration;

/// How long a node waits for volumes before it warns, each time
/// (upstream: `pkg/kubelet/volumemanager`, `podAttachAndMountTimeout`).
const PATIENCE: Duration = Duration::from_secs(123);

/// One pod's containers.
#[derive(Clone, Debug, PartialEq)]
pub struct Hollow {
    /// When the node took the pod on: `status.startTime`.
    pub since: Timestamp,
    /// When its volumes were there; when the node took it on, if it did not have to wait for them.
    pub mounted: Timestamp,
    /// Why its volumes are not there yet.
    pub waits: Option<String>,
    /// When it warns of that, and once more.
    pub warns: Timestamp,
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
    /// What scripts have written into the pod's own volumes.
    pub volumes: Volumes,
    /// What happened since somebody last took it from here, to be told as events.
    pub news: Vec<News>,
}

/// The node around a pod.
#[derive(Debug)]
pub struct Site<'a> {
    /// The node's address.
    pub host: Ipv4Addr,
    /// What containers do.
    pub profiles: &'a Profiles,
    /// The node's own files.
    pub disk: &'a mut Tree,
}

/// Something that happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// It is a warning.
    pub warning: bool,
    /// The event's reason.
    pub reason: &'static str,
    /// The event's message.
    pub message: String,
}

/// When the containers of a pod that is being deleted end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stops {
    /// They are told to stop.
    pub told: Timestamp,
    /// Those that are no scripts have stopped; scripts too if that is what the profile says.
    pub done: Timestamp,
    /// The profile says when they have stopped.
    pub said: bool,
    /// What still runs is killed.
    pub killed: Timestamp,
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

/// The earliest moment at which something changes by itself.
#[derive(Debug, Default)]
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
            mounted: now,
            waits: None,
            warns: plus(now, PATIENCE),
            ip,
            init: runs(
                spec.and_then(|s| s.init_containers.as_deref())
                    .unwrap_or_default(),
            ),
            main: runs(spec.map_or(&[], |s| s.containers.as_slice())),
            end: None,
            stopped: false,
            volumes: Volumes::new(),
            news: Vec::new(),
        }
    }

    /// Takes note of whether the volumes of a pod that was not started yet are there.
    pub fn mount(&mut self, there: Result<(), String>, now: Timestamp) {
        let waits = there.err();
        if self.waits.is_some() && waits.is_none() {
            self.mounted = now;
        }
        self.waits = waits;
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
    pub fn advance(&mut self, pod: &Pod, site: &mut Site<'_>, now: Timestamp) -> Option<Timestamp> {
        let profiles = site.profiles;
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
        if let Some(message) = &self.waits {
            if self.warns <= now {
                self.warns = plus(now, PATIENCE);
                self.news.push(News {
                    warning: true,
                    reason: "FailedMount",
                    message: message.clone(),
                });
            }
            next.at(self.warns);
            return next.0;
        }
        let begin = plus(self.mounted, profiles.start_delay(pod));
        if begin > now && self.never_started() {
            next.at(begin);
            return next.0;
        }
        if let Some(ready) = self.initialize(pod, spec, site, begin, now, &mut next) {
            let facts = self.facts(site);
            let mut turn = Turn {
                pod,
                facts,
                volumes: &mut self.volumes,
                news: &mut self.news,
                site,
                now,
                next: &mut next,
            };
            for (run, container) in self.main.iter_mut().zip(&spec.containers) {
                let does = profiles.behaviour(pod, container, false);
                let policy = policy(spec, container, false);
                run.advance(container, policy, &does, ready, &mut turn);
            }
            self.finish(pod, spec, profiles);
        }
        if self.stopped { None } else { next.0 }
    }

    /// Brings a pod that is being deleted to `now`: scripts are told to stop and go on until they end or are
    /// killed, nothing is restarted, and the pod is over when nothing runs.
    pub fn wind_down(
        &mut self,
        pod: &Pod,
        site: &mut Site<'_>,
        stops: Stops,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let before = self.advance(pod, site, now.min(stops.told));
        if self.stopped || now < stops.told {
            return before
                .map_or(Some(stops.told), |next| Some(next.min(stops.told)))
                .filter(|_| !self.stopped);
        }
        let (facts, profiles) = (self.facts(site), site.profiles);
        let spec = pod.spec.as_ref()?;
        let mut next = Next::default();
        let mut turn = Turn {
            pod,
            facts,
            volumes: &mut self.volumes,
            news: &mut self.news,
            site,
            now,
            next: &mut next,
        };
        let init = spec.init_containers.iter().flatten();
        let init = self.init.iter_mut().zip(init).map(|(r, c)| (r, c, true));
        let main = self.main.iter_mut().zip(&spec.containers);
        let main = main.map(|(r, c)| (r, c, false));
        let mut last = stops.told;
        for (run, container, init) in init.chain(main) {
            let does = profiles.behaviour(pod, container, init);
            match (&run.state, &mut run.acts) {
                (State::Running(_), Acts::Script(process)) if !stops.said => {
                    process.stop(stops.told, stops.killed);
                    run.probes = None;
                    run.advance(container, Policy::Never, &does, now, &mut turn);
                }
                (State::Running(_), _) if stops.done > now => turn.next.at(stops.done),
                (State::Running(_), _) => run.kill(&does, stops.done),
                (State::CrashLoop(_), _) => run.kill(&does, stops.told),
                _ => {}
            }
            if let State::Exited(exit) = &run.state {
                last = last.max(exit.finished);
            }
        }
        let mut all = self.init.iter().chain(&self.main);
        if all.any(|run| matches!(run.state, State::Running(_))) {
            return next.0;
        }
        self.stop(pod, profiles, last);
        None
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
            run.kill(&profiles.behaviour(pod, container, init), at);
        }
        self.stopped = true;
    }

    fn facts(&self, site: &Site<'_>) -> Facts {
        Facts {
            host: site.host,
            ip: self.ip,
        }
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
        site: &mut Site<'_>,
        begin: Timestamp,
        now: Timestamp,
        next: &mut Next,
    ) -> Option<Timestamp> {
        let (facts, profiles) = (self.facts(site), site.profiles);
        let mut since = begin;
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
            let mut turn = Turn {
                pod,
                facts,
                volumes: &mut self.volumes,
                news: &mut self.news,
                site,
                now,
                next,
            };
            run.advance(container, policy, &does, since, &mut turn);
            match run.passes(sidecar) {
                Some(at) => since = since.max(at),
                None if mains_begun => {}
                None => {
                    if let State::Exited(exit) = &run.state {
                        // It failed and is not restarted: the pod has failed.
                        let finished = exit.finished;
                        self.stop(pod, profiles, finished);
                    }
                    return None;
                }
            }
        }
        Some(since)
    }

    /// When all containers have ended for good, the sidecars end too and the pod is over.
    fn finish(&mut self, pod: &Pod, spec: &PodSpec, profiles: &Profiles) {
        let ends = self
            .main
            .iter()
            .zip(&spec.containers)
            .map(|(run, _)| match &run.state {
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

/// `time` later by `by`; the end of time when there is none.
pub fn plus(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
