//! A number that pods have in common for which the same would be decided.
//!
//! It is made from all that the plugins here read of a pod. Pods of one controller share it, so what was found out for
//! one of them need not be found out for the next (upstream: KEP-5598, `SignPod`).

use crate::plugins::claims_devices;
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use ahash::RandomState;
use k8s_openapi::api::core::v1::Container;
use objects::{Selector, meta};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::LazyLock;

/// Hashes, seeded anew in each process: too long to meet by chance or by intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    common: (u64, u64),
    /// Of the labels that each pod of a controller has for itself; 0 without any, or if nobody looks at them.
    pub(crate) personal: u64,
    /// Whether the pod itself looks at such labels.
    is_personal: bool,
}

/// The labels that tell the pods of one controller from each other. Hardly any selector looks at them.
const PERSONAL: [&str; 3] = [
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
    "statefulset.kubernetes.io/pod-name",
];

/// Whether a selector looks at labels that tell the pods of one controller from each other.
pub(crate) fn is_personal(selector: &Selector) -> bool {
    PERSONAL.iter().any(|key| selector.asks_for(key))
}

/// Takes these labels off a pod.
pub(crate) fn impersonal(labels: &mut BTreeMap<String, String>) {
    labels.retain(|key, _| !PERSONAL.contains(&&**key));
}

static SEEDS: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);

/// Hashes everything twice.
struct Twice<H>(H, H);

impl<H: Hasher> Hasher for Twice<H> {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
        self.1.write(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

impl Signature {
    /// None for pods that are decided about one by one: what matters of their claims, disks and nodes is not theirs
    /// alone.
    pub(crate) fn of(info: &PodInfo) -> Option<Self> {
        let claims = !info.claims.is_empty() || claims_devices(info);
        if claims || info.has_disks() {
            return None;
        }
        let (spec, of) = (info.spec(), &info.like.metadata);
        let mut sum = Twice(SEEDS[0].build_hasher(), SEEDS[1].build_hasher());
        (meta::namespace(of), info.priority).hash(&mut sum);
        info.spec().scheduler_name.hash(&mut sum);
        let (mut personal, mut has_personal) = (SEEDS[0].build_hasher(), false);
        for label in of.labels.iter().flatten() {
            if PERSONAL.contains(&&**label.0) {
                label.hash(&mut personal);
                has_personal = true;
            } else {
                label.hash(&mut sum);
            }
        }
        let owner = meta::controller_of(of);
        owner
            .map(|owner| (&owner.api_version, &owner.kind, &owner.name))
            .hash(&mut sum);
        let wanted = &info.requests;
        (wanted.milli_cpu, wanted.memory, wanted.ephemeral).hash(&mut sum);
        (wanted.pods, &wanted.extended).hash(&mut sum);
        (info.nonzero.milli_cpu, info.nonzero.memory).hash(&mut sum);
        for port in &info.ports {
            (&port.ip, &port.protocol, port.port).hash(&mut sum);
        }
        (&spec.node_selector, spec.host_network, spec.host_users).hash(&mut sum);
        for toleration in spec.tolerations.iter().flatten() {
            (&toleration.key, &toleration.operator).hash(&mut sum);
            (&toleration.value, &toleration.effect).hash(&mut sum);
        }
        let mut is_personal = false;
        let deep = (&spec.affinity, &spec.topology_spread_constraints);
        if (deep.0.is_some() || deep.1.is_some())
            && let Ok(text) = serde_json::to_string(&deep)
        {
            text.hash(&mut sum);
            is_personal = PERSONAL.iter().any(|key| text.contains(key));
        }
        let mut containers = |of: &[Container]| {
            of.len().hash(&mut sum);
            for container in of {
                container.image.hash(&mut sum);
                for rule in container.restart_policy_rules.iter().flatten() {
                    rule.action.hash(&mut sum);
                }
            }
        };
        containers(&spec.containers);
        containers(spec.init_containers.as_deref().unwrap_or_default());
        for volume in spec.volumes.iter().flatten() {
            if let Some(image) = &volume.image {
                image.reference.hash(&mut sum);
            }
        }
        Some(Self {
            common: (sum.0.finish(), sum.1.finish()),
            personal: if has_personal { personal.finish() } else { 0 },
            is_personal,
        })
    }

    /// The signature in a cluster where this is all that is looked at.
    pub(crate) fn among(self, all: &Snapshot) -> Self {
        if self.is_personal || all.owners().personal > 0 || all.cohorts().personal() > 0 {
            return self;
        }
        Self {
            personal: 0,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::kit::{info, merge, requests, uses};
    use serde_json::{Value, json};

    #[test]
    fn what_plugins_read_makes_a_difference_and_nothing_else() {
        let base = || requests(json!({ "cpu": "1" }));
        let of = |name: &str, more: Value| {
            let mut value = base();
            merge(&mut value, more);
            info(name, value).signature()
        };
        let usual = of("a", json!({}));
        assert!(usual.is_some());
        for same in [
            json!({ "metadata": { "annotations": { "a": "b" } } }),
            json!({ "spec": { "volumes": [{ "name": "token-a", "projected": {} }] } }),
            json!({ "spec": { "serviceAccountName": "x" } }),
        ] {
            assert_eq!(of("b", same.clone()), usual, "{same}");
        }
        let other = [
            json!({ "metadata": { "namespace": "other" } }),
            json!({ "metadata": { "labels": { "a": "b" } } }),
            json!({ "metadata": { "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "name": "r", "uid": "u", "controller": true }] } }),
            json!({ "spec": { "priority": 1 } }),
            json!({ "spec": { "nodeSelector": { "a": "b" } } }),
            json!({ "spec": { "tolerations": [{ "key": "k" }] } }),
            json!({ "spec": { "tolerations": [{ "value": "k" }] } }),
            json!({ "spec": { "hostNetwork": true } }),
            json!({ "spec": { "hostUsers": false } }),
            json!({ "spec": { "overhead": { "memory": "1" } } }),
            json!({ "spec": { "overhead": { "x.io/gpu": "1" } } }),
            json!({ "spec": { "containers": [{ "name": "c", "image": "j", "resources": { "requests": { "cpu": "1" } } }] } }),
            json!({ "spec": { "initContainers": [{ "name": "d", "image": "i" }] } }),
            json!({ "spec": { "initContainers": [{ "name": "d", "image": "i", "restartPolicyRules": [{ "action": "Restart" }] }] } }),
            json!({ "spec": { "volumes": [{ "name": "v", "image": { "reference": "x" } }] } }),
            json!({ "spec": { "containers": [{ "name": "c", "image": "i", "resources": { "requests": { "cpu": "1" } },
                "ports": [{ "containerPort": 1, "hostPort": 1 }] }] } }),
            json!({ "spec": { "affinity": { "podAntiAffinity": {} } } }),
            json!({ "spec": { "topologySpreadConstraints": [
                { "maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "ScheduleAnyway" }] } }),
        ];
        let mut seen = std::collections::HashSet::from([usual]);
        for other in other {
            assert!(seen.insert(of("a", other.clone())), "{other}");
        }
        for alone in [
            uses(&["claim"]),
            json!({ "spec": { "nodeName": "n" } }),
            json!({ "spec": { "volumes": [{ "name": "v", "gcePersistentDisk": { "pdName": "d" } }] } }),
        ] {
            assert_eq!(of("a", alone.clone()), None, "{alone}");
        }
    }
}
