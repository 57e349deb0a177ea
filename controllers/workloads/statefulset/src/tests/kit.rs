//! Worlds in few words.

use crate::{StatefulSetController, World};
use ::plan::{Outcome, Plan};
use jiff::{SignedDuration, Timestamp};
pub(crate) use json_patch::merge;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use objects::history;
use runtime::{Controller, Moment};
use serde_json::{Value, json};
use std::sync::Arc;

/// A set `web` and what belongs to it.
#[derive(Clone, Default)]
pub(crate) struct Case {
    pub(crate) set: Value,
    pub(crate) pods: Vec<Value>,
    pub(crate) revisions: Vec<(Value, &'static str)>,
    pub(crate) claims: Vec<Value>,
}

pub(crate) fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn ago(seconds: i64) -> String {
    (now() - SignedDuration::from_secs(seconds)).to_string()
}

pub(crate) fn template(image: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": "fire" } },
        "spec": { "containers": [{ "name": "c", "image": image }] },
    })
}

/// The name of the revision of a template, written by `planned` as `<v1>`.
pub(crate) fn revision(image: &str) -> String {
    let template: PodTemplateSpec = serde_json::from_value(template(image)).unwrap();
    history::name("web", &history::hash(&history::data(&template), Some(0)))
}

/// So many pods of image `v1` are wanted, and its revision is there; all the rest is `more`.
pub(crate) fn set(replicas: i64, more: Value) -> Case {
    let mut set = json!({
        "metadata": { "name": "web", "namespace": "shop", "uid": "set-1", "generation": 3 },
        "spec": {
            "replicas": replicas,
            "serviceName": "hearth",
            "selector": { "matchLabels": { "app": "fire" } },
            "template": template("v1"),
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } },
        },
    });
    merge(&mut set, &more);
    let case = Case {
        set,
        ..Case::default()
    };
    case.revision("v1", 1, json!({}))
}

/// A ready pod of this ordinal and image.
pub(crate) fn pod(ordinal: i64, image: &str, more: Value) -> Value {
    let name = format!("web-{ordinal}");
    let mut pod = json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": "7",
            "labels": {
                "app": "fire", "controller-revision-hash": revision(image),
                "statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": ordinal.to_string(),
            },
            "creationTimestamp": ago(600),
            "ownerReferences": [owner("apps/v1", "StatefulSet", "web", "set-1")],
        },
        "spec": template(image)["spec"],
        "status": {
            "phase": "Running", "startTime": ago(599),
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": ago(300) }],
        },
    });
    merge(&mut pod, &more);
    pod
}

pub(crate) fn owner(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind, "name": name, "uid": uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// It was ready, and is not any more.
pub(crate) fn unready() -> Value {
    json!({ "status": { "conditions": [{ "type": "Ready", "status": "False", "lastTransitionTime": ago(20) }] } })
}

pub(crate) fn going() -> Value {
    json!({ "metadata": { "deletionTimestamp": ago(1) } })
}

/// Its image cannot be pulled.
pub(crate) fn broken() -> Value {
    json!({ "status": {
        "phase": "Pending",
        "conditions": [{ "type": "Ready", "status": "False", "lastTransitionTime": ago(599) }],
        "containerStatuses": [{ "name": "c", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": "ImagePullBackOff" } } }],
    }})
}

impl Case {
    pub(crate) fn with(mut self, ordinal: i64, image: &str, more: Value) -> Self {
        self.pods.push(pod(ordinal, image, more));
        self
    }

    /// Ready pods of these ordinals.
    pub(crate) fn ready(mut self, ordinals: std::ops::Range<i64>, image: &str) -> Self {
        self.pods.extend(ordinals.map(|n| pod(n, image, json!({}))));
        self
    }

    pub(crate) fn revision(mut self, image: &'static str, number: i64, more: Value) -> Self {
        let mut meta = json!({ "metadata": {
            "name": revision(image), "namespace": "shop", "uid": format!("uid-{image}"), "resourceVersion": "5",
            "labels": { "app": "fire" }, "ownerReferences": [owner("apps/v1", "StatefulSet", "web", "set-1")],
        }, "revision": number });
        merge(&mut meta, &more);
        self.revisions.push((meta, image));
        self
    }

    /// The template is changed to this image; the old one is the current revision.
    pub(crate) fn wants(mut self, image: &str, current: &str) -> Self {
        self.set["spec"]["template"] = template(image);
        self.set["status"]["replicas"] = json!(0);
        self.set["status"]["currentRevision"] = json!(revision(current));
        self
    }

    pub(crate) fn spec(mut self, more: Value) -> Self {
        merge(&mut self.set["spec"], &more);
        self
    }

    /// A claim of the template `data` for this ordinal.
    pub(crate) fn claim(mut self, ordinal: i64, more: Value) -> Self {
        let name = format!("data-web-{ordinal}");
        let mut claim = json!({ "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": "9",
            "labels": { "app": "fire" },
        }});
        merge(&mut claim, &more);
        self.claims.push(claim);
        self
    }

    pub(crate) fn world(&self) -> World {
        let typed = |value: &Value| serde_json::from_value(value.clone()).unwrap();
        let set: StatefulSet = serde_json::from_value(self.set.clone()).unwrap();
        let pods: Vec<Pod> = self.pods.iter().map(typed).collect();
        let revisions = self.revisions.iter().map(|(meta, image)| {
            let mut revision: ControllerRevision = serde_json::from_value(meta.clone()).unwrap();
            let template: PodTemplateSpec = serde_json::from_value(template(image)).unwrap();
            revision.data = Some(RawExtension(history::data(&template)));
            Arc::new(revision)
        });
        let claim = |name: &str| {
            let is_it = |claim: &&Value| claim["metadata"]["name"] == name;
            let claim = self.claims.iter().find(is_it)?;
            let claim: PersistentVolumeClaim = serde_json::from_value(claim.clone()).unwrap();
            Some(Arc::new(claim))
        };
        let moment = Moment {
            now: now(),
            seed: 7,
        };
        let pods = pods.into_iter().map(Arc::new).collect();
        World::new(Arc::new(set), pods, revisions.collect(), claim, moment)
    }

    pub(crate) fn plan(&self) -> Plan {
        StatefulSetController::plan(&self.world())
    }

    /// The plan as text, the names of revisions written as their images.
    pub(crate) fn planned(&self) -> Vec<String> {
        let text = self.plan().to_string();
        let text = ["v1", "v2", "v3", "bad"].iter().fold(text, |text, image| {
            text.replace(&revision(image), &format!("<{image}>"))
        });
        text.lines().map(str::to_owned).collect()
    }

    /// The images of the pods that are created, by name.
    pub(crate) fn created(&self) -> Vec<(String, String)> {
        let plan = self.plan();
        let pods = plan.actions().filter_map(|action| match &action.verb {
            ::plan::Verb::Create(object) => object.read::<Pod>(),
            _ => None,
        });
        pods.map(|pod| {
            let image = pod.spec.unwrap().containers[0].image.clone();
            (pod.metadata.name.unwrap(), image.unwrap())
        })
        .collect()
    }

    pub(crate) fn status(&self, outcome: &Outcome) -> Option<StatefulSetStatus> {
        crate::status(&self.world(), outcome)?.status
    }
}
