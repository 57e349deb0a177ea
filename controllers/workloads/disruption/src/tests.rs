#![allow(clippy::unwrap_used, clippy::panic)]

use crate::{
    Announced, DisruptionController, Size, StaleDisruptionController, World, selector, status,
};
use ::plan::{Outcome, Reference};
use jiff::{SignedDuration, Timestamp};
use json_patch::merge;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use objects::meta;
use runtime::{Controller, ScaleError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> String {
    (now() - SignedDuration::from_secs(seconds)).to_string()
}

/// A pod of the ReplicaSet with the UID `hearth`, ready.
fn pod(name: &str, more: Value) -> Arc<Pod> {
    owned(name, "hearth", more)
}

fn owned(name: &str, owner: &str, more: Value) -> Arc<Pod> {
    let mut pod = json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": "40", "generation": 6,
            "labels": { "app": "fire" }, "creationTimestamp": ago(600),
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": true }],
        },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    merge(&mut pod, &more);
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn orphan(name: &str) -> Arc<Pod> {
    pod(name, json!({ "metadata": { "ownerReferences": [] } }))
}

fn unready(name: &str) -> Arc<Pod> {
    pod(name, json!({ "status": { "conditions": [] } }))
}

fn going(name: &str) -> Arc<Pod> {
    pod(name, json!({ "metadata": { "deletionTimestamp": ago(1) } }))
}

fn pods(count: usize) -> Vec<Arc<Pod>> {
    (0..count)
        .map(|n| pod(&format!("p{n}"), json!({})))
        .collect()
}

fn budget(spec: Value, status: Value) -> PodDisruptionBudget {
    let mut budget = json!({
        "metadata": { "name": "warmth", "namespace": "shop", "uid": "pdb-1", "generation": 4, "resourceVersion": "9" },
        "spec": { "selector": { "matchLabels": { "app": "fire" } } },
        "status": status,
    });
    merge(&mut budget["spec"], &spec);
    serde_json::from_value(budget).unwrap()
}

/// The world of a budget whose pods belong to workloads of these sizes.
fn world(spec: Value, pods: Vec<Arc<Pod>>, sizes: &[(&str, i32)]) -> World {
    let sizes = sizes.iter().map(|(uid, replicas)| {
        let uid = (*uid).to_owned();
        let replicas = *replicas;
        (uid.clone(), Ok(Size { uid, replicas }))
    });
    World {
        budget: Arc::new(budget(spec, json!({}))),
        pods: Ok(pods),
        sizes: sizes.collect(),
        shared: Vec::new(),
        now: now(),
    }
}

fn with_status(mut world: World, status: Value) -> World {
    let mut budget = PodDisruptionBudget::clone(&world.budget);
    budget.status = Some(serde_json::from_value(status).unwrap());
    world.budget = Arc::new(budget);
    world
}

fn new_status(world: &World) -> Option<PodDisruptionBudgetStatus> {
    let object = DisruptionController::status(world, &Outcome::default())?;
    object.read::<PodDisruptionBudget>()?.status.clone()
}

/// `allowed: healthy of expected, desired; reason`
fn told(world: &World) -> String {
    let status = new_status(world).unwrap();
    let condition = &status.conditions.as_ref().unwrap()[0];
    assert_eq!(condition.type_, "DisruptionAllowed");
    format!(
        "{}: {} of {}, {} desired; {} {}",
        status.disruptions_allowed.unwrap_or(0),
        status.current_healthy.unwrap_or(0),
        status.expected_pods.unwrap_or(0),
        status.desired_healthy.unwrap_or(0),
        condition.reason,
        condition.message,
    )
    .trim_end()
    .to_owned()
}

fn notes(world: &World) -> Vec<String> {
    let Some(status) = DisruptionController::status(world, &Outcome::default()) else {
        return Vec::new();
    };
    let notes = DisruptionController::status_notes(world, &status);
    let line = |note: &::plan::Note| {
        let (about, kind) = (&note.about, note.note_type);
        format!("{about} {kind:?} {}: {}", note.reason, note.message)
    };
    notes.iter().map(line).collect()
}

#[test]
fn what_is_healthy_beyond_what_must_be_may_go() {
    let mixed = || {
        vec![
            pod("a", json!({})),
            unready("b"),
            going("c"),
            pod("d", json!({})),
        ]
    };
    for (spec, pods, sizes, expected) in [
        // Numbers are counted from the pods that there are.
        (
            json!({"minAvailable": 2}),
            pods(3),
            vec![],
            "1: 3 of 3, 2 desired; SufficientPods",
        ),
        (
            json!({"minAvailable": 3}),
            pods(3),
            vec![],
            "0: 3 of 3, 3 desired; InsufficientPods",
        ),
        (
            json!({"minAvailable": 5}),
            pods(3),
            vec![],
            "0: 3 of 3, 5 desired; InsufficientPods",
        ),
        (
            json!({"minAvailable": 0}),
            pods(3),
            vec![],
            "3: 3 of 3, 0 desired; SufficientPods",
        ),
        (
            json!({"minAvailable": 1}),
            mixed(),
            vec![],
            "1: 2 of 4, 1 desired; SufficientPods",
        ),
        (
            json!({"minAvailable": 0}),
            vec![],
            vec![],
            "0: 0 of 0, 0 desired; InsufficientPods",
        ),
        (
            json!({"minAvailable": 1}),
            vec![orphan("a"), orphan("b")],
            vec![],
            "1: 2 of 2, 1 desired; SufficientPods",
        ),
        // Shares are counted from the sizes of workloads, and rounded up.
        (
            json!({"minAvailable": "28%"}),
            pods(3),
            vec![("hearth", 10)],
            "0: 3 of 10, 3 desired; InsufficientPods",
        ),
        (
            json!({"minAvailable": "28%"}),
            pods(4),
            vec![("hearth", 10)],
            "1: 4 of 10, 3 desired; SufficientPods",
        ),
        (
            json!({"minAvailable": "100%"}),
            pods(4),
            vec![("hearth", 4)],
            "0: 4 of 4, 4 desired; InsufficientPods",
        ),
        (
            json!({"maxUnavailable": 1}),
            pods(3),
            vec![("hearth", 3)],
            "1: 3 of 3, 2 desired; SufficientPods",
        ),
        (
            json!({"maxUnavailable": 1}),
            pods(2),
            vec![("hearth", 3)],
            "0: 2 of 3, 2 desired; InsufficientPods",
        ),
        (
            json!({"maxUnavailable": 0}),
            pods(3),
            vec![("hearth", 3)],
            "0: 3 of 3, 3 desired; InsufficientPods",
        ),
        (
            json!({"maxUnavailable": 9}),
            pods(3),
            vec![("hearth", 3)],
            "3: 3 of 3, 0 desired; SufficientPods",
        ),
        (
            json!({"maxUnavailable": "30%"}),
            pods(10),
            vec![("hearth", 10)],
            "3: 10 of 10, 7 desired; SufficientPods",
        ),
        (
            json!({"maxUnavailable": "5%"}),
            pods(10),
            vec![("hearth", 10)],
            "1: 10 of 10, 9 desired; SufficientPods",
        ),
        (
            json!({"maxUnavailable": 1}),
            vec![],
            vec![],
            "0: 0 of 0, 0 desired; InsufficientPods",
        ),
        // Bigger than what any addition may hold.
        (
            json!({"maxUnavailable": 1}),
            pods(1),
            vec![("hearth", i32::MAX)],
            "0: 1 of 2147483647, 2147483646 desired; InsufficientPods",
        ),
        // What the API server would not have let in.
        (
            json!({"maxUnavailable": -1}),
            pods(3),
            vec![("hearth", 3)],
            "0: 3 of 3, 3 desired; InsufficientPods",
        ),
        (
            json!({"minAvailable": -1}),
            pods(3),
            vec![],
            "3: 3 of 3, 0 desired; SufficientPods",
        ),
        (
            json!({}),
            pods(3),
            vec![],
            "0: 3 of 0, 0 desired; InsufficientPods",
        ),
    ] {
        let world = world(spec.clone(), pods, &sizes);
        assert_eq!(told(&world), expected, "{spec}");
    }
}

#[test]
fn workloads_count_once_each_and_two_replica_sets_of_a_deployment_are_one() {
    let two = vec![pod("a", json!({})), owned("b", "stove", json!({}))];
    let apart = world(
        json!({"minAvailable": "50%"}),
        two.clone(),
        &[("hearth", 3), ("stove", 4)],
    );
    assert_eq!(told(&apart), "0: 2 of 7, 4 desired; InsufficientPods");
    let mut rollout = apart;
    let web = || {
        Ok(Size {
            uid: "web".to_owned(),
            replicas: 3,
        })
    };
    rollout.sizes = BTreeMap::from([("hearth".to_owned(), web()), ("stove".to_owned(), web())]);
    assert_eq!(told(&rollout), "0: 2 of 3, 2 desired; InsufficientPods");
}

#[test]
fn pods_that_nobody_controls_are_left_out_and_told() {
    let spec = json!({"maxUnavailable": 1, "selector": {"matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "x", "operator": "Exists"},
    ]}});
    let world = world(
        spec,
        vec![pod("a", json!({})), orphan("b")],
        &[("hearth", 2)],
    );
    assert_eq!(told(&world), "1: 2 of 2, 1 desired; SufficientPods");
    let [note] = notes(&world).try_into().unwrap();
    assert_eq!(
        note,
        "poddisruptionbudget/warmth Warning UnmanagedPods: Pods selected by this PodDisruptionBudget (selector: \
         &LabelSelector{MatchLabels:map[string]string{app: fire,},MatchExpressions:[]LabelSelectorRequirement{\
         LabelSelectorRequirement{Key:tier,Operator:In,Values:[a b],},\
         LabelSelectorRequirement{Key:x,Operator:Exists,Values:[],},},}) were found to be unmanaged. As a result, the \
         status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for \
         these pods please set \".spec.minAvailable\" field of the PDB to an integer value."
    );
}

