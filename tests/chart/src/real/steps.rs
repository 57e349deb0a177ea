//! What is done with an installed chart, whichever mode it is in.

use crate::stage::{HOME, Stage, is_up, restarts, until};
use crate::workloads::{self, SHOP};
use anyhow::{Context, Result, bail, ensure};
use chart::folder;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use runtime::groups::Family;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::LazyLock;
use std::time::Instant;

/// How Helm waits.
pub(crate) const WAITS: [&str; 2] = ["--wait", "--timeout=3m"];

/// Who does what is tried: the kinds of this family, and pods with this schedulerName.
pub(crate) struct Cast {
    pub(crate) family: Family,
    pub(crate) scheduler: &'static str,
    /// More values of the installation.
    pub(crate) set: &'static [&'static str],
}

impl Cast {
    /// A client that sees the kinds of this family under the names of the built-in ones.
    fn client(&self, stage: &Stage) -> Client {
        self.family.client(stage.client.clone())
    }

    fn api<K>(&self, stage: &Stage) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client(stage), SHOP)
    }

    pub(crate) async fn create<K>(&self, stage: &Stage, manifest: Value) -> Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let what = || format!("{} {}", K::kind(&()), manifest["metadata"]["name"]);
        let object = serde_json::from_value(manifest.clone()).with_context(what)?;
        let created = self
            .api::<K>(stage)
            .create(&PostParams::default(), &object)
            .await;
        created.map(drop).with_context(what)
    }

    /// The names of the pods of `app` that are up, once there are so many and no others; none was started again.
    pub(crate) async fn pods(
        &self,
        stage: &Stage,
        app: &str,
        count: usize,
    ) -> Result<BTreeSet<String>> {
        let pods: Api<Pod> = Api::namespaced(stage.client.clone(), SHOP);
        until(&format!("{count} pods of {app} are up"), async || {
            let labelled = ListParams::default().labels(&format!("app={app}"));
            let all = pods.list(&labelled).await?.items;
            let up = all.iter().filter(|pod| is_up(pod)).count();
            ensure!(up == count && all.len() == count, "{}", seen(&all));
            ensure!(all.iter().all(|pod| restarts(pod) == 0), "{}", seen(&all));
            Ok(all.iter().map(ResourceExt::name_any).collect())
        })
        .await
    }

    async fn scale(&self, stage: &Stage, name: &str, replicas: i32) -> Result<()> {
        let patch = json!({ "spec": { "replicas": replicas } });
        self.change(stage, name, patch).await
    }

    async fn change(&self, stage: &Stage, name: &str, patch: Value) -> Result<()> {
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        self.api::<Deployment>(stage)
            .patch(name, &params, &patch)
            .await?;
        Ok(())
    }
}

