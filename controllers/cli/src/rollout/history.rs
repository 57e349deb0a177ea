//! The revisions of an object, and the patches that bring one back or all pods anew (upstream:
//! `polymorphichelpers/{history,rollback,objectrestarter}.go`). Pure.

use super::target::Kind;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

const REVISION: &str = "deployment.kubernetes.io/revision";
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
const HASH: &str = "pod-template-hash";
/// Annotations that are the Deployment's own and not of one of its revisions.
const KEPT: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

/// A template that the object has had.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Revision {
    pub(crate) number: i64,
    pub(crate) template: Value,
    annotations: Map<String, Value>,
}

/// What an undo comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Undo {
    /// The object has the template of this revision.
    Already(i64),
    /// This JSON patch brings it back.
    Patch(Value),
}

/// The revisions of `object` in a list of ReplicaSets or ControllerRevisions, the oldest first.
pub(crate) fn revisions(object: &Value, list: &Value) -> Vec<Revision> {
    let uid = &object["metadata"]["uid"];
    let is_own = |item: &&Value| {
        let owners = item["metadata"]["ownerReferences"].as_array();
        let mut owners = owners.into_iter().flatten();
        owners.any(|owner| owner["controller"] == true && owner["uid"] == *uid)
    };
    let items = list["items"].as_array().into_iter().flatten();
    let mut revisions: Vec<_> = items.filter(is_own).filter_map(revision).collect();
    revisions.sort_by_key(|revision| revision.number);
    revisions
}

fn revision(item: &Value) -> Option<Revision> {
    let annotations = item["metadata"]["annotations"].as_object().cloned();
    let annotations = annotations.unwrap_or_default();
    let (number, mut template) = match item.get("data") {
        Some(data) => (item["revision"].as_i64()?, data["spec"]["template"].clone()),
        None => (
            annotations.get(REVISION)?.as_str()?.parse().ok()?,
            item["spec"]["template"].clone(),
        ),
    };
    // A ControllerRevision holds a strategic merge patch.
    template.as_object_mut()?.remove("$patch");
    unhash(&mut template);
    Some(Revision {
        number,
        template,
        annotations,
    })
}

/// Takes away what tells the pods of one ReplicaSet from another's.
fn unhash(template: &mut Value) {
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH);
    }
}

/// `REVISION  CHANGE-CAUSE`
pub(crate) fn table(revisions: &[Revision]) -> String {
    if revisions.is_empty() {
        return "No rollout history found.".to_owned();
    }
    let mut text = "REVISION  CHANGE-CAUSE\n".to_owned();
    for revision in revisions {
        let cause = revision
            .annotations
            .get(CHANGE_CAUSE)
            .and_then(Value::as_str);
        let cause = cause.filter(|cause| !cause.is_empty()).unwrap_or("<none>");
        text.push_str(&format!("{:<8}  {cause}\n", revision.number));
    }
    text
}

/// How `object` goes back to revision `to`, 0 being the one before the last.
///
/// # Errors
/// Why it cannot, in one sentence.
pub(crate) fn undo(
    kind: Kind,
    object: &Value,
    revisions: &[Revision],
    to: i64,
) -> Result<Undo, String> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let found = match (to, revisions) {
        (0, [.., last, _]) => last,
        (0, _) if kind == Kind::Deployment => {
            return Err(format!("no rollout history found for deployment {name:?}"));
        }
        (0, _) => return Err("no last revision to roll back to".to_owned()),
        (to, all) => {
            let found = all.iter().find(|revision| revision.number == to);
            found.ok_or_else(|| format!("unable to find specified revision {to} in history"))?
        }
    };
    if object["spec"]["paused"] == true {
        return Err(
            "you cannot rollback a paused deployment; resume it first with 'corten rollout resume' and try again"
                .to_owned(),
        );
    }
    let mut template = object["spec"]["template"].clone();
    unhash(&mut template);
    if is_same(&template, &found.template) {
        return Ok(Undo::Already(to));
    }
    // Of no other version than the one that this was made from.
    let version = &object["metadata"]["resourceVersion"];
    let mut patch = vec![
        json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version }),
        json!({ "op": "replace", "path": "/spec/template", "value": found.template }),
    ];
    if kind == Kind::Deployment {
        let own = object["metadata"]["annotations"].as_object();
        let is_kept = |key: &str| KEPT.contains(&key);
        let own = own.into_iter().flatten().filter(|(key, _)| is_kept(key));
        let its = found.annotations.iter().filter(|(key, _)| !is_kept(key));
        let both: Map<_, _> = own
            .chain(its)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        patch.push(json!({ "op": "add", "path": "/metadata/annotations", "value": both }));
    }
    Ok(Undo::Patch(json!(patch)))
}

