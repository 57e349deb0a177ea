//! What a cluster stands on: ranges, roles, tokens, certificates.

use crate::keys;
use crate::scenario::{ALL_AROUND, Act, Bounds, Part, Scenario, after, once};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Secret};
use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::api::rbac::v1::ClusterRole;
use serde_json::{Value, json};
use sim::{Sim, State};
use std::collections::BTreeSet;

fn node(name: &str, range: Option<&str>) -> Value {
    let mut node = json!({ "kind": "Node", "metadata": { "name": name }, "spec": {} });
    if let Some(range) = range {
        node["spec"] = json!({ "podCIDR": range, "podCIDRs": [range] });
    }
    node
}

fn ranges_of(state: &State) -> BTreeSet<String> {
    let nodes = state.list::<Node>(None);
    let ranges = nodes
        .iter()
        .filter_map(|node| node.spec.as_ref()?.pod_cidr.clone());
    ranges.collect()
}

fn ranges() -> Scenario {
    Scenario {
        name: "ranges of nodes",
        parts: &[Part::Ranges],
        around: ALL_AROUND,
        begin: vec![
            node("a", None),
            node("b", None),
            node("d", Some("10.128.3.0/24")),
        ],
        steps: vec![
            after(2, Act::Create(node("c", None))),
            once(
                |state| ranges_of(state).len() == 4,
                Act::Create(node("e", None)),
            ),
            after(5, Act::Delete("Node", "a")),
            once(
                |state| ranges_of(state).len() == 4,
                Act::Delete("Node", "d"),
            ),
            after(2, Act::Create(node("d", None))),
        ],
        bounds: Bounds::default(),
        end: |sim| sim.read(|state| ranges_of(state).len()) == 4,
    }
}

fn service_range(name: &str, range: &str) -> Value {
    json!({ "kind": "ServiceCIDR", "metadata": { "name": name }, "spec": { "cidrs": [range] } })
}

fn address(ip: &str) -> Value {
    json!({
        "kind": "IPAddress",
        "metadata": { "name": ip, "labels": { "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io" } },
        "spec": { "parentRef": { "resource": "services", "namespace": "default", "name": "web" } },
    })
}

fn says(state: &State, name: &str, status: &str) -> bool {
    let cidr = state.get::<ServiceCIDR>("", name);
    let conditions = cidr.and_then(|cidr| cidr.status.as_ref()?.conditions.clone());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == status))
}

fn services() -> Scenario {
    Scenario {
        name: "ranges of services",
        parts: &[Part::ServiceRanges],
        around: ALL_AROUND,
        begin: vec![
            service_range("one", "10.1.0.0/24"),
            service_range("two", "10.1.0.0/24"),
            address("10.1.0.7"),
        ],
        steps: vec![
            once(
                |state| says(state, "one", "True") && says(state, "two", "True"),
                Act::Delete("ServiceCIDR", "one"),
            ),
            after(0, Act::Delete("ServiceCIDR", "two")),
            once(
                |state| says(state, "one", "False") && says(state, "two", "False"),
                Act::Create(service_range("three", "10.1.0.0/16")),
            ),
            once(
                |state| state.list::<ServiceCIDR>(None).len() == 1 && says(state, "three", "True"),
                Act::Delete("IPAddress", "10.1.0.7"),
            ),
            after(1, Act::Delete("ServiceCIDR", "three")),
        ],
        bounds: Bounds::default(),
        end: |sim| sim.list::<ServiceCIDR>(None).is_empty(),
    }
}

fn role(name: &str, verb: &str) -> Value {
    json!({
        "kind": "ClusterRole",
        "metadata": { "name": name, "labels": { "to": "sum" } },
        "rules": [{ "verbs": [verb], "nonResourceURLs": ["/x"] }],
    })
}

fn verbs(sim: &Sim) -> Vec<String> {
    let sum = sim.get::<ClusterRole>("", "sum");
    let rules = sum.and_then(|sum| sum.rules).unwrap_or_default();
    rules.into_iter().flat_map(|rule| rule.verbs).collect()
}

fn roles() -> Scenario {
    let sum = json!({
        "kind": "ClusterRole", "metadata": { "name": "sum" },
        "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": { "to": "sum" } }] },
    });
    Scenario {
        name: "roles of roles",
        parts: &[Part::Roles],
        around: ALL_AROUND,
        begin: vec![sum, role("b", "put")],
        steps: vec![
            after(2, Act::Create(role("a", "get"))),
            after(2, Act::Merge("ClusterRole", "sum", json!({ "rules": [] }))),
            after(
                2,
                Act::Merge(
                    "ClusterRole",
                    "a",
                    json!({ "rules": [{ "verbs": ["head"] }] }),
                ),
            ),
            after(2, Act::Delete("ClusterRole", "b")),
        ],
        bounds: Bounds::default(),
        end: |sim| verbs(sim) == ["head"],
    }
}

fn account(name: &str) -> Value {
    json!({ "kind": "ServiceAccount", "metadata": { "name": name, "namespace": "default" } })
}

