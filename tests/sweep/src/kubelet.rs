//! What is around the controllers, imitated: scheduler, kubelet, garbage collector.

use crate::nodes::{Kubelets, is_lost};
use crate::scenario::{Part, Scenario, Surroundings};
use ::objects::affinity::Required;
use ::objects::{meta, pod as pods};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use sim::Sim;
use std::collections::HashMap;

/// A bound pod is ready, and a deleted one gone, after this time.
const TAKES: SignedDuration = SignedDuration::from_secs(1);
/// How long a pod runs before it ends: `3s`, or by completion index `0=3s 1=9s`. Without it, for ever.
const RUN_FOR: &str = "sweep/run-for";
/// What pods of one owner end with, one after the other (the last one again and again): `1,0`, or by completion index
/// `0=1,0 1=0`.
const EXIT_CODES: &str = "sweep/exit-codes";
/// A pod that was told to end does so with this code (SIGTERM).
const TERMINATED: i32 = 143;
/// Pods with this image never become ready.
pub const BAD_IMAGE: &str = "bad";

/// What takes time in a pod's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Start,
    Run,
    End,
}

/// The imitation. It looks at the server only when something changed there or is due.
#[derive(Debug)]
pub struct Around {
    does: Surroundings,
    kubelets: Kubelets,
    collects: bool,
    seen: u64,
    begun: HashMap<(String, Stage), Timestamp>,
    /// How many pods of an owner, or of one index of it, have ended.
    ended: HashMap<String, usize>,
    due: Option<Timestamp>,
    addresses: u32,
}

impl Around {
    /// Does what it is told, and nothing else.
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            does: scenario.around,
            kubelets: Kubelets::default(),
            collects: !scenario.parts.contains(&Part::GarbageCollector),
            seen: u64::MAX,
            begun: HashMap::new(),
            ended: HashMap::new(),
            due: None,
            addresses: 0,
        }
    }

    /// One look at the server.
    pub fn step(&mut self, sim: &Sim) {
        let now = sim.now();
        if self.seen == sim.revision() && self.due.is_none_or(|due| due > now) {
            return;
        }
        if self.collects {
            sim.garbage_collect();
        }
        self.due = self.kubelets.step(sim, now);
        for pod in sim.read(|state| state.list::<Pod>(None)) {
            self.keep(sim, &pod, now);
        }
        self.seen = sim.revision();
    }

    fn keep(&mut self, sim: &Sim, pod: &Pod, now: Timestamp) {
        let (namespace, name) = (meta::namespace(&pod.metadata), meta::name(&pod.metadata));
        let bound = pods::node_name(pod).is_some();
        if is_lost(sim, pod) {
            return;
        }
        if self.does.runs && meta::is_deleting(&pod.metadata) {
            if self.is_over(pod, Stage::End, TAKES, now) {
                // What holds a finalizer sees it end first.
                if pod.metadata.finalizers.is_some() && !pods::is_terminal(pod) {
                    let failed = ended(TERMINATED, now);
                    sim.update_with::<Pod>(namespace, name, |pod| {
                        pod.status = Some(failed.clone());
                    });
                }
                if pod.metadata.deletion_grace_period_seconds == Some(0) {
                    return;
                }
                let at_once = json!({ "gracePeriodSeconds": 0 });
                sim.delete_with::<Pod>(namespace, name, &at_once);
            }
            return;
        }
        if self.does.binds && !bound {
            // Pods that ask for a node get it.
            let asked = pod.spec.as_ref().and_then(|s| Required::of(s).node_names());
            let node = asked.and_then(|names| names.first().copied());
            sim.bind(namespace, name, node.unwrap_or("node-1"));
        }
        let image = pod
            .spec
            .as_ref()
            .and_then(|s| s.containers.first()?.image.as_deref());
        let waits = !pods::is_ready(pod) && !pods::is_terminal(pod) && image != Some(BAD_IMAGE);
        if self.does.runs
            && (bound || self.does.binds)
            && waits
            && self.is_over(pod, Stage::Start, TAKES, now)
        {
            let address = self.address(name);
            sim.update_with::<Pod>(namespace, name, |pod| {
                pod.status = Some(ready(address, now));
            });
        }
        if self.does.runs && pods::is_ready(pod) && !pods::is_terminal(pod) {
            self.end(sim, pod, now);
        }
    }

    /// Ends a pod whose time is over.
    fn end(&mut self, sim: &Sim, pod: &Pod, now: Timestamp) {
        let seconds = by_index(pod, RUN_FOR).and_then(|text| text.strip_suffix('s')?.parse().ok());
        let Some(seconds) = seconds else { return };
        if !self.is_over(pod, Stage::Run, SignedDuration::from_secs(seconds), now) {
            return;
        }
        let codes = by_index(pod, EXIT_CODES).unwrap_or("0");
        let codes: Vec<i32> = codes
            .split(',')
            .filter_map(|code| code.parse().ok())
            .collect();
        let owner = meta::controller_of(&pod.metadata).map_or("", |owner| &owner.uid);
        let index = meta::annotation(&pod.metadata, COMPLETION_INDEX).unwrap_or_default();
        let before = self.ended.entry(format!("{owner} {index}")).or_default();
        let code = codes.get(*before).or(codes.last()).copied().unwrap_or(0);
        *before += 1;
        let (namespace, name) = (meta::namespace(&pod.metadata), meta::name(&pod.metadata));
        let status = ended(code, now);
        sim.update_with::<Pod>(namespace, name, |pod| pod.status = Some(status.clone()));
    }

    /// Whether a stage of the pod's life, which begins when it is first asked for, is over.
    fn is_over(&mut self, pod: &Pod, stage: Stage, takes: SignedDuration, now: Timestamp) -> bool {
        let key = (meta::uid(&pod.metadata).to_owned(), stage);
        let over = *self.begun.entry(key).or_insert(now) + takes;
        if over > now {
            self.due = Some(self.due.map_or(over, |due| due.min(over)));
        }
        over <= now
    }

    /// Pods whose names end in a number have the address of that number, in all runs.
    fn address(&mut self, name: &str) -> String {
        let number = name.rsplit('-').next().and_then(|n| n.parse::<u32>().ok());
        let number = number.unwrap_or_else(|| {
            self.addresses += 1;
            10_000 + self.addresses
        });
        format!("10.1.{}.{}", number >> 8, number & 255)
    }
}

