//! What makes an object invalid, as far as controllers and their users meet it.
//! `pkg/apis/{core,apps}/validation/validation.go`, `apimachinery pkg/api/validation`.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::custom::{Custom, DEFINITION, check as definition};
use crate::kinds::Kind;
use crate::meta;
use crate::refusal::{self, Answer, Wrong};
use crate::selector::label_selector_matches;

/// The words that `field.ErrorList` puts around a cause.
struct Wrongs(Vec<Wrong>);

impl Wrongs {
    fn required(&mut self, field: &str, detail: &str) {
        let colon = if detail.is_empty() { "" } else { ": " };
        let message = format!("Required value{colon}{detail}");
        self.push(field, "FieldValueRequired", message);
    }

    fn invalid(&mut self, field: &str, value: &Value, detail: &str) {
        self.push(
            field,
            "FieldValueInvalid",
            format!("Invalid value: {value}: {detail}"),
        );
    }

    fn forbidden(&mut self, field: &str, detail: &str) {
        self.push(field, "FieldValueForbidden", format!("Forbidden: {detail}"));
    }

    fn unsupported(&mut self, field: &str, value: &Value, supported: &str) {
        let message = format!("Unsupported value: {value}: supported values: {supported}");
        self.push(field, "FieldValueNotSupported", message);
    }

    fn duplicate(&mut self, field: &str, value: &Value) {
        self.push(
            field,
            "FieldValueDuplicate",
            format!("Duplicate value: {value}"),
        );
    }

    fn push(&mut self, field: &str, reason: &'static str, message: String) {
        self.0.push(Wrong {
            field: field.to_owned(),
            reason,
            message,
        });
    }

    fn answer(self, kind: &Kind, object: &Value) -> Answer<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(refusal::invalid(kind, meta::name(object), &self.0))
        }
    }
}

/// Checks an object that is about to be created.
pub(crate) fn create(kind: &Kind, object: &Value, custom: Option<&Custom>) -> Answer<()> {
    let mut wrongs = Wrongs(Vec::new());
    metadata(kind, object, &mut wrongs);
    wrongs.0.extend(
        custom
            .map(|custom| custom.check(object, ""))
            .unwrap_or_default(),
    );
    if kind.rules() == DEFINITION {
        definition(kind, object)?;
    }
    body(kind, object, &mut wrongs);
    wrongs.answer(kind, object)
}

/// Checks what an update makes of an object.
pub(crate) fn update(
    (kind, subresource): (&Kind, &str),
    new: &Value,
    old: &Value,
    custom: Option<&Custom>,
) -> Answer<()> {
    let mut wrongs = Wrongs(Vec::new());
    let check = |custom: &Custom| custom.check(new, subresource);
    wrongs.0.extend(custom.map(check).unwrap_or_default());
    if kind.rules() == DEFINITION {
        definition(kind, new)?;
    }
    metadata(kind, new, &mut wrongs);
    for field in ["uid", "name", "namespace", "deletionTimestamp"] {
        let pointer = format!("/metadata/{field}");
        immutable(
            new,
            old,
            &pointer,
            &format!("metadata.{field}"),
            &mut wrongs,
        );
    }
    if meta::deleting(old) {
        let before = meta::finalizers(old);
        let more: Vec<String> = meta::finalizers(new)
            .into_iter()
            .filter(|f| !before.contains(f))
            .collect();
        if !more.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers {more:?}"
            );
            wrongs.forbidden("metadata.finalizers", &detail);
        }
    }
    body(kind, new, &mut wrongs);
    changes(kind, new, old, &mut wrongs);
    wrongs.answer(kind, new)
}

fn immutable(new: &Value, old: &Value, pointer: &str, field: &str, wrongs: &mut Wrongs) {
    let value = new.pointer(pointer);
    if value != old.pointer(pointer) {
        wrongs.invalid(field, value.unwrap_or(&Value::Null), "field is immutable");
    }
}

