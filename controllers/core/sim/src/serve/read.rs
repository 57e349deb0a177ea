//! Lists and discovery.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

use super::route::Route;
use super::{Reply, refused, reply, text};
use crate::kinds::Kind;
use crate::refusal::{self, Answer};
use crate::state::{Key, Object, State};

/// A page of a list, from now or from the revision that the request or a fault names.
pub(super) fn list(
    state: &State,
    route: &Route,
    partial: bool,
    stale: Option<u64>,
) -> Answer<Reply> {
    let table = route.table;
    let selector = route.selector()?;
    let (asked, after) = from(route)?;
    if asked > state.revision {
        return Err(refusal::too_large(asked, state.revision));
    }
    let exact = after.is_some() || route.text("resourceVersionMatch") == "Exact";
    let revision = match stale {
        Some(stale) => stale.min(state.revision),
        None if exact => asked,
        None => state.revision,
    };
    let past: BTreeMap<Key, Arc<Object>>;
    let objects = if revision == state.revision {
        &state.stores[route.kind].objects
    } else {
        let compacted = state.stores[route.kind].compacted;
        past = state
            .at(route.kind, revision)
            .ok_or_else(|| refusal::too_old(revision, compacted))?;
        &past
    };
    let limit = route.text("limit").parse::<usize>().unwrap_or(0);
    let mut body = BytesMut::new();
    let (mut items, mut left) = (0, 0);
    let mut last: Option<&Key> = None;
    for (key, object) in objects {
        let wanted = (route.namespace.is_empty() || key.0 == route.namespace)
            && after.as_ref().is_none_or(|after| key > after)
            && selector.matches(&object.value);
        if !wanted {
            continue;
        }
        if limit > 0 && items == limit {
            left += 1;
            continue;
        }
        if items > 0 {
            body.put_u8(b',');
        }
        if partial {
            body.extend_from_slice(&object.partial());
        } else {
            body.extend_from_slice(&object.bytes);
        }
        items += 1;
        last = Some(key);
    }
    let mut metadata = json!({ "resourceVersion": revision.to_string() });
    if let Some((namespace, name)) = last.filter(|_| left > 0) {
        metadata["continue"] = json!(format!("{revision}/{namespace}/{name}"));
        if selector.everything() {
            metadata["remainingItemCount"] = json!(left);
        }
    }
    let (kind, version) = if partial {
        (
            "PartialObjectMetadataList".to_owned(),
            "meta.k8s.io/v1".to_owned(),
        )
    } else {
        (format!("{}List", table.kind), table.api_version())
    };
    let head =
        format!(r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{metadata},"items":["#);
    let mut whole = BytesMut::with_capacity(head.len() + body.len() + 2);
    whole.extend_from_slice(head.as_bytes());
    whole.extend_from_slice(&body);
    whole.extend_from_slice(b"]}");
    Ok(text(200, whole.freeze()))
}

/// The revision that a list asks for (0: any), and the key after which a page begins.
fn from(route: &Route) -> Answer<(u64, Option<Key>)> {
    let token = route.text("continue");
    if token.is_empty() {
        let version = route.text("resourceVersion");
        return version_of(version).map(|revision| (revision, None));
    }
    let parts: Vec<&str> = token.splitn(3, '/').collect();
    match parts.as_slice() {
        [revision, namespace, name] => {
            let revision = version_of(revision)?;
            Ok((
                revision,
                Some(((*namespace).to_owned(), (*name).to_owned())),
            ))
        }
        _ => Err(refusal::bad_request("continue key is not valid")),
    }
}

/// A resourceVersion; none is 0.
pub(crate) fn version_of(text: &str) -> Answer<u64> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        refusal::bad_request(format!(
            "Invalid value: {text:?}: resource version must be a number"
        ))
    })
}

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// `/version`, `/api`, `/apis` and the resources of each group version.
pub(super) fn discovery(state: &State, path: &str, accept: &str) -> Reply {
    let kinds: Vec<&Kind> = state.served().map(|(_, kind)| kind).collect();
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let aggregated = accept.contains("as=APIGroupDiscoveryList");
    match parts.as_slice() {
        [root @ ("api" | "apis")] if aggregated => reply(200, &all_groups(&kinds, *root == "api")),
        ["version"] => reply(
            200,
            &json!({
                "major": "1", "minor": "36", "gitVersion": "v1.36.0+sim", "gitCommit": "",
                "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
            }),
        ),
        ["healthz" | "livez" | "readyz", ..] => text(200, "ok".into()),
        ["api"] => reply(
            200,
            &json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] }),
        ),
        ["apis"] => reply(200, &groups(&kinds)),
        ["api", version] => resources(&kinds, "", version),
        ["apis", group, version] => resources(&kinds, group, version),
        _ => refused(&refusal::no_such_path()),
    }
}

/// The groups with all their resources, or the core group (`k8s.io/api/apidiscovery/v2`).
fn all_groups(kinds: &[&Kind], core: bool) -> Value {
    let resource = |kind: &Kind| {
        json!({
            "resource": kind.plural,
            "responseKind": { "group": kind.group, "version": kind.version, "kind": kind.kind },
            "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
            "verbs": VERBS,
        })
    };
    let mut groups: Vec<(&str, &str, Vec<Value>)> = Vec::new();
    for kind in kinds.iter().filter(|kind| kind.group.is_empty() == core) {
        let is_it = |(group, version, _): &&mut (&str, &str, Vec<Value>)| {
            (*group, *version) == (kind.group, kind.version)
        };
        match groups.iter_mut().find(is_it) {
            Some((.., resources)) => resources.push(resource(kind)),
            None => groups.push((kind.group, kind.version, vec![resource(kind)])),
        }
    }
    let items = groups.into_iter().map(|(group, version, resources)| {
        json!({
            "metadata": { "name": group },
            "versions": [{ "version": version, "freshness": "Current", "resources": resources }],
        })
    });
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": items.collect::<Vec<_>>(),
    })
}

fn groups(kinds: &[&Kind]) -> Value {
    let mut seen = Vec::new();
    for kind in kinds.iter().filter(|k| !k.group.is_empty()) {
        if !seen.contains(&(kind.group, kind.version)) {
            seen.push((kind.group, kind.version));
        }
    }
    let groups: Vec<Value> = seen
        .into_iter()
        .map(|(group, version)| {
            let version =
                json!({ "groupVersion": format!("{group}/{version}"), "version": version });
            json!({ "name": group, "versions": [version], "preferredVersion": version })
        })
        .collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

fn resources(kinds: &[&Kind], group: &str, version: &str) -> Reply {
    let of = |kind: &&Kind| {
        let mut lines = vec![json!({
            "name": kind.plural, "singularName": kind.kind.to_lowercase(), "kind": kind.kind,
            "namespaced": kind.namespaced, "verbs": VERBS,
        })];
        for (has, name) in [(kind.status, "status"), (kind.scale, "scale")] {
            if has {
                let shown = if name == "scale" { "Scale" } else { kind.kind };
                lines.push(json!({
                    "name": format!("{}/{name}", kind.plural), "singularName": "",
                    "kind": shown, "namespaced": kind.namespaced, "verbs": ["get", "patch", "update"],
                }));
            }
        }
        lines
    };
    let lines: Vec<Value> = kinds
        .iter()
        .filter(|k| k.group == group && k.version == version)
        .flat_map(of)
        .collect();
    if lines.is_empty() {
        return refused(&refusal::no_such_path());
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    reply(
        200,
        &json!({
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": group_version, "resources": lines,
        }),
    )
}
