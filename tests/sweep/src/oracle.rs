//! What must hold after each write, and what a run is compared by.

mod cluster;
mod declared;
mod jobs;
mod lost;
mod namespaces;
mod ordinals;
mod owners;
mod quotas;
mod rates;
mod volumes;

use crate::scenario::{Bounds, Part};
use ::objects::affinity::Required;
use ::objects::{meta, pod as pods};
use jiff::{SignedDuration, Timestamp};
use jobs::Jobs;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Node, Pod, ReplicationController};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use ordinals::Ordinals;
use rates::Rates;
use sim::{Sim, State, Verb, Write};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// A controller may be so far behind a user's change of the size, whatever befalls it.
const BEHIND: SignedDuration = SignedDuration::from_secs(150);
/// The label of objects that are nobody's business.
pub const BYSTANDER: &str = "bystander";

/// Watches a run.
#[derive(Clone)]
pub struct Oracle(Arc<Mutex<Seen>>);

struct Seen {
    actor: &'static str,
    parts: &'static [Part],
    bounds: Bounds,
    ordinals: Ordinals,
    /// By workload (UID of the Deployment, or of a ReplicaSet without one): the sizes wanted, and since when.
    wanted: HashMap<String, Vec<(Timestamp, usize)>>,
    /// The workloads that have had enough available pods since they were last disturbed by others.
    reached: HashSet<String>,
    jobs: Jobs,
    rates: Rates,
    violations: Vec<String>,
    writes: u64,
    last: Option<Timestamp>,
}

impl Oracle {
    /// Begins to watch the writes of an actor, and what others do to its objects.
    pub fn watch(sim: &Sim, actor: &'static str, parts: &'static [Part], bounds: Bounds) -> Self {
        let seen = Seen {
            actor,
            parts,
            bounds,
            ordinals: Ordinals::default(),
            wanted: HashMap::new(),
            reached: HashSet::new(),
            jobs: Jobs::default(),
            rates: Rates::default(),
            violations: Vec::new(),
            writes: 0,
            last: None,
        };
        let oracle = Self(Arc::new(Mutex::new(seen)));
        let hook = oracle.clone();
        sim.on_write(move |state, write| {
            hook.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write(state, write);
        });
        oracle
    }

    /// What was found wrong on the way.
    pub fn violations(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .violations
            .clone()
    }

    /// How many writes there were but for events, leases and heartbeats, and when the last one was.
    pub fn writes(&self) -> (u64, Option<Timestamp>) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.writes, seen.last)
    }
}

impl Seen {
    fn write(&mut self, state: &State, write: &Write) {
        let heartbeat = write.kind == "Node" && self.parts.contains(&Part::Kubelet);
        if !matches!(write.kind, "Event" | "Lease") && !heartbeat {
            self.writes += 1;
            self.last = Some(write.at);
        }
        if write.actor.as_ref() == self.actor {
            self.guarantee(write);
        }
        if self.parts.contains(&Part::GarbageCollector) {
            // Whose namespace goes, goes with it, whoever owns it.
            let ours = write.actor.as_ref() == self.actor && !namespaces::is_going(state, write);
            if let Some(wrong) = owners::wrong(state, write, ours) {
                self.complain(write, wrong);
            }
        }
        if self.parts.contains(&Part::Namespace) {
            let ours = write.actor.as_ref() == self.actor;
            let alone = !self.parts.contains(&Part::GarbageCollector);
            if let Some(wrong) = namespaces::wrong(state, write, ours && alone) {
                self.complain(write, &wrong);
            }
        }
        let lost = [Part::NodeLifecycle, Part::TaintEviction];
        if write.actor.as_ref() == self.actor
            && lost.iter().any(|part| self.parts.contains(part))
            && let Some(wrong) = lost::wrong(state, write)
        {
            self.complain(write, wrong);
        }
        if write.actor.as_ref() == self.actor
            && self.parts.contains(&Part::Volumes)
            && let Some(wrong) = volumes::wrong(state, write)
        {
            self.complain(write, wrong);
        }
        if self.parts.contains(&Part::ResourceQuota)
            && let Some(wrong) = quotas::wrong(state, write)
        {
            self.complain(write, &wrong);
        }
        if let Some(wrong) = cluster::wrong(state, write) {
            self.complain(write, &wrong);
        }
        if write.subresource == "eviction" && write.kind == "PodDisruptionBudget" {
            self.evicted(state, write);
        }
        let ours = write.actor.as_ref() == self.actor;
        for wrong in self.jobs.write(state, write, ours) {
            self.complain(write, &wrong);
        }
        let ours = write.actor.as_ref() == self.actor;
        for wrong in self.ordinals.write(state, write, ours) {
            self.complain(write, &wrong);
        }
        if let Some(wrong) = self.rates.write(state, write).filter(|_| ours) {
            self.complain(write, &wrong);
        }
        match write.kind {
            "Deployment" | "ReplicaSet" | "ReplicationController" if !write.gone => {
                self.resized(write);
            }
            "Pod" => self.pod(state, write),
            "Job" => self.alone(state, write),
            _ => {}
        }
    }

