//! The kinds that can be watched.
//!
//! Reading an object from JSON is most of the code that a kind costs. It is made here, once a kind and not once a
//! crate that watches it: that halves the programs and the time that it takes to build them. A kind that no one
//! watches is not linked.

use crate::trim::{self, Part};
use crate::watch::{Readable, Said};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use std::fmt;

/// A kind that can be watched. Adding one is a line at the end of `runtime/src/watched.rs`.
pub trait Watched:
    Readable
    + kube::Resource<DynamicType = ()>
    + Resource
    + Metadata<Ty = ObjectMeta>
    + Clone
    + Default
    + fmt::Debug
    + Serialize
{
}

macro_rules! watched {
    ($($group:ident::$version:ident::{$($kind:ident),*};)*) => {$($(
        impl Watched for k8s_openapi::api::$group::$version::$kind {}

        impl Readable for k8s_openapi::api::$group::$version::$kind {
            fn listed(text: &str, part: Part<'_>) -> serde_json::Result<Self> {
                trim::read(text, part)
            }

            fn said(text: &str, part: Part<'_>) -> serde_json::Result<Said<Self>> {
                Said::read(text, part)
            }
        }
    )*)*};
}

watched! {
    core::v1::{
        ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
        ReplicationController, ResourceQuota, Secret, Service, ServiceAccount
    };
    apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
    autoscaling::v2::{HorizontalPodAutoscaler};
    batch::v1::{CronJob, Job};
    certificates::v1::{CertificateSigningRequest};
    coordination::v1::{Lease};
    discovery::v1::{EndpointSlice};
    networking::v1::{IPAddress, ServiceCIDR};
    policy::v1::{PodDisruptionBudget};
    rbac::v1::{ClusterRole, ClusterRoleBinding};
    resource::v1::{DeviceClass, ResourceClaim};
    scheduling::v1::{PriorityClass};
    storage::v1::{CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass};
}