#[test]
fn a_budget_that_cannot_be_counted_allows_nothing_and_says_why() {
    let old = json!({
        "disruptionsAllowed": 2, "currentHealthy": 3, "desiredHealthy": 1, "expectedPods": 3, "observedGeneration": 3,
    });
    let failing = |message: &str, transient| {
        let mut world = world(json!({"maxUnavailable": 2}), pods(3), &[]);
        let message = message.to_owned();
        let error = ScaleError { message, transient };
        world.sizes.insert("hearth".to_owned(), Err(error));
        with_status(world, old.clone())
    };
    for (message, transient, again) in [
        (
            "found no controllers for pod \"p0\"",
            false,
            "again in 300.000s",
        ),
        (
            "daemonsets.apps does not implement the scale subresource",
            false,
            "again in 300.000s",
        ),
        ("no answer within 30 s", true, "again in 15.000s"),
    ] {
        let world = failing(message, transient);
        // The generation is not observed: nothing was made of it.
        assert_eq!(
            told(&world),
            format!("0: 3 of 3, 1 desired; SyncFailed {message}")
        );
        let status = new_status(&world).unwrap();
        assert_eq!(status.observed_generation, Some(3));
        assert_eq!(
            status.conditions.clone().unwrap()[0].observed_generation,
            Some(3)
        );
        assert_eq!(
            notes(&world),
            [format!(
                "poddisruptionbudget/warmth Warning CalculateExpectedPodCountFailed: \
                 Failed to calculate the number of expected pods: {message}"
            )]
        );
        assert_eq!(DisruptionController::plan(&world).to_string(), again);
        let settled = with_status(world, serde_json::to_value(status).unwrap());
        assert_eq!((new_status(&settled), notes(&settled)), (None, vec![]));
    }
}

