//! NodeDeclaredFeatures: nodes that can do what the pod asks for (KEP-5328).
//!
//! Upstream: `framework/plugins/nodedeclaredfeatures/nodedeclaredfeatures.go` and
//! `component-helpers/nodedeclaredfeatures/features`.

use crate::plugin::{Check, Events, Filter, Prepared, Scope, Verdict};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use k8s_openapi::api::core::v1::PodSpec;

/// Rejects nodes that do not declare a feature which the pod needs.
pub struct NodeDeclaredFeatures;

impl Filter for NodeDeclaredFeatures {
    fn name(&self) -> &'static str {
        "NodeDeclaredFeatures"
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn wakes(&self) -> Events {
        Events::NODE_ADD | Events::NODE_FEATURE | Events::POD_UPDATE
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        let wanted = wanted(pod.spec());
        if wanted.is_empty() {
            return Prepared::Skip;
        }
        let reasons = vec!["node(s) didn't match Pod's required features".into()];
        Prepared::Check(Check::local(reasons, move |_, node| {
            let declared = &node.features;
            let has = |wanted: &&str| declared.iter().any(|declared| declared == wanted);
            Verdict::unless(!wanted.iter().all(has))
        }))
    }
}

/// The features that a pod needs to run; others are needed to change it.
fn wanted(spec: &PodSpec) -> Vec<&'static str> {
    let starting = spec.init_containers.iter().flatten();
    let mut rules = spec
        .containers
        .iter()
        .chain(starting)
        .flat_map(|container| container.restart_policy_rules.iter().flatten());
    let restarts = rules.any(|rule| rule.action == "RestartAllContainers");
    let is_apart_on_host = spec.host_network == Some(true) && spec.host_users == Some(false);
    [
        (restarts, "RestartAllContainersOnContainerExits"),
        (is_apart_on_host, "UserNamespacesHostNetworkSupport"),
    ]
    .into_iter()
    .filter_map(|(needs, feature)| needs.then_some(feature))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{cluster, info, node, passing};
    use serde_json::{Value, json};

    #[test]
    fn features_that_a_pod_needs_have_to_be_declared() {
        let able = |name: &str, features: Value| {
            node(name, json!({ "status": { "declaredFeatures": features } }))
        };
        let all = cluster([
            able("none", json!(null)),
            able("one", json!(["RestartAllContainersOnContainerExits"])),
            able(
                "two",
                json!([
                    "RestartAllContainersOnContainerExits",
                    "UserNamespacesHostNetworkSupport"
                ]),
            ),
        ]);
        let restarts = |action: &str| {
            json!([{ "name": "c", "restartPolicyRules": [
            { "action": action, "exitCodes": { "operator": "In", "values": [1] } }] }])
        };
        for (spec, expected) in [
            (json!({}), "none one two"),
            (json!({ "containers": restarts("Restart") }), "none one two"),
            (
                json!({ "containers": restarts("RestartAllContainers") }),
                "one two",
            ),
            (
                json!({ "initContainers": restarts("RestartAllContainers") }),
                "one two",
            ),
            (json!({ "hostNetwork": true }), "none one two"),
            (json!({ "hostNetwork": true, "hostUsers": false }), "two"),
        ] {
            let pod = info("new", json!({ "spec": spec }));
            assert_eq!(
                passing(&NodeDeclaredFeatures, &pod, all.snapshot()),
                expected,
                "{spec}"
            );
        }
    }
}
