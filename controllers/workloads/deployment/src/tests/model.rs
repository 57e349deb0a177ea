//! A cluster small enough to be wrong in every way: ReplicaSets that act and report late, writes that fail.

use super::kit::{Case, NOW, time};
use crate::{plan as decide, replicas, status};
use ::plan::{Action, Done, Outcome, Plan, Verb};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use objects::meta;
use std::collections::BTreeMap;

/// splitmix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbouring seeds must not walk the same path a step apart.
        Self(seed.wrapping_add(1).wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn size(&mut self, n: u64) -> i32 {
        self.below(n) as i32
    }
}

/// What a ReplicaSet really has.
#[derive(Clone, Copy, Debug, Default)]
struct Pods {
    active: i32,
    available: i32,
    /// The generation that was acted on.
    seen: i64,
}

pub(super) struct Model {
    case: Case,
    pods: BTreeMap<String, Pods>,
    version: u64,
    /// The bounds were kept at some time since the user last changed something.
    was_within: bool,
    was_available: bool,
    history: Vec<String>,
}

impl Model {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut case = Case::new(random.size(8) + 1)
            .surge(random.size(3))
            .unavailable(random.size(3))
            .template("good-0");
        if random.below(5) == 0 {
            case = case.recreate();
        }
        case.spec().revision_history_limit = Some(random.size(3));
        Self {
            case,
            pods: BTreeMap::new(),
            version: 100,
            was_within: false,
            was_available: false,
            history: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, random: &mut Random) {
        match random.below(40) {
            0 => self.user(random),
            1..15 => self.control(random, 15),
            15..25 => self.act(random),
            25..32 => self.report(random),
            _ => self.age(random),
        }
    }

    /// Everybody gets a turn until nobody wants one; good pods become available, bad ones are rolled back first.
    pub(super) fn settle(&mut self, seed: u64, random: &mut Random) {
        self.change(|case| {
            case.spec().paused = None;
            *case = case.clone().template("good-last");
        });
        for _ in 0..80 {
            self.control(random, u64::MAX);
            for name in self.names() {
                self.act_on(&name);
                self.age_of(&name, i32::MAX);
                self.report_of(&name);
            }
            self.check_bounds(seed);
        }
        let world = self.case.world();
        let plan = decide(&world);
        assert!(
            plan.is_empty(),
            "seed {seed} does not rest: {plan}\n{}",
            self.tail()
        );
        assert!(
            status(&world, &Outcome::default()).is_none(),
            "seed {seed}: status"
        );
        let replicas = world.settings().unwrap().replicas;
        let new = world.new_replica_set().unwrap();
        assert_eq!(
            replicas::active(new),
            replicas,
            "seed {seed}\n{}",
            self.tail()
        );
        assert_eq!(self.total(), replicas, "seed {seed}\n{}", self.tail());
        let limit = self.case.spec().revision_history_limit.unwrap();
        assert!(
            world.old.len() <= limit as usize,
            "seed {seed}: {} old",
            world.old.len()
        );
        let last = self.case.deployment.status.as_ref().unwrap();
        let progressing = last
            .conditions
            .iter()
            .flatten()
            .find(|c| c.type_ == "Progressing");
        let reason = progressing.unwrap().reason.as_deref();
        assert_eq!(reason, Some("NewReplicaSetAvailable"), "seed {seed}");
    }

    pub(super) fn check_bounds(&mut self, seed: u64) {
        let world = self.case.world();
        let settings = world.settings().unwrap();
        // What exists and what has been granted, although nobody has made it yet.
        let sets = world.replica_sets();
        let granted: i32 = sets
            .map(|rs| self.pods_of(rs).active.max(replicas::wanted(rs)))
            .sum();
        let max = settings.max_total();
        if self.was_within {
            assert!(
                granted <= max,
                "seed {seed}: {granted} pods, {max} allowed\n{}",
                self.tail()
            );
        }
        self.was_within |= granted <= max;

        if settings.strategy == crate::Strategy::Recreate {
            let with_pods = self.pods.values().filter(|pods| pods.active > 0).count();
            assert!(
                with_pods < 2,
                "seed {seed}: old and new pods\n{}",
                self.tail()
            );
            return;
        }
        let (available, min) = (self.available(), settings.min_available());
        if self.was_available {
            assert!(
                available >= min,
                "seed {seed}: {available} available, {min} needed\n{}",
                self.tail()
            );
        }
        // Reached is what has been told: a pod that nobody knows to be available may be taken for one that is not.
        let current = world.replica_sets().filter(|rs| replicas::is_current(rs));
        let told: i32 = current
            .map(|rs| replicas::available(rs).min(replicas::wanted(rs)))
            .sum();
        self.was_available |= available.min(told) >= min;
    }

