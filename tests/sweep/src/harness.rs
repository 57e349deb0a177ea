//! Runs a scenario once, with at most one disturbance.

use crate::canon;
use crate::kubelet::Around;
use crate::objects;
use crate::oracle::{self, Oracle};
use crate::parts;
use crate::scenario::{Act, Scenario, Step};
use ::objects::meta;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use runtime::{Clock, Options, Runtime};
use serde_json::{Value, json};
use sim::{Effect, Fault, Lost, Moment, Sim, State, Upset, Write};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Who the controllers under test are to the server.
pub const ACTOR: &str = "controllers";
/// How often the imitations look, in virtual time.
const TICK: Duration = Duration::from_millis(100);
/// A killed process is started again after this time.
const DOWN: Duration = Duration::from_secs(1);
/// No write for so long is quiet.
const QUIET: Duration = Duration::from_mins(1);
/// The most time from the last step to quiet.
const PATIENCE: Duration = Duration::from_mins(15);
/// Nothing is written for so long once all is quiet.
const REST: Duration = Duration::from_mins(10);
/// How often they look meanwhile.
const DOZE: Duration = Duration::from_secs(5);
/// The longest that a step waits for its condition.
const WAIT: Duration = Duration::from_mins(2);

/// How a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 500, not committed.
    Refused,
    /// The connection breaks, not committed.
    Disconnected,
    /// 504, committed.
    TimeoutAfter,
    /// The connection breaks, committed.
    DisconnectedAfter,
    /// No answer ever, committed.
    Silence,
    /// 409 as after a concurrent update, not committed.
    Conflict,
    /// 429 with Retry-After: 1.
    TooMany,
    /// The process is killed before it is committed.
    CrashBefore,
    /// The process is killed after it is committed.
    CrashAfter,
}

impl Failure {
    /// All of them.
    pub const ALL: [Failure; 9] = [
        Failure::Refused,
        Failure::Disconnected,
        Failure::TimeoutAfter,
        Failure::DisconnectedAfter,
        Failure::Silence,
        Failure::Conflict,
        Failure::TooMany,
        Failure::CrashBefore,
        Failure::CrashAfter,
    ];
}

/// What befalls the watch that brought an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blindness {
    /// The connection is cut.
    Cut,
    /// The version expired: 410, and a new list at once.
    Relist,
    /// It says nothing for so many seconds, then all that was held.
    Frozen(u64),
    /// It says nothing for so many seconds; then it expired and the log is compacted.
    Gap(u64),
}

impl Blindness {
    /// All of them.
    pub const ALL: [Blindness; 5] = [
        Blindness::Cut,
        Blindness::Relist,
        Blindness::Frozen(3),
        Blindness::Frozen(20),
        Blindness::Gap(20),
    ];
}

/// What goes wrong in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// Nothing.
    None,
    /// The nth write fails.
    Write(u64, Failure),
    /// After the nth event the watch that brought it is upset.
    Event(u64, Blindness),
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The end state, see [`canon::end_state`].
    pub end: Vec<String>,
    /// Creates and deletes by role.
    pub summary: BTreeMap<String, (usize, usize)>,
    /// Write requests of the controllers until all was quiet.
    pub writes: u64,
    /// Watch events that they were sent.
    pub events: u64,
    /// What was wrong.
    pub violations: Vec<String>,
    /// All writes.
    pub history: Vec<Write>,
}

/// The server, the process under test, and all that is around it.
struct World<'a> {
    sim: Sim,
    scenario: &'a Scenario,
    disturbance: Disturbance,
    /// The living process, and when it was killed.
    process: Arc<Mutex<(Option<Runtime>, Option<Instant>)>>,
    starts: u64,
    around: Around,
    upset_at: Option<Instant>,
    healed: bool,
}

