//! What the server fills in. `pkg/apis/<group>/v1/defaults.go`, the `PrepareForCreate` of the
//! strategies, and the admission plugins that are on by default (Priority,
//! DefaultTolerationSeconds, NamespaceLifecycle).

use serde_json::{Map, Value, json};

use crate::kinds::Kind;
use crate::meta::{self, child};

/// Fills in the fields of a kind that depend on nothing but the object; runs on every write.
pub(crate) fn fill(kind: &Kind, object: &mut Value) {
    match kind.rules() {
        "Pod" => {
            pod_spec(child(object, "spec"));
            pod(child(object, "spec"));
            tolerate(child(object, "spec"));
        }
        "ReplicaSet" => {
            let spec = child(object, "spec");
            or(spec, "replicas", json!(1));
            template(spec);
        }
        "ReplicationController" => {
            let spec = child(object, "spec");
            or(spec, "replicas", json!(1));
            template(spec);
            let labels = spec
                .get("template")
                .and_then(|t| t.pointer("/metadata/labels"))
                .cloned();
            if let Some(labels) = labels {
                or(spec, "selector", labels.clone());
                or(meta::metadata(object), "labels", labels);
            }
        }
        "Deployment" => deployment(child(object, "spec")),
        "StatefulSet" => stateful_set(child(object, "spec")),
        "DaemonSet" => {
            let spec = child(object, "spec");
            template(spec);
            or(spec, "revisionHistoryLimit", json!(10));
            let strategy = member(spec, "updateStrategy");
            or(strategy, "type", json!("RollingUpdate"));
            if strategy["type"] == "RollingUpdate" {
                let rolling = member(strategy, "rollingUpdate");
                or(rolling, "maxUnavailable", json!(1));
                or(rolling, "maxSurge", json!(0));
            }
        }
        "CronJob" => {
            let spec = child(object, "spec");
            or(spec, "concurrencyPolicy", json!("Allow"));
            or(spec, "suspend", json!(false));
            or(spec, "successfulJobsHistoryLimit", json!(3));
            or(spec, "failedJobsHistoryLimit", json!(1));
            template(member(member(spec, "jobTemplate"), "spec"));
        }
        "Job" => {
            let spec = child(object, "spec");
            template(spec);
            if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
                or(spec, "completions", json!(1));
            }
            or(spec, "parallelism", json!(1));
            let per_index = spec.contains_key("backoffLimitPerIndex");
            or(
                spec,
                "backoffLimit",
                json!(if per_index { i32::MAX } else { 6 }),
            );
            or(spec, "completionMode", json!("NonIndexed"));
            or(spec, "suspend", json!(false));
            or(spec, "manualSelector", json!(false));
            let replace = if spec.contains_key("podFailurePolicy") {
                "Failed"
            } else {
                "TerminatingOrFailed"
            };
            or(spec, "podReplacementPolicy", json!(replace));
        }
        "Service" => service(object),
        "Endpoints" => {
            for subset in items(object.as_object_mut(), "subsets") {
                for port in items(Some(subset), "ports") {
                    or(port, "protocol", json!("TCP"));
                }
            }
        }
        "EndpointSlice" => {
            for endpoint in items(object.as_object_mut(), "endpoints") {
                member(endpoint, "conditions");
            }
            for port in items(object.as_object_mut(), "ports") {
                or(port, "name", json!(""));
                or(port, "protocol", json!("TCP"));
            }
            let map = child_of(object);
            or(map, "endpoints", Value::Null);
            or(map, "ports", Value::Null);
        }
        "Secret" => secret(object),
        "Lease" => {
            child(object, "spec");
        }
        "Namespace" => {
            or(child(object, "status"), "phase", json!("Active"));
            let name = json!(meta::name(object));
            member(meta::metadata(object), "labels")
                .insert("kubernetes.io/metadata.name".to_owned(), name);
        }
        "PersistentVolumeClaim" => {
            or(child(object, "spec"), "volumeMode", json!("Filesystem"));
        }
        "PersistentVolume" => {
            let spec = child(object, "spec");
            or(spec, "volumeMode", json!("Filesystem"));
            or(spec, "persistentVolumeReclaimPolicy", json!("Retain"));
        }
        "StorageClass" => {
            if let Some(class) = object.as_object_mut() {
                or(class, "reclaimPolicy", json!("Delete"));
                or(class, "volumeBindingMode", json!("Immediate"));
            }
        }
        _ => {}
    }
}

