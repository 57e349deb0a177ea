//! The kinds that the server knows, as data. Adding one is adding a line to [`KINDS`].
//!
//! What a column means is upstream's `pkg/registry/<group>/<kind>/strategy.go` and
//! `storage/storage.go` of the kind.

use k8s_openapi::api::apps::v1::{
    ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Event, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
    ReplicationController, ResourceQuota, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1 as events;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// When `metadata.generation` grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// The kind has no generation.
    Never,
    /// A change of `spec`.
    Spec,
    /// A change of `spec` or of the annotations (Deployment).
    SpecAndAnnotations,
    /// A change of anything but the metadata, or of the labels (EndpointSlice).
    BodyAndLabels,
    /// A change of anything but the metadata, and but the status where that has a path of its own (custom resources).
    Body,
}

/// One kind of object.
#[derive(Debug)]
pub struct Kind {
    /// The API group, empty for the core group.
    pub group: &'static str,
    /// The version, for instance `v1`.
    pub version: &'static str,
    /// The plural that stands in the path.
    pub plural: &'static str,
    /// The name of the kind.
    pub kind: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether it has `/status`; then PUT and PATCH of the object leave `status` alone.
    pub status: bool,
    /// Whether it has `/scale`.
    pub scale: bool,
    /// When its generation grows.
    pub generation: Generation,
    /// Whether a PUT without a resourceVersion is accepted.
    pub unconditional: bool,
    /// Whether a PUT of an absent object creates it.
    pub creates_on_update: bool,
    /// Whether a DELETE answers with the object and not with a Status.
    pub returns_deleted: bool,
    /// Whether a DELETE without a propagation policy orphans the dependents.
    pub orphans: bool,
    /// Whether a CustomResourceDefinition made it: no rules but those of its schema are for it.
    pub custom: bool,
    /// Sends an object through its type: unknown fields vanish, wrong types are errors.
    pub(crate) typed: fn(&Value) -> serde_json::Result<Value>,
}

fn typed<K: DeserializeOwned + Serialize>(object: &Value) -> serde_json::Result<Value> {
    serde_json::to_value(K::deserialize(object)?)
}

impl Kind {
    pub(crate) const fn new<K: DeserializeOwned + Serialize>(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        kind: &'static str,
    ) -> Self {
        Kind {
            group,
            version,
            plural,
            kind,
            namespaced: true,
            status: false,
            scale: false,
            generation: Generation::Never,
            unconditional: true,
            creates_on_update: false,
            returns_deleted: false,
            orphans: false,
            custom: false,
            typed: typed::<K>,
        }
    }

    const fn core<K: DeserializeOwned + Serialize>(
        plural: &'static str,
        kind: &'static str,
    ) -> Self {
        Kind::new::<K>("", "v1", plural, kind)
    }

    const fn apps<K: DeserializeOwned + Serialize>(
        plural: &'static str,
        kind: &'static str,
    ) -> Self {
        Kind::new::<K>("apps", "v1", plural, kind)
    }

    const fn cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    const fn status(mut self) -> Self {
        self.status = true;
        self
    }

    const fn scale(mut self) -> Self {
        self.scale = true;
        self
    }

    const fn generation(mut self, generation: Generation) -> Self {
        self.generation = generation;
        self
    }

    const fn conditional(mut self) -> Self {
        self.unconditional = false;
        self
    }

    const fn creates_on_update(mut self) -> Self {
        self.creates_on_update = true;
        self
    }

    const fn returns_deleted(mut self) -> Self {
        self.returns_deleted = true;
        self
    }

    const fn orphans(mut self) -> Self {
        self.orphans = true;
        self
    }

    /// The name by which the rules of built-in kinds are looked up; empty for a custom kind, whatever it is called.
    pub(crate) fn rules(&self) -> &'static str {
        if self.custom { "" } else { self.kind }
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `pods` or `deployments.apps`, as error messages name the resource.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The first of the table with this name; both Events are alike as far as it is used.
    pub(crate) fn of(kind: &str) -> &'static Kind {
        let found = KINDS.iter().find(|k| k.kind == kind);
        found.expect("the table has the kinds that the code names")
    }

    /// `Pod` or `Deployment.apps`, as messages about invalid objects name the kind.
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() {
            self.kind.to_owned()
        } else {
            format!("{}.{}", self.kind, self.group)
        }
    }
}

use Generation::{BodyAndLabels, Spec, SpecAndAnnotations};

