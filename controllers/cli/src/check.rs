//! `corten check`: does a Deployment become pods here? It makes one with a single replica, waits until that is available,
//! deletes it, and waits until its pods are gone. What `helm test` runs; it needs no more than to create, get and delete
//! Deployments and to list pods in one namespace.

use crate::commands::Check;
use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::{Api, Client};
use runtime::args;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The pause between two looks.
const AGAIN: Duration = Duration::from_millis(200);
/// The label of what is made.
const LABEL: &str = "corten.dev/check";

/// `corten check`
pub(crate) async fn run(args: Check) -> Result<ExitCode> {
    let config = args::config(&args.server.client(), "corten-check").await?;
    let namespace = args.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config)?;
    args::check_server(&client).await?;
    let check = Attempt {
        api_version: api_version(&args.group),
        name: format!("corten-check-{:08x}", unique()),
        until: Instant::now() + args.timeout,
        client,
        namespace,
    };
    let (made, begun) = (check.begin(&args).await?, Instant::now());
    let available = check.becomes_available(&made).await;
    if available.is_ok() {
        println!("one replica is available after {}", seconds(begun));
    }
    // Whatever came of it, nothing stays behind.
    let (deleted, begun) = (check.end().await, Instant::now());
    available?;
    deleted?;
    check.is_gone().await?;
    println!("it and its pods are gone after {}", seconds(begun));
    Ok(ExitCode::SUCCESS)
}

/// Tells one attempt from another that runs at the same time.
fn unique() -> u32 {
    let now = runtime::Clock::system().now().subsec_nanosecond();
    now.unsigned_abs() ^ std::process::id().rotate_left(16)
}

fn seconds(begun: Instant) -> String {
    format!("{:.1} s", begun.elapsed().as_secs_f64())
}

/// Of Deployments, in this family of groups.
fn api_version(group: &str) -> String {
    match group {
        "builtin" => "apps/v1".to_owned(),
        family => format!("apps.{family}/v1"),
    }
}

/// A Deployment of this name, and how long to wait for it.
struct Attempt {
    client: Client,
    namespace: String,
    api_version: String,
    name: String,
    until: Instant,
}

impl Attempt {
    fn deployments(&self) -> Api<DynamicObject> {
        let (group, version) = self.api_version.split_once('/').unwrap_or_default();
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.api_version.clone(),
            kind: "Deployment".to_owned(),
            plural: "deployments".to_owned(),
        };
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    async fn pods(&self) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let ours = ListParams::default().labels(&format!("{LABEL}={}", self.name));
        Ok(pods.list(&ours).await.context("list pods")?.items)
    }

    async fn begin(&self, args: &Check) -> Result<DynamicObject> {
        let object = serde_json::from_value(manifest(&self.api_version, &self.name, args))?;
        let made = self
            .deployments()
            .create(&PostParams::default(), &object)
            .await;
        let what = format!("deployment.{} {}", self.api_version, self.name);
        let made = made.with_context(|| format!("create {what}"))?;
        println!("{what} is made in {}", self.namespace);
        Ok(made)
    }

    async fn becomes_available(&self, made: &DynamicObject) -> Result<()> {
        let mut last = made.data.clone();
        while Instant::now() < self.until {
            if is_available(&last) {
                return Ok(());
            }
            tokio::time::sleep(AGAIN).await;
            let seen = self.deployments().get(&self.name).await;
            last = seen.context("get the Deployment")?.data;
        }
        let pods = self.pods().await.unwrap_or_default();
        bail!("no replica is available in time: {}", why(&last, &pods))
    }

    async fn end(&self) -> Result<()> {
        let deleted = self
            .deployments()
            .delete(&self.name, &DeleteParams::background())
            .await;
        deleted.map(drop).context("delete the Deployment")
    }

    /// It has time for that anew.
    async fn is_gone(&self) -> Result<()> {
        let patience = Duration::from_mins(1);
        let begun = Instant::now();
        loop {
            let there = self.deployments().get_opt(&self.name).await?.is_some();
            let pods = self.pods().await?.len();
            if !there && pods == 0 {
                return Ok(());
            }
            if begun.elapsed() > patience {
                let there = ["is gone", "is there still"][usize::from(there)];
                bail!(
                    "a minute after it was deleted, {pods} of its pods are there and it {there}: nobody collects garbage"
                );
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// A pod as a namespace of the level `restricted` takes it.
fn manifest(api_version: &str, name: &str, args: &Check) -> Value {
    let labels = json!({ LABEL: name });
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [{
            "name": "stand", "image": args.image, "args": args.argument, "imagePullPolicy": "IfNotPresent",
            "resources": {
                "requests": { "cpu": "1m", "memory": "8Mi" }, "limits": { "memory": "64Mi" },
            },
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
        }],
    });
    if let Some(scheduler) = &args.scheduler_name {
        spec["schedulerName"] = json!(scheduler);
    }
    json!({
        "apiVersion": api_version, "kind": "Deployment",
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": spec },
        },
    })
}