#[test]
fn bad_input_is_named_by_its_field() {
    let percent = world(json!({"maxUnavailable": "many"}), pods(1), &[("hearth", 1)]);
    let error =
        "spec.maxUnavailable: \"many\" is neither a number nor a percentage such as \"25%\"";
    assert_eq!(
        told(&percent),
        format!("0: 0 of 0, 0 desired; SyncFailed {error}")
    );
    assert_eq!(DisruptionController::plan(&percent).to_string(), "");

    let mut world = world(json!({"minAvailable": 1}), vec![], &[]);
    let wrong = json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}});
    world.pods = Err(selector(&budget(wrong, json!({}))).unwrap_err());
    let error = "spec.selector.matchExpressions[0].operator: \"Is\" is not one of In, NotIn, Exists, DoesNotExist";
    assert_eq!(
        told(&world),
        format!("0: 0 of 0, 0 desired; SyncFailed {error}")
    );
    let note = format!("poddisruptionbudget/warmth Warning NoPods: Failed to get pods: {error}");
    assert_eq!(notes(&world), [note]);
}

#[test]
fn no_selector_selects_nothing_and_an_empty_one_all() {
    let nothing = selector(&budget(json!({"selector": null}), json!({}))).unwrap();
    assert!(nothing.is_none());
    let empty = PodDisruptionBudget {
        spec: serde_json::from_value(json!({"selector": {}})).unwrap(),
        ..PodDisruptionBudget::default()
    };
    assert!(selector(&empty).unwrap().unwrap().matches(None));
}

