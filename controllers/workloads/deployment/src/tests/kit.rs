//! Worlds in few words.

use crate::annotations::{DESIRED_REPLICAS, MAX_REPLICAS, REVISION};
use crate::{World, plan as decide, status};
use ::plan::{Action, Outcome, Plan, Verb};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentSpec, DeploymentStatus, DeploymentStrategy,
    ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodStatus, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use objects::meta;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The second at which all cases are looked at.
pub(crate) const NOW: i64 = 1_000_000;

/// A Deployment `web` and what belongs to it.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) deployment: Deployment,
    pub(crate) replica_sets: Vec<ReplicaSet>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) now: i64,
}

/// A ReplicaSet of `web` that is made from a template and has a size.
pub(crate) fn rs(name: &str, image: &str, replicas: i32) -> Set {
    let labels = labels(&[("app", "web"), ("pod-template-hash", name)]);
    let owner = meta::owner_reference("apps/v1", "Deployment", &owner_meta());
    Set(ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("web-{name}")),
            namespace: Some("ns".to_owned()),
            uid: Some(format!("uid-{name}")),
            resource_version: Some("7".to_owned()),
            generation: Some(1),
            labels: Some(labels.clone()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(replicas),
            min_ready_seconds: None,
            selector: LabelSelector {
                match_labels: Some(labels.clone()),
                ..LabelSelector::default()
            },
            template: Some(template(image, labels)),
        }),
        status: Some(ReplicaSetStatus {
            observed_generation: Some(1),
            ..ReplicaSetStatus::default()
        }),
    })
}

/// A ReplicaSet in the making.
#[derive(Clone)]
pub(crate) struct Set(pub(crate) ReplicaSet);

impl Set {
    /// Active pods, and how many of them are ready and available.
    pub(crate) fn has(mut self, active: i32, available: i32) -> Self {
        let status = self.0.status.get_or_insert_default();
        status.replicas = active;
        status.ready_replicas = Some(available);
        status.available_replicas = Some(available);
        self
    }

    /// Its controller has not seen its size yet.
    pub(crate) fn stale(mut self) -> Self {
        self.0.metadata.generation = Some(2);
        self
    }

    pub(crate) fn terminating(mut self, pods: i32) -> Self {
        self.0.status.get_or_insert_default().terminating_replicas = Some(pods);
        self
    }

    pub(crate) fn sized_for(self, desired: i32, max: i32) -> Self {
        self.annotated(DESIRED_REPLICAS, &desired.to_string())
            .annotated(MAX_REPLICAS, &max.to_string())
    }

    pub(crate) fn revision(self, revision: &str) -> Self {
        self.annotated(REVISION, revision)
    }