/// Whether the controller has seen it, and its replica is available.
fn is_available(deployment: &Value) -> bool {
    status(deployment).is_some_and(|status| {
        status.observed_generation.is_some() && status.available_replicas == Some(1)
    })
}

fn status(deployment: &Value) -> Option<k8s_openapi::api::apps::v1::DeploymentStatus> {
    let whole: Deployment = serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}, "status": deployment.get("status")?,
    }))
    .ok()?;
    whole.status
}

/// How far it came: who has not done his part.
fn why(deployment: &Value, pods: &[Pod]) -> String {
    let Some(status) = status(deployment).filter(|status| status.observed_generation.is_some())
    else {
        return "no deployment-controller has seen it; who manages this group here?".to_owned();
    };
    let Some(pod) = pods.first() else {
        let conditions = status.conditions.unwrap_or_default();
        let failure = conditions
            .into_iter()
            .find(|condition| condition.type_ == "ReplicaFailure");
        return match failure.and_then(|condition| condition.message) {
            Some(message) => format!("its pod is refused: {message}"),
            None => "it has no pod; does a replicaset-controller run?".to_owned(),
        };
    };
    let bound = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.node_name.is_some());
    let status = pod.status.clone().unwrap_or_default();
    let waiting = status.container_statuses.iter().flatten().find_map(|c| {
        let waiting = c.state.as_ref()?.waiting.as_ref()?;
        waiting.message.clone().or(waiting.reason.clone())
    });
    let phase = status.phase.unwrap_or_default();
    match (bound, waiting) {
        (false, _) => {
            "its pod has no node; does a scheduler of that name run? `corten why` says more"
                .to_owned()
        }
        (true, Some(why)) => format!("its pod does not run: {why}"),
        (true, None) => format!("its pod has a node and is {phase}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{api_version, is_available, why};
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, from_value, json};

    #[test]
    fn a_family_of_groups_has_its_own_deployments() {
        assert_eq!(api_version("builtin"), "apps/v1");
        assert_eq!(api_version("corten.dev"), "apps.corten.dev/v1");
    }

    #[test]
    fn it_is_available_when_the_controller_says_so() {
        let of = |status: Value| is_available(&json!({ "status": status }));
        assert!(!is_available(&json!({})));
        assert!(!of(json!({ "availableReplicas": 1 })));
        assert!(!of(json!({ "observedGeneration": 1 })));
        assert!(of(
            json!({ "observedGeneration": 1, "availableReplicas": 1 })
        ));
    }

    #[test]
    fn it_is_told_who_has_not_done_his_part() {
        let seen = json!({ "status": { "observedGeneration": 1 } });
        let refused = json!({ "status": { "observedGeneration": 1, "conditions": [
            { "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" },
        ] } });
        let pod = |pod: Value| -> Vec<Pod> { vec![from_value(pod).unwrap_or_default()] };
        let unbound = pod(json!({ "metadata": {}, "spec": { "containers": [] } }));
        let starts = pod(json!({
            "metadata": {}, "spec": { "nodeName": "a", "containers": [] }, "status": { "phase": "Pending" },
        }));
        let unpulled = pod(json!({
            "metadata": {}, "spec": { "nodeName": "a", "containers": [] },
            "status": { "phase": "Pending", "containerStatuses": [{
                "name": "stand", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                "state": { "waiting": { "reason": "ErrImagePull" } },
            }] },
        }));
        let cases: [(&Value, Vec<Pod>, &str); 6] = [
            (&json!({}), vec![], "no deployment-controller"),
            (&seen, vec![], "no pod"),
            (&refused, vec![], "exceeded quota"),
            (&seen, unbound, "no node"),
            (&seen, starts, "is Pending"),
            (&seen, unpulled, "ErrImagePull"),
        ];
        for (deployment, pods, expected) in cases {
            let said = why(deployment, &pods);
            assert!(said.contains(expected), "{said}");
        }
    }
}