#[test]
fn a_budget_without_pods_says_so_once() {
    let world = world(json!({"maxUnavailable": 1}), vec![], &[]);
    assert_eq!(
        notes(&world),
        ["poddisruptionbudget/warmth Normal NoPods: No matching pods found"]
    );
    let settled = serde_json::to_value(new_status(&world).unwrap()).unwrap();
    let settled = with_status(world, settled);
    assert_eq!((new_status(&settled), notes(&settled)), (None, vec![]));
}

#[test]
fn a_pod_whose_eviction_was_let_through_is_lost_for_two_minutes() {
    let evicted = |disrupted: Value, pods: Vec<Arc<Pod>>| {
        with_status(
            world(json!({"minAvailable": 1}), pods, &[]),
            json!({"disruptedPods": disrupted}),
        )
    };
    let left = |world: &World| {
        let disrupted = new_status(world)
            .unwrap()
            .disrupted_pods
            .unwrap_or_default();
        disrupted.into_keys().collect::<Vec<_>>().join(" ")
    };
    for (what, disrupted, pods, expected, keeps, again) in [
        (
            "just now",
            json!({"p0": ago(1)}),
            pods(3),
            "1: 2 of 3, 1 desired; SufficientPods",
            "p0",
            "again in 119.000s",
        ),
        (
            "the first of two",
            json!({"p0": ago(20), "p1": ago(80)}),
            pods(3),
            "0: 1 of 3, 1 desired; InsufficientPods",
            "p0 p1",
            "again in 40.000s",
        ),
        (
            "too long ago",
            json!({"p0": ago(120)}),
            pods(3),
            "2: 3 of 3, 1 desired; SufficientPods",
            "",
            "",
        ),
        (
            "gone",
            json!({"p9": ago(1)}),
            pods(3),
            "2: 3 of 3, 1 desired; SufficientPods",
            "",
            "",
        ),
        (
            "on its way",
            json!({"c": ago(1)}),
            vec![pod("a", json!({})), going("c")],
            "0: 1 of 2, 1 desired; InsufficientPods",
            "",
            "",
        ),
        // A StatefulSet made it anew under its old name.
        (
            "another one",
            json!({"w0": ago(60)}),
            vec![pod(
                "w0",
                json!({"metadata": {"creationTimestamp": ago(30)}}),
            )],
            "0: 1 of 1, 1 desired; InsufficientPods",
            "",
            "",
        ),
    ] {
        let world = evicted(disrupted, pods);
        assert_eq!(
            (told(&world).as_str(), left(&world).as_str()),
            (expected, keeps),
            "{what}"
        );
        assert_eq!(
            DisruptionController::plan(&world).to_string(),
            again,
            "{what}"
        );
    }
    let late = evicted(json!({"p0": ago(121)}), pods(1));
    let note = "pod/p0 Warning NotDeleted: Pod was expected by PDB shop/warmth to be deleted but it wasn't";
    assert_eq!(notes(&late), [note]);
}

#[test]
fn a_status_that_is_right_is_not_written_again() {
    let fresh = || world(json!({"minAvailable": 2}), pods(3), &[]);
    let right = serde_json::to_value(new_status(&fresh()).unwrap()).unwrap();
    assert_eq!(new_status(&with_status(fresh(), right.clone())), None);
    // As an API server that leaves zeros out might send it.
    let mut sparse = right.clone();
    sparse["disruptedPods"] = json!({});
    assert_eq!(new_status(&with_status(fresh(), sparse)), None);
    for (field, value) in [
        ("disruptionsAllowed", json!(0)),
        ("currentHealthy", json!(1)),
        ("desiredHealthy", json!(1)),
        ("expectedPods", json!(9)),
        ("observedGeneration", json!(3)),
        ("conditions", json!([])),
    ] {
        let mut wrong = right.clone();
        wrong[field] = value;
        let written = new_status(&with_status(fresh(), wrong)).unwrap();
        assert_eq!(serde_json::to_value(written).unwrap(), right, "{field}");
    }
}