    /// A new template, another size, pause or resume.
    fn user(&mut self, random: &mut Random) {
        let image = match random.below(4) {
            0 => format!("bad-{}", random.below(2)),
            n => format!("good-{n}"),
        };
        let replicas = random.size(9);
        match random.below(6) {
            0..3 => self.change(|case| *case = case.clone().template(&image)),
            3 => {
                self.change(|case| case.spec().replicas = Some(replicas));
                self.was_within = false;
                self.was_available = false;
            }
            4 => self.change(|case| case.spec().paused = Some(true)),
            _ => self.change(|case| case.spec().paused = None),
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Case)) {
        change(&mut self.case);
        let generation = self.case.deployment.metadata.generation.get_or_insert(0);
        *generation += 1;
        let spec = self.case.spec();
        let image = spec.template.spec.as_ref().unwrap().containers[0]
            .image
            .clone();
        let said = format!(
            "user: {:?} × {image:?}, paused {:?}",
            spec.replicas, spec.paused
        );
        self.history.push(said);
    }

    /// One round of the controller; each write fails in one of `failures` cases.
    fn control(&mut self, random: &mut Random, failures: u64) {
        self.case.now += 1;
        let world = self.case.world();
        let plan = decide(&world);
        let outcome = self.execute(&plan, random, failures);
        if let Some(object) = status(&world, &outcome)
            && random.below(failures) != 1
        {
            let next = object.read::<Deployment>().unwrap();
            self.case.deployment.status.clone_from(&next.status);
            self.case
                .deployment
                .metadata
                .annotations
                .clone_from(&next.metadata.annotations);
        }
    }

    fn execute(&mut self, plan: &Plan, random: &mut Random, failures: u64) -> Outcome {
        let mut outcome = Outcome::default();
        for step in &plan.steps {
            let mut failed = false;
            for action in &step.actions {
                if random.below(failures) == 1 {
                    failed = true;
                    continue;
                }
                self.history.push(super::kit::tell(action));
                self.write(action);
                outcome.done.push(Done {
                    on: action.on.clone(),
                    verb: action.verb.name(),
                    version: None,
                });
            }
            if failed {
                break;
            }
        }
        outcome
    }

    fn write(&mut self, action: &Action) {
        self.version += 1;
        let version = Some(self.version.to_string());
        let sets = &mut self.case.replica_sets;
        let at = |sets: &[ReplicaSet]| {
            sets.iter()
                .position(|rs| rs.metadata.name.as_deref() == Some(&action.on.name))
        };
        match &action.verb {
            Verb::Create(object) => {
                assert!(at(sets).is_none(), "{action} exists");
                let mut rs: ReplicaSet = object.read().unwrap();
                rs.metadata.uid = Some(format!("uid-{}", self.version));
                rs.metadata.resource_version = version;
                rs.metadata.generation = Some(1);
                rs.metadata.creation_timestamp = Some(time(NOW + self.version as i64));
                sets.push(rs);
            }
            Verb::Replace(object) => {
                let held = at(sets).map(|i| &mut sets[i]).unwrap();
                let mut rs: ReplicaSet = object.read().unwrap();
                assert_eq!(rs.metadata.resource_version, held.metadata.resource_version);
                rs.metadata.resource_version = version;
                if rs.spec != held.spec {
                    rs.metadata.generation = rs.metadata.generation.map(|n| n + 1);
                }
                rs.status.clone_from(&held.status);
                *held = rs;
            }
            Verb::Delete { .. } => {
                let index = at(sets).unwrap();
                let name = meta::name(&sets[index].metadata).to_owned();
                assert_eq!(
                    self.pods.remove(&name).unwrap_or_default().active,
                    0,
                    "{action}"
                );
                sets.remove(index);
            }
            Verb::Patch(..) => panic!("nothing to claim here: {action}"),
        }
    }

