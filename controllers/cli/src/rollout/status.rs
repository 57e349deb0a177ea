//! How far a rollout is, in kubectl's words (upstream: `polymorphichelpers/rollout_status.go`). Pure.

use super::target::Kind;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use objects::meta;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What is said of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) text: String,
    /// Whether there is nothing more to wait for.
    pub(crate) is_done: bool,
}

/// What is said of the rollout of `object`; of a Deployment, if `revision` is not 0, only of this one.
///
/// # Errors
/// Why there is nothing to wait for, in one sentence.
pub(crate) fn of(kind: Kind, object: &Value, revision: i64) -> Result<Seen, String> {
    match kind {
        Kind::Deployment => deployment(&read(object)?, revision),
        Kind::DaemonSet => daemonset(&read(object)?),
        Kind::StatefulSet => statefulset(&read(object)?),
    }
}

fn read<K: DeserializeOwned>(object: &Value) -> Result<K, String> {
    K::deserialize(object).map_err(|error| error.to_string())
}

fn waiting(text: impl Into<String>) -> Seen {
    let (text, is_done) = (text.into(), false);
    Seen { text, is_done }
}

fn done(text: impl Into<String>) -> Seen {
    let (text, is_done) = (text.into(), true);
    Seen { text, is_done }
}

fn deployment(deployment: &Deployment, revision: i64) -> Result<Seen, String> {
    let name = meta::name(&deployment.metadata);
    if revision > 0 {
        let running = meta::annotation(&deployment.metadata, "deployment.kubernetes.io/revision");
        let running = running.and_then(|text| text.parse().ok()).unwrap_or(0);
        if running != revision {
            return Err(format!(
                "desired revision ({revision}) is different from the running revision ({running})"
            ));
        }
    }
    let status = deployment.status.clone().unwrap_or_default();
    if deployment.metadata.generation > Some(status.observed_generation.unwrap_or(0)) {
        return Ok(waiting(
            "Waiting for deployment spec update to be observed...",
        ));
    }
    let mut all = status.conditions.iter().flatten();
    let progressing = all.find(|condition| condition.type_ == "Progressing");
    if progressing.is_some_and(|c| c.reason.as_deref() == Some("ProgressDeadlineExceeded")) {
        return Err(format!(
            "deployment {name:?} exceeded its progress deadline"
        ));
    }
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let updated = status.updated_replicas.unwrap_or(0);
    let (all, available) = (
        status.replicas.unwrap_or(0),
        status.available_replicas.unwrap_or(0),
    );
    let begin = format!("Waiting for deployment {name:?} rollout to finish:");
    if let Some(wanted) = wanted.filter(|wanted| updated < *wanted) {
        return Ok(waiting(format!(
            "{begin} {updated} out of {wanted} new replicas have been updated..."
        )));
    }
    if all > updated {
        let old = all - updated;
        return Ok(waiting(format!(
            "{begin} {old} old replicas are pending termination..."
        )));
    }
    if available < updated {
        return Ok(waiting(format!(
            "{begin} {available} of {updated} updated replicas are available..."
        )));
    }
    Ok(done(format!("deployment {name:?} successfully rolled out")))
}

/// Of a strategy that rolls nothing out.
fn only_rolling(strategy: Option<&String>) -> Result<(), String> {
    match strategy.map(String::as_str) {
        None | Some("RollingUpdate") => Ok(()),
        Some(_) => {
            Err("rollout status is only available for RollingUpdate strategy type".to_owned())
        }
    }
}

fn daemonset(set: &DaemonSet) -> Result<Seen, String> {
    let name = meta::name(&set.metadata);
    let strategy = set
        .spec
        .as_ref()
        .and_then(|spec| spec.update_strategy.as_ref());
    only_rolling(strategy.and_then(|strategy| strategy.type_.as_ref()))?;
    let status = set.status.clone().unwrap_or_default();
    if set.metadata.generation > Some(status.observed_generation.unwrap_or(0)) {
        return Ok(waiting(
            "Waiting for daemon set spec update to be observed...",
        ));
    }
    let begin = format!("Waiting for daemon set {name:?} rollout to finish:");
    let wanted = status.desired_number_scheduled;
    let updated = status.updated_number_scheduled.unwrap_or(0);
    if updated < wanted {
        return Ok(waiting(format!(
            "{begin} {updated} out of {wanted} new pods have been updated..."
        )));
    }
    let available = status.number_available.unwrap_or(0);
    if available < wanted {
        return Ok(waiting(format!(
            "{begin} {available} of {wanted} updated pods are available..."
        )));
    }
    Ok(done(format!("daemon set {name:?} successfully rolled out")))
}

