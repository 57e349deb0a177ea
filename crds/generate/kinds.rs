//! The kinds: names, columns of `kubectl get` (`pkg/printers/internalversion/printers.go`), defaults
//! (`pkg/apis/{apps,batch,autoscaling}/*/defaults.go`) and rules (`pkg/apis/*/validation/validation.go`).

mod apps;
mod autoscaling;
mod batch;

use k8s_openapi::api::apps::v1::{
    ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

/// A kind that has a definition.
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) has_status: bool,
    pub(crate) has_scale: bool,
    /// Name, type, path, and whether it is one of `-o wide` only.
    pub(crate) columns: &'static [(&'static str, &'static str, &'static str, bool)],
    /// Puts the schema of the type among the definitions.
    pub(crate) root: fn(&mut SchemaGenerator) -> Schema,
    /// What is added to it, by a merge patch.
    pub(crate) schema: fn() -> Value,
}

impl Kind {
    /// The name of its schema.
    pub(crate) fn name(&self) -> String {
        let group = self.group.trim_end_matches(".corten.dev");
        format!("io.k8s.api.{group}.{}.{}", self.version, self.kind)
    }
}

const AGE: (&str, &str, &str, bool) = ("Age", "date", ".metadata.creationTimestamp", false);
const CONTAINERS: (&str, &str, &str, bool) = (
    "Containers",
    "string",
    ".spec.template.spec.containers[*].name",
    true,
);
const IMAGES: (&str, &str, &str, bool) = (
    "Images",
    "string",
    ".spec.template.spec.containers[*].image",
    true,
);
const SELECTOR: (&str, &str, &str, bool) =
    ("Selector", "string", ".spec.selector.matchLabels", true);

/// All of them.
pub(crate) const KINDS: [Kind; 8] = [
    Kind {
        group: "apps.corten.dev",
        version: "v1",
        kind: "Deployment",
        plural: "deployments",
        short: &["cdeploy"],
        has_status: true,
        has_scale: true,
        columns: &[
            ("Desired", "integer", ".spec.replicas", false),
            ("Ready", "integer", ".status.readyReplicas", false),
            ("Up-to-date", "integer", ".status.updatedReplicas", false),
            ("Available", "integer", ".status.availableReplicas", false),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        root: |generator| generator.subschema_for::<Deployment>(),
        schema: apps::deployment,
    },
    Kind {
        group: "apps.corten.dev",
        version: "v1",
        kind: "ReplicaSet",
        plural: "replicasets",
        short: &["crs"],
        has_status: true,
        has_scale: true,
        columns: &[
            ("Desired", "integer", ".spec.replicas", false),
            ("Current", "integer", ".status.replicas", false),
            ("Ready", "integer", ".status.readyReplicas", false),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        root: |generator| generator.subschema_for::<ReplicaSet>(),
        schema: apps::replicaset,
    },
    Kind {
        group: "apps.corten.dev",
        version: "v1",
        kind: "DaemonSet",
        plural: "daemonsets",
        short: &["cds"],
        has_status: true,
        has_scale: false,
        columns: &[
            (
                "Desired",
                "integer",
                ".status.desiredNumberScheduled",
                false,
            ),
            (
                "Current",
                "integer",
                ".status.currentNumberScheduled",
                false,
            ),
            ("Ready", "integer", ".status.numberReady", false),
            (
                "Up-to-date",
                "integer",
                ".status.updatedNumberScheduled",
                false,
            ),
            ("Available", "integer", ".status.numberAvailable", false),
            (
                "Node Selector",
                "string",
                ".spec.template.spec.nodeSelector",
                false,
            ),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
        root: |generator| generator.subschema_for::<DaemonSet>(),
        schema: apps::daemonset,
    },
    Kind {
        group: "apps.corten.dev",
        version: "v1",
        kind: "StatefulSet",
        plural: "statefulsets",
        short: &["csts"],
        has_status: true,
        has_scale: true,
        columns: &[
            ("Desired", "integer", ".spec.replicas", false),
            ("Ready", "integer", ".status.readyReplicas", false),
            AGE,
            CONTAINERS,
            IMAGES,
        ],
        root: |generator| generator.subschema_for::<StatefulSet>(),
        schema: apps::statefulset,
    },
    Kind {
        group: "apps.corten.dev",
        version: "v1",
        kind: "ControllerRevision",
        plural: "controllerrevisions",
        short: &[],
        has_status: false,
        has_scale: false,
        columns: &[
            (
                "Controller",
                "string",
                ".metadata.ownerReferences[?(@.controller==true)].name",
                false,
            ),
            ("Revision", "integer", ".revision", false),
            AGE,
        ],
        root: |generator| generator.subschema_for::<ControllerRevision>(),
        schema: apps::controllerrevision,
    },
    Kind {
        group: "batch.corten.dev",
        version: "v1",
        kind: "Job",
        plural: "jobs",
        short: &["cjob"],
        has_status: true,
        has_scale: false,
        columns: &[
            (
                "Status",
                "string",
                ".status.conditions[?(@.status==\"True\")].type",
                false,
            ),
            ("Completions", "integer", ".spec.completions", false),
            ("Succeeded", "integer", ".status.succeeded", false),
            AGE,
            CONTAINERS,
            IMAGES,
        ],
        root: |generator| generator.subschema_for::<Job>(),
        schema: batch::job,
    },
    Kind {
        group: "batch.corten.dev",
        version: "v1",
        kind: "CronJob",
        plural: "cronjobs",
        short: &["ccj"],
        has_status: true,
        has_scale: false,
        columns: &[
            ("Schedule", "string", ".spec.schedule", false),
            ("Timezone", "string", ".spec.timeZone", false),
            ("Suspend", "boolean", ".spec.suspend", false),
            ("Active", "string", ".status.active[*].name", false),
            ("Last Schedule", "date", ".status.lastScheduleTime", false),
            AGE,
            (
                "Containers",
                "string",
                ".spec.jobTemplate.spec.template.spec.containers[*].name",
                true,
            ),
            (
                "Images",
                "string",
                ".spec.jobTemplate.spec.template.spec.containers[*].image",
                true,
            ),
        ],
        root: |generator| generator.subschema_for::<CronJob>(),
        schema: batch::cronjob,
    },
    Kind {
        group: "autoscaling.corten.dev",
        version: "v2",
        kind: "HorizontalPodAutoscaler",
        plural: "horizontalpodautoscalers",
        short: &["chpa"],
        has_status: true,
        has_scale: false,
        columns: &[
            ("Kind", "string", ".spec.scaleTargetRef.kind", false),
            ("Reference", "string", ".spec.scaleTargetRef.name", false),
            (
                "CPU %",
                "integer",
                ".status.currentMetrics[?(@.resource.name==\"cpu\")].resource.current.averageUtilization",
                false,
            ),
            ("Minpods", "integer", ".spec.minReplicas", false),
            ("Maxpods", "integer", ".spec.maxReplicas", false),
            ("Replicas", "integer", ".status.currentReplicas", false),
            AGE,
        ],
        root: |generator| generator.subschema_for::<HorizontalPodAutoscaler>(),
        schema: autoscaling::horizontalpodautoscaler,
    },
];
