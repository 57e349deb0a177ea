//! What each controller says that it writes: nobody gives it more.

use crate::scenario::Part;
use sim::{Verb, Write};

/// Whether a controller says that it makes such writes; events apart.
pub(super) fn declares(part: Part, write: &Write) -> bool {
    match part {
        Part::ReplicaSet => matches!(
            (write.kind, write.subresource),
            ("Pod", "") | ("ReplicaSet", "status")
        ),
        Part::Replication => matches!(
            (write.kind, write.subresource),
            ("Pod", "") | ("ReplicationController", "status")
        ),
        Part::StatefulSet => {
            matches!(
                (write.kind, write.subresource),
                ("Pod" | "PersistentVolumeClaim" | "ControllerRevision", "")
                    | ("StatefulSet", "status")
            ) && !(write.kind == "PersistentVolumeClaim" && write.verb == Verb::Delete)
        }
        Part::Deployment => matches!(
            (write.kind, write.subresource),
            ("ReplicaSet", "") | ("Deployment", "" | "status")
        ),
        Part::Autoscaler => matches!(
            (write.kind, write.subresource),
            ("HorizontalPodAutoscaler", "status") | ("StatefulSet", "scale")
        ),
        Part::DaemonSet => {
            (write.kind == "Pod" && write.subresource.is_empty())
                || write.kind == "ControllerRevision"
                || (write.kind == "DaemonSet" && write.subresource == "status")
        }
        Part::Disruption => {
            matches!(write.kind, "PodDisruptionBudget" | "Pod") && write.subresource == "status"
        }
        Part::Job => matches!(
            (write.kind, write.subresource),
            ("Pod", "") | ("Job", "status")
        ),
        Part::CronJob => matches!(
            (write.kind, write.subresource),
            ("Job", "") | ("CronJob", "status")
        ),
        Part::TtlAfterFinished => write.kind == "Job" && write.verb == Verb::Delete,
        Part::EndpointSlice | Part::Mirroring => write.kind == "EndpointSlice",
        Part::Endpoints => write.kind == "Endpoints",
        Part::GarbageCollector => {
            write.subresource.is_empty() && matches!(write.verb, Verb::Delete | Verb::Patch)
        }
        Part::Namespace => {
            write.verb == Verb::Delete
                || (write.kind == "Namespace" && !write.subresource.is_empty())
        }
        Part::NodeLifecycle => matches!(
            (write.kind, write.subresource, write.verb),
            ("Node", "", Verb::Patch) | ("Node" | "Pod", "status", _)
        ),
        Part::TaintEviction => {
            write.kind == "Pod" && (write.subresource == "status" || write.verb == Verb::Delete)
        }
        Part::ResourceQuota => write.kind == "ResourceQuota" && write.subresource == "status",
        Part::PodGc => {
            write.kind == "Pod" && (write.subresource == "status" || write.verb == Verb::Delete)
        }
        Part::ServiceAccount => write.kind == "ServiceAccount" && write.verb == Verb::Create,
        Part::Ranges => write.kind == "Node" && write.verb == Verb::Patch,
        Part::ServiceRanges => write.kind == "ServiceCIDR" && write.verb == Verb::Patch,
        Part::Roles => write.kind == "ClusterRole" && write.verb == Verb::Patch,
        Part::Tokens => matches!(write.kind, "Secret" | "ServiceAccount"),
        Part::Certificates => {
            write.kind == "CertificateSigningRequest"
                && (write.verb == Verb::Delete || !write.subresource.is_empty())
        }
        Part::Bootstrap => matches!(
            (write.kind, write.verb),
            ("ConfigMap", Verb::Update) | ("Secret", Verb::Delete)
        ),
        Part::RootCa => write.kind == "ConfigMap" && write.verb != Verb::Delete,
        Part::Volumes => {
            matches!(
                (write.kind, write.subresource),
                ("PersistentVolume" | "PersistentVolumeClaim", "" | "status")
            ) && !(write.kind == "PersistentVolumeClaim" && write.verb == Verb::Delete)
        }
        Part::Scheduler => {
            // It deletes pods that have to make room.
            let of_pods =
                matches!(write.subresource, "binding" | "status") || write.verb == Verb::Delete;
            (write.kind == "Pod" && of_pods)
                || (matches!(write.kind, "PersistentVolume" | "PersistentVolumeClaim")
                    && write.verb == Verb::Patch)
        }
        Part::Kubelet => {
            matches!(write.kind, "Node" | "Lease")
                || (write.kind == "Pod"
                    && (write.subresource == "status" || write.verb == Verb::Delete))
        }
    }
}
