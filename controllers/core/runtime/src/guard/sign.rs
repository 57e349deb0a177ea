//! By what a stock controller is seen to be at work: its writes on objects that are there, and what it writes on one that
//! is made for it, asks for nothing and is deleted again. Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

/// The label of what is made to be looked at by a stock controller: ours leave it alone.
pub const PROBE: &str = "corten.dev/probe";
/// As whom it is made, in `managedFields`.
pub(super) const MANAGER: &str = "corten-guard";
/// As whom the stock controllers write: the program's name (`rest.DefaultKubernetesUserAgent` to its slash).
const STOCK: &str = "kube-controller-manager";
/// The time of a write is the API server's, that of an election the controller manager's: they may differ by so much.
const CLOCKS: SignedDuration = SignedDuration::from_secs(30);

/// Where a controller leaves signs.
#[derive(Debug)]
pub(super) struct Sign {
    /// Upstream's name of it.
    pub(super) controller: &'static str,
    /// What it writes on.
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    /// Which of them are its own.
    pub(super) labels: &'static str,
    /// The spec of an object that it would write on at once, if one can be made that does nothing else.
    pub(super) spec: Option<fn(&Value) -> Value>,
}

/// No pod, no child but a revision, no event but of the budget (NoPods).
pub(super) const SIGNS: &[Sign] = &[
    Sign {
        controller: "replicaset-controller",
        spec: Some(
            |labels| json!({ "replicas": 0, "selector": selector(labels), "template": template(labels, "Always") }),
        ),
        ..apps("ReplicaSet", "replicasets")
    },
    Sign {
        controller: "replicationcontroller-controller",
        group: "",
        spec: Some(
            |labels| json!({ "replicas": 0, "selector": labels, "template": template(labels, "Always") }),
        ),
        ..apps("ReplicationController", "replicationcontrollers")
    },
    Sign {
        controller: "deployment-controller",
        // One that is paused makes no ReplicaSet.
        spec: Some(
            |labels| json!({ "replicas": 0, "paused": true, "selector": selector(labels), "template": template(labels, "Always") }),
        ),
        ..apps("Deployment", "deployments")
    },
    Sign {
        controller: "statefulset-controller",
        spec: Some(
            |labels| json!({ "replicas": 0, "selector": selector(labels), "template": template(labels, "Always") }),
        ),
        ..apps("StatefulSet", "statefulsets")
    },
    Sign {
        controller: "daemonset-controller",
        spec: Some(|labels| {
            let mut template = template(labels, "Always");
            template["spec"]["nodeSelector"] = json!({ PROBE: "nowhere" });
            json!({ "selector": selector(labels), "template": template })
        }),
        ..apps("DaemonSet", "daemonsets")
    },
    Sign {
        controller: "job-controller",
        group: "batch",
        // Not suspended: that would be told in an event.
        spec: Some(|labels| json!({ "parallelism": 0, "template": template(labels, "Never") })),
        ..apps("Job", "jobs")
    },
    Sign {
        controller: "disruption-controller",
        group: "policy",
        spec: Some(|labels| json!({ "maxUnavailable": 1, "selector": selector(labels) })),
        ..apps("PodDisruptionBudget", "poddisruptionbudgets")
    },
    Sign {
        controller: "cronjob-controller",
        group: "batch",
        ..apps("CronJob", "cronjobs")
    },
    Sign {
        controller: "horizontal-pod-autoscaler-controller",
        group: "autoscaling",
        version: "v2",
        ..apps("HorizontalPodAutoscaler", "horizontalpodautoscalers")
    },
    Sign {
        controller: "endpointslice-controller",
        group: "discovery.k8s.io",
        labels: "endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io",
        ..apps("EndpointSlice", "endpointslices")
    },
];

/// One of this group and version, and all of its kind.
const fn apps(kind: &'static str, plural: &'static str) -> Sign {
    Sign {
        controller: "",
        group: "apps",
        version: "v1",
        kind,
        plural,
        labels: "",
        spec: None,
    }
}