/// Runs a scenario. Call it in a paused current-thread runtime.
pub async fn run(scenario: &Scenario, disturbance: Disturbance) -> Run {
    let sim = Sim::new();
    let oracle = Oracle::watch(&sim, ACTOR, scenario.parts, scenario.bounds);
    sim.aggregate("/apis/external.metrics.k8s.io/", load);
    sim.aggregate("/apis/authorization.k8s.io/", |_, _, _| {
        Some(json!({ "status": { "allowed": true } }))
    });
    for object in &scenario.begin {
        objects::create(&sim, object);
    }
    let mut world = World {
        sim: sim.clone(),
        scenario,
        disturbance,
        process: Arc::default(),
        starts: 0,
        around: Around::new(scenario),
        upset_at: None,
        healed: false,
    };
    world.around.step(&sim);
    world.disturb();
    world.start();
    let mut violations = Vec::new();
    for step in &scenario.steps {
        world.walk(step).await;
    }
    let begun = Instant::now();
    loop {
        world.tick().await;
        let last = oracle.writes().1;
        let idle = last.map_or(QUIET, |last| sim.now().duration_since(last).unsigned_abs());
        if idle >= QUIET && begun.elapsed() >= QUIET {
            break;
        }
        if begun.elapsed() > PATIENCE {
            violations.push("O3: it does not come to rest".to_owned());
            break;
        }
    }
    let end = canon::end_state(&sim);
    let (writes, events) = (sim.writes(ACTOR), sim.watch_events(ACTOR));
    let before = oracle.writes().0;
    world.rest().await;
    if violations.is_empty() && oracle.writes().0 != before {
        violations.push("O3: it writes although nothing changes".to_owned());
    }
    if let (Some(process), _) = world.process().clone() {
        process.kill();
    }
    violations.extend(oracle.violations());
    violations.extend(sim.read(oracle::at_rest));
    if !(scenario.end)(&sim) {
        violations.push("O1: not the end that was expected".to_owned());
    }
    let history = sim.history();
    Run {
        end,
        summary: canon::summary(&history, ACTOR),
        writes,
        events,
        violations,
        history,
    }
}