const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// What an annotation says, of the pod's completion index where it tells indexes apart.
fn by_index<'a>(pod: &'a Pod, annotation: &str) -> Option<&'a str> {
    let text = meta::annotation(&pod.metadata, annotation)?;
    if !text.contains('=') {
        return Some(text);
    }
    let index = meta::annotation(&pod.metadata, COMPLETION_INDEX)?;
    let mut words = text.split(' ').filter_map(|word| word.split_once('='));
    words.find(|(of, _)| *of == index).map(|(_, value)| value)
}

/// The status of a pod whose only container ended with this code.
fn ended(code: i32, now: Timestamp) -> PodStatus {
    let terminated = ContainerStateTerminated {
        exit_code: code,
        finished_at: Some(Time(now)),
        ..ContainerStateTerminated::default()
    };
    PodStatus {
        phase: Some(if code == 0 { "Succeeded" } else { "Failed" }.to_owned()),
        container_statuses: Some(vec![ContainerStatus {
            name: "main".to_owned(),
            state: Some(ContainerState {
                terminated: Some(terminated),
                ..ContainerState::default()
            }),
            ..ContainerStatus::default()
        }]),
        ..PodStatus::default()
    }
}

fn ready(address: String, now: Timestamp) -> PodStatus {
    let condition = |kind: &str| PodCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        last_transition_time: Some(Time(now)),
        ..PodCondition::default()
    };
    PodStatus {
        phase: Some("Running".to_owned()),
        conditions: Some(vec![condition("Ready"), condition("ContainersReady")]),
        pod_ip: Some(address.clone()),
        pod_ips: Some(vec![PodIP { ip: address }]),
        ..PodStatus::default()
    }
}
