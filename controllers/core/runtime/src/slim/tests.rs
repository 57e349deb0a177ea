#![allow(clippy::unwrap_used)]
use super::{part, slim};
use crate::trim::read;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, from_value, json, to_value};

/// What is left of a pod with this spec and status.
fn left(spec: Value, status: Value) -> (Value, Value) {
    let pod = json!({ "metadata": { "name": "a" }, "spec": spec, "status": status });
    let mut pod: Pod = read(&pod.to_string(), part::<Pod>()).unwrap();
    slim(&mut pod);
    let mut left = to_value(pod).unwrap();
    (left["spec"].take(), left["status"].take())
}

#[test]
fn a_container_keeps_its_name_image_and_needs() {
    let resources = json!({ "requests": { "cpu": "10m" }, "limits": { "cpu": "1" } });
    let kept = json!({
        "name": "c", "image": "nginx", "restartPolicy": "Always", "resources": resources,
        "ports": [{ "containerPort": 80, "hostPort": 8080 }],
    });
    let mut container = kept.clone();
    let more = json!({
        "command": ["sleep"], "args": ["1"], "workingDir": "/", "imagePullPolicy": "Always",
        "env": [{ "name": "A", "value": "1" }],
        "envFrom": [{ "configMapRef": { "name": "m" } }],
        "volumeMounts": [{ "name": "v", "mountPath": "/v" }],
        "livenessProbe": { "exec": { "command": ["true"] } },
        "lifecycle": { "preStop": { "sleep": { "seconds": 1 } } },
        "securityContext": { "privileged": true },
        "terminationMessagePath": "/dev/termination-log",
    });
    for (key, value) in more.as_object().unwrap() {
        container[key] = value.clone();
    }
    let spec = json!({ "containers": [container], "initContainers": [container] });
    let (spec, _) = left(spec, json!({}));
    assert_eq!(spec["containers"], json!([kept]));
    assert_eq!(spec["initContainers"], json!([kept]));
}

#[test]
fn what_decides_where_a_pod_runs_and_for_how_long_is_kept() {
    let spec = json!({
        "containers": [],
        "activeDeadlineSeconds": 5,
        "affinity": { "nodeAffinity": {} },
        "hostNetwork": true,
        "nodeName": "n",
        "nodeSelector": { "a": "b" },
        "overhead": { "cpu": "1" },
        "priority": 7,
        "readinessGates": [{ "conditionType": "g" }],
        "resources": { "requests": { "cpu": "2" } },
        "restartPolicy": "Never",
        "schedulerName": "mine",
        "schedulingGates": [{ "name": "g" }],
        "serviceAccountName": "s",
        "subdomain": "d",
        "hostname": "h",
        "terminationGracePeriodSeconds": 3,
        "tolerations": [{ "operator": "Exists" }],
        "topologySpreadConstraints": [{ "maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule" }],
    });
    assert_eq!(left(spec.clone(), json!({})).0, spec);
}

#[test]
fn volumes_and_variables_that_refer_to_what_may_go_are_kept() {
    let claim = json!({ "name": "a", "persistentVolumeClaim": { "claimName": "a-0" } });
    let own = json!({ "name": "b", "ephemeral": { "volumeClaimTemplate": { "spec": {} } } });
    let secret = json!({ "name": "c", "secret": { "secretName": "s" } });
    let token = json!({ "name": "d", "projected": { "sources": [{ "serviceAccountToken": { "path": "p" } }] } });
    let shown = json!({ "name": "e", "projected": { "sources": [{ "secret": { "name": "s" } }] } });
    let volumes = json!([
        claim, own, secret, token, shown,
        { "name": "f", "emptyDir": {} },
        { "name": "g", "configMap": { "name": "m" } },
        { "name": "h", "hostPath": { "path": "/" } },
    ]);
    let env = json!([
        { "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
        { "name": "B", "valueFrom": { "configMapKeyRef": { "name": "m", "key": "k" } } },
    ]);
    let containers = json!([{ "name": "c", "env": env }]);
    let spec = json!({ "containers": containers, "volumes": volumes });
    let (spec, _) = left(spec, json!({}));
    assert_eq!(spec["volumes"], json!([claim, own, secret, shown]));
    assert_eq!(spec["containers"][0]["env"], json!([env[0]]));
}

#[test]
fn a_status_keeps_how_each_container_goes() {
    let resources = json!({ "requests": { "cpu": "10m" } });
    let spec = json!({ "containers": [{ "name": "c", "resources": resources }, { "name": "d" }] });
    let kept = json!({
        "name": "c", "ready": true, "restartCount": 2, "started": true, "image": "", "imageID": "",
        "state": { "terminated": { "exitCode": 3 } },
        "lastState": { "terminated": { "exitCode": 4 } },
    });
    let mut told = kept.clone();
    told["image"] = json!("nginx");
    told["imageID"] = json!("sha256:1");
    told["containerID"] = json!("containerd://1");
    told["resources"] = resources.clone();
    told["allocatedResources"] = resources["requests"].clone();
    let mut resized = kept.clone();
    resized["name"] = json!("d");
    resized["resources"] = resources;
    let of = |kind: &str| json!({ "type": kind, "status": "True" });
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(of);
    let status = json!({
        "phase": "Running", "podIP": "10.0.0.1", "hostIPs": [{ "ip": "1.1.1.1" }],
        "containerStatuses": [told, resized], "conditions": conditions,
    });
    let (_, status) = left(spec, status);
    let conditions = ["PodScheduled", "Ready"].map(of);
    let wanted = json!({
        "phase": "Running", "podIP": "10.0.0.1",
        "containerStatuses": [kept, resized], "conditions": conditions,
    });
    assert_eq!(status, wanted);
}

#[test]
fn of_what_has_run_for_a_job_only_references_and_sidecars_are_kept() {
    let env =
        json!([{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]);
    let plain = json!({ "name": "c", "image": "nginx" });
    let refers = json!({ "name": "d", "image": "nginx", "env": env });
    let owned = |kind: &str| json!([{ "apiVersion": "batch/v1", "kind": kind, "name": "j", "uid": "u", "controller": true }]);
    let sidecar = json!({ "name": "e", "image": "nginx", "restartPolicy": "Always" });
    let both = json!([plain, refers, sidecar]);
    let some = json!([refers, sidecar]);
    for (owner, phase, kept) in [
        ("Job", "Succeeded", some.clone()),
        ("Job", "Failed", some),
        ("Job", "Running", both.clone()),
        ("ReplicaSet", "Failed", both.clone()),
    ] {
        let text = json!({
            "metadata": { "name": "a", "ownerReferences": owned(owner) },
            "spec": { "containers": both }, "status": { "phase": phase },
        });
        let mut pod: Pod = read(&text.to_string(), part::<Pod>()).unwrap();
        slim(&mut pod);
        let left = to_value(pod.spec.unwrap().containers).unwrap();
        assert_eq!(left, kept, "{owner} {phase}");
    }
}

#[test]
fn other_kinds_are_kept_whole() {
    let node = json!({
        "metadata": { "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}" } },
    });
    let mut node: Node = from_value(node).unwrap();
    let whole = node.clone();
    let text = to_value(&node).unwrap().to_string();
    assert_eq!(read::<Node>(&text, part::<Node>()).unwrap(), whole);
    slim(&mut node);
    assert_eq!(node, whole);
}