    /// O5: each controller writes only what it declares, and nothing of others.
    fn guarantee(&mut self, write: &Write) {
        let meta = &write.object["metadata"];
        if meta["labels"][BYSTANDER].is_string() {
            self.complain(write, "O5: wrote to an object of others");
        }
        let declares = |part: &Part| declared::declares(*part, write);
        if write.kind != "Event" && !self.parts.iter().any(declares) {
            self.complain(write, "O5: wrote what it does not declare");
        }
    }

    fn resized(&mut self, write: &Write) {
        let replicas = write.object["spec"]["replicas"].as_u64().unwrap_or(1) as usize;
        let sizes = self.wanted.entry(write.uid.clone()).or_default();
        if sizes.last().is_none_or(|(_, last)| *last != replicas) {
            sizes.push((write.at, replicas));
            self.reached.remove(&write.uid);
        }
    }

    fn pod(&mut self, state: &State, write: &Write) {
        if let Some(node) = write.object["spec"]["nodeName"]
            .as_str()
            .filter(|_| !write.gone)
        {
            self.fits(state, write, node);
        }
        let uid = write.object["metadata"]["ownerReferences"][0]["uid"].as_str();
        let group = uid.map(|uid| group(state, uid));
        let going = |o: &serde_json::Value| o["metadata"]["deletionTimestamp"].is_string();
        let was_going = write.before.as_ref().is_some_and(|before| going(before));
        let ends = (write.gone || going(&write.object)) && !was_going;
        let ours = write.actor.as_ref() == self.actor;
        let moved = write
            .before
            .as_ref()
            .is_some_and(|b| b["metadata"]["labels"] != write.object["metadata"]["labels"]);
        if !ours && (ends || moved) {
            // A user took a pod away: enough of them may be some time off.
            self.reached.clear();
            return;
        }
        let Some(group) = group else { return };
        if self.parts.contains(&Part::DaemonSet) {
            return self.daemon(state, write, &group, ours && ends);
        }
        let Some(counts) = self.counts(state, &group) else {
            return;
        };
        let (most, least) = self.range(&group, write.at);
        let created = ours && write.verb == Verb::Create && write.subresource.is_empty();
        if let Some(surge) = self.bounds.surge
            && created
            && counts.active > most + surge
        {
            let text = format!("O4: {} pods, wanted {most} and {surge} more", counts.active);
            self.complain(write, &text);
        }
        if created && self.bounds.recreate && counts.others(uid) > 0 {
            self.complain(write, "O4: Recreate mixes templates");
        }
        if let Some(unavailable) = self.bounds.unavailable {
            let enough = least.saturating_sub(unavailable);
            if counts.available >= most.saturating_sub(unavailable) {
                self.reached.insert(group);
            } else if ours && ends && self.reached.contains(&group) && counts.available < enough {
                let text = format!(
                    "O4: {} available, wanted at least {enough}",
                    counts.available
                );
                self.complain(write, &text);
            }
        }
    }

    /// The largest and the smallest size that the controller may still believe to be wanted.
    fn range(&self, group: &str, now: Timestamp) -> (usize, usize) {
        let sizes = self.wanted.get(group).map_or(&[][..], Vec::as_slice);
        let since = now - BEHIND;
        let recent = sizes
            .iter()
            .enumerate()
            .filter(|(at, _)| sizes.get(at + 1).is_none_or(|(until, _)| *until >= since));
        let sizes: Vec<usize> = recent.map(|(_, (_, size))| *size).collect();
        let most = sizes.iter().max().copied().unwrap_or(usize::MAX / 2);
        (most, sizes.iter().min().copied().unwrap_or(0))
    }