fn token(name: &str, account: &str) -> Value {
    json!({
        "kind": "Secret",
        "metadata": {
            "name": name, "namespace": "default",
            "annotations": { "kubernetes.io/service-account.name": account },
        },
        "type": "kubernetes.io/service-account-token",
    })
}

fn tokens() -> Scenario {
    Scenario {
        name: "tokens in secrets",
        parts: &[Part::Tokens],
        around: ALL_AROUND,
        begin: vec![account("till"), account("shelf"), token("till-1", "till")],
        steps: vec![
            after(2, Act::Create(token("shelf-1", "shelf"))),
            after(2, Act::Create(token("lost", "nobody"))),
            after(
                2,
                Act::Merge("Secret", "till-1", json!({ "data": { "token": null } })),
            ),
            after(2, Act::Delete("ServiceAccount", "shelf")),
        ],
        bounds: Bounds::default(),
        end: |sim| {
            let secrets = sim.list::<Secret>(Some("default"));
            let filled = |secret: &Secret| {
                let data = secret.data.as_ref();
                data.is_some_and(|data| data.contains_key("token") && data.contains_key("ca.crt"))
            };
            secrets.len() == 1 && secrets.iter().all(filled)
        },
    }
}

fn request(name: &str, signer: &str, condition: Option<&str>) -> Value {
    let mut request = json!({
        "kind": "CertificateSigningRequest",
        "metadata": { "name": name },
        "spec": {
            "request": keys::request(), "signerName": signer, "username": "system:node:a",
            "usages": ["client auth", "digital signature"],
        },
    });
    if let Some(kind) = condition {
        let since = "2020-01-01T00:00:00Z";
        let condition = json!({ "type": kind, "status": "True", "lastUpdateTime": since });
        request["status"] = json!({ "conditions": [condition] });
    }
    request
}

fn certificates() -> Scenario {
    Scenario {
        name: "certificates",
        parts: &[Part::Certificates],
        around: ALL_AROUND,
        begin: vec![
            request(
                "kubelet",
                "kubernetes.io/kube-apiserver-client-kubelet",
                None,
            ),
            request(
                "denied",
                "kubernetes.io/kube-apiserver-client",
                Some("Denied"),
            ),
        ],
        steps: vec![
            after(
                2,
                Act::Create(request("waits", "kubernetes.io/kubelet-serving", None)),
            ),
            after(
                2,
                Act::Merge(
                    "CertificateSigningRequest",
                    "waits",
                    json!({ "status": { "conditions": [{ "type": "Approved", "status": "True" }] } }),
                ),
            ),
        ],
        bounds: Bounds::default(),
        end: |sim| {
            let requests = sim.list::<CertificateSigningRequest>(None);
            let status = |name: &str| {
                let found = requests
                    .iter()
                    .find(|r| r.metadata.name.as_deref() == Some(name));
                found
                    .and_then(|request| request.status.clone())
                    .unwrap_or_default()
            };
            let failed = status("waits").conditions.unwrap_or_default();
            requests.len() == 2
                && status("kubelet").certificate.is_some()
                && failed.iter().any(|condition| condition.type_ == "Failed")
        },
    }
}

fn joining(id: &str, expiration: &str) -> Value {
    let bytes = |text: &str| json!(ByteString(text.as_bytes().to_vec()));
    json!({
        "kind": "Secret",
        "metadata": { "name": format!("bootstrap-token-{id}"), "namespace": "kube-system" },
        "type": "bootstrap.kubernetes.io/token",
        "data": {
            "token-id": bytes(id), "token-secret": bytes("0123456789abcdef"),
            "usage-bootstrap-signing": bytes("true"), "expiration": bytes(expiration),
        },
    })
}

fn bootstrap() -> Scenario {
    let info = json!({
        "kind": "ConfigMap",
        "metadata": { "name": "cluster-info", "namespace": "kube-public" },
        "data": { "kubeconfig": "content" },
    });
    Scenario {
        name: "nodes that join",
        parts: &[Part::Bootstrap],
        around: ALL_AROUND,
        begin: vec![info, joining("aaaaaa", "")],
        steps: vec![
            after(2, Act::Create(joining("bbbbbb", "2099-01-01T00:00:00Z"))),
            after(2, Act::Create(joining("cccccc", "2020-01-01T00:00:00Z"))),
            after(
                2,
                Act::Delete("Secret", "kube-system/bootstrap-token-aaaaaa"),
            ),
        ],
        bounds: Bounds::default(),
        end: |sim| {
            let info = sim.get::<ConfigMap>("kube-public", "cluster-info");
            let keys = info.and_then(|info| info.data).unwrap_or_default();
            let keys: Vec<_> = keys.into_keys().collect();
            keys == ["jws-kubeconfig-bbbbbb", "kubeconfig"]
                && sim.list::<Secret>(Some("kube-system")).len() == 1
        },
    }
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        ranges(),
        services(),
        roles(),
        tokens(),
        certificates(),
        bootstrap(),
    ]
}