    pub(crate) fn annotated(mut self, key: &str, value: &str) -> Self {
        let annotations = self.0.metadata.annotations.get_or_insert_default();
        annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn labelled(mut self, key: &str, value: &str) -> Self {
        let labels = self.0.metadata.labels.get_or_insert_default();
        labels.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn orphan(mut self) -> Self {
        self.0.metadata.owner_references = None;
        self
    }

    pub(crate) fn deleting(mut self) -> Self {
        self.0.metadata.deletion_timestamp = Some(time(NOW));
        self
    }

    pub(crate) fn failing(mut self, reason: &str) -> Self {
        self.0.status.get_or_insert_default().conditions = Some(vec![ReplicaSetCondition {
            type_: "ReplicaFailure".to_owned(),
            status: "True".to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(format!("{reason} of {}", meta::name(&self.0.metadata))),
            last_transition_time: Some(time(NOW - 5)),
        }]);
        self
    }
}

impl Case {
    /// `replicas` pods of the template `v1`, with 25 % surge and 25 % unavailable.
    pub(crate) fn new(replicas: i32) -> Self {
        Self {
            deployment: Deployment {
                metadata: ObjectMeta {
                    resource_version: Some("70".to_owned()),
                    generation: Some(2),
                    ..owner_meta()
                },
                spec: Some(DeploymentSpec {
                    replicas: Some(replicas),
                    progress_deadline_seconds: Some(600),
                    revision_history_limit: Some(10),
                    selector: LabelSelector {
                        match_labels: Some(labels(&[("app", "web")])),
                        ..LabelSelector::default()
                    },
                    strategy: Some(DeploymentStrategy {
                        type_: Some("RollingUpdate".to_owned()),
                        rolling_update: Some(RollingUpdateDeployment {
                            max_surge: Some(IntOrString::String("25%".to_owned())),
                            max_unavailable: Some(IntOrString::String("25%".to_owned())),
                        }),
                    }),
                    template: template("v1", labels(&[("app", "web")])),
                    ..DeploymentSpec::default()
                }),
                status: None,
            },
            replica_sets: Vec::new(),
            pods: Vec::new(),
            now: NOW,
        }
    }

    pub(crate) fn spec(&mut self) -> &mut DeploymentSpec {
        self.deployment.spec.get_or_insert_default()
    }

    pub(crate) fn set(mut self, change: impl FnOnce(&mut DeploymentSpec)) -> Self {
        change(self.spec());
        self
    }

    pub(crate) fn replicas(self, replicas: i32) -> Self {
        self.set(|spec| spec.replicas = Some(replicas))
    }

    pub(crate) fn template(self, image: &str) -> Self {
        self.set(|spec| spec.template = template(image, labels(&[("app", "web")])))
    }

    pub(crate) fn paused(self) -> Self {
        self.set(|spec| spec.paused = Some(true))
    }

    pub(crate) fn recreate(self) -> Self {
        self.set(|spec| {
            spec.strategy = Some(DeploymentStrategy {
                type_: Some("Recreate".to_owned()),
                rolling_update: None,
            });
        })
    }

    pub(crate) fn surge(self, pods: i32) -> Self {
        self.rolling(|rolling| rolling.max_surge = Some(IntOrString::Int(pods)))
    }

    pub(crate) fn unavailable(self, pods: i32) -> Self {
        self.rolling(|rolling| rolling.max_unavailable = Some(IntOrString::Int(pods)))
    }

    fn rolling(self, change: impl FnOnce(&mut RollingUpdateDeployment)) -> Self {
        self.set(|spec| {
            let strategy = spec.strategy.get_or_insert_default();
            change(strategy.rolling_update.get_or_insert_default());
        })
    }

    /// Adds a ReplicaSet, a second younger than the one before.
    pub(crate) fn rs(mut self, set: Set) -> Self {
        let age = self.replica_sets.len() as i64;
        let mut rs = set.0;
        rs.metadata.creation_timestamp = Some(time(NOW - 1000 + age));
        if !rs
            .metadata
            .annotations
            .iter()
            .flatten()
            .any(|(key, _)| key == REVISION)
        {
            rs.metadata
                .annotations
                .get_or_insert_default()
                .insert(REVISION.to_owned(), (age + 1).to_string());
        }
        self.replica_sets.push(rs);
        self
    }

    /// Adds a pod of the ReplicaSet that was added last.
    pub(crate) fn pod(mut self, phase: &str) -> Self {
        let owner = &self
            .replica_sets
            .last()
            .expect("a ReplicaSet comes first")
            .metadata;
        self.pods.push(Pod {
            metadata: ObjectMeta {
                name: Some(format!("pod-{}", self.pods.len())),
                namespace: Some("ns".to_owned()),
                owner_references: Some(vec![meta::owner_reference("apps/v1", "ReplicaSet", owner)]),
                ..ObjectMeta::default()
            },
            status: Some(PodStatus {
                phase: Some(phase.to_owned()),
                ..PodStatus::default()
            }),
            ..Pod::default()
        });
        self
    }

    pub(crate) fn annotated(mut self, key: &str, value: &str) -> Self {
        let annotations = self.deployment.metadata.annotations.get_or_insert_default();
        annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn deleting(mut self) -> Self {
        self.deployment.metadata.deletion_timestamp = Some(time(NOW));
        self
    }

    /// The condition `Progressing`, last updated so many seconds ago.
    pub(crate) fn progressing(mut self, status: &str, reason: &str, ago: i64) -> Self {
        let conditions = self.deployment.status.get_or_insert_default();
        conditions
            .conditions
            .get_or_insert_default()
            .push(DeploymentCondition {
                type_: "Progressing".to_owned(),
                status: status.to_owned(),
                reason: Some(reason.to_owned()),
                message: Some(String::new()),
                last_update_time: Some(time(NOW - ago)),
                last_transition_time: Some(time(NOW - ago)),
            });
        self
    }

    /// The counts of the last status: replicas, updated, ready, available.
    pub(crate) fn counted(mut self, counts: [i32; 4]) -> Self {
        let status = self.deployment.status.get_or_insert_default();
        let [replicas, updated, ready, available] = counts.map(Some);
        status.replicas = replicas;
        status.updated_replicas = updated;
        status.ready_replicas = ready;
        status.available_replicas = available;
        self
    }

    pub(crate) fn with_status(mut self, deployment: Deployment) -> Self {
        self.deployment = deployment;
        self
    }

    /// The same lists in another order.
    pub(crate) fn turned(mut self, by: usize) -> Self {
        self.replica_sets.rotate_left(by);
        self.pods.reverse();
        self
    }

    pub(crate) fn world(&self) -> World {
        let is_ours =
            |rs: &&ReplicaSet| meta::controller_of(&rs.metadata).is_none_or(|o| o.uid == "uid-web");
        let ours = self
            .replica_sets
            .iter()
            .filter(is_ours)
            .cloned()
            .map(Arc::new);
        World::new(
            Arc::new(self.deployment.clone()),
            ours.collect(),
            |name| {
                let mut all = self.replica_sets.iter();
                all.find(|rs| meta::name(&rs.metadata) == name)
                    .cloned()
                    .map(Arc::new)
            },
            |uid| {
                let owned = self
                    .pods
                    .iter()
                    .filter(|p| meta::is_controlled_by(&p.metadata, uid));
                owned.cloned().map(Arc::new).collect()
            },
            Timestamp::from_second(self.now).unwrap(),
        )
    }

    pub(crate) fn plan(&self) -> Plan {
        decide(&self.world())
    }

    /// The plan in short: the events, and what has none.
    pub(crate) fn told(&self) -> Vec<String> {
        let plan = self.plan();
        let notes = plan.notes.iter().map(|note| note.message.clone());
        plan.actions().map(tell).chain(notes).collect()
    }

    /// The Deployment with its next status, if there is one.
    pub(crate) fn status_after(&self, outcome: &Outcome) -> Option<Deployment> {
        let object = status(&self.world(), outcome)?;
        Some(object.read::<Deployment>().unwrap())
    }

    /// The next status, or the one that it has.
    pub(crate) fn status(&self) -> DeploymentStatus {
        let next = self.status_after(&Outcome::default());
        next.unwrap_or_else(|| self.deployment.clone())
            .status
            .unwrap_or_default()
    }
}

/// One action in short: sizes, or else verb, name and reason.
pub(crate) fn tell(action: &Action) -> String {
    let name = action.on.name.trim_start_matches("web-");
    let note = action.note.as_ref().map(|note| note.message.as_str());
    let size = note.and_then(|message| message.split_once(" from "));
    match (&action.verb, size) {
        (Verb::Create(_), Some((_, size))) => format!("create {size}"),
        (Verb::Create(object), None) => {
            let rs = object.read::<ReplicaSet>().unwrap();
            format!("create {}", rs.spec.as_ref().unwrap().replicas.unwrap())
        }
        (_, Some((_, size))) => format!("{name} {size}"),
        (verb, None) => format!("{} {name} ({})", verb.name(), action.why),
    }
}

/// The ReplicaSet that an action writes.
pub(crate) fn written(action: &Action) -> ReplicaSet {
    match &action.verb {
        Verb::Create(object) | Verb::Replace(object) => object.read().unwrap(),
        Verb::Patch(..) | Verb::Delete { .. } => panic!("{action} has no object"),
    }
}

pub(crate) fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

fn owner_meta() -> ObjectMeta {
    ObjectMeta {
        name: Some("web".to_owned()),
        namespace: Some("ns".to_owned()),
        uid: Some("uid-web".to_owned()),
        ..ObjectMeta::default()
    }
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    owned.collect()
}

fn template(image: &str, labels: BTreeMap<String, String>) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            containers: vec![Container {
                name: "main".to_owned(),
                image: Some(image.to_owned()),
                ..Container::default()
            }],
            ..PodSpec::default()
        }),
    }
}
