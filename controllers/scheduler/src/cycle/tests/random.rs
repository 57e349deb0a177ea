//! Random events, and what holds whatever happens: no pod is forgotten, none is given a place that is taken, and when
//! nothing happens any more, none waits that could run.

use super::*;
use crate::decide::decide;
use crate::extender::{About, Answer, Opinion};
use crate::kit::{Random, info};
use k8s_openapi::api::core::v1::Node;
use std::collections::BTreeMap;

const NODES: usize = 4;
/// Longer than any pod waits without a change: the flush, and the longest back-off.
const LONG: f64 = 360.0;

/// What the API server holds.
struct Server {
    random: Random,
    cycle: Cycle,
    /// Seconds since the beginning.
    time: f64,
    nodes: BTreeMap<String, Arc<Node>>,
    pods: BTreeMap<String, Value>,
    /// What was told to be bound, and has not been answered.
    binding: Vec<(Arc<PodInfo>, String)>,
    /// What an extender was asked, and has not answered.
    asked: Option<Question>,
    /// What the watch has yet to show.
    unseen: Vec<String>,
    made: usize,
    events: BTreeMap<&'static str, usize>,
}

impl Server {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            cycle: cycle().asking([super::asking::extender()].into()),
            time: 0.0,
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
            binding: Vec::new(),
            asked: None,
            unseen: Vec::new(),
            made: 0,
            events: BTreeMap::new(),
        }
    }

    fn count(&mut self, event: &'static str) {
        *self.events.entry(event).or_default() += 1;
    }

    fn any_pod(&mut self) -> Option<String> {
        let count = self.pods.len();
        let index = (count > 0).then(|| self.random.below(count))?;
        self.pods.keys().nth(index).cloned()
    }

    /// The watch shows a pod as it is.
    fn show(&mut self, name: &str) {
        let now = at(self.time);
        match self.pods.get(name) {
            Some(of) => self.cycle.pod(&pod(name, of.clone()), now),
            None => self.cycle.pod_gone(&format!("u-{name}"), now),
        }
    }

    fn step(&mut self) {
        self.time += self.random.below(2000) as f64 / 1000.0;
        match self.random.below(15) {
            0 | 1 => self.put_node(),
            2 if self.random.once_in(3) => self.remove_node(),
            3..=5 => self.create(),
            6 => self.remove(),
            7 => self.change(),
            8 => self.see(),
            9 => self.answer(),
            10 => self.opine(true),
            _ => self.next(),
        }
    }

    fn put_node(&mut self) {
        self.count("node");
        let name = format!("n{}", self.random.below(NODES));
        let cpu = self.random.pick(&["2", "4", "6"]);
        let cordoned = self.random.once_in(5);
        let pool = self.random.pick(&["a", "b"]);
        let node = node(
            &name,
            json!({ "metadata": { "labels": { "pool": pool } }, "spec": { "unschedulable": cordoned },
                "status": { "allocatable": { "cpu": cpu } } }),
        );
        self.cycle.node(node.clone(), at(self.time));
        self.nodes.insert(name, node);
    }

    fn remove_node(&mut self) {
        let name = format!("n{}", self.random.below(NODES));
        if self.nodes.remove(&name).is_some() {
            self.count("node gone");
            self.cycle.node_gone(&name, at(self.time));
        }
    }

    fn create(&mut self) {
        self.count("pod");
        self.made += 1;
        let name = format!("p{}", self.made);
        let cpu = self.random.pick(&["500m", "1", "2", "3"]);
        let mut of = wants(cpu);
        merge(
            &mut of,
            json!({ "spec": { "priority": self.random.below(3) } }),
        );
        if self.random.once_in(4) {
            let pool = self.random.pick(&["a", "b", "c"]);
            merge(
                &mut of,
                json!({ "spec": { "nodeSelector": { "pool": pool } } }),
            );
        }
        if self.random.once_in(3) {
            merge(&mut of, super::asking::devices(cpu));
        }
        if self.random.once_in(6) {
            merge(
                &mut of,
                json!({ "spec": { "schedulingGates": [{ "name": "g" }] } }),
            );
        }
        self.pods.insert(name.clone(), of);
        self.show(&name);
    }

    fn remove(&mut self) {
        if let Some(name) = self.any_pod() {
            self.count("pod gone");
            self.pods.remove(&name);
            self.unseen.push(name);
        }
    }

    /// A gate is taken away, or a label is set.
    fn change(&mut self) {
        if let Some(name) = self.any_pod() {
            self.count("pod changed");
            let step = self.time.to_string();
            let more = json!({ "metadata": { "labels": { "step": step } }, "spec": { "schedulingGates": null } });
            if let Some(of) = self.pods.get_mut(&name) {
                merge(of, more);
            }
            self.unseen.push(name);
        }
    }

    fn see(&mut self) {
        if !self.unseen.is_empty() {
            let index = self.random.below(self.unseen.len());
            let name = self.unseen.remove(index);
            self.show(&name);
        }
    }

    fn next(&mut self) {
        let seed = self.random.next();
        let next = self.cycle.next(at(self.time), seed);
        self.act(next);
    }

    /// The extender answers, and if it is `moody`, anything.
    fn opine(&mut self, moody: bool) {
        let Some(question) = self.asked.take() else {
            return;
        };
        self.count("asked");
        let mut half = |count: usize| match moody && self.random.once_in(2) {
            true => self.random.below(count + 1),
            false => count,
        };
        let answer = match question.about {
            About::Nodes(mut nodes) => {
                nodes.truncate(half(nodes.len()));
                let passed = nodes
                    .iter()
                    .map(|node| objects::meta::name(&node.metadata).to_owned());
                let passed = passed.collect();
                Answer::Nodes(Ok(Opinion {
                    passed,
                    ..Opinion::default()
                }))
            }
            About::Victims(mut candidates) => {
                candidates.truncate(half(candidates.len()));
                Answer::Victims(Ok(candidates))
            }
        };
        let is_down = moody && self.random.once_in(4);
        let answer = match answer {
            Answer::Nodes(_) if is_down => Answer::Nodes(Err("down".to_owned())),
            Answer::Victims(_) if is_down => Answer::Victims(Err("down".to_owned())),
            answer => answer,
        };
        let seed = self.random.next();
        match self.cycle.answered(answer, at(self.time), seed) {
            Some(next) => self.act(next),
            None => self.count("too late"),
        }
    }

    fn act(&mut self, next: Next) {
        match next {
            Next::Ask(question) => {
                assert!(self.asked.is_none(), "one at a time");
                self.asked = Some(question);
            }
            Next::Failed { .. } => self.count("failed"),
            Next::Bind { info, node, .. } => self.bind(info, &node),
            Next::Nobody {
                info,
                changed,
                room,
                ..
            } => {
                if changed && self.random.once_in(4) {
                    self.count("not told");
                    let soon = self.random.once_in(2);
                    self.cycle.untold(&info.uid, soon);
                }
                let Some(room) = room else { return };
                self.count("room");
                if self.random.once_in(3) {
                    self.cycle.kept(&info.uid, &room, at(self.time));
                } else {
                    for victim in &room.victims {
                        let name = victim.name.to_string();
                        self.pods.remove(&name);
                        self.unseen.push(name);
                    }
                }
            }
            Next::Idle(_) => {}
        }
    }

    fn bind(&mut self, info: Arc<PodInfo>, node: &str) {
        let (on, _) = self.cycle.cluster.snapshot().get(node).unwrap();
        assert!(
            on.requested.milli_cpu <= on.allocatable.milli_cpu,
            "{node} is given too much"
        );
        self.binding.push((info, node.to_owned()));
    }

    /// A binding comes back, in one of the ways in which it can.
    fn answer(&mut self) {
        if self.binding.is_empty() {
            return;
        }
        let index = self.random.below(self.binding.len());
        let (info, node) = self.binding.remove(index);
        let name = info.name.to_string();
        let now = at(self.time);
        if !self.pods.contains_key(&name) {
            self.count("bound nobody");
            return self.cycle.lost(&info.uid, now);
        }
        if !self.nodes.contains_key(&node) || self.random.once_in(4) {
            self.count("not bound");
            return self.cycle.unbound(&info.uid, now);
        }
        self.count("bound");
        if let Some(of) = self.pods.get_mut(&name) {
            merge(of, json!({ "spec": { "nodeName": node } }));
        }
        // The watch may be faster than the answer.
        if self.random.once_in(2) {
            self.show(&name);
            self.cycle.bound(&info.uid);
        } else {
            self.cycle.bound(&info.uid);
            self.unseen.push(name);
        }
    }

    /// Whatever happened: each pod without a node is in the queue, and there is no other there for long.
    fn check(&self) {
        let counts = self.cycle.counts();
        let queued =
            counts.active + counts.backoff + counts.unschedulable + counts.gated + counts.in_flight;
        let mut known = 0;
        for (name, of) in &self.pods {
            let waits = of["spec"].get("nodeName").is_none();
            let is_queued = self.cycle.queue.get(&format!("u-{name}")).is_some();
            assert!(!waits || is_queued, "{name} is forgotten");
            known += usize::from(is_queued);
        }
        // The others are gone, and the watch has yet to show it.
        let gone = queued - known;
        assert!(gone <= self.unseen.len() + self.binding.len());
    }

    /// Nothing happens any more but what has begun; then who waits cannot run.
    fn settle(&mut self) {
        let end = self.time + LONG;
        while self.time < end {
            while !self.unseen.is_empty() {
                self.see();
            }
            while !self.binding.is_empty() {
                self.answer();
            }
            self.opine(false);
            let seed = self.random.next();
            match self.cycle.next(at(self.time), seed) {
                Next::Bind { info, node, .. } => self.bind(info, &node),
                Next::Ask(question) => self.asked = Some(question),
                Next::Failed { .. } => panic!("the extender is well"),
                Next::Nobody { room, .. } => {
                    let victims = room.iter().flat_map(|room| &room.victims);
                    for victim in victims {
                        let name = victim.name.to_string();
                        self.pods.remove(&name);
                        self.unseen.push(name);
                    }
                }
                Next::Idle(_) => self.time += 1.0,
            }
            self.check();
        }
        for (name, of) in &self.pods {
            let info = info(name, of.clone());
            let has_node = of["spec"].get("nodeName").is_some();
            if has_node || crate::plugins::is_gated(&info) {
                continue;
            }
            let decided = decide(&Table::default(), &info, self.cycle.cluster.snapshot(), 0);
            assert!(
                matches!(decided, Decision::Nobody(_)),
                "{name} could run: {decided:?}"
            );
        }
    }
}

