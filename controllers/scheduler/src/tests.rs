//! The whole scheduler against an API server in memory, with virtual time and lost answers.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::bind;
use crate::kit::{claim, class, merge, node, pod, requests, uses, volume};
use crate::pods::PodInfo;
use k8s_openapi::api::core::v1::{Event, Node, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use objects::meta;
use serde_json::{Value, json};
use sim::{Effect, Fault, Lost, Sim};

const ACTOR: &str = "scheduler";

/// A running scheduler; it ends when this is dropped.
struct World {
    sim: Sim,
    runtime: Runtime,
}

impl Drop for World {
    fn drop(&mut self) {
        self.runtime.kill();
    }
}

impl World {
    async fn new(sim: &Sim) -> Self {
        let clock = sim.clone();
        let options = runtime::Options {
            clock: runtime::Clock::new(move || clock.now()),
            ..Default::default()
        };
        let runtime = Runtime::new(sim.client_for(ACTOR), options);
        Scheduler::new(&runtime, Options::default()).unwrap().run();
        runtime.start().await;
        Self {
            sim: sim.clone(),
            runtime,
        }
    }

    /// Where the pods are after so many seconds: `web on n1` or `web nowhere`, in order.
    async fn after(&self, seconds: u64) -> Vec<String> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let mut places: Vec<String> = self.sim.list::<Pod>(Some("ns")).iter().map(place).collect();
        places.sort();
        places
    }

    fn events(&self) -> Vec<String> {
        let events = self.sim.list::<Event>(Some("ns"));
        let line = |event: &Event| {
            format!(
                "{} {}",
                event.reason.as_deref().unwrap_or("?"),
                event.message.as_deref().unwrap_or("?")
            )
        };
        let mut lines: Vec<String> = events.iter().map(line).collect();
        lines.sort();
        lines
    }
}

fn place(pod: &Pod) -> String {
    let name = meta::name(&pod.metadata);
    objects::pod::node_name(pod).map_or_else(
        || format!("{name} nowhere"),
        |node| format!("{name} on {node}"),
    )
}

/// A pod as a client creates it, wanting so many cores.
fn wants(name: &str, cpu: &str) -> Pod {
    with(name, requests(json!({ "cpu": cpu })))
}

fn with(name: &str, mut more: Value) -> Pod {
    merge(&mut more, json!({ "metadata": { "uid": null } }));
    let mut pod = (*pod(name, more)).clone();
    pod.metadata.uid = None;
    pod
}