/// Fields that may not change, by kind; `data` of immutable ConfigMaps and Secrets and the spec of
/// pods have rules of their own below.
const IMMUTABLE: &[(&str, &str, &str)] = &[
    ("ReplicaSet", "/spec/selector", "spec.selector"),
    ("Deployment", "/spec/selector", "spec.selector"),
    ("DaemonSet", "/spec/selector", "spec.selector"),
    ("StatefulSet", "/spec/selector", "spec.selector"),
    ("StatefulSet", "/spec/serviceName", "spec.serviceName"),
    (
        "StatefulSet",
        "/spec/podManagementPolicy",
        "spec.podManagementPolicy",
    ),
    (
        "StatefulSet",
        "/spec/volumeClaimTemplates",
        "spec.volumeClaimTemplates",
    ),
    ("Job", "/spec/selector", "spec.selector"),
    ("Job", "/spec/completionMode", "spec.completionMode"),
    ("EndpointSlice", "/addressType", "addressType"),
    ("ControllerRevision", "/data", "data"),
    ("Secret", "/type", "type"),
];

fn changes(kind: &Kind, new: &Value, old: &Value, wrongs: &mut Wrongs) {
    for (_, pointer, field) in IMMUTABLE.iter().filter(|(k, ..)| *k == kind.rules()) {
        immutable(new, old, pointer, field, wrongs);
    }
    match kind.rules() {
        "Pod" => pod_changes(new, old, wrongs),
        "ConfigMap" | "Secret" if old.get("immutable") == Some(&json!(true)) => {
            if new.get("immutable") != Some(&json!(true)) {
                wrongs.forbidden("immutable", "field is immutable when `immutable` is set");
            }
            if new.get("data") != old.get("data") {
                wrongs.forbidden("data", "field is immutable when `immutable` is set");
            }
        }
        "Service" => {
            let of = |v: &Value| v.pointer("/spec/clusterIP").cloned().unwrap_or(Value::Null);
            let external = |v: &Value| meta::text(v, "/spec/type") == "ExternalName";
            if of(new) != of(old) && !external(new) && !external(old) {
                wrongs.invalid("spec.clusterIPs[0]", &of(new), "may not change once set");
            }
        }
        _ => {}
    }
}