impl World<'_> {
    fn process(&self) -> std::sync::MutexGuard<'_, (Option<Runtime>, Option<Instant>)> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lays the disturbance in wait.
    fn disturb(&self) {
        match self.disturbance {
            Disturbance::None => {}
            Disturbance::Write(nth, failure) => {
                let crash = |moment| {
                    let process = self.process.clone();
                    let kill = move || {
                        let mut process = process.lock().unwrap_or_else(PoisonError::into_inner);
                        if let Some(runtime) = process.0.take() {
                            runtime.kill();
                        }
                        process.1 = Some(Instant::now());
                    };
                    Effect::Crash(moment, Box::new(kill))
                };
                let effect = match failure {
                    Failure::Refused => Effect::FailBefore(500),
                    Failure::Disconnected => Effect::Disconnect,
                    Failure::TimeoutAfter => Effect::FailAfter(Lost::Timeout),
                    Failure::DisconnectedAfter => Effect::FailAfter(Lost::Connection),
                    Failure::Silence => Effect::FailAfter(Lost::Silence),
                    Failure::Conflict => Effect::Conflict,
                    Failure::TooMany => Effect::TooManyRequests { retry_after: 1 },
                    Failure::CrashBefore => crash(Moment::Before),
                    Failure::CrashAfter => crash(Moment::After),
                };
                self.sim.inject(Fault::write(ACTOR, nth, effect));
            }
            Disturbance::Event(nth, blindness) => {
                let upset = match blindness {
                    Blindness::Cut => Upset::Cut,
                    Blindness::Relist => Upset::Expire,
                    Blindness::Frozen(_) | Blindness::Gap(_) => Upset::Freeze,
                };
                self.sim.upset(ACTOR, nth, upset);
            }
        }
    }

    fn start(&mut self) {
        let clock = self.sim.clone();
        let options = Options {
            clock: Clock::new(move || clock.now()),
            seed: Some(7 + 1000 * self.starts),
            ..Options::default()
        };
        self.starts += 1;
        let runtime = Runtime::new(self.sim.client_for(ACTOR), options);
        for part in self.scenario.parts {
            parts::run(&runtime, *part);
        }
        let starting = runtime.clone();
        runtime.spawn("start", async move { starting.start().await });
        *self.process() = (Some(runtime), None);
    }

    async fn walk(&mut self, step: &Step) {
        let begun = Instant::now();
        while begun.elapsed() < step.after {
            self.tick().await;
        }
        if let Some(when) = step.when {
            while !self.sim.read(when) && begun.elapsed() < step.after + WAIT {
                self.tick().await;
            }
        }
        self.act(&step.act);
    }

    async fn tick(&mut self) {
        sleep(TICK).await;
        self.around.step(&self.sim);
        let died = self.process().1;
        if died.is_some_and(|died| died.elapsed() >= DOWN) {
            self.start();
        }
        self.heal();
    }

    /// Lets a long time pass in which only what is around goes on.
    async fn rest(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < REST {
            sleep(DOZE).await;
            self.around.step(&self.sim);
        }
    }

    /// Ends a frozen watch when its time is up.
    fn heal(&mut self) {
        let Some(kind) = self.sim.upset_kind().filter(|_| !self.healed) else {
            return;
        };
        let since = *self.upset_at.get_or_insert_with(Instant::now);
        let Disturbance::Event(_, blindness) = self.disturbance else {
            return;
        };
        let seconds = match blindness {
            Blindness::Frozen(seconds) | Blindness::Gap(seconds) => seconds,
            _ => 0,
        };
        if since.elapsed() < Duration::from_secs(seconds) {
            return;
        }
        self.healed = true;
        if matches!(blindness, Blindness::Gap(_)) {
            self.sim.compact();
            self.sim.expire_watches(ACTOR, kind);
        }
        if matches!(blindness, Blindness::Frozen(_) | Blindness::Gap(_)) {
            self.sim.thaw_watches(ACTOR, kind);
        }
    }

    fn act(&self, act: &Act) {
        let sim = &self.sim;
        match act {
            Act::Create(object) => objects::create(sim, object),
            Act::Merge(kind, name, patch) => objects::patch(sim, kind, name, patch),
            Act::Delete(kind, name) => objects::delete(sim, kind, name),
            Act::DeleteAs(kind, name, policy) => {
                objects::delete_as(sim, kind, name, policy);
            }
            Act::DeleteJob(name) => {
                let policy = json!({ "propagationPolicy": "Background" });
                sim.delete_with::<Job>("default", name, &policy);
            }
            Act::DeletePods(app, count) => {
                for name in self.pods(app).iter().take(*count) {
                    sim.delete::<Pod>("default", name);
                }
            }
            Act::Evict(app) => {
                let ready = |name: &&String| {
                    let pod = sim.get::<Pod>("default", name);
                    pod.is_some_and(|pod| ::objects::pod::is_ready(&pod))
                };
                if let Some(name) = self.pods(app).iter().find(ready) {
                    sim.evict("default", name);
                }
            }
            Act::MergePod(app, patch) => {
                if let Some(name) = self.pods(app).first() {
                    objects::patch(sim, "Pod", name, patch);
                }
            }
            Act::Refuse(kind, message) => sim.reject_creates(kind, message),
            Act::Accept(kind) => sim.accept_creates(kind),
            Act::Undo(deployment, revision) => self.undo(deployment, revision),
        }
    }

    /// The pods of an app that are not being deleted.
    fn pods(&self, app: &str) -> Vec<String> {
        let pods = self.sim.read(|state| state.list::<Pod>(Some("default")));
        let live = pods.iter().filter(|p| !meta::is_deleting(&p.metadata));
        let ours = live.filter(|p| meta::label(&p.metadata, "app") == Some(app));
        ours.map(|p| meta::name(&p.metadata).to_owned()).collect()
    }

    fn undo(&self, deployment: &str, revision: &str) {
        let sets = self.sim.list::<ReplicaSet>(Some("default"));
        let is_wanted = |set: &&ReplicaSet| {
            let is = meta::annotation(&set.metadata, "deployment.kubernetes.io/revision");
            is == Some(revision)
                && meta::controller_of(&set.metadata).is_some_and(|o| o.name == deployment)
        };
        let Some(set) = sets.iter().find(is_wanted) else {
            return;
        };
        let mut template: Value =
            objects::raw(&set.spec.as_ref().and_then(|s| s.template.as_ref()));
        template["metadata"]["labels"]["pod-template-hash"].take();
        let patch = json!({ "template": template });
        if self.sim.get::<Deployment>("default", deployment).is_some() {
            objects::patch(
                &self.sim,
                "Deployment",
                deployment,
                &json!({ "spec": patch }),
            );
        }
    }
}

/// What an adapter of external metrics tells: the values that stand in the ConfigMap `load`.
fn load(state: &State, path: &str, _: &str) -> Option<Value> {
    let metric = path.rsplit('/').next()?;
    let load = state.get::<ConfigMap>("default", "load")?;
    let value = load.data.as_ref()?.get(metric)?;
    let item = json!({ "metricName": metric, "timestamp": "2026-01-01T00:00:00Z", "value": value });
    Some(json!({ "kind": "ExternalMetricValueList", "metadata": {}, "items": [item] }))
}