#[tokio::test(start_paused = true)]
async fn pods_get_nodes_and_events() {
    let sim = Sim::new();
    sim.create((*node("n1", json!({}))).clone());
    sim.create(wants("early", "1"));
    let world = World::new(&sim).await;
    sim.create(wants("late", "1"));
    sim.create(with(
        "other",
        json!({ "spec": { "schedulerName": "other" } }),
    ));
    assert_eq!(
        world.after(5).await,
        ["early on n1", "late on n1", "other nowhere"]
    );
    let scheduled = |name| format!("Scheduled Successfully assigned ns/{name} to n1");
    assert_eq!(world.events(), [scheduled("early"), scheduled("late")]);
    let caches = world.runtime.caches();
    let kept = (caches.of::<Pod>().len(), caches.of::<Node>().len());
    assert_eq!(
        kept,
        (0, 0),
        "its model is all that a scheduler alone keeps"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_a_node_says_why_once_and_is_scheduled_when_one_comes() {
    let sim = Sim::new();
    let world = World::new(&sim).await;
    sim.create((*node("n1", json!({ "spec": { "unschedulable": true } }))).clone());
    sim.create(wants("web", "1"));
    assert_eq!(world.after(5).await, ["web nowhere"]);
    let message = "0/1 nodes are available: 1 node(s) were unschedulable. \
                   preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    assert_eq!(world.events(), [format!("FailedScheduling {message}")]);
    assert!(bind::says(
        &PodInfo::of(&sim.get::<Pod>("ns", "web").unwrap()),
        message
    ));

    let writes = sim.writes(ACTOR);
    assert_eq!(world.after(250).await, ["web nowhere"]);
    assert_eq!(
        sim.writes(ACTOR),
        writes,
        "nothing changes, nothing is written"
    );

    sim.create((*node("n2", json!({}))).clone());
    assert_eq!(world.after(2).await, ["web on n2"]);
}

#[tokio::test(start_paused = true)]
async fn room_that_a_pod_leaves_is_given_to_the_next() {
    let sim = Sim::new();
    sim.create((*node("n1", json!({}))).clone());
    let world = World::new(&sim).await;
    sim.create(wants("a", "3"));
    assert_eq!(world.after(1).await, ["a on n1"]);
    sim.create(wants("b", "3"));
    assert_eq!(world.after(15).await, ["a on n1", "b nowhere"]);
    sim.delete_with::<Pod>("ns", "a", &json!({ "gracePeriodSeconds": 0 }));
    assert_eq!(world.after(2).await, ["b on n1"]);
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_a_binding_the_pods_that_fit_run() {
    let effects: [fn() -> Effect; 6] = [
        || Effect::FailBefore(500),
        || Effect::FailBefore(404),
        || Effect::Disconnect,
        || Effect::FailAfter(Lost::Timeout),
        || Effect::FailAfter(Lost::Connection),
        || Effect::Conflict,
    ];
    for (case, effect) in effects.iter().enumerate() {
        let sim = Sim::new();
        sim.create((*node("n1", json!({}))).clone());
        let world = World::new(&sim).await;
        sim.inject(Fault::request(
            ACTOR,
            |seen| seen.subresource == "binding",
            effect(),
        ));
        for name in ["a", "b", "c"] {
            sim.create(wants(name, "2"));
        }
        let places = world.after(60).await;
        let bound = places
            .iter()
            .filter(|place| place.ends_with("on n1"))
            .count();
        assert_eq!(
            (bound, sim.faults_waiting()),
            (2, 0),
            "case {case}: {places:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_fills_no_node_twice() {
    let sim = Sim::new();
    sim.create((*node("n1", json!({}))).clone());
    for name in ["a", "b", "c", "d", "e", "f"] {
        sim.create(wants(name, "1"));
    }
    for _ in 0..3 {
        let world = World::new(&sim).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        drop(world);
    }
    let world = World::new(&sim).await;
    let places = world.after(20).await;
    assert_eq!(
        places
            .iter()
            .filter(|place| place.ends_with("on n1"))
            .count(),
        4,
        "{places:?}"
    );
}

/// A pod as a client creates it, using these claims.
fn claiming(name: &str, claims: &[&str]) -> Pod {
    with(name, uses(claims))
}

/// As the binder and a provisioner do it: the claim gets the volume.
fn bind_claim(sim: &Sim, claim: &str, to: &str) {
    let name = to.to_owned();
    sim.update_with::<PersistentVolumeClaim>("ns", claim, move |claim| {
        claim.spec.get_or_insert_default().volume_name = Some(name);
        let marks = claim.metadata.annotations.get_or_insert_default();
        marks.insert(
            "pv.kubernetes.io/bind-completed".to_owned(),
            "yes".to_owned(),
        );
    });
}

fn stored<K: Clone>(object: &K, strip: impl FnOnce(&mut K)) -> K {
    let mut object = object.clone();
    strip(&mut object);
    object
}

fn begin(sim: &Sim, nodes: &[&str]) {
    for name in nodes {
        sim.create((*node(name, json!({}))).clone());
    }
    sim.create((*class(json!({}))).clone());
    let data = stored(&*claim("data", json!({})), |claim| {
        claim.metadata.resource_version = None;
    });
    sim.create(data);
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_told_the_node_and_the_pod_is_bound_when_it_is() {
    let sim = Sim::new();
    begin(&sim, &["n1"]);
    let world = World::new(&sim).await;
    sim.create(claiming("web", &["data"]));
    sim.create(wants("other", "1"));
    assert_eq!(world.after(30).await, ["other on n1", "web nowhere"]);
    let selected = sim.get::<PersistentVolumeClaim>("ns", "data").unwrap();
    let selected = meta::annotation(&selected.metadata, "volume.kubernetes.io/selected-node")
        .map(str::to_owned);
    assert_eq!(selected.as_deref(), Some("n1"));

    sim.create(stored(&*volume("disk", "n1", json!({})), |of| {
        of.metadata.resource_version = None;
    }));
    bind_claim(&sim, "data", "disk");
    assert_eq!(world.after(1).await, ["other on n1", "web on n1"]);
}

#[tokio::test(start_paused = true)]
async fn an_unbound_claim_of_an_immediate_class_keeps_the_pod_waiting() {
    let sim = Sim::new();
    begin(&sim, &["n1"]);
    sim.update_with::<StorageClass>("", "late", |class| {
        class.volume_binding_mode = Some("Immediate".to_owned());
    });
    let world = World::new(&sim).await;
    sim.create(claiming("web", &["data"]));
    sim.create(claiming("lost", &["nothing"]));
    assert_eq!(world.after(5).await, ["lost nowhere", "web nowhere"]);
    let text = |why: &str| {
        format!(
            "FailedScheduling 0/1 nodes are available: {why}. preemption: 0/1 nodes are available: 1 Preemption is not \
             helpful for scheduling."
        )
    };
    assert_eq!(
        world.events(),
        [
            text("persistentvolumeclaim \"nothing\" not found"),
            text("pod has unbound immediate PersistentVolumeClaims")
        ]
    );
    sim.create(stored(&*volume("disk", "n1", json!({})), |of| {
        of.metadata.resource_version = None;
    }));
    bind_claim(&sim, "data", "disk");
    assert_eq!(world.after(2).await, ["lost nowhere", "web on n1"]);
}

#[tokio::test(start_paused = true)]
async fn a_provisioner_that_gives_up_has_another_node_chosen() {
    let sim = Sim::new();
    begin(&sim, &["n1"]);
    let world = World::new(&sim).await;
    sim.create(claiming("web", &["data"]));
    assert_eq!(world.after(2).await, ["web nowhere"]);
    sim.create((*node("n2", json!({}))).clone());
    sim.update_with::<Node>("", "n1", |node| {
        node.spec.get_or_insert_default().unschedulable = Some(true);
    });
    sim.update_with::<PersistentVolumeClaim>("ns", "data", |claim| {
        claim.metadata.annotations = None;
    });
    assert_eq!(world.after(15).await, ["web nowhere"]);
    let claim = sim.get::<PersistentVolumeClaim>("ns", "data").unwrap();
    let selected =
        meta::annotation(&claim.metadata, "volume.kubernetes.io/selected-node").map(str::to_owned);
    assert_eq!(selected.as_deref(), Some("n2"));
    let gave_up = "FailedScheduling running PreBind plugin \"VolumeBinding\": binding volumes: provisioning failed for PVC \
                   \"data\"";
    assert!(
        world.events().contains(&gave_up.to_owned()),
        "{:?}",
        world.events()
    );
}

#[tokio::test(start_paused = true)]
async fn pods_go_where_their_volumes_are() {
    let sim = Sim::new();
    begin(&sim, &["n1", "n2", "n3"]);
    sim.create(stored(&*volume("disk", "n2", json!({})), |of| {
        of.metadata.resource_version = None;
    }));
    bind_claim(&sim, "data", "disk");
    let world = World::new(&sim).await;
    sim.create(claiming("web", &["data"]));
    assert_eq!(world.after(2).await, ["web on n2"]);
    sim.delete::<Node>("", "n2");
    sim.create(claiming("late", &["data"]));
    world.after(2).await;
    let text = "FailedScheduling 0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity. \
                preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.";
    assert!(
        world.events().contains(&text.to_owned()),
        "{:?}",
        world.events()
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_its_writes_a_claim_gets_one_node() {
    let effects: [fn() -> Effect; 5] = [
        || Effect::FailBefore(500),
        || Effect::Disconnect,
        || Effect::FailAfter(Lost::Timeout),
        || Effect::FailAfter(Lost::Connection),
        || Effect::Conflict,
    ];
    for (case, effect) in effects.iter().enumerate() {
        let sim = Sim::new();
        begin(&sim, &["n1", "n2"]);
        let world = World::new(&sim).await;
        sim.inject(Fault::request(
            ACTOR,
            |seen| seen.verb == sim::Verb::Patch && seen.kind == "PersistentVolumeClaim",
            effect(),
        ));
        sim.create(claiming("web", &["data"]));
        world.after(20).await;
        let live = sim.get::<PersistentVolumeClaim>("ns", "data").unwrap();
        let selected = meta::annotation(&live.metadata, "volume.kubernetes.io/selected-node")
            .unwrap()
            .to_owned();
        sim.create(stored(&*volume("disk", &selected, json!({})), |of| {
            of.metadata.resource_version = None;
        }));
        bind_claim(&sim, "data", "disk");
        assert_eq!(
            (world.after(20).await, sim.faults_waiting()),
            (vec![format!("web on {selected}")], 0),
            "case {case}"
        );
    }
}

/// A pod as a client creates it, wanting so many cores, with a priority.
fn important(name: &str, cpu: &str, priority: i32) -> Pod {
    let mut pod = wants(name, cpu);
    pod.spec.get_or_insert_default().priority = Some(priority);
    pod
}

/// As its node does it: a pod that is being deleted is gone.
fn reap(sim: &Sim) -> Vec<String> {
    let leaving = sim.list::<Pod>(Some("ns"));
    let leaving = leaving
        .iter()
        .filter(|pod| meta::is_deleting(&pod.metadata));
    let names: Vec<String> = leaving
        .map(|pod| meta::name(&pod.metadata).to_owned())
        .collect();
    for name in &names {
        sim.delete_with::<Pod>("ns", name, &json!({ "gracePeriodSeconds": 0 }));
    }
    names
}

fn nominated(sim: &Sim, name: &str) -> Option<String> {
    sim.get::<Pod>("ns", name)
        .unwrap()
        .status
        .unwrap_or_default()
        .nominated_node_name
}

#[tokio::test(start_paused = true)]
async fn less_important_pods_leave_for_a_more_important_one() {
    let sim = Sim::new();
    sim.create((*node("n1", json!({}))).clone());
    let world = World::new(&sim).await;
    sim.create(important("least", "2", 1));
    sim.create(important("less", "2", 2));
    world.after(1).await;
    sim.create(important("more", "2", 5));
    // A less important pod does not get the room that is made.
    assert_eq!(
        world.after(5).await,
        ["least on n1", "less on n1", "more nowhere"]
    );
    let victim = sim.get::<Pod>("ns", "least").unwrap();
    assert!(meta::is_deleting(&victim.metadata));
    let condition = objects::pod::condition(&victim, preempt::CONDITION).unwrap();
    assert_eq!(
        (condition.reason.as_deref(), condition.message.as_deref()),
        (
            Some("PreemptionByScheduler"),
            Some("default-scheduler: preempting to accommodate a higher priority pod")
        )
    );
    assert_eq!(nominated(&sim, "more").as_deref(), Some("n1"));
    sim.create(important("between", "2", 3));
    assert_eq!(world.after(30).await.len(), 4);
    assert_eq!(
        nominated(&sim, "between"),
        Some("n1".to_owned()),
        "the next in turn"
    );
    let mut gone = reap(&sim);
    gone.sort();
    assert_eq!(gone, ["least", "less"]);
    assert_eq!(world.after(15).await, ["between on n1", "more on n1"]);
    let uid = sim.get::<Pod>("ns", "more").unwrap().metadata.uid.unwrap();
    let events = world.events();
    let told = |text: &str| events.iter().any(|event| event == text);
    assert!(
        told(&format!("Preempted Preempted by pod {uid} on node n1")),
        "{events:?}"
    );
    assert!(
        told("FailedScheduling 0/1 nodes are available: 1 Insufficient cpu."),
        "{events:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_its_writes_as_few_as_needed_leave() {
    let effects: [fn() -> Effect; 5] = [
        || Effect::FailBefore(500),
        || Effect::Disconnect,
        || Effect::FailAfter(Lost::Timeout),
        || Effect::FailAfter(Lost::Connection),
        || Effect::Conflict,
    ];
    for verb in [sim::Verb::Patch, sim::Verb::Delete] {
        for (case, effect) in effects.iter().enumerate() {
            let sim = Sim::new();
            for name in ["n1", "n2"] {
                sim.create((*node(name, json!({}))).clone());
            }
            let world = World::new(&sim).await;
            for name in ["a", "b", "c", "d"] {
                sim.create(important(name, "2", 1));
            }
            world.after(1).await;
            sim.inject(Fault::request(
                ACTOR,
                move |seen| seen.verb == verb && seen.kind == "Pod",
                effect(),
            ));
            sim.create(important("more", "2", 5));
            let mut gone = Vec::new();
            let mut places = Vec::new();
            for _ in 0..30 {
                places = world.after(2).await;
                gone.extend(reap(&sim));
            }
            let running = places.iter().any(|place| place.starts_with("more on "));
            assert_eq!(
                (running, gone.len(), sim.faults_waiting()),
                (true, 1, 0),
                "{verb:?} case {case}: {places:?} {gone:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_respects_the_room_that_was_made() {
    let sim = Sim::new();
    sim.create((*node("n1", json!({}))).clone());
    let world = World::new(&sim).await;
    sim.create(important("less", "4", 1));
    world.after(1).await;
    sim.create(important("more", "4", 5));
    world.after(1).await;
    drop(world);
    sim.create(important("small", "1", 1));
    assert_eq!(reap(&sim), ["less"]);
    let world = World::new(&sim).await;
    assert_eq!(world.after(2).await, ["more on n1", "small nowhere"]);
}

#[tokio::test(start_paused = true)]
async fn the_scheduler_says_why_a_pod_waits_and_what_would_let_it_run() {
    let sim = Sim::new();
    sim.create((*node("n1", json!({}))).clone());
    let world = World::new(&sim).await;
    sim.create(wants("first", "3"));
    assert_eq!(world.after(1).await, ["first on n1"]);
    sim.create(wants("second", "2"));
    world.after(1).await;
    let said = |name: &str| world.runtime.admin().shown("explain", "ns", name);
    let text = said("second").unwrap().text;
    assert!(
        text.contains("1 cpu too few: asks for 2, 1 of 4 are free"),
        "{text}"
    );
    assert!(
        text.contains("lower the cpu request of container c by 1 to 1 → n1"),
        "{text}"
    );
    assert_eq!(said("second").unwrap().json["state"], "pending");
    assert_eq!(
        said("first").unwrap().text,
        "Pod ns/first is scheduled: it is on n1.\n"
    );
    assert!(said("third").is_none());
}

/// The lines of the metrics that begin so.
fn shown(world: &World, beginning: &str) -> Vec<String> {
    let text = world.runtime.metrics().encode();
    let lines = text.lines().filter(|line| line.starts_with(beginning));
    lines.map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_counted_has_upstreams_names_and_labels() {
    let sim = Sim::new();
    sim.create((*node("n1", json!({}))).clone());
    let world = World::new(&sim).await;
    sim.create(wants("first", "3"));
    sim.create(wants("second", "2"));
    world.after(1).await;
    let cases = [
        (
            "scheduler_schedule_attempts_total{profile=\"default-scheduler\",result=\"scheduled\"}",
            "1",
        ),
        (
            "scheduler_scheduling_attempt_duration_seconds_count{profile=\"default-scheduler\",result=\"unschedulable\"}",
            "1",
        ),
        (
            "scheduler_scheduling_attempt_duration_seconds_bucket{le=\"0.001\",profile=\"default-scheduler\",result=\"unschedulable\"}",
            "1",
        ),
        ("scheduler_scheduling_algorithm_duration_seconds_count", "2"),
        (
            "scheduler_pod_scheduling_sli_duration_seconds_count{attempts=\"1\"}",
            "1",
        ),
        ("scheduler_pod_scheduling_attempts_sum", "1.0"),
        (
            "scheduler_framework_extension_point_duration_seconds_count{extension_point=\"Bind\",status=\"Success\",profile=\"default-scheduler\"}",
            "1",
        ),
        ("scheduler_pending_pods{queue=\"unschedulable\"}", "1"),
        ("scheduler_preemption_attempts_total", "1"),
        ("scheduler_cache_size{type=\"nodes\"}", "1"),
        ("scheduler_cache_size{type=\"pods\"}", "1"),
        ("scheduler_cache_size{type=\"assumed_pods\"}", "0"),
        (
            "scheduler_queue_incoming_pods_total{queue=\"active\",event=\"UnscheduledPodAdd\"}",
            "2",
        ),
        (
            "scheduler_queue_incoming_pods_total{queue=\"unschedulable\",event=\"ScheduleAttemptFailure\"}",
            "1",
        ),
        (
            "scheduler_event_handling_duration_seconds_count{event=\"NodeAdd\"}",
            "1",
        ),
        (
            "scheduler_unschedulable_pods{plugin=\"NodeResourcesFit\",profile=\"default-scheduler\"}",
            "1",
        ),
    ];
    for (name, value) in cases {
        assert_eq!(shown(&world, name), [format!("{name} {value}")]);
    }
    // No more room is needed once the pod is gone.
    sim.delete::<Pod>("ns", "second");
    world.after(1).await;
    assert_eq!(
        shown(&world, "scheduler_unschedulable_pods{"),
        Vec::<String>::new()
    );
}

/// Nothing but the nodes themselves can keep two schedulers from filling one with different pods at the same moment; that
/// a pod is given one node and no more, the API server sees to.
#[tokio::test(start_paused = true)]
async fn two_schedulers_for_a_second_bind_no_pod_twice() {
    for round in 0..20 {
        let sim = Sim::new();
        for index in 0..6 {
            sim.create((*node(&format!("n{index}"), json!({}))).clone());
        }
        let world = World::new(&sim).await;
        let second = World::new(&sim).await;
        for index in 0..20 {
            sim.create(wants(&format!("p{round}-{index}"), "1"));
            if index % 5 == round % 5 {
                tokio::time::sleep(Duration::from_millis(7)).await;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(second);
        let places = world.after(60).await;
        assert!(
            !places.iter().any(|place| place.ends_with("nowhere")),
            "{places:?}"
        );
        let writes = sim.history();
        let bindings = writes.iter().filter(|write| write.subresource == "binding");
        let pods: std::collections::BTreeSet<&str> =
            bindings.clone().map(|write| &*write.uid).collect();
        assert_eq!((bindings.count(), pods.len()), (20, 20));
    }
}