    fn counts(&self, state: &State, group: &str) -> Option<Counts> {
        if self.bounds.surge.is_none() && self.bounds.unavailable.is_none() && !self.bounds.recreate
        {
            return None;
        }
        let sets = state.list::<ReplicaSet>(None);
        let replication = state.list::<ReplicationController>(None);
        let metas = sets.iter().map(|set| &set.metadata);
        let mut counts = Counts::default();
        for set in metas.chain(replication.iter().map(|set| &set.metadata)) {
            let uid = meta::uid(set);
            let owner = meta::controller_of(set).map_or(uid, |o| o.uid.as_str());
            if owner != group {
                continue;
            }
            for pod in state.list::<Pod>(Some(meta::namespace(set))) {
                if !meta::is_controlled_by(&pod.metadata, uid) {
                    continue;
                }
                if !pods::is_terminal(&pod) {
                    counts.running.push(uid.to_owned());
                }
                counts.active += usize::from(pods::is_active(&pod));
                counts.available += usize::from(pods::is_active(&pod) && pods::is_ready(&pod));
            }
        }
        Some(counts)
    }

    /// O4: a node has one daemon, two only with surge, and an update leaves enough nodes with an available one.
    fn daemon(&mut self, state: &State, write: &Write, set: &str, ends: bool) {
        let mut places: HashMap<String, (usize, usize)> = HashMap::new();
        for node in state.list::<Node>(None) {
            places.insert(meta::name(&node.metadata).to_owned(), (0, 0));
        }
        let nodes = places.len();
        for pod in state.list::<Pod>(None) {
            let asked = pod.spec.as_ref().and_then(|s| Required::of(s).node_names());
            let asked = asked.and_then(|names| names.first().copied());
            let Some(node) = pods::node_name(&pod).or(asked) else {
                continue;
            };
            if meta::is_controlled_by(&pod.metadata, set) && !pods::is_terminal(&pod) {
                let (running, ready) = places.entry(node.to_owned()).or_default();
                let stays = pods::is_active(&pod);
                *running += usize::from(stays || self.bounds.surge.is_none());
                *ready += usize::from(stays && pods::is_ready(&pod));
            }
        }
        let most = if self.bounds.surge.is_some() { 2 } else { 1 };
        let created = write.verb == Verb::Create && write.subresource.is_empty();
        if created && places.values().any(|(running, _)| *running > most) {
            self.complain(write, &format!("O4: more than {most} daemons on a node"));
        }
        if let Some(surge) = self.bounds.surge {
            // Beside one that is not available, another may come at any time.
            let pairs = places.values();
            let pairs = pairs.filter(|(running, ready)| *running > 1 && *ready > 0);
            let pairs = pairs.count();
            if created && pairs > surge {
                self.complain(write, &format!("O4: {pairs} nodes with two daemons"));
            }
        }
        let Some(unavailable) = self.bounds.unavailable else {
            return;
        };
        let ready = places.values().filter(|(_, ready)| *ready > 0).count();
        if ready == nodes {
            self.reached.insert(set.to_owned());
        } else if ends && self.reached.contains(set) && ready + unavailable < nodes {
            let text = format!("O4: a daemon is available on {ready} nodes of {nodes}");
            self.complain(write, &text);
        }
    }

    /// O4: no eviction is let through that leaves fewer healthy pods than the budget says.
    fn evicted(&mut self, state: &State, write: &Write) {
        let budget: PodDisruptionBudget = crate::objects::typed((*write.object).clone());
        let Some(spec) = budget.spec else { return };
        let (Some(IntOrString::Int(least)), Some(selector)) = (spec.min_available, spec.selector)
        else {
            return;
        };
        let Ok(selector) = ::objects::Selector::parse(&selector) else {
            return;
        };
        let pods = state.list::<Pod>(budget.metadata.namespace.as_deref());
        let healthy = pods.iter().filter(|pod| {
            selector.matches(pod.metadata.labels.as_ref())
                && !meta::is_deleting(&pod.metadata)
                && pods::is_ready(pod)
        });
        let left = healthy.count() as i32 - 1;
        if left < least {
            let text = format!("O4: an eviction leaves {left} healthy pods of {least}");
            self.complain(write, &text);
        }
    }