fn selector(labels: &Value) -> Value {
    json!({ "matchLabels": labels })
}

/// Of pods that are never made.
fn template(labels: &Value, restart: &str) -> Value {
    json!({
        "metadata": { "labels": labels },
        "spec": { "restartPolicy": restart, "containers": [{ "name": "none", "image": "none" }] },
    })
}

impl Sign {
    /// Of these controllers.
    pub(super) fn of(controllers: &[String]) -> impl Iterator<Item = &'static Self> {
        let is = |sign: &&Self| controllers.iter().any(|name| name == sign.controller);
        SIGNS.iter().filter(is)
    }

    /// The object that is made to be looked at, if there is one of this kind.
    pub(super) fn probe(&self, namespace: &str, name: &str) -> Option<Value> {
        let labels = json!({ PROBE: name });
        Some(json!({
            "apiVersion": match self.group {
                "" => self.version.to_owned(),
                group => format!("{group}/{}", self.version),
            },
            "kind": self.kind,
            "metadata": { "name": name, "namespace": namespace, "labels": labels },
            "spec": self.spec?(&labels),
        }))
    }
}

/// Whether a stock controller has written on this object since it was elected.
pub(super) fn is_written(object: &ObjectMeta, elected: Timestamp) -> bool {
    let fields = object.managed_fields.iter().flatten();
    fields
        .filter(|entry| entry.manager.as_deref() == Some(STOCK))
        .filter_map(|entry| entry.time.as_ref())
        .any(|time| time.0.duration_since(elected) > CLOCKS)
}

/// Whether anybody has written on a probe. Nobody but a controller has a reason to, and ours do not.
pub(super) fn is_answered(probe: &ObjectMeta) -> bool {
    let fields = probe.managed_fields.iter().flatten();
    fields
        .filter_map(|entry| entry.manager.as_deref())
        .any(|manager| manager != MANAGER)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{SIGNS, Sign, is_answered, is_written};
    use jiff::{SignedDuration, Timestamp};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::json;

    fn written_by(manager: &str, after: i64) -> ObjectMeta {
        let time = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(after);
        let entry =
            json!({ "manager": manager, "operation": "Update", "time": format!("{time:.0}") });
        serde_json::from_value(json!({ "managedFields": [entry] })).unwrap()
    }

    #[test]
    fn what_the_stock_one_wrote_since_it_was_elected_is_a_sign() {
        let is = |object: ObjectMeta| is_written(&object, Timestamp::UNIX_EPOCH);
        assert!(is(written_by("kube-controller-manager", 60)));
        assert!(!is(written_by("kube-controller-manager", -60)));
        assert!(!is(written_by("kube-controller-manager", 20)), "clocks");
        assert!(!is(written_by("replicaset-controller", 60)));
        assert!(!is(ObjectMeta::default()));
    }

    #[test]
    fn whoever_writes_on_a_probe_answers() {
        assert!(!is_answered(&written_by("corten-guard", 0)));
        assert!(is_answered(&written_by("kube-controller-manager", 0)));
        assert!(is_answered(&written_by("k3s", 0)));
    }

    #[test]
    fn a_probe_asks_for_no_pod() {
        for sign in SIGNS {
            let Some(probe) = sign.probe("ns", "name") else {
                continue;
            };
            let spec = &probe["spec"];
            let none = spec["replicas"] == 0
                || spec["parallelism"] == 0
                || spec["template"].is_null()
                || spec["template"]["spec"]["nodeSelector"].is_object();
            assert!(none, "{probe}");
            assert_eq!(probe["metadata"]["labels"]["corten.dev/probe"], "name");
        }
        let probed = SIGNS.iter().filter(|sign| sign.spec.is_some()).count();
        assert_eq!((SIGNS.len(), probed), (10, 7));
    }

    #[test]
    fn only_the_controllers_that_a_process_has_are_looked_for() {
        let named = ["job-controller".to_owned(), "ttl-controller".to_owned()];
        let found: Vec<_> = Sign::of(&named).map(|sign| sign.kind).collect();
        assert_eq!(found, ["Job"]);
    }
}