/// The table.
pub static KINDS: &[Kind] = &[
    Kind::core::<Namespace>("namespaces", "Namespace")
        .cluster()
        .status()
        .returns_deleted(),
    Kind::core::<Node>("nodes", "Node").cluster().status(),
    Kind::core::<Pod>("pods", "Pod")
        .status()
        .generation(Spec)
        .returns_deleted(),
    Kind::core::<Service>("services", "Service")
        .status()
        .creates_on_update()
        .returns_deleted(),
    Kind::core::<Endpoints>("endpoints", "Endpoints").creates_on_update(),
    Kind::core::<ConfigMap>("configmaps", "ConfigMap"),
    Kind::core::<Secret>("secrets", "Secret"),
    Kind::core::<ServiceAccount>("serviceaccounts", "ServiceAccount").returns_deleted(),
    Kind::core::<Event>("events", "Event").creates_on_update(),
    Kind::core::<ResourceQuota>("resourcequotas", "ResourceQuota")
        .status()
        .returns_deleted(),
    Kind::core::<PersistentVolumeClaim>("persistentvolumeclaims", "PersistentVolumeClaim")
        .status()
        .returns_deleted(),
    Kind::core::<PersistentVolume>("persistentvolumes", "PersistentVolume")
        .cluster()
        .status()
        .returns_deleted(),
    Kind::new::<StorageClass>("storage.k8s.io", "v1", "storageclasses", "StorageClass")
        .cluster()
        .returns_deleted(),
    Kind::new::<CSINode>("storage.k8s.io", "v1", "csinodes", "CSINode")
        .cluster()
        .conditional()
        .returns_deleted(),
    Kind::new::<CSIDriver>("storage.k8s.io", "v1", "csidrivers", "CSIDriver")
        .cluster()
        .generation(Spec)
        .conditional()
        .returns_deleted(),
    Kind::new::<CSIStorageCapacity>(
        "storage.k8s.io",
        "v1",
        "csistoragecapacities",
        "CSIStorageCapacity",
    )
    .conditional(),
    Kind::new::<VolumeAttachment>(
        "storage.k8s.io",
        "v1",
        "volumeattachments",
        "VolumeAttachment",
    )
    .cluster()
    .status()
    .returns_deleted(),
    Kind::new::<VolumeAttributesClass>(
        "storage.k8s.io",
        "v1",
        "volumeattributesclasses",
        "VolumeAttributesClass",
    )
    .cluster()
    .returns_deleted(),
    Kind::core::<ReplicationController>("replicationcontrollers", "ReplicationController")
        .status()
        .scale()
        .generation(Spec)
        .orphans(),
    Kind::apps::<ReplicaSet>("replicasets", "ReplicaSet")
        .status()
        .scale()
        .generation(Spec),
    Kind::apps::<Deployment>("deployments", "Deployment")
        .status()
        .scale()
        .generation(SpecAndAnnotations),
    Kind::apps::<StatefulSet>("statefulsets", "StatefulSet")
        .status()
        .scale()
        .generation(Spec),
    Kind::apps::<DaemonSet>("daemonsets", "DaemonSet")
        .status()
        .generation(Spec),
    Kind::apps::<ControllerRevision>("controllerrevisions", "ControllerRevision"),
    Kind::new::<CronJob>("batch", "v1", "cronjobs", "CronJob")
        .status()
        .generation(Spec),
    Kind::new::<Job>("batch", "v1", "jobs", "Job")
        .status()
        .generation(Spec)
        .orphans(),
    Kind::new::<EndpointSlice>("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
        .generation(BodyAndLabels),
    Kind::new::<Lease>("coordination.k8s.io", "v1", "leases", "Lease")
        .conditional()
        .creates_on_update(),
    Kind::new::<HorizontalPodAutoscaler>(
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
    )
    .status(),
    Kind::new::<PodDisruptionBudget>(
        "policy",
        "v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
    )
    .status()
    .conditional()
    .generation(Spec),
    Kind::new::<ClusterRole>(
        "rbac.authorization.k8s.io",
        "v1",
        "clusterroles",
        "ClusterRole",
    )
    .cluster(),
    Kind::new::<ServiceCIDR>("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR")
        .cluster()
        .status(),
    Kind::new::<IPAddress>("networking.k8s.io", "v1", "ipaddresses", "IPAddress").cluster(),
    Kind::new::<CertificateSigningRequest>(
        "certificates.k8s.io",
        "v1",
        "certificatesigningrequests",
        "CertificateSigningRequest",
    )
    .cluster()
    .status(),
    Kind::new::<events::Event>("events.k8s.io", "v1", "events", "Event").creates_on_update(),
    Kind::new::<CustomResourceDefinition>(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
    )
    .cluster()
    .status()
    .generation(Spec),
];

/// The place of a kind in [`KINDS`], and behind them of those that CustomResourceDefinitions made
/// ([`crate::State`] has them).
pub(crate) type KindId = usize;

/// Finds a built-in kind by the group and the kind of an object.
pub(crate) fn by_kind(group: &str, kind: &str) -> Option<KindId> {
    KINDS
        .iter()
        .position(|k| k.group == group && k.kind == kind)
}

/// The place of a core kind that the semantics themselves need.
pub(crate) fn core(kind: &str) -> KindId {
    by_kind("", kind).expect("the table has the core kinds that the code names")
}