    /// A ReplicaSet makes or ends pods, unavailable ones first.
    fn act(&mut self, random: &mut Random) {
        if let Some(name) = self.any(random) {
            // It counts its pods before it makes or ends some, and tells that count afterwards, also when the API server
            // refused all it wanted to do.
            if random.below(2) == 0 {
                let generation = self.find(&name).metadata.generation.unwrap();
                self.pods.entry(name.clone()).or_default().seen = generation;
                self.report_of(&name);
            }
            if random.below(3) == 0 {
                return;
            }
            self.act_on(&name);
        }
    }

    fn act_on(&mut self, name: &str) {
        let rs = self.find(name);
        let (wanted, generation) = (replicas::wanted(rs), rs.metadata.generation.unwrap());
        let pods = self.pods.entry(name.to_owned()).or_default();
        pods.active = wanted;
        pods.available = pods.available.min(wanted);
        pods.seen = generation;
    }

    /// It tells what it has and which spec that came from.
    fn report(&mut self, random: &mut Random) {
        if let Some(name) = self.any(random) {
            self.report_of(&name);
        }
    }

    fn report_of(&mut self, name: &str) {
        self.version += 1;
        let version = self.version.to_string();
        let pods = self.pods.get(name).copied().unwrap_or_default();
        let rs = self.case.replica_sets.iter_mut();
        let rs = rs
            .into_iter()
            .find(|rs| meta::name(&rs.metadata) == name)
            .unwrap();
        let status = rs.status.get_or_insert_default();
        status.replicas = pods.active;
        status.ready_replicas = Some(pods.available);
        status.available_replicas = Some(pods.available);
        status.terminating_replicas = Some(0);
        status.observed_generation = Some(pods.seen);
        rs.metadata.resource_version = Some(version);
    }

    /// A pod becomes available, if its template is any good.
    fn age(&mut self, random: &mut Random) {
        if let Some(name) = self.any(random) {
            self.age_of(&name, 1);
        }
    }

    fn age_of(&mut self, name: &str, count: i32) {
        let template = self
            .find(name)
            .spec
            .as_ref()
            .unwrap()
            .template
            .clone()
            .unwrap();
        let image = template.spec.unwrap().containers[0].image.clone().unwrap();
        let pods = self.pods.entry(name.to_owned()).or_default();
        if image.starts_with("good") {
            pods.available = pods.available.saturating_add(count).min(pods.active);
        }
    }

    fn names(&self) -> Vec<String> {
        let sets = self.case.replica_sets.iter();
        sets.map(|rs| meta::name(&rs.metadata).to_owned()).collect()
    }

    fn any(&self, random: &mut Random) -> Option<String> {
        let names = self.names();
        (!names.is_empty()).then(|| names[random.below(names.len() as u64) as usize].clone())
    }

    fn find(&self, name: &str) -> &ReplicaSet {
        let mut sets = self.case.replica_sets.iter();
        sets.find(|rs| meta::name(&rs.metadata) == name).unwrap()
    }

    fn pods_of(&self, rs: &ReplicaSet) -> Pods {
        self.pods
            .get(meta::name(&rs.metadata))
            .copied()
            .unwrap_or_default()
    }

    fn total(&self) -> i32 {
        self.pods.values().map(|pods| pods.active).sum()
    }

    fn available(&self) -> i32 {
        self.pods.values().map(|pods| pods.available).sum()
    }

    fn tail(&self) -> String {
        let from = self.history.len().saturating_sub(25);
        format!("{}\n{:#?}", self.history[from..].join("\n"), self.pods)
    }
}