    /// O4: a node is never given more than it has.
    fn fits(&mut self, state: &State, write: &Write, node: &str) {
        if !self.parts.contains(&Part::Scheduler) {
            return;
        }
        let Some(node) = state.get::<Node>("", node) else {
            return self.complain(write, "O4: bound to a node that is not there");
        };
        let has = node
            .status
            .as_ref()
            .and_then(|s| s.allocatable.as_ref()?.get("cpu"));
        let has: u64 = has.and_then(|cpu| cpu.0.parse().ok()).unwrap_or(0);
        let mut wants = 0;
        for pod in state.list::<Pod>(None) {
            if pods::node_name(&pod) != node.metadata.name.as_deref() || pods::is_terminal(&pod) {
                continue;
            }
            let spec = pod.spec.as_ref();
            let requests =
                spec.and_then(|s| s.containers.first()?.resources.as_ref()?.requests.as_ref());
            let cpu = requests.and_then(|r| r.get("cpu")?.0.parse::<u64>().ok());
            wants += cpu.unwrap_or(0);
        }
        if wants > has {
            self.complain(write, &format!("O4: {wants} cores on a node of {has}"));
        }
    }

    /// O4: under Forbid and Replace the Jobs of a CronJob never run side by side.
    fn alone(&mut self, state: &State, write: &Write) {
        let made = write.verb == Verb::Create && write.subresource.is_empty();
        if !made || !self.parts.contains(&Part::CronJob) {
            return;
        }
        let owner = |o: &serde_json::Value| o["metadata"]["ownerReferences"][0]["uid"].clone();
        let uid = owner(&write.object);
        let crons = state.list::<CronJob>(None);
        let Some(cron) = crons.iter().find(|c| uid == meta::uid(&c.metadata)) else {
            return;
        };
        let jobs = state.list::<Job>(None);
        let runs = |job: &&std::sync::Arc<Job>| {
            let ended = job.status.as_ref().and_then(|s| s.conditions.as_ref());
            meta::is_controlled_by(&job.metadata, meta::uid(&cron.metadata))
                && ended.is_none_or(Vec::is_empty)
                && !meta::is_deleting(&job.metadata)
        };
        let alone = cron.spec.concurrency_policy.as_deref() == Some("Allow");
        if !alone && jobs.iter().filter(runs).count() > 1 {
            self.complain(write, "O4: Jobs run side by side");
        }
    }

    fn complain(&mut self, write: &Write, what: &str) {
        self.violations
            .push(format!("{what}: {}", crate::canon::line(write)));
    }
}

#[derive(Default)]
struct Counts {
    active: usize,
    available: usize,
    /// The set of each pod whose containers may run.
    running: Vec<String>,
}

impl Counts {
    fn others(&self, set: Option<&str>) -> usize {
        self.running
            .iter()
            .filter(|s| Some(s.as_str()) != set)
            .count()
    }
}

/// The workload that a ReplicaSet is part of.
fn group(state: &State, set: &str) -> String {
    let sets = state.list::<ReplicaSet>(None);
    let set_of = sets.iter().find(|s| meta::uid(&s.metadata) == set);
    let owner = set_of.and_then(|s| meta::controller_of(&s.metadata));
    owner.map_or(set, |owner| &owner.uid).to_owned()
}

/// What must hold when all is quiet.
pub fn at_rest(state: &State) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut seen = HashSet::new();
    for slice in state.list::<EndpointSlice>(None) {
        let endpoints = slice.endpoints.as_deref().unwrap_or_default();
        if endpoints.len() > 100 {
            wrong.push(format!("O4: {} endpoints in a slice", endpoints.len()));
        }
        let service = meta::label(&slice.metadata, "kubernetes.io/service-name");
        for endpoint in endpoints {
            let key = (
                service.unwrap_or_default().to_owned(),
                slice.address_type.clone(),
                endpoint.addresses.clone(),
            );
            if !seen.insert(key) {
                wrong.push(format!("O4: {:?} stands in two slices", endpoint.addresses));
            }
        }
    }
    for deployment in state.list::<Deployment>(None) {
        let observed = deployment
            .status
            .as_ref()
            .and_then(|s| s.observed_generation);
        if observed != deployment.metadata.generation {
            wrong.push("O1: a Deployment's status is older than its spec".to_owned());
        }
    }
    for set in state.list::<ReplicaSet>(None) {
        let observed = set.status.as_ref().and_then(|s| s.observed_generation);
        if observed != set.metadata.generation && meta::label(&set.metadata, BYSTANDER).is_none() {
            wrong.push("O1: a ReplicaSet's status is older than its spec".to_owned());
        }
    }
    for set in state.list::<ReplicationController>(None) {
        let observed = set.status.as_ref().and_then(|s| s.observed_generation);
        if observed != set.metadata.generation {
            wrong.push("O1: a ReplicationController's status is older than its spec".to_owned());
        }
    }
    wrong
}
