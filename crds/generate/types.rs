//! What the API server knows of a type and its Rust form does not say: defaults (`pkg/apis/core/v1/defaults.go`), names
//! that may be there once (`pkg/apis/core/validation/validation.go`), bounds.
//!
//! Lists whose items the built-in kinds may repeat (`env`, `ports`, `hostAliases`) are atomic here: what is accepted there
//! is accepted here.

use serde_json::{Map, Value, json};

/// What a quantity looks like (`k8s.io/apimachinery/pkg/api/resource`).
const QUANTITY: &str =
    r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$";
/// RFC 1123, a label.
const NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// Completes the schemas of types, by merge patches.
pub(crate) fn complete(definitions: &mut Map<String, Value>) {
    for (name, schema) in definitions.iter_mut() {
        let short = name.rsplit('.').next().unwrap_or_default();
        if let Some(patch) = patch(short) {
            json_patch::merge(schema, &patch);
        }
        // Go's empty time is written as null by those who write a template's metadata.
        let time = schema.pointer_mut("/properties/creationTimestamp");
        if let Some(time) = time {
            time["nullable"] = json!(true);
        }
    }
}

fn default(value: Value) -> Value {
    json!({ "default": value })
}

/// Items that a key tells apart.
fn unique(keys: &[&str]) -> Value {
    json!({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys })
}

fn properties(fields: Value) -> Value {
    json!({ "properties": fields })
}

fn patch(name: &str) -> Option<Value> {
    let port = json!({ "minimum": 1, "maximum": 65535 });
    let named = json!({ "pattern": NAME, "maxLength": 63 });
    let not_negative = json!({ "minimum": 0 });
    let mode = json!({ "default": 420, "minimum": 0, "maximum": 511 });
    Some(match name {
        "Quantity" => json!({ "pattern": QUANTITY }),
        "PodSpec" => properties(json!({
            "activeDeadlineSeconds": { "minimum": 1 },
            "containers": {
                "minItems": 1,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
            "dnsPolicy": {
                "default": "ClusterFirst",
                "enum": ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
            },
            // They are added to pods that run.
            "ephemeralContainers": { "maxItems": 0 },
            "initContainers": unique(&["name"]),
            "resourceClaims": unique(&["name"]),
            "restartPolicy": default(json!("Always")),
            "schedulerName": default(json!("default-scheduler")),
            "securityContext": default(json!({})),
            "terminationGracePeriodSeconds": default(json!(30)),
            "topologySpreadConstraints": unique(&["topologyKey", "whenUnsatisfiable"]),
            "volumes": unique(&["name"]),
        })),
        "Container" => json!({
            "required": ["name", "image"],
            "properties": {
                "image": { "minLength": 1 },
                "imagePullPolicy": { "enum": ["Always", "IfNotPresent", "Never"] },
                "name": named,
                "resources": default(json!({})),
                "terminationMessagePath": default(json!("/dev/termination-log")),
                "terminationMessagePolicy": {
                    "default": "File",
                    "enum": ["FallbackToLogsOnError", "File"],
                },
                "volumeDevices": unique(&["devicePath"]),
                "volumeMounts": unique(&["mountPath"]),
            },
        }),
        "ContainerPort" => properties(json!({
            "containerPort": port,
            "hostPort": { "minimum": 0, "maximum": 65535 },
            "protocol": { "default": "TCP", "enum": ["TCP", "UDP", "SCTP"] },
        })),
        "Probe" => properties(json!({
            "failureThreshold": { "default": 3, "minimum": 1 },
            "initialDelaySeconds": not_negative,
            "periodSeconds": { "default": 10, "minimum": 1 },
            "successThreshold": { "default": 1, "minimum": 1 },
            "timeoutSeconds": { "default": 1, "minimum": 1 },
        })),
        "HTTPGetAction" => properties(json!({
            "path": default(json!("/")),
            "scheme": { "default": "HTTP", "enum": ["HTTP", "HTTPS"] },
        })),
        "GRPCAction" => properties(json!({ "port": port, "service": default(json!("")) })),
        "Volume" => properties(json!({ "name": named })),
        "VolumeMount" => properties(json!({ "mountPath": { "minLength": 1 } })),
        "SecretVolumeSource"
        | "ConfigMapVolumeSource"
        | "DownwardAPIVolumeSource"
        | "ProjectedVolumeSource" => properties(json!({ "defaultMode": mode })),
        "HostPathVolumeSource" => properties(json!({ "type": default(json!("")) })),
        "ISCSIVolumeSource" => properties(json!({ "iscsiInterface": default(json!("default")) })),
        "RBDVolumeSource" => properties(json!({
            "keyring": default(json!("/etc/ceph/keyring")),
            "pool": default(json!("rbd")),
            "user": default(json!("admin")),
        })),
        "AzureDiskVolumeSource" => properties(json!({
            "cachingMode": default(json!("ReadWrite")),
            "fsType": default(json!("ext4")),
            "kind": default(json!("Shared")),
            "readOnly": default(json!(false)),
        })),
        "ScaleIOVolumeSource" => properties(json!({
            "fsType": default(json!("xfs")),
            "storageMode": default(json!("ThinProvisioned")),
        })),
        "ServiceAccountTokenProjection" => {
            properties(json!({ "expirationSeconds": { "default": 3600, "minimum": 600 } }))
        }
        "ObjectFieldSelector" => properties(json!({ "apiVersion": default(json!("v1")) })),
        "PersistentVolumeClaimSpec" => {
            properties(json!({ "volumeMode": default(json!("Filesystem")) }))
        }
        "PodFailurePolicyOnPodConditionsPattern" => {
            properties(json!({ "status": default(json!("True")) }))
        }
        "LabelSelector" => json!({ "x-kubernetes-map-type": "atomic" }),
        "DaemonSetStatus"
        | "DeploymentStatus"
        | "ReplicaSetStatus"
        | "StatefulSetStatus"
        | "HorizontalPodAutoscalerStatus" => properties(json!({ "conditions": unique(&["type"]) })),
        "RawExtension" => json!({ "x-kubernetes-preserve-unknown-fields": true }),
        _ => return None,
    })
}