/// Fills in what is given once, at creation.
pub(crate) fn fill_new(kind: &Kind, object: &mut Value) {
    match kind.rules() {
        "Pod" => {
            let gated = !meta::array(object, "/spec/schedulingGates").is_empty();
            let mut status = json!({ "phase": "Pending", "qosClass": qos(object) });
            if gated {
                status["conditions"] = json!([{
                    "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
                    "message": "Scheduling is blocked due to non-empty scheduling gates",
                }]);
            }
            object["status"] = status;
            let spec = child(object, "spec");
            or(spec, "priority", json!(0));
            or(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
        }
        "ReplicaSet" | "ReplicationController" => object["status"] = json!({ "replicas": 0 }),
        "StatefulSet" => object["status"] = json!({ "replicas": 0, "availableReplicas": 0 }),
        "DaemonSet" => {
            object["status"] = json!({
                "currentNumberScheduled": 0, "numberMisscheduled": 0,
                "desiredNumberScheduled": 0, "numberReady": 0,
            });
            let spec = child(object, "spec");
            spec.remove("templateGeneration");
        }
        "Deployment" | "CronJob" | "Job" | "ResourceQuota" => object["status"] = json!({}),
        "PodDisruptionBudget" => {
            object["status"] = json!({
                "disruptionsAllowed": 0, "currentHealthy": 0,
                "desiredHealthy": 0, "expectedPods": 0,
            });
        }
        "HorizontalPodAutoscaler" => object["status"] = json!({ "desiredReplicas": 0 }),
        "Service" => object["status"] = json!({ "loadBalancer": {} }),
        "PersistentVolumeClaim" | "PersistentVolume" => {
            object["status"] = json!({ "phase": "Pending" });
        }
        "Namespace" => {
            object["status"] = json!({ "phase": "Active" });
            let spec = child(object, "spec");
            spec.insert("finalizers".to_owned(), json!(["kubernetes"]));
        }
        _ => {}
    }
}

/// Gives a key a value if it has none.
fn or(map: &mut Map<String, Value>, key: &str, value: Value) {
    if map.get(key).is_none_or(|v| v.is_null() || *v == json!("")) {
        map.insert(key.to_owned(), value);
    }
}

fn child_of(object: &mut Value) -> &mut Map<String, Value> {
    if !object.is_object() {
        *object = json!({});
    }
    object.as_object_mut().expect("made a map just above")
}

fn member<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    child_of(map.entry(key).or_insert_with(|| json!({})))
}

/// The maps in the list under a key.
fn items<'a>(
    map: Option<&'a mut Map<String, Value>>,
    key: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    map.and_then(|m| m.get_mut(key))
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

fn deployment(spec: &mut Map<String, Value>) {
    or(spec, "replicas", json!(1));
    let strategy = member(spec, "strategy");
    or(strategy, "type", json!("RollingUpdate"));
    if strategy["type"] == "RollingUpdate" {
        let rolling = member(strategy, "rollingUpdate");
        or(rolling, "maxUnavailable", json!("25%"));
        or(rolling, "maxSurge", json!("25%"));
    }
    or(spec, "revisionHistoryLimit", json!(10));
    or(spec, "progressDeadlineSeconds", json!(600));
    template(spec);
}

fn stateful_set(spec: &mut Map<String, Value>) {
    or(spec, "podManagementPolicy", json!("OrderedReady"));
    let strategy = member(spec, "updateStrategy");
    or(strategy, "type", json!("RollingUpdate"));
    if strategy["type"] == "RollingUpdate" {
        or(member(strategy, "rollingUpdate"), "partition", json!(0));
    }
    let retention = member(spec, "persistentVolumeClaimRetentionPolicy");
    or(retention, "whenDeleted", json!("Retain"));
    or(retention, "whenScaled", json!("Retain"));
    or(spec, "replicas", json!(1));
    or(spec, "revisionHistoryLimit", json!(10));
    template(spec);
}

fn template(spec: &mut Map<String, Value>) {
    let template = member(spec, "template");
    member(template, "metadata");
    pod_spec(member(template, "spec"));
}

// defaults.go SetDefaults_PodSpec: what pods and templates have in common.
fn pod_spec(spec: &mut Map<String, Value>) {
    or(spec, "dnsPolicy", json!("ClusterFirst"));
    or(spec, "restartPolicy", json!("Always"));
    or(spec, "securityContext", json!({}));
    or(spec, "terminationGracePeriodSeconds", json!(30));
    or(spec, "schedulerName", json!("default-scheduler"));
    alias(spec);
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in items(Some(spec), list) {
            container_defaults(container);
        }
    }
    for volume in items(Some(spec), "volumes") {
        for source in ["configMap", "secret", "downwardAPI", "projected"] {
            if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
                or(source, "defaultMode", json!(420));
            }
        }
        if volume.len() <= 1 {
            or(volume, "emptyDir", json!({}));
        }
    }
}

// `serviceAccount` is the old name of `serviceAccountName`; conversion keeps them equal.
fn alias(spec: &mut Map<String, Value>) {
    if let Some(name) = spec
        .get("serviceAccountName")
        .or(spec.get("serviceAccount"))
        .cloned()
    {
        spec.insert("serviceAccount".to_owned(), name.clone());
        spec.insert("serviceAccountName".to_owned(), name);
    }
}