#[test]
fn no_pod_is_forgotten_and_none_waits_that_could_run() {
    let mut events: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..60 {
        let mut server = Server::new(seed);
        for _ in 0..400 {
            server.step();
            server.check();
        }
        server.settle();
        for (event, count) in server.events {
            *events.entry(event).or_default() += count;
        }
    }
    // It has seen everything.
    assert_eq!(events.len(), 13, "{events:?}");
    assert!(events.values().all(|count| *count > 20), "{events:?}");
}

#[test]
fn pods_that_fit_nowhere_do_not_starve_others_however_often_they_are_woken() {
    let mut cycle = cycle();
    cycle.node(
        node(
            "n",
            json!({ "status": { "allocatable": { "cpu": "100", "pods": "1000" } } }),
        ),
        at(0.0),
    );
    for index in 0..50 {
        let mut huge = wants("200");
        merge(&mut huge, json!({ "spec": { "priority": 10 } }));
        cycle.pod(&pod(&format!("huge{index}"), huge), at(0.0));
    }
    for index in 0..50 {
        let name = format!("small{index}");
        cycle.pod(&pod(&name, wants("1")), at(0.0));
    }
    // Each second something happens for which all of the huge ones are tried again.
    let mut bound = 0;
    for second in 0..40 {
        let cpu = 100 + second % 2;
        let more =
            json!({ "status": { "allocatable": { "cpu": cpu.to_string(), "pods": "1000" } } });
        cycle.node(node("n", more), at(f64::from(second)));
        for _ in 0..10 {
            if let Next::Bind { info, .. } = cycle.next(at(f64::from(second)), 0) {
                cycle.bound(&info.uid);
                bound += 1;
            }
        }
    }
    assert_eq!(bound, 50);
}
