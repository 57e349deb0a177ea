//! Sequences: mostly valid calls, some with old versions, wrong UIDs, absent objects and invalid
//! bodies.

use serde_json::{Value, json};

use super::Op;
use crate::state::mix;

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

const KINDS: &[&str] = &[
    "ConfigMap",
    "Pod",
    "ReplicaSet",
    "Deployment",
    "Service",
    "ServiceAccount",
    "Endpoints",
    "EndpointSlice",
    "Lease",
];
const NAMES: &[&str] = &["a", "b"];
/// Written by one field manager alone, as the model knows no shared ownership.
const APPLIED: &str = "c";

/// The sequence of a seed: at most 20 operations on two kinds of one namespace.
pub fn sequences(seed: u64) -> Vec<Op> {
    let mut dice = Dice {
        seed: mix(seed.wrapping_add(1)),
        thrown: 0,
    };
    let kinds = [dice.of(KINDS), dice.of(KINDS)];
    let length = 8 + dice.below(13);
    (0..length)
        .map(|at| {
            let kind = dice.of(&kinds);
            let name = dice.of(NAMES);
            // Something has to be there first.
            if at < 3 {
                create(&mut dice, kind, name)
            } else {
                op(&mut dice, kind, name)
            }
        })
        .collect()
}

struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.thrown += 1;
        (mix(self.seed.wrapping_add(self.thrown)) % sides as u64) as usize
    }

    /// True once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// The name of the last object of a kind.
pub(super) const LAST: &str = "the-last";

/// A create of an object that every watch sees, and that nothing else touches.
pub(super) fn last(kind: &'static str) -> Op {
    let pod = json!({ "containers": [{ "name": "c", "image": "nginx" }] });
    let template = json!({ "metadata": { "labels": { "app": "web" } }, "spec": pod });
    let mut body = json!({ "metadata": { "name": LAST, "labels": { "app": "web" } } });
    match kind {
        "Pod" => body["spec"] = pod,
        "ReplicaSet" | "Deployment" => {
            let selector = json!({ "matchLabels": { "app": "web" } });
            body["spec"] = json!({ "selector": selector, "template": template });
        }
        "Service" => body["spec"] = json!({ "ports": [{ "port": 80 }] }),
        "EndpointSlice" => body["addressType"] = json!("IPv4"),
        _ => {}
    }
    plain("POST", kind, "", body)
}

pub(super) fn plain(method: &'static str, kind: &'static str, name: &str, body: Value) -> Op {
    Op {
        method,
        kind,
        name: name.to_owned(),
        subresource: "",
        query: String::new(),
        content_type: "",
        body,
    }
}

fn scales(kind: &str) -> bool {
    ["ReplicaSet", "Deployment"].contains(&kind)
}

fn has_status(kind: &str) -> bool {
    ["Pod", "ReplicaSet", "Deployment", "Service"].contains(&kind)
}

fn op(dice: &mut Dice, kind: &'static str, name: &str) -> Op {
    match dice.below(24) {
        0..=2 => create(dice, kind, name),
        3 => plain("GET", kind, name, Value::Null),
        4 => plain("GET", kind, APPLIED, Value::Null),
        5 => {
            let mut op = plain("GET", kind, "", Value::Null);
            dice.of(&[
                "",
                "labelSelector=app%3Dweb",
                "labelSelector=app+in+(web,x),!y",
                "fieldSelector=metadata.name%3Da",
            ])
            .clone_into(&mut op.query);
            op
        }
        9..=11 => patch(dice, kind, name, MERGE),
        12..=14 => patch(dice, kind, name, STRATEGIC),
        15 => json_patch(dice, kind, name),
        // A repeated apply of a Service's ports writes again upstream: field ownership.
        16 | 17 if kind != "Service" => apply(dice, kind, APPLIED),
        18 => delete(dice, kind, name),
        19 => {
            let name = dice.of(&[name, APPLIED]);
            delete(dice, kind, name)
        }
        20 | 21 if has_status(kind) => status(dice, kind, name),
        22 if scales(kind) => scale(dice, kind, name),
        22 | 23 if kind == "Pod" => bind(dice, name),
        // 6 to 8 and whatever does not suit the kind.
        _ => put(dice, kind, name),
    }
}