fn statefulset(set: &StatefulSet) -> Result<Seen, String> {
    let spec = set.spec.clone().unwrap_or_default();
    let strategy = spec.update_strategy.unwrap_or_default();
    only_rolling(strategy.type_.as_ref())?;
    let status = set.status.clone().unwrap_or_default();
    let observed = status.observed_generation.unwrap_or(0);
    if observed == 0 || set.metadata.generation > Some(observed) {
        return Ok(waiting(
            "Waiting for statefulset spec update to be observed...",
        ));
    }
    let ready = status.ready_replicas.unwrap_or(0);
    if let Some(missing) = spec
        .replicas
        .map(|wanted| wanted - ready)
        .filter(|n| *n > 0)
    {
        return Ok(waiting(format!(
            "Waiting for {missing} pods to be ready..."
        )));
    }
    let updated = status.updated_replicas.unwrap_or(0);
    let (current, newest) = (
        status.current_revision.unwrap_or_default(),
        status.update_revision.unwrap_or_default(),
    );
    if let Some(rolling) = strategy.rolling_update {
        let partition = rolling.partition.zip(spec.replicas);
        let to_update = partition.map(|(partition, replicas)| replicas - partition);
        if let Some(wanted) = to_update.filter(|wanted| updated < *wanted) {
            return Ok(waiting(format!(
                "Waiting for partitioned roll out to finish: {updated} out of {wanted} new pods have been updated..."
            )));
        }
        return Ok(done(format!(
            "partitioned roll out complete: {updated} new pods have been updated..."
        )));
    }
    if newest != current {
        return Ok(waiting(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {newest}..."
        )));
    }
    let pods = status.current_replicas.unwrap_or(0);
    Ok(done(format!(
        "statefulset rolling update complete {pods} pods at revision {current}..."
    )))
}

#[cfg(test)]
mod tests {
    use super::{Kind, of};
    use serde_json::{Value, json};

    fn said(kind: Kind, object: Value, revision: i64) -> String {
        match of(kind, &object, revision) {
            Ok(seen) if seen.is_done => format!("done: {}", seen.text),
            Ok(seen) => seen.text,
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn of_a_deployment() {
        let object = |status: Value| {
            json!({
                "metadata": { "name": "web", "generation": 2, "annotations": { "deployment.kubernetes.io/revision": "3" } },
                "spec": { "replicas": 3, "selector": {}, "template": {} },
                "status": status,
            })
        };
        for (status, wanted) in [
            (
                json!({ "observedGeneration": 1 }),
                "Waiting for deployment spec update to be observed...",
            ),
            (
                json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 1 }),
                "Waiting for deployment \"web\" rollout to finish: 1 out of 3 new replicas have been updated...",
            ),
            (
                json!({ "observedGeneration": 2, "replicas": 4, "updatedReplicas": 3 }),
                "Waiting for deployment \"web\" rollout to finish: 1 old replicas are pending termination...",
            ),
            (
                json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 2 }),
                "Waiting for deployment \"web\" rollout to finish: 2 of 3 updated replicas are available...",
            ),
            (
                json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3 }),
                "done: deployment \"web\" successfully rolled out",
            ),
            (
                json!({ "observedGeneration": 2, "conditions": [{
                    "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
                }] }),
                "error: deployment \"web\" exceeded its progress deadline",
            ),
        ] {
            assert_eq!(said(Kind::Deployment, object(status), 0), wanted);
        }
        let other = said(Kind::Deployment, object(json!({})), 2);
        assert_eq!(
            other,
            "error: desired revision (2) is different from the running revision (3)"
        );
    }

    #[test]
    fn of_a_daemonset() {
        let object = |strategy: &str, updated: i32, available: i32| {
            json!({
                "metadata": { "name": "logs", "generation": 1 },
                "spec": { "selector": {}, "template": {}, "updateStrategy": { "type": strategy } },
                "status": {
                    "observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": updated,
                    "numberAvailable": available, "currentNumberScheduled": 3, "numberMisscheduled": 0, "numberReady": 0,
                },
            })
        };
        for (object, wanted) in [
            (
                object("RollingUpdate", 1, 3),
                "Waiting for daemon set \"logs\" rollout to finish: 1 out of 3 new pods have been updated...",
            ),
            (
                object("RollingUpdate", 3, 2),
                "Waiting for daemon set \"logs\" rollout to finish: 2 of 3 updated pods are available...",
            ),
            (
                object("RollingUpdate", 3, 3),
                "done: daemon set \"logs\" successfully rolled out",
            ),
            (
                object("OnDelete", 3, 3),
                "error: rollout status is only available for RollingUpdate strategy type",
            ),
        ] {
            assert_eq!(said(Kind::DaemonSet, object, 0), wanted);
        }
    }

    #[test]
    fn of_a_statefulset() {
        let object = |rolling: Value, status: Value| {
            json!({
                "metadata": { "name": "db", "generation": 1 },
                "spec": {
                    "replicas": 3, "selector": {}, "template": {}, "serviceName": "",
                    "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": rolling },
                },
                "status": status,
            })
        };
        let status = |ready: i32, updated: i32, newest: &str| {
            json!({
                "observedGeneration": 1, "replicas": 3, "readyReplicas": ready, "updatedReplicas": updated,
                "currentReplicas": 3, "currentRevision": "db-1", "updateRevision": newest,
            })
        };
        let none = Value::Null;
        let part = json!({ "partition": 1 });
        for (object, wanted) in [
            (
                object(none.clone(), json!({ "replicas": 0 })),
                "Waiting for statefulset spec update to be observed...",
            ),
            (
                object(none.clone(), status(1, 0, "db-1")),
                "Waiting for 2 pods to be ready...",
            ),
            (
                object(part.clone(), status(3, 1, "db-2")),
                "Waiting for partitioned roll out to finish: 1 out of 2 new pods have been updated...",
            ),
            (
                object(part, status(3, 2, "db-2")),
                "done: partitioned roll out complete: 2 new pods have been updated...",
            ),
            (
                object(none.clone(), status(3, 1, "db-2")),
                "waiting for statefulset rolling update to complete 1 pods at revision db-2...",
            ),
            (
                object(none, status(3, 3, "db-1")),
                "done: statefulset rolling update complete 3 pods at revision db-1...",
            ),
        ] {
            assert_eq!(said(Kind::StatefulSet, object, 0), wanted);
        }
    }
}
