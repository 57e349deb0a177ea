//! The kinds that scenarios are made of, by name.

use json_patch::merge;
use k8s_openapi::api::apps::v1::{
    ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
    ReplicationController, ResourceQuota, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::storage::v1::StorageClass;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sim::{Sim, State, Stored};

/// Reads a type from JSON that stands in a scenario.
pub fn typed<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("scenarios are written as their types are")
}

/// Writes a type as JSON.
pub fn raw<K: Serialize>(object: &K) -> Value {
    serde_json::to_value(object).expect("API types are plain data")
}

fn merge_one<K: Stored>(sim: &Sim, name: &str, patch: &Value) {
    let (namespace, name) = placed(name);
    if sim.get::<K>(namespace, name).is_none() {
        return;
    }
    sim.update_with::<K>(namespace, name, |object| {
        let mut value = raw(object);
        merge(&mut value, patch);
        *object = typed(value);
    });
}

/// Scenarios play in this namespace.
const HOME: &str = "default";

/// What `namespace/name` says; without a namespace it is [`HOME`], or none for a kind of the cluster.
fn placed(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or((HOME, name))
}

macro_rules! by_kind {
    ($($kind:literal => $type:ty, $namespace:literal);* $(;)?) => {
        /// The kinds that are compared at the end.
        pub const KINDS: &[&str] = &[$($kind),*];

        /// Creates an object. It may be there already if a fault delayed its deletion.
        pub fn create(sim: &Sim, object: &Value) {
            match object["kind"].as_str().unwrap_or_default() {
                $($kind => { let _ = sim.try_create::<$type>(typed(object.clone())); })*
                other => unreachable!("unknown kind {other}"),
            }
        }

        /// Changes an object, see [`placed`], by a JSON merge patch, if it is there.
        pub fn patch(sim: &Sim, kind: &str, name: &str, patch: &Value) {
            match kind {
                $($kind => merge_one::<$type>(sim, name, patch),)*
                other => unreachable!("unknown kind {other}"),
            }
        }

        /// Deletes an object, see [`placed`].
        pub fn delete(sim: &Sim, kind: &str, name: &str) {
            let (namespace, name) = placed(name);
            match kind {
                $($kind => sim.delete::<$type>(namespace, name),)*
                other => unreachable!("unknown kind {other}"),
            }
        }

        /// Deletes an object of the namespace `default` with this propagation policy.
        pub fn delete_as(sim: &Sim, kind: &str, name: &str, policy: &str) {
            let policy = serde_json::json!({ "propagationPolicy": policy });
            match kind {
                $($kind => sim.delete_with::<$type>(HOME, name, &policy),)*
                other => unreachable!("unknown kind {other}"),
            }
        }

        /// All objects of the kinds that are compared.
        pub fn all(state: &State) -> Vec<(&'static str, Value)> {
            let mut objects = Vec::new();
            $(objects.extend(state.list::<$type>(None).iter().map(|o| ($kind, raw(&**o))));)*
            objects
        }
    };
}

by_kind! {
    "Namespace" => Namespace, "";
    "Node" => Node, "";
    "Deployment" => Deployment, "default";
    "DaemonSet" => DaemonSet, "default";
    "ReplicaSet" => ReplicaSet, "default";
    "ReplicationController" => ReplicationController, "default";
    "CronJob" => CronJob, "default";
    "Job" => Job, "default";
    "Pod" => Pod, "default";
    "StatefulSet" => StatefulSet, "default";
    "ControllerRevision" => ControllerRevision, "default";
    "PersistentVolumeClaim" => PersistentVolumeClaim, "default";
    "PersistentVolume" => PersistentVolume, "";
    "StorageClass" => StorageClass, "";
    "Service" => Service, "default";
    "EndpointSlice" => EndpointSlice, "default";
    "Endpoints" => Endpoints, "default";
    "ServiceAccount" => ServiceAccount, "default";
    "Secret" => Secret, "default";
    "ClusterRole" => ClusterRole, "";
    "ServiceCIDR" => ServiceCIDR, "";
    "IPAddress" => IPAddress, "";
    "CertificateSigningRequest" => CertificateSigningRequest, "";
    "ConfigMap" => ConfigMap, "default";
    "ResourceQuota" => ResourceQuota, "default";
    "PodDisruptionBudget" => PodDisruptionBudget, "default";
    "HorizontalPodAutoscaler" => HorizontalPodAutoscaler, "default";
}