fn container_defaults(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or("");
    let last = image.rsplit('/').next().unwrap_or("");
    let latest = !last.contains('@') && last.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    let policy = if latest { "Always" } else { "IfNotPresent" };
    or(container, "imagePullPolicy", json!(policy));
    or(
        container,
        "terminationMessagePath",
        json!("/dev/termination-log"),
    );
    or(container, "terminationMessagePolicy", json!("File"));
    or(container, "resources", json!({}));
    for port in items(Some(container), "ports") {
        or(port, "protocol", json!("TCP"));
    }
    for variable in items(Some(container), "env") {
        let field = variable
            .get_mut("valueFrom")
            .and_then(|v| v.get_mut("fieldRef"));
        if let Some(field) = field.and_then(Value::as_object_mut) {
            or(field, "apiVersion", json!("v1"));
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) else {
            continue;
        };
        or(probe, "timeoutSeconds", json!(1));
        or(probe, "periodSeconds", json!(10));
        or(probe, "successThreshold", json!(1));
        or(probe, "failureThreshold", json!(3));
        if let Some(get) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
            or(get, "path", json!("/"));
            or(get, "scheme", json!("HTTP"));
        }
    }
}

// defaults.go SetDefaults_Pod: what a template does not get.
fn pod(spec: &mut Map<String, Value>) {
    or(spec, "enableServiceLinks", json!(true));
    for list in ["containers", "initContainers"] {
        for container in items(Some(spec), list) {
            let resources = member(container, "resources");
            let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else {
                continue;
            };
            let requests = member(resources, "requests");
            for (resource, limit) in limits {
                or(requests, &resource, limit);
            }
        }
    }
}

// The admission plugin DefaultTolerationSeconds.
fn tolerate(spec: &mut Map<String, Value>) {
    let list = spec.entry("tolerations").or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else {
        return;
    };
    for key in [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ] {
        let tolerated = list.iter().any(|t| {
            let of_key = ["", key].contains(&meta::text(t, "/key"));
            of_key && ["", "NoExecute"].contains(&meta::text(t, "/effect"))
        });
        if !tolerated {
            list.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
}

// pkg/apis/core/helper/qos GetPodQOS, for cpu and memory.
fn qos(pod: &Value) -> &'static str {
    let containers = || {
        ["/spec/containers", "/spec/initContainers"]
            .into_iter()
            .flat_map(|list| meta::array(pod, list))
    };
    let of = |container: &Value, what: &str, resource: &str| {
        let value = container
            .pointer(&format!("/resources/{what}/{resource}"))
            .cloned();
        value.filter(|v| !["0", ""].contains(&v.as_str().unwrap_or("-")))
    };
    let any = containers().any(|c| {
        ["limits", "requests"]
            .iter()
            .any(|what| ["cpu", "memory"].iter().any(|r| of(c, what, r).is_some()))
    });
    if !any {
        return "BestEffort";
    }
    let all = containers().all(|c| {
        ["cpu", "memory"].iter().all(|resource| {
            let limit = of(c, "limits", resource);
            limit.is_some() && limit == of(c, "requests", resource)
        })
    });
    if all { "Guaranteed" } else { "Burstable" }
}

fn service(object: &mut Value) {
    let spec = child(object, "spec");
    or(spec, "sessionAffinity", json!("None"));
    if spec["sessionAffinity"] == "ClientIP" {
        let client = member(member(spec, "sessionAffinityConfig"), "clientIP");
        or(client, "timeoutSeconds", json!(10800));
    } else {
        spec.remove("sessionAffinityConfig");
    }
    or(spec, "type", json!("ClusterIP"));
    for port in items(Some(spec), "ports") {
        or(port, "protocol", json!("TCP"));
        if port
            .get("targetPort")
            .is_none_or(|t| *t == json!(0) || *t == json!(""))
        {
            let number = port.get("port").cloned().unwrap_or(json!(0));
            port.insert("targetPort".to_owned(), number);
        }
    }
    let outside = spec["type"] == "NodePort" || spec["type"] == "LoadBalancer";
    if outside {
        or(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if outside || spec["type"] == "ClusterIP" {
        or(spec, "internalTrafficPolicy", json!("Cluster"));
        or(spec, "ipFamilies", json!(["IPv4"]));
        or(spec, "ipFamilyPolicy", json!("SingleStack"));
    }
    if spec["type"] == "LoadBalancer" {
        or(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
}

fn secret(object: &mut Value) {
    let map = child_of(object);
    or(map, "type", json!("Opaque"));
    if let Some(Value::Object(plain)) = map.remove("stringData") {
        let data = member(map, "data");
        for (key, value) in plain {
            let text = value.as_str().unwrap_or("");
            data.insert(key, json!(base64(text.as_bytes())));
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let of = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = of(0) << 16 | of(1) << 8 | of(2);
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}