fn seen(pods: &[Pod]) -> String {
    let one = |pod: &Pod| {
        let status = pod.status.clone().unwrap_or_default();
        let states = status.container_statuses.unwrap_or_default();
        let states: Vec<_> = states.into_iter().map(|status| status.state).collect();
        format!(
            "{}: {} {states:?}",
            pod.name_any(),
            status.phase.unwrap_or_default()
        )
    };
    pods.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Says what is tried now, and since when the program runs.
pub(crate) fn begins(what: &str) {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    println!("{:5.1} s: {what}", BEGUN.elapsed().as_secs_f32());
}

/// Installs it, and says what was printed.
pub(crate) fn install(stage: &Stage, cast: &Cast) -> Result<String> {
    begins("the chart is installed");
    let chart = folder().display().to_string();
    let set = cast
        .set
        .iter()
        .map(|set| format!("--set={set}"))
        .collect::<Vec<_>>();
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    let notes = stage.helm(&[&["install", "corten", &chart], &set[..], &WAITS].concat());
    notes.context("helm install")
}

/// `helm test` says that a Deployment came and went.
pub(crate) fn test(stage: &Stage) -> Result<()> {
    begins("the release is tested");
    let said = stage
        .helm(&["test", "corten", "--logs", "--timeout=2m"])
        .context("helm test")?;
    ensure!(said.contains("Phase:          Succeeded"), "{said}");
    ensure!(said.contains("its pods are gone after"), "{said}");
    Ok(())
}

/// Each kind is made and does what it is for; the work survives a killed leader, an upgrade and a rollback.
pub(crate) async fn all(stage: &mut Stage, cast: &Cast) -> Result<()> {
    begins("each kind does its work");
    kinds(stage, cast).await?;
    begins("both leaders are killed");
    kill(stage, cast).await?;
    begins("the release is upgraded and rolled back");
    upgrade(stage, cast).await?;
    release(stage).await?;
    begins("the CronJob has its minute");
    let jobs = cast.api::<CronJob>(stage);
    until("the CronJob has run", async || {
        let status = jobs.get("tick").await?.status.unwrap_or_default();
        ensure!(status.last_successful_time.is_some(), "{status:?}");
        Ok(())
    })
    .await?;
    begins("all is deleted");
    clear(stage, cast).await?;
    stage.check()
}

async fn kinds(stage: &Stage, cast: &Cast) -> Result<()> {
    let who = cast.scheduler;
    cast.create::<Service>(stage, workloads::service("web"))
        .await?;
    cast.create::<CronJob>(stage, workloads::cron_job("tick", who))
        .await?;
    cast.create::<Deployment>(stage, workloads::deployment("web", who, 3))
        .await?;
    cast.create::<StatefulSet>(stage, workloads::stateful_set("data", who))
        .await?;
    cast.create::<DaemonSet>(stage, workloads::daemon_set("agent", who))
        .await?;
    cast.pods(stage, "web", 3).await?;
    let data = cast.pods(stage, "data", 2).await?;
    ensure!(
        data == ["data-0", "data-1"].map(String::from).into(),
        "{data:?}"
    );
    cast.pods(stage, "agent", 2).await?;
    // They ask the Service, and so all that makes a Service.
    cast.create::<Job>(stage, workloads::job("asks", who))
        .await?;
    let jobs = cast.api::<Job>(stage);
    until("the Job is complete", async || {
        let status = jobs.get("asks").await?.status.unwrap_or_default();
        ensure!(
            status.succeeded == Some(3) && status.completion_time.is_some(),
            "{status:?}"
        );
        Ok(())
    })
    .await?;
    until("the Job goes, as its time is up", async || {
        let there = jobs.get_opt("asks").await?;
        ensure!(there.is_none(), "{there:?}");
        Ok(())
    })
    .await?;
    cast.create::<HorizontalPodAutoscaler>(stage, workloads::autoscaler("web"))
        .await?;
    // Nothing serves metrics here, and it says so.
    let scalers = cast.api::<HorizontalPodAutoscaler>(stage);
    until("the autoscaler has looked", async || {
        let status = scalers.get("web").await?.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let reason = |c: &&k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerCondition| {
            c.reason.as_deref() == Some("FailedGetResourceMetric")
        };
        ensure!(conditions.iter().any(|c| reason(&c)), "{conditions:?}");
        Ok(())
    })
    .await?;
    Ok(scalers
        .delete("web", &DeleteParams::default())
        .await
        .map(drop)?)
}

/// The containers of both leaders are killed; the work goes on, and the kubelet starts them again.
async fn kill(stage: &Stage, cast: &Cast) -> Result<()> {
    let before = cast.pods(stage, "web", 3).await?;
    let mut killed = Vec::new();
    for lease in ["corten-controllers", "corten-scheduler"] {
        killed.push(stage.kill(&stage.leader(lease).await?)?);
    }
    cast.scale(stage, "web", 5).await?;
    let after = cast.pods(stage, "web", 5).await?;
    ensure!(after.is_superset(&before), "{before:?} became {after:?}");
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), HOME);
    for name in killed {
        until(&format!("{name} runs again"), async || {
            let pod = pods.get(&name).await?;
            let count = restarts(&pod);
            ensure!(
                is_up(&pod) && count == 1,
                "{count} restarts: {}",
                seen(&[pod])
            );
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// The release is upgraded, and rolled back; a rollout goes on meanwhile and after.
async fn upgrade(stage: &Stage, cast: &Cast) -> Result<()> {
    let chart = folder().display().to_string();
    let more = [
        "--reuse-values",
        "--set=controllers.logLevel=2,scheduler.logLevel=2",
    ];
    let before = cast.pods(stage, "web", 5).await?;
    stage
        .helm(&[&["upgrade", "corten", &chart], &more[..], &WAITS].concat())
        .context("helm upgrade")?;
    levels(stage, "--v=2").await?;
    let after = cast.pods(stage, "web", 5).await?;
    ensure!(
        before == after,
        "{before:?} became {after:?} by an upgrade of the chart"
    );

    let env = json!([{ "name": "NEW", "value": "yes" }]);
    let template = workloads::deployment("web", cast.scheduler, 5)["spec"]["template"].take();
    let mut container = template["spec"]["containers"][0].clone();
    container["env"] = env;
    let template = json!({ "spec": { "containers": [container] } });
    let patch = json!({ "spec": { "template": template } });
    cast.change(stage, "web", patch).await?;
    stage
        .helm(&[&["rollback", "corten", "1"], &WAITS[..]].concat())
        .context("helm rollback")?;
    levels(stage, "--v=0").await?;
    let web = cast.api::<Deployment>(stage);
    until("the rollout ends", async || {
        let web = web.get("web").await?;
        let status = web.status.unwrap_or_default();
        let current = status.observed_generation == web.metadata.generation;
        let [updated, all] = [status.updated_replicas, status.replicas];
        ensure!(
            current && updated == Some(5) && all == Some(5),
            "{updated:?} of {all:?}"
        );
        Ok(())
    })
    .await?;
    let rolled = cast.pods(stage, "web", 5).await?;
    ensure!(
        rolled.is_disjoint(&after),
        "{after:?} became {rolled:?} by a rollout"
    );
    cast.scale(stage, "web", 2).await?;
    let left = cast.pods(stage, "web", 2).await?;
    ensure!(left.is_subset(&rolled), "{rolled:?} became {left:?}");
    Ok(())
}

/// All pods of the release are run with this flag.
async fn levels(stage: &Stage, flag: &str) -> Result<()> {
    until(&format!("all run with {flag}"), async || {
        let pods = components(stage).await?;
        let has = |pod: &&Pod| {
            let spec = pod.spec.as_ref();
            let arguments = spec.and_then(|spec| spec.containers.first()?.args.as_ref());
            arguments.is_some_and(|all| all.iter().any(|argument| argument == flag))
        };
        let with = pods.iter().filter(has).count();
        ensure!(pods.len() == 4 && with == 4, "{with} of {}", seen(&pods));
        Ok(())
    })
    .await
}

/// The pods of the release, without the one that tests it: what that has said stays.
async fn components(stage: &Stage) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), HOME);
    let others = ListParams::default().labels("app.kubernetes.io/component!=check");
    Ok(pods.list(&others).await?.items)
}