// validation.go ValidatePodUpdate: images, activeDeadlineSeconds, tolerations (additions only),
// scheduling gates (removals only) and a negative grace period may change, nothing else.
fn pod_changes(new: &Value, old: &Value, wrongs: &mut Wrongs) {
    let (mut mine, theirs) = (spec(new), spec(old));
    for list in ["containers", "initContainers"] {
        let images: Vec<Option<Value>> = meta::array(&theirs, &format!("/{list}"))
            .iter()
            .map(|c| c.get("image").cloned())
            .collect();
        let count = meta::array(&mine, &format!("/{list}")).len();
        if count != images.len() {
            wrongs.forbidden(
                &format!("spec.{list}"),
                "pod updates may not add or remove containers",
            );
            return;
        }
        for (at, image) in images.into_iter().enumerate() {
            if let Some(map) = mine.get_mut(list).and_then(|l| l[at].as_object_mut()) {
                meta::set(map, "image", image);
            }
        }
    }
    let kept = meta::array(&theirs, "/tolerations")
        .iter()
        .all(|t| meta::array(&mine, "/tolerations").contains(t));
    if !kept {
        wrongs.forbidden(
            "spec.tolerations",
            "existing toleration can not be modified except its tolerationSeconds",
        );
    }
    let gates = meta::array(&theirs, "/schedulingGates").to_vec();
    if meta::array(&mine, "/schedulingGates")
        .iter()
        .any(|g| !gates.contains(g))
    {
        wrongs.forbidden(
            "spec.schedulingGates",
            "only deletion is allowed, but found new scheduling gates",
        );
    }
    for field in ["tolerations", "schedulingGates", "activeDeadlineSeconds"] {
        meta::copy(&mut mine, &theirs, field);
    }
    if meta::number(&theirs, "/terminationGracePeriodSeconds").is_some_and(|s| s < 0) {
        meta::copy(&mut mine, &theirs, "terminationGracePeriodSeconds");
    }
    if mine != theirs {
        wrongs.forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,\
             `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` \
             (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` \
             (allow it to be set to 1 if it was previously negative)\n",
        );
    }
}

fn spec(object: &Value) -> Value {
    object.get("spec").cloned().unwrap_or_else(|| json!({}))
}

fn metadata(kind: &Kind, object: &Value, wrongs: &mut Wrongs) {
    let name = meta::name(object);
    if name.is_empty() {
        wrongs.required("metadata.name", "name or generateName is required");
    } else if !name_is_valid(kind, name) {
        let detail = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                      characters, '-' or '.', and must start and end with an alphanumeric character";
        wrongs.invalid("metadata.name", &json!(name), detail);
    }
    label_map(meta::labels(object), "metadata.labels", wrongs);
    for (at, owner) in meta::array(object, "/metadata/ownerReferences")
        .iter()
        .enumerate()
    {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if meta::text(owner, &format!("/{field}")).is_empty() {
                let field = format!("metadata.ownerReferences[{at}].{field}");
                wrongs.invalid(&field, &json!(""), "must not be empty");
            }
        }
    }
    let controllers = meta::array(object, "/metadata/ownerReferences")
        .iter()
        .filter(|o| o.get("controller") == Some(&json!(true)))
        .count();
    if controllers > 1 {
        let detail = "Only one reference can have Controller set to true";
        wrongs.invalid("metadata.ownerReferences", &Value::Null, detail);
    }
}

fn name_is_valid(kind: &Kind, name: &str) -> bool {
    let label = |part: &str| {
        let edge =
            |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().last())
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    match kind.rules() {
        "Namespace" | "Service" => name.len() <= 63 && label(name),
        _ => name.len() <= 253 && name.split('.').all(label),
    }
}

fn label_map(labels: Option<&Map<String, Value>>, field: &str, wrongs: &mut Wrongs) {
    for (key, value) in labels.into_iter().flatten() {
        let word = |text: &str| {
            let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
            let inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            text.len() <= 63
                && edge(text.chars().next())
                && edge(text.chars().last())
                && text.chars().all(inside)
        };
        if !word(key.rsplit('/').next().unwrap_or(key)) {
            wrongs.invalid(
                field,
                &json!(key),
                "name part must consist of alphanumeric characters",
            );
        }
        let text = value.as_str().unwrap_or("");
        if !text.is_empty() && !word(text) {
            wrongs.invalid(
                field,
                value,
                "a valid label must be an empty string or consist of alphanumeric characters",
            );
        }
    }
}

fn body(kind: &Kind, object: &Value, wrongs: &mut Wrongs) {
    match kind.rules() {
        "Pod" => pod_spec(object, "/spec", "spec", wrongs),
        "ReplicaSet" | "Deployment" | "DaemonSet" | "StatefulSet" => workload(object, wrongs),
        "ReplicationController" => {
            replicas(object, wrongs);
            let selector = object.pointer("/spec/selector");
            let wanted = json!({ "matchLabels": selector.cloned().unwrap_or_else(|| json!({})) });
            if selector.is_none() {
                wrongs.required("spec.selector", "");
            }
            template_matches(object, Some(&wanted), wrongs);
        }
        "Service" => service(object, wrongs),
        "Endpoints" => endpoints(object, wrongs),
        "EndpointSlice" => endpoint_slice(object, wrongs),
        "Lease" => lease(object, wrongs),
        "ConfigMap" => {
            for key in object
                .get("data")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                let ok = !key.0.is_empty()
                    && key
                        .0
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
                if !ok {
                    let detail = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
                    wrongs.invalid(&format!("data[{}]", key.0), &json!(key.0), detail);
                }
            }
        }
        _ => {}
    }
}

// validation.go validateEndpointSubsets.
fn endpoints(object: &Value, wrongs: &mut Wrongs) {
    for (at, subset) in meta::array(object, "/subsets").iter().enumerate() {
        let lists = ["addresses", "notReadyAddresses"];
        let all = || lists.map(|list| (list, meta::array(subset, &format!("/{list}"))));
        if all().iter().all(|(_, addresses)| addresses.is_empty()) {
            let detail = "must specify `addresses` or `notReadyAddresses`";
            wrongs.required(&format!("subsets[{at}]"), detail);
        }
        for (list, addresses) in all() {
            for (i, address) in addresses.iter().enumerate() {
                let field = format!("subsets[{at}].{list}[{i}].ip");
                endpoint_ip(&field, meta::text(address, "/ip"), wrongs);
            }
        }
    }
}

// validation.go ValidateEndpointIP.
fn endpoint_ip(field: &str, ip: &str, wrongs: &mut Wrongs) {
    let detail = match ip.parse::<IpAddr>() {
        Err(_) => "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        Ok(ip) if ip.is_unspecified() => "may not be unspecified",
        Ok(ip) if ip.is_loopback() => "may not be in the loopback range",
        Ok(ip) if ip.is_multicast() => "may not be in the multicast range",
        Ok(IpAddr::V4(ip)) if ip.is_link_local() => "may not be in the link-local range",
        Ok(_) => return,
    };
    wrongs.invalid(field, &json!(ip), detail);
}

// pkg/apis/discovery/validation/validation.go ValidateEndpointSlice.
fn endpoint_slice(object: &Value, wrongs: &mut Wrongs) {
    let family = meta::text(object, "/addressType");
    match family {
        "" => wrongs.required("addressType", ""),
        "FQDN" | "IPv4" | "IPv6" => {}
        other => {
            let supported = "\"FQDN\", \"IPv4\", \"IPv6\"";
            wrongs.unsupported("addressType", &json!(other), supported);
        }
    }
    for (at, endpoint) in meta::array(object, "/endpoints").iter().enumerate() {
        let field = format!("endpoints[{at}].addresses");
        let addresses = meta::array(endpoint, "/addresses");
        if addresses.is_empty() {
            wrongs.required(&field, "must contain at least 1 address");
        }
        for (i, address) in addresses.iter().enumerate() {
            let (field, ip) = (format!("{field}[{i}]"), address.as_str().unwrap_or(""));
            let parsed = ip.parse::<IpAddr>().ok();
            match family {
                "IPv4" if !parsed.is_some_and(|ip| ip.is_ipv4()) => {
                    wrongs.invalid(&field, address, "must be a valid IPv4 address");
                }
                "IPv6" if !parsed.is_some_and(|ip| ip.is_ipv6()) => {
                    wrongs.invalid(&field, address, "must be a valid IPv6 address");
                }
                "IPv4" | "IPv6" => endpoint_ip(&field, ip, wrongs),
                _ => {}
            }
        }
    }
    let mut names: Vec<&str> = Vec::new();
    for (at, port) in meta::array(object, "/ports").iter().enumerate() {
        let name = meta::text(port, "/name");
        if names.contains(&name) {
            wrongs.duplicate(&format!("ports[{at}].name"), &json!(name));
        }
        names.push(name);
    }
}

// pkg/apis/coordination/validation/validation.go ValidateLeaseSpec.
fn lease(object: &Value, wrongs: &mut Wrongs) {
    for (field, least) in [("leaseDurationSeconds", 1), ("leaseTransitions", 0)] {
        if let Some(value) = object.pointer(&format!("/spec/{field}"))
            && value.as_i64().is_some_and(|number| number < least)
        {
            let detail = format!("must be greater than or equal to {least}");
            wrongs.invalid(&format!("spec.{field}"), value, &detail);
        }
    }
}

fn replicas(object: &Value, wrongs: &mut Wrongs) {
    for field in ["replicas", "minReadySeconds"] {
        let value = object.pointer(&format!("/spec/{field}"));
        if value.and_then(Value::as_i64).is_some_and(|n| n < 0) {
            let detail = "must be greater than or equal to 0";
            wrongs.invalid(
                &format!("spec.{field}"),
                value.unwrap_or(&Value::Null),
                detail,
            );
        }
    }
}

fn workload(object: &Value, wrongs: &mut Wrongs) {
    replicas(object, wrongs);
    let selector = object.pointer("/spec/selector");
    match selector {
        None => wrongs.required("spec.selector", ""),
        Some(map) if map.as_object().is_some_and(Map::is_empty) => {
            wrongs.invalid(
                "spec.selector",
                map,
                "empty selector is invalid for deployment",
            );
        }
        Some(_) => template_matches(object, selector, wrongs),
    }
    pod_spec(object, "/spec/template/spec", "spec.template.spec", wrongs);
    let restart = meta::text(object, "/spec/template/spec/restartPolicy");
    if restart != "Always" {
        let field = "spec.template.spec.restartPolicy";
        wrongs.unsupported(field, &json!(restart), "\"Always\"");
    }
    let strategy = |field: &str| {
        let value = object.pointer(&format!("/spec/strategy/rollingUpdate/{field}"));
        value.is_some_and(|v| *v == json!(0) || *v == json!("0%"))
    };
    if strategy("maxSurge") && strategy("maxUnavailable") {
        let detail = "may not be 0 when `maxSurge` is 0";
        wrongs.invalid(
            "spec.strategy.rollingUpdate.maxUnavailable",
            &json!(0),
            detail,
        );
    }
    if meta::text(object, "/spec/strategy/type") == "Recreate"
        && object.pointer("/spec/strategy/rollingUpdate").is_some()
    {
        let detail = "may not be specified when strategy `type` is 'Recreate'";
        wrongs.forbidden("spec.strategy.rollingUpdate", detail);
    }
}

fn template_matches(object: &Value, selector: Option<&Value>, wrongs: &mut Wrongs) {
    let labels = object.pointer("/spec/template/metadata/labels");
    if !label_selector_matches(selector, labels.and_then(Value::as_object)) {
        let shown = labels.cloned().unwrap_or_else(|| json!({}));
        let detail = "`selector` does not match template `labels`";
        wrongs.invalid("spec.template.metadata.labels", &shown, detail);
    }
}

fn pod_spec(object: &Value, pointer: &str, field: &str, wrongs: &mut Wrongs) {
    let containers = meta::array(object, &format!("{pointer}/containers"));
    if containers.is_empty() {
        wrongs.required(&format!("{field}.containers"), "");
    }
    let mut names = Vec::new();
    for (at, container) in containers.iter().enumerate() {
        let name = meta::text(container, "/name");
        let place = format!("{field}.containers[{at}]");
        if name.is_empty() {
            wrongs.required(&format!("{place}.name"), "");
        } else if names.contains(&name) {
            wrongs.duplicate(&format!("{place}.name"), &json!(name));
        }
        names.push(name);
        if meta::text(container, "/image").is_empty() {
            wrongs.required(&format!("{place}.image"), "");
        }
    }
    let restart = meta::text(object, &format!("{pointer}/restartPolicy"));
    if !["Always", "OnFailure", "Never"].contains(&restart) {
        let supported = "\"Always\", \"OnFailure\", \"Never\"";
        wrongs.unsupported(
            &format!("{field}.restartPolicy"),
            &json!(restart),
            supported,
        );
    }
}

fn service(object: &Value, wrongs: &mut Wrongs) {
    let ports = meta::array(object, "/spec/ports");
    let headless = meta::text(object, "/spec/clusterIP") == "None";
    let kind = meta::text(object, "/spec/type");
    if ports.is_empty() && !headless && kind != "ExternalName" {
        wrongs.required("spec.ports", "");
    }
    if !["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"].contains(&kind) {
        let supported = "\"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"";
        wrongs.unsupported("spec.type", &json!(kind), supported);
    }
    if kind == "ExternalName" && !["", "None"].contains(&meta::text(object, "/spec/clusterIP")) {
        wrongs.forbidden(
            "spec.clusterIPs",
            "may not be set for ExternalName services",
        );
    }
    let mut seen: Vec<(i64, &str)> = Vec::new();
    for (at, port) in ports.iter().enumerate() {
        let number = meta::number(port, "/port").unwrap_or(0);
        if !(1..=65535).contains(&number) {
            let detail = "must be between 1 and 65535, inclusive";
            wrongs.invalid(&format!("spec.ports[{at}].port"), &json!(number), detail);
        }
        if ports.len() > 1 && meta::text(port, "/name").is_empty() {
            wrongs.required(&format!("spec.ports[{at}].name"), "");
        }
        let this = (number, meta::text(port, "/protocol"));
        if seen.contains(&this) {
            wrongs.duplicate(&format!("spec.ports[{at}]"), port);
        }
        seen.push(this);
    }
}