fn create(dice: &mut Dice, kind: &'static str, name: &str) -> Op {
    let mut body = object(dice, kind);
    body["metadata"] = json!({ "name": name });
    match dice.below(8) {
        0 => body["metadata"]["labels"] = json!({ "app": "web", "n": "1" }),
        1 => body["metadata"]["labels"] = json!({ "app": "x" }),
        2 => body["metadata"]["finalizers"] = json!(["example.com/hold"]),
        3 => body["metadata"]["annotations"] = json!({ "note": "", "example.com/x": "y" }),
        4 if dice.once_in(2) => body["metadata"] = json!({ "generateName": "gen-" }),
        5 if dice.once_in(3) => body["metadata"]["name"] = json!("Not_Valid"),
        6 if dice.once_in(3) => body["metadata"]["namespace"] = json!("elsewhere"),
        _ => {}
    }
    plain("POST", kind, "", body)
}

fn object(dice: &mut Dice, kind: &str) -> Value {
    let container = json!({ "name": "c", "image": dice.of(&["nginx", "nginx:1.27", "example.com:5000/x/y:latest"]) });
    let mut pod = json!({ "containers": [container] });
    match dice.below(10) {
        0 => pod["containers"][0]["ports"] = json!([{ "containerPort": 80 }]),
        1 => {
            pod["containers"][0]["resources"] =
                json!({ "limits": { "cpu": "100m", "memory": "64Mi" } });
        }
        2 => pod["containers"][0]["resources"] = json!({ "requests": { "cpu": "100m" } }),
        3 => pod["containers"][0]["readinessProbe"] = json!({ "httpGet": { "port": 80 } }),
        4 => {
            pod["containers"][0]["env"] = json!([{ "name": "A", "value": "" }, { "name": "B", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }]);
        }
        5 => {
            pod["terminationGracePeriodSeconds"] = json!(5);
            pod["volumes"] = json!([{ "name": "v", "configMap": { "name": "m" } }, { "name": "w", "emptyDir": {} }]);
        }
        6 => pod["nodeName"] = json!("node-1"),
        7 if dice.once_in(2) => pod["containers"] = json!([]),
        8 => pod["tolerations"] = json!([{ "key": "x", "operator": "Exists" }]),
        _ => {}
    }
    if pod["nodeName"].is_string() && kind != "Pod" {
        pod["nodeName"] = Value::Null;
    }
    let label = if dice.once_in(12) { "other" } else { "web" };
    let template = json!({ "metadata": { "labels": { "app": label } }, "spec": pod });
    let selector = json!({ "matchLabels": { "app": "web" } });
    match kind {
        "ConfigMap" => match dice.below(5) {
            0 => json!({ "kind": kind, "apiVersion": "v1" }),
            1 => json!({ "kind": kind, "apiVersion": "v1", "data": { "bad key": "" } }),
            2 => {
                json!({ "kind": kind, "apiVersion": "v1", "data": { "a": "1" }, "immutable": true })
            }
            _ => json!({ "kind": kind, "apiVersion": "v1", "data": { "a": "1", "b": "" } }),
        },
        "Pod" => json!({ "kind": kind, "apiVersion": "v1", "spec": template["spec"] }),
        "ReplicaSet" => {
            let mut spec = json!({ "selector": selector, "template": template });
            match dice.below(5) {
                0 => spec["replicas"] = json!(0),
                1 => spec["replicas"] = json!(3),
                2 => spec["minReadySeconds"] = json!(5),
                3 if dice.once_in(2) => spec["replicas"] = json!(-1),
                _ => {}
            }
            json!({ "kind": kind, "apiVersion": "apps/v1", "spec": spec })
        }
        "Deployment" => {
            let mut spec = json!({ "selector": selector, "template": template });
            match dice.below(7) {
                0 => spec["strategy"] = json!({ "type": "Recreate" }),
                1 => {
                    spec["strategy"] =
                        json!({ "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } });
                }
                2 => spec["paused"] = json!(true),
                3 => spec["minReadySeconds"] = json!(0),
                4 if dice.once_in(2) => {
                    spec["strategy"] =
                        json!({ "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 0 } });
                }
                5 => spec["replicas"] = json!(2),
                _ => {}
            }
            json!({ "kind": kind, "apiVersion": "apps/v1", "spec": spec })
        }
        "Service" => {
            let mut spec = json!({ "selector": { "app": "web" }, "ports": [{ "port": 80 }] });
            match dice.below(8) {
                0 => spec["clusterIP"] = json!("None"),
                1 => spec = json!({ "type": "ExternalName", "externalName": "example.com" }),
                2 => {
                    spec["ports"] = json!([{ "name": "a", "port": 80, "targetPort": "http" }, { "name": "b", "port": 81 }]);
                }
                3 => spec["ports"] = json!([{ "port": 80 }, { "port": 81 }]),
                4 => spec["sessionAffinity"] = json!("ClientIP"),
                5 => spec["ports"] = json!([]),
                6 => spec["publishNotReadyAddresses"] = json!(true),
                _ => {}
            }
            json!({ "kind": kind, "apiVersion": "v1", "spec": spec })
        }
        "Endpoints" => {
            let address = json!({ "ip": "10.0.0.1", "targetRef": { "kind": "Pod", "name": "p" } });
            let port = json!({ "port": 80 });
            let subset = match dice.below(4) {
                0 => json!({ "notReadyAddresses": [address], "ports": [port] }),
                1 => json!({ "addresses": [], "ports": [port] }),
                2 => json!({ "addresses": [address, { "ip": "10.0.0.2", "nodeName": "n" }] }),
                _ => json!({ "addresses": [address], "ports": [port] }),
            };
            let mut body = json!({ "kind": kind, "apiVersion": "v1" });
            if !dice.once_in(4) {
                body["subsets"] = json!([subset]);
            }
            body
        }
        "EndpointSlice" => {
            let conditions = match dice.below(3) {
                0 => json!({ "ready": true, "serving": true, "terminating": false }),
                1 => json!({ "ready": false }),
                _ => json!({}),
            };
            let endpoint = json!({ "addresses": ["10.0.0.1"], "conditions": conditions });
            let mut body = json!({
                "kind": kind, "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv4",
                "endpoints": [endpoint], "ports": [{ "port": 80 }],
            });
            match dice.below(8) {
                0 => body["addressType"] = Value::Null,
                1 => body["endpoints"] = json!([]),
                2 => body["ports"] = Value::Null,
                3 => body["ports"] = json!([{ "name": "a", "port": 1 }, { "name": "b" }]),
                4 => body["endpoints"][0]["addresses"] = json!([]),
                5 => body["addressType"] = json!("IPv9"),
                _ => {}
            }
            body
        }
        "Lease" => {
            let mut spec = json!({
                "holderIdentity": "me", "leaseDurationSeconds": 40,
                "renewTime": "2026-01-01T00:00:00.000000Z",
            });
            match dice.below(5) {
                0 => spec["leaseDurationSeconds"] = json!(0),
                1 => spec["holderIdentity"] = json!(""),
                2 => spec = json!({}),
                _ => {}
            }
            json!({ "kind": kind, "apiVersion": "coordination.k8s.io/v1", "spec": spec })
        }
        _ => match dice.below(2) {
            0 => json!({ "kind": kind, "apiVersion": "v1", "imagePullSecrets": [{ "name": "s" }] }),
            _ => json!({ "kind": kind, "apiVersion": "v1" }),
        },
    }
}

/// A change as a merge patch that suits the kind, mostly valid.
fn change(dice: &mut Dice, kind: &str) -> Value {
    match dice.below(14) {
        0 => json!({ "metadata": { "labels": { "app": "web", "x": "y" } } }),
        1 => json!({ "metadata": { "labels": null } }),
        2 => json!({ "metadata": { "annotations": { "a": "b" } } }),
        3 => json!({ "metadata": { "finalizers": ["example.com/hold"] } }),
        4 => json!({ "metadata": { "finalizers": null } }),
        5 => json!({ "metadata": { "ownerReferences": [
            { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "11111111-1111-4111-8111-111111111111", "controller": true },
        ] } }),
        6 if dice.once_in(2) => json!({ "metadata": { "labels": { "bad value": "-" } } }),
        7 if dice.once_in(2) => json!({ "metadata": { "name": "other" } }),
        8 => json!({ "status": { "observedGeneration": 7, "replicas": 9, "phase": "Running" } }),
        _ => match kind {
            "ConfigMap" => dice.of(&[
                r#"{"data":{"a":"2","c":"3"}}"#,
                r#"{"data":null}"#,
                r#"{"data":{"b":null}}"#,
                r#"{"immutable":true}"#,
            ]),
            "Pod" => dice.of(&[
                r#"{"spec":{"activeDeadlineSeconds":100}}"#,
                r#"{"spec":{"hostNetwork":true}}"#,
                r#"{"spec":{"nodeName":"node-2"}}"#,
                r#"{"metadata":{"labels":{"q":"1"}}}"#,
            ]),
            "ReplicaSet" => dice.of(&[
                r#"{"spec":{"replicas":5}}"#,
                r#"{"spec":{"replicas":0}}"#,
                r#"{"spec":{"minReadySeconds":3}}"#,
                r#"{"spec":{"selector":{"matchLabels":{"app":"zzz"}}}}"#,
                r#"{"spec":{"template":{"metadata":{"labels":{"tier":"t"}}}}}"#,
            ]),
            "Deployment" => dice.of(&[
                r#"{"spec":{"replicas":5}}"#,
                r#"{"spec":{"paused":true}}"#,
                r#"{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}"#,
                r#"{"spec":{"selector":{"matchLabels":{"app":"zzz"}}}}"#,
                r#"{"spec":{"replicas":null}}"#,
                r#"{"spec":{"template":{"metadata":{"labels":{"tier":"t"}}}}}"#,
            ]),
            "Service" => dice.of(&[
                r#"{"spec":{"selector":{"app":"x"}}}"#,
                r#"{"spec":{"ports":[{"port":8080}]}}"#,
                r#"{"spec":{"clusterIP":"10.96.9.9"}}"#,
                r#"{"spec":{"sessionAffinity":"ClientIP"}}"#,
            ]),
            "Endpoints" => dice.of(&[
                r#"{"subsets":null}"#,
                r#"{"subsets":[{"addresses":[{"ip":"10.0.0.9"}],"ports":[{"port":9}]}]}"#,
                r#"{"subsets":[{"addresses":[{"ip":"no address"}]}]}"#,
            ]),
            "EndpointSlice" => dice.of(&[
                r#"{"endpoints":[]}"#,
                r#"{"endpoints":[{"addresses":["10.0.0.7"],"nodeName":"n"}]}"#,
                r#"{"addressType":"IPv6"}"#,
                r#"{"ports":[{"name":"http","port":81}]}"#,
                r#"{"metadata":{"labels":{"q":"1"}}}"#,
            ]),
            "Lease" => dice.of(&[
                r#"{"spec":{"holderIdentity":"other","leaseTransitions":1}}"#,
                r#"{"spec":{"renewTime":"2026-01-01T00:00:10.123456Z"}}"#,
                r#"{"spec":{"leaseDurationSeconds":-1}}"#,
            ]),
            _ => dice.of(&[
                r#"{"automountServiceAccountToken":false}"#,
                r#"{"imagePullSecrets":[{"name":"t"}]}"#,
                r#"{"secrets":[{"name":"u"}]}"#,
            ]),
        }
        .parse()
        .expect("the table holds JSON"),
    }
}

/// Adds preconditions to a change, now and then wrong ones.
fn guard(dice: &mut Dice, change: &mut Value) {
    match dice.below(10) {
        0 => change["metadata"]["resourceVersion"] = json!("$old"),
        1 => change["metadata"]["resourceVersion"] = json!("$version"),
        2 => change["metadata"]["uid"] = json!("$uid"),
        3 if dice.once_in(2) => {
            change["metadata"]["uid"] = json!("22222222-2222-4222-8222-222222222222");
        }
        _ => {}
    }
}

fn put(dice: &mut Dice, kind: &'static str, name: &str) -> Op {
    let mut body = change(dice, kind);
    guard(dice, &mut body);
    if dice.once_in(4) {
        body["metadata"]["resourceVersion"] = Value::Null;
    }
    plain("PUT", kind, name, body)
}

fn patch(dice: &mut Dice, kind: &'static str, name: &str, how: &'static str) -> Op {
    let mut body = change(dice, kind);
    if how == STRATEGIC && dice.once_in(2) {
        body = match kind {
            "Pod" => json!({ "spec": { "containers": [{ "name": "c", "image": "nginx:2" }] } }),
            "ReplicaSet" | "Deployment" => {
                json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": "nginx:2", "ports": [{ "containerPort": 81 }] }] } } } })
            }
            "Service" => json!({ "spec": { "ports": [{ "port": 80, "targetPort": 8080 }] } }),
            "ServiceAccount" => json!({ "imagePullSecrets": [{ "name": "v" }] }),
            "Lease" => json!({ "spec": { "holderIdentity": "third" } }),
            _ => {
                json!({ "metadata": { "ownerReferences": [{ "$patch": "delete", "uid": "11111111-1111-4111-8111-111111111111" }] } })
            }
        };
    }
    guard(dice, &mut body);
    Op {
        content_type: how,
        ..plain("PATCH", kind, name, body)
    }
}

fn json_patch(dice: &mut Dice, kind: &'static str, name: &str) -> Op {
    let body = match dice.below(5) {
        0 => json!([{ "op": "add", "path": "/metadata/labels", "value": { "j": "1" } }]),
        1 => {
            json!([{ "op": "test", "path": "/metadata/uid", "value": "$uid" }, { "op": "add", "path": "/metadata/annotations", "value": { "j": "1" } }])
        }
        2 => json!([{ "op": "test", "path": "/metadata/name", "value": "zzz" }]),
        3 => json!([{ "op": "remove", "path": "/metadata/finalizers" }]),
        _ => json!([{ "op": "replace", "path": "/spec/replicas", "value": 6 }]),
    };
    Op {
        content_type: JSON,
        ..plain("PATCH", kind, name, body)
    }
}

fn apply(dice: &mut Dice, kind: &'static str, name: &str) -> Op {
    let mut body = object(dice, kind);
    body["metadata"] = json!({ "name": name, "labels": { "applied": "yes" } });
    let query = "fieldManager=tester&force=true".to_owned();
    Op {
        content_type: APPLY,
        query,
        ..plain("PATCH", kind, name, body)
    }
}

fn delete(dice: &mut Dice, kind: &'static str, name: &str) -> Op {
    let mut options = json!({ "kind": "DeleteOptions", "apiVersion": "v1" });
    match dice.below(10) {
        0 => options["propagationPolicy"] = json!("Foreground"),
        1 => options["propagationPolicy"] = json!("Orphan"),
        2 => options["propagationPolicy"] = json!("Background"),
        3 => options["gracePeriodSeconds"] = json!(0),
        4 => options["gracePeriodSeconds"] = json!(60),
        5 => options["preconditions"] = json!({ "uid": "$uid" }),
        6 => options["preconditions"] = json!({ "uid": "22222222-2222-4222-8222-222222222222" }),
        7 => options["preconditions"] = json!({ "resourceVersion": "$old" }),
        8 if dice.once_in(3) => options["propagationPolicy"] = json!("Sideways"),
        _ => {}
    }
    plain("DELETE", kind, name, options)
}

fn status(dice: &mut Dice, kind: &'static str, name: &str) -> Op {
    let mut body = match kind {
        "Pod" => {
            json!({ "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } })
        }
        "ReplicaSet" => {
            json!({ "status": { "replicas": 2, "readyReplicas": 0, "observedGeneration": 1 } })
        }
        "Deployment" => {
            json!({ "status": { "replicas": 2, "updatedReplicas": 1, "observedGeneration": 1, "conditions": [{ "type": "Available", "status": "True", "reason": "r", "message": "" }] } })
        }
        _ => json!({ "status": { "loadBalancer": {} } }),
    };
    if dice.once_in(2) {
        body["metadata"] = json!({ "labels": { "s": "t" }, "annotations": { "s": "t" } });
        body["spec"] = json!({ "replicas": 8 });
    }
    guard(dice, &mut body);
    let content_type = dice.of(&[MERGE, STRATEGIC]);
    Op {
        subresource: "status",
        content_type,
        ..plain("PATCH", kind, name, body)
    }
}

fn scale(dice: &mut Dice, kind: &'static str, name: &str) -> Op {
    // Always another number: a scale to the same one writes field ownership upstream.
    let other = 10 + dice.thrown;
    let body = match dice.below(6) {
        0 => json!({ "spec": { "replicas": -2 } }),
        _ => json!({ "spec": { "replicas": other } }),
    };
    let (method, content_type) = dice.of(&[("PUT", ""), ("PATCH", MERGE), ("GET", "")]);
    let body = if method == "GET" { Value::Null } else { body };
    Op {
        subresource: "scale",
        content_type,
        ..plain(method, kind, name, body)
    }
}

fn bind(dice: &mut Dice, name: &str) -> Op {
    let node = dice.of(&["node-1", "node-2", "node-3", ""]);
    let body = json!({
        "kind": "Binding", "apiVersion": "v1", "metadata": { "name": name },
        "target": { "kind": "Node", "name": node },
    });
    Op {
        subresource: "binding",
        ..plain("POST", "Pod", name, body)
    }
}
