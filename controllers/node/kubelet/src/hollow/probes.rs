//! Probes, where they say anything: exec probes of scripts, and those that annotations let fail.
//!
//! All others are taken as passing and cost nothing. Semantics: `pkg/kubelet/prober/worker.go`.

use super::process::{Acts, Volumes};
use super::{News, plus};
use crate::command::{self, Says};
use crate::profile::Behaviour;
use crate::script::files::Tree;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Probe as Spec};
use std::time::Duration;

/// The probes of one run of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Probes {
    startup: Option<Probe>,
    readiness: Option<Probe>,
    liveness: Option<Probe>,
}

#[derive(Clone, Debug, PartialEq)]
struct Probe {
    kind: &'static str,
    check: Check,
    next: Timestamp,
    period: Duration,
    timeout: Duration,
    failures: u32,
    successes: u32,
    /// The last answer, and how often in a row it was given.
    row: (bool, u32),
    /// What counts: the last answer that was given often enough.
    passes: bool,
    /// The period of grace of a container that it condemns.
    grace: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
enum Check {
    /// Runs this in the container.
    Exec(Vec<String>),
    /// Fails from this time.
    From(Timestamp),
    /// Fails until this time.
    Until(Timestamp),
}

/// A container that must end because of a probe.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condemned {
    /// `liveness` or `startup`.
    pub(super) by: &'static str,
    /// The probe's own period of grace.
    pub(super) grace: Option<Duration>,
}

impl Probes {
    /// The probes of a container that started at `at`; none when all of them always pass.
    pub(super) fn of(
        container: &Container,
        acts: &Acts,
        does: &Behaviour,
        at: Timestamp,
    ) -> Option<Box<Self>> {
        let exec = |spec: &Spec| {
            let words = spec.exec.as_ref()?.command.clone()?;
            let scripted = matches!(acts, Acts::Script(_));
            let understood = scripted && matches!(command::understood(&words), Says::Script(_));
            understood.then_some(Check::Exec(words))
        };
        let probe = |spec: &Option<Spec>, kind, said: Option<Check>| {
            let spec = spec.as_ref()?;
            let check = said.or_else(|| exec(spec))?;
            Some(Probe::new(kind, spec, check, at))
        };
        let probes = Self {
            startup: probe(
                &container.startup_probe,
                "Startup",
                does.fail_startup_for
                    .map(|time| Check::Until(plus(at, time))),
            ),
            readiness: probe(&container.readiness_probe, "Readiness", None),
            liveness: probe(
                &container.liveness_probe,
                "Liveness",
                does.fail_liveness_after
                    .map(|time| Check::From(plus(at, time))),
            ),
        };
        let none =
            probes.startup.is_none() && probes.readiness.is_none() && probes.liveness.is_none();
        (!none).then(|| Box::new(probes))
    }

    /// The startup probe has passed, or there is none that says anything.
    pub fn is_started(&self) -> bool {
        self.startup.as_ref().is_none_or(|probe| probe.passes)
    }

    /// The readiness probe passes, or there is none that says anything.
    pub fn is_ready(&self) -> bool {
        self.is_started() && self.readiness.as_ref().is_none_or(|probe| probe.passes)
    }

    /// When the next of them is due. Before a container has started only the startup probe is asked.
    pub(super) fn next(&self) -> Option<Timestamp> {
        match &self.startup {
            Some(probe) if !probe.passes => Some(probe.next),
            _ => [&self.readiness, &self.liveness]
                .into_iter()
                .flatten()
                .map(|probe| probe.next)
                .min(),
        }
    }

    /// Asks those that are due at `at`.
    pub(super) fn ask(
        &mut self,
        acts: &mut Acts,
        volumes: &mut Volumes,
        node: &mut Tree,
        at: Timestamp,
        news: &mut Vec<News>,
    ) -> Option<Condemned> {
        if let Some(startup) = self.startup.as_mut().filter(|probe| !probe.passes) {
            let condemns = startup.ask(acts, volumes, node, at, news) == Some(false);
            if startup.passes {
                // The others begin when the container has started.
                for probe in [&mut self.readiness, &mut self.liveness]
                    .into_iter()
                    .flatten()
                {
                    probe.next = probe.next.max(at);
                }
            }
            return condemns.then_some(Condemned {
                by: "startup",
                grace: self.startup.as_ref().and_then(|p| p.grace),
            });
        }
        if let Some(readiness) = self.readiness.as_mut().filter(|probe| probe.next <= at) {
            readiness.ask(acts, volumes, node, at, news);
        }
        let liveness = self.liveness.as_mut().filter(|probe| probe.next <= at)?;
        let condemns = liveness.ask(acts, volumes, node, at, news) == Some(false);
        condemns.then_some(Condemned {
            by: "liveness",
            grace: liveness.grace,
        })
    }
}

impl Probe {
    fn new(kind: &'static str, spec: &Spec, check: Check, at: Timestamp) -> Self {
        let seconds = |value: Option<i32>, default: i32| {
            let value = value.filter(|value| *value > 0).unwrap_or(default);
            Duration::from_secs(value.max(0) as u64)
        };
        let count =
            |value: Option<i32>, default| value.map_or(default, |value| value.max(1) as u32);
        let passes = kind == "Liveness";
        Self {
            kind,
            check,
            next: plus(at, seconds(spec.initial_delay_seconds, 0)),
            period: seconds(spec.period_seconds, 10),
            timeout: seconds(spec.timeout_seconds, 1),
            failures: count(spec.failure_threshold, 3),
            successes: count(spec.success_threshold, 1),
            row: (passes, 0),
            passes,
            grace: spec
                .termination_grace_period_seconds
                .map(|s| Duration::from_secs(s.max(0) as u64)),
        }
    }

    /// Asks once; the answer if it counts now.
    fn ask(
        &mut self,
        acts: &mut Acts,
        volumes: &mut Volumes,
        node: &mut Tree,
        at: Timestamp,
        news: &mut Vec<News>,
    ) -> Option<bool> {
        self.next = plus(at, self.period);
        let failure = match (&self.check, acts) {
            (Check::Exec(words), Acts::Script(process)) => {
                match process.exec(words, volumes, node, at, self.timeout) {
                    Ok((Some(0), _)) => None,
                    Ok((Some(_), output)) => Some(output),
                    Ok((None, _)) => Some(format!(
                        "command timed out: {words:?} timed out after {:?}",
                        self.timeout
                    )),
                    // A probe that comes to something unknown is taken as passing.
                    Err(_) => None,
                }
            }
            (Check::From(from), _) if *from <= at => Some("as its profile says".to_owned()),
            (Check::Until(until), _) if *until > at => Some("as its profile says".to_owned()),
            _ => None,
        };
        let passes = failure.is_none();
        if let Some(output) = failure {
            let message = format!("{} probe failed: {output}", self.kind);
            news.push(News {
                warning: true,
                reason: "Unhealthy",
                message,
            });
        }
        self.row = if self.row.0 == passes {
            (passes, self.row.1 + 1)
        } else {
            (passes, 1)
        };
        let enough = if passes {
            self.successes
        } else {
            self.failures
        };
        if self.row.1 < enough {
            return None;
        }
        self.passes = passes;
        Some(passes)
    }
}
