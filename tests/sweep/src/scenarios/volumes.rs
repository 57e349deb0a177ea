//! Claims and volumes: bound, made, in use, given back.

use super::{pod, ready, story};
use crate::scenario::{Act, Part, Scenario, Step, Surroundings, after, once};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use objects::meta;
use objects::volume::{claim_phase, volume_of, volume_phase};
use serde_json::{Value, json};
use sim::{Sim, State};

fn claim(name: &str, size: &str, more: &Value) -> Value {
    let mut claim = json!({
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": size } } },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        claim["spec"][key] = value.clone();
    }
    claim
}

fn disk(name: &str, size: &str, policy: &str) -> Value {
    json!({
        "kind": "PersistentVolume",
        "metadata": { "name": name },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": { "storage": size },
            "hostPath": { "path": "/tmp/x" }, "persistentVolumeReclaimPolicy": policy,
        },
    })
}

/// The same, of a class of disks that somebody makes by hand.
fn slow_disk(name: &str, size: &str, policy: &str) -> Value {
    let mut disk = disk(name, size, policy);
    disk["spec"]["storageClassName"] = json!("slow");
    disk
}

fn class(mode: &str, default: &str) -> Value {
    let marks = json!({ "storageclass.kubernetes.io/is-default-class": default });
    json!({
        "kind": "StorageClass",
        "metadata": { "name": "standard", "annotations": marks },
        "provisioner": "hostpath.corten.dev", "volumeBindingMode": mode,
    })
}

fn node() -> Value {
    let has = json!({ "cpu": "8", "memory": "64Gi", "pods": "110" });
    json!({
        "kind": "Node",
        "metadata": { "name": "node-1", "labels": { "kubernetes.io/hostname": "node-1" } },
        "status": { "capacity": has, "allocatable": has, "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

/// A pod that uses the claim `data`, and has one of its own.
fn web() -> Value {
    let mut web = pod("web-1", "web");
    let template = claim("ignored", "1Gi", &json!({ "storageClassName": "standard" }));
    web["spec"]["volumes"] = json!([
        { "name": "data", "persistentVolumeClaim": { "claimName": "data" } },
        { "name": "own", "ephemeral": { "volumeClaimTemplate": { "spec": template["spec"] } } },
    ]);
    web
}

fn bound(state: &State) -> usize {
    let claims = state.list::<PersistentVolumeClaim>(Some("default"));
    claims
        .iter()
        .filter(|claim| claim_phase(claim) == "Bound")
        .count()
}

/// `disk phase` of all volumes, and `claim → disk` of all claims, sorted.
fn told(sim: &Sim) -> String {
    let disks = sim.list::<PersistentVolume>(None);
    let claims = sim.list::<PersistentVolumeClaim>(None);
    let disks = disks
        .iter()
        .map(|disk| format!("{} {}", meta::name(&disk.metadata), volume_phase(disk)));
    let claims = claims
        .iter()
        .map(|claim| format!("{}→{}", meta::name(&claim.metadata), volume_of(claim)));
    let mut all: Vec<String> = disks.chain(claims).collect();
    all.sort();
    all.join(", ")
}

fn is_ready(state: &State) -> bool {
    ready(state, "web") == 1
}

fn scenario(name: &'static str, begin: Vec<Value>, steps: Vec<Step>) -> Scenario {
    story(name, &[Part::Volumes], begin, steps)
}

pub(super) fn all() -> Vec<Scenario> {
    let standard = json!({ "storageClassName": "standard" });
    let slow = json!({ "storageClassName": "slow" });
    vec![
        // Each claim has one volume that will do for it: which of two it gets may depend on which is seen first.
        Scenario {
            end: |sim| {
                told(sim) == "kept Released, larger Bound, large→larger, other→spare, spare Bound"
            },
            ..scenario(
                "volumes are bound and given back",
                vec![
                    disk("kept", "1Gi", "Retain"),
                    slow_disk("gone", "5Gi", "Delete"),
                    claim("small", "1Gi", &json!({})),
                    claim("middle", "3Gi", &slow),
                ],
                vec![
                    once(
                        |state| bound(state) == 2,
                        Act::Create(claim("large", "30Gi", &json!({}))),
                    ),
                    after(3, Act::Create(disk("larger", "50Gi", "Retain"))),
                    once(
                        |state| bound(state) == 3,
                        Act::Delete("PersistentVolumeClaim", "small"),
                    ),
                    after(1, Act::Delete("PersistentVolumeClaim", "middle")),
                    after(
                        5,
                        Act::Create(claim("other", "1Gi", &json!({ "volumeName": "spare" }))),
                    ),
                    after(5, Act::Create(disk("spare", "1Gi", "Retain"))),
                ],
            )
        },
        Scenario {
            parts: &[Part::Volumes, Part::Scheduler],
            around: Surroundings {
                binds: false,
                runs: true,
            },
            begin: vec![
                node(),
                class("WaitForFirstConsumer", "false"),
                claim("data", "1Gi", &standard),
            ],
            end: |sim| {
                sim.list::<PersistentVolume>(None).is_empty() && sim.list::<Pod>(None).is_empty()
            },
            ..scenario(
                "volumes are made and go with their pods",
                Vec::new(),
                vec![
                    after(2, Act::Create(web())),
                    once(is_ready, Act::Delete("PersistentVolumeClaim", "data")),
                    after(5, Act::Delete("Pod", "web-1")),
                ],
            )
        },
        Scenario {
            end: |sim| sim.read(bound) == 1 && sim.list::<PersistentVolume>(None).len() == 1,
            ..scenario(
                "volumes of a class that comes late",
                vec![claim("data", "1Gi", &json!({}))],
                vec![after(2, Act::Create(class("Immediate", "true")))],
            )
        },
    ]
}