/// Two templates, what says nothing left out: Go writes an empty `metadata` and no creation time as null.
fn is_same(a: &Value, b: &Value) -> bool {
    fn says(value: &Value) -> bool {
        match value {
            Value::Null => false,
            Value::Object(fields) => fields.values().any(says),
            _ => true,
        }
    }
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let missing = &Value::Null;
            let mut keys = a.keys().chain(b.keys());
            keys.all(|key| is_same(a.get(key).unwrap_or(missing), b.get(key).unwrap_or(missing)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (a, b) => a == b || !(says(a) || says(b)),
    }
}

/// The patch that makes all pods anew.
///
/// # Errors
/// Why it cannot be, to be read after the object's name.
pub(crate) fn restart(object: &Value, now: Timestamp) -> Result<Value, String> {
    if object["spec"]["paused"] == true {
        return Err("can't restart paused deployment (run rollout resume first)".to_owned());
    }
    let metadata = &object["spec"]["template"]["metadata"];
    let mut metadata = metadata.as_object().cloned().unwrap_or_default();
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    annotations[RESTARTED_AT] = json!(format!("{now:.0}"));
    let version = &object["metadata"]["resourceVersion"];
    Ok(json!([
        { "op": "test", "path": "/metadata/resourceVersion", "value": version },
        { "op": "add", "path": "/spec/template/metadata", "value": metadata },
    ]))
}

#[cfg(test)]
mod tests {
    use super::{Kind, Undo, restart, revisions, table, undo};
    use jiff::Timestamp;
    use serde_json::{Value, json};

    fn template(image: &str) -> Value {
        json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "image": image } })
    }

    fn deployment(image: &str) -> Value {
        json!({
            "metadata": { "name": "web", "uid": "u", "resourceVersion": "9", "annotations": {
                "deployment.kubernetes.io/revision": "2", "kubernetes.io/change-cause": "new",
            } },
            "spec": { "template": template(image) },
        })
    }

    fn set(number: &str, image: &str, owner: &str, cause: &str) -> Value {
        let mut template = template(image);
        template["metadata"]["labels"]["pod-template-hash"] = json!(number);
        json!({
            "metadata": {
                "annotations": { "deployment.kubernetes.io/revision": number, "kubernetes.io/change-cause": cause },
                "ownerReferences": [{ "uid": owner, "controller": true }],
            },
            "spec": { "template": template },
        })
    }

    fn sets() -> Value {
        let two = set("2", "b", "u", "");
        json!({ "items": [two, set("1", "a", "u", "first"), set("7", "x", "other", "")] })
    }

    #[test]
    fn history_is_told_as_kubectl_does() {
        let all = revisions(&deployment("b"), &sets());
        let wanted = "REVISION  CHANGE-CAUSE\n1         first\n2         <none>\n";
        assert_eq!(table(&all), wanted);
        assert_eq!(table(&[]), "No rollout history found.");
    }

    #[test]
    fn a_deployment_goes_back_with_the_annotations_of_then() {
        let now = deployment("b");
        let all = revisions(&now, &sets());
        let wanted = json!([
            { "op": "test", "path": "/metadata/resourceVersion", "value": "9" },
            { "op": "replace", "path": "/spec/template", "value": template("a") },
            { "op": "add", "path": "/metadata/annotations", "value": {
                "deployment.kubernetes.io/revision": "2", "kubernetes.io/change-cause": "first",
            } },
        ]);
        let patch = Undo::Patch(wanted);
        assert_eq!(undo(Kind::Deployment, &now, &all, 0), Ok(patch.clone()));
        assert_eq!(undo(Kind::Deployment, &now, &all, 1), Ok(patch));
        assert_eq!(undo(Kind::Deployment, &now, &all, 2), Ok(Undo::Already(2)));
        let missing = "unable to find specified revision 7 in history";
        assert_eq!(
            undo(Kind::Deployment, &now, &all, 7),
            Err(missing.to_owned())
        );
        let alone = undo(Kind::Deployment, &now, &all[..1], 0);
        let none = "no rollout history found for deployment \"web\"";
        assert_eq!(alone, Err(none.to_owned()));
        let mut paused = now;
        paused["spec"]["paused"] = json!(true);
        assert!(undo(Kind::Deployment, &paused, &all, 0).is_err());
        assert!(restart(&paused, Timestamp::UNIX_EPOCH).is_err());
    }

    #[test]
    fn a_daemonset_goes_back_to_what_its_revision_holds() {
        let mut now = deployment("b");
        now["spec"]["template"]["metadata"]["creationTimestamp"] = Value::Null;
        let revision = |number: i64, image: &str| {
            let mut template = template(image);
            template["$patch"] = json!("replace");
            json!({
                "metadata": { "ownerReferences": [{ "uid": "u", "controller": true }] },
                "revision": number,
                "data": { "spec": { "template": template } },
            })
        };
        let list = json!({ "items": [revision(10, "b"), revision(9, "a")] });
        let all = revisions(&now, &list);
        assert_eq!(all.iter().map(|r| r.number).collect::<Vec<_>>(), [9, 10]);
        let wanted = json!([
            { "op": "test", "path": "/metadata/resourceVersion", "value": "9" },
            { "op": "replace", "path": "/spec/template", "value": template("a") },
        ]);
        assert_eq!(
            undo(Kind::DaemonSet, &now, &all, 0),
            Ok(Undo::Patch(wanted))
        );
        assert_eq!(undo(Kind::DaemonSet, &now, &all, 10), Ok(Undo::Already(10)));
        let none = "no last revision to roll back to";
        assert_eq!(
            undo(Kind::DaemonSet, &now, &all[..1], 0),
            Err(none.to_owned())
        );
    }

    #[test]
    fn a_restart_is_an_annotation_of_the_template() {
        let patch = restart(&deployment("b"), Timestamp::UNIX_EPOCH).unwrap_or_default();
        let metadata = &patch[1]["value"];
        assert_eq!(metadata["labels"], json!({ "app": "web" }));
        let at = "1970-01-01T00:00:00Z";
        assert_eq!(
            metadata["annotations"]["kubectl.kubernetes.io/restartedAt"],
            at
        );
    }
}