#[test]
fn the_condition_keeps_its_time_while_its_status_stays() {
    let old = json!({"conditions": [
        {"type": "DisruptionAllowed", "status": "True", "reason": "SufficientPods", "message": "", "lastTransitionTime": ago(99)},
        {"type": "Other", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": ago(5)},
    ]});
    let time = |least: i32| {
        let world = with_status(
            world(json!({"minAvailable": least}), pods(2), &[]),
            old.clone(),
        );
        let conditions = new_status(&world).unwrap().conditions.unwrap();
        assert_eq!(
            (conditions.len(), conditions[0].observed_generation),
            (2, Some(4))
        );
        conditions[0].last_transition_time.0.to_string()
    };
    assert_eq!((time(1), time(2)), (ago(99), ago(0)));
}

#[test]
fn a_pod_of_several_budgets_is_told() {
    let mut world = world(json!({"minAvailable": 1}), pods(1), &[]);
    world.shared = vec![(Reference::to(&*pods(1)[0]), "cold".to_owned())];
    assert_eq!(
        DisruptionController::plan(&world).to_string(),
        "note Warning MultiplePodDisruptionBudgets: Pod \"shop\"/\"p0\" matches multiple PodDisruptionBudgets.  Chose \"cold\" arbitrarily."
    );
}

#[test]
fn an_announcement_is_taken_back_after_two_minutes() {
    let target = |since: i64, more: Value| {
        let mut pod = json!({ "status": { "conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "m",
            "lastTransitionTime": ago(since),
        }] } });
        if let Some(condition) = more.get("condition") {
            merge(&mut pod["status"]["conditions"][0], condition);
        } else {
            merge(&mut pod, &more);
        }
        self::pod("a", pod)
    };
    let back = "patch pod/a/status";
    for (what, pod, expected) in [
        ("no announcement", pod("a", json!({})), ""),
        ("new", target(1, json!({})), "again in 119.000s"),
        (
            "from the future",
            target(-60, json!({})),
            "again in 120.000s",
        ),
        ("in vain", target(120, json!({})), back),
        ("a day ago", target(86_400, json!({})), back),
        (
            "no time",
            target(1, json!({"condition": {"lastTransitionTime": null}})),
            back,
        ),
        (
            "taken back",
            target(120, json!({"condition": {"status": "False"}})),
            "",
        ),
        (
            "by the kubelet",
            target(
                120,
                json!({"condition": {"reason": "TerminationByKubelet"}}),
            ),
            "",
        ),
        (
            "on its way",
            target(120, json!({"metadata": {"deletionTimestamp": ago(1)}})),
            "",
        ),
        (
            "has ended",
            target(120, json!({"status": {"phase": "Failed"}})),
            "",
        ),
    ] {
        let matters = StaleDisruptionController::matters(&pod);
        let plan = StaleDisruptionController::plan(&Announced { pod, now: now() }).to_string();
        let found = plan.split(" {").next().unwrap_or_default();
        assert_eq!(found, expected, "{what}");
        assert_eq!(matters, !expected.is_empty(), "{what}");
    }
    let world = Announced {
        pod: target(300, json!({})),
        now: now(),
    };
    let plan = StaleDisruptionController::plan(&world);
    let action = plan.actions().next().unwrap();
    let ::plan::Verb::Patch(::plan::PatchType::Strategic, body) = &action.verb else {
        panic!("{action}");
    };
    assert_eq!(
        *body,
        json!({
            "metadata": { "uid": meta::uid(&world.pod.metadata), "resourceVersion": "40" },
            "status": { "conditions": [{
                "type": "DisruptionTarget", "status": "False", "reason": null, "message": null, "lastProbeTime": null,
                "lastTransitionTime": ago(0), "observedGeneration": 6,
            }] },
        })
    );
    assert!(status::status(&self::world(json!({}), vec![], &[])).is_some());
}