/// Each of its Secrets is smaller than what the API server takes.
async fn release(stage: &Stage) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), HOME);
    let of = ListParams::default().labels("owner=helm,name=corten");
    let secrets = secrets.list(&of).await?.items;
    ensure!(secrets.len() == 3, "{} releases", secrets.len());
    for secret in secrets {
        let name = secret.name_any();
        let Some(data) = secret.data.unwrap_or_default().remove("release") else {
            bail!("{name} holds no release");
        };
        let size = data.0.len();
        println!("{name}: {size} bytes");
        ensure!(
            size < 1 << 20,
            "{name} has {size} bytes, and is allowed 1 MiB"
        );
    }
    Ok(())
}

/// What was made goes, and the pods after it.
async fn clear(stage: &Stage, cast: &Cast) -> Result<()> {
    let (now, all) = (DeleteParams::background(), ListParams::default());
    cast.api::<CronJob>(stage)
        .delete_collection(&now, &all)
        .await?;
    cast.api::<Job>(stage).delete_collection(&now, &all).await?;
    cast.api::<StatefulSet>(stage)
        .delete_collection(&now, &all)
        .await?;
    cast.api::<DaemonSet>(stage)
        .delete_collection(&now, &all)
        .await?;
    cast.api::<Deployment>(stage).delete("web", &now).await?;
    for app in ["tick", "data", "agent", "web"] {
        cast.pods(stage, app, 0).await?;
    }
    Ok(())
}

/// A namespace gets what pods need in it, and goes with all that is in it.
pub(crate) async fn namespace(stage: &Stage) -> Result<()> {
    begins("a namespace comes and goes");
    stage.namespace("brief", json!({})).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(stage.client.clone(), "brief");
    let authorities: Api<ConfigMap> = Api::namespaced(stage.client.clone(), "brief");
    until(
        "the namespace has its account and its authority",
        async || {
            accounts.get("default").await?;
            Ok(authorities.get("kube-root-ca.crt").await.map(drop)?)
        },
    )
    .await?;
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    namespaces.delete("brief", &DeleteParams::default()).await?;
    until("the namespace is gone", async || {
        let left = namespaces.get_opt("brief").await?;
        ensure!(left.is_none(), "{left:?}");
        Ok(())
    })
    .await
}

/// It is uninstalled: its pods go, the kinds of Corten's groups stay.
pub(crate) async fn uninstall(stage: &Stage) -> Result<()> {
    begins("the release is uninstalled");
    stage
        .helm(&[&["uninstall", "corten"], &WAITS[..]].concat())
        .context("helm uninstall")?;
    until("the chart's pods are gone", async || {
        let left = components(stage).await?;
        ensure!(left.is_empty(), "{}", seen(&left));
        Ok(())
    })
    .await?;
    let crds: Api<CustomResourceDefinition> = Api::all(stage.client.clone());
    let release = ListParams::default().labels("app.kubernetes.io/instance=corten");
    let kept = crds.list(&release).await?.items.len();
    let files = chart::files()?;
    let has = files
        .iter()
        .filter(|file| file.path.starts_with("files/crds"))
        .count();
    ensure!(kept == has, "{kept} of {has} CRDs are left");
    Ok(())
}
