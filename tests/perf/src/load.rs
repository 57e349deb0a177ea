//! What is asked of an actor, and when it is done.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Service, ServiceAccount};
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchEvent};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const NAMESPACE: &str = "default";
const PREPARING: Duration = Duration::from_mins(3);
const RUNNING: Duration = Duration::from_mins(10);
/// Writes that were put off, such as events, come out in this time.
const SETTLING: Duration = Duration::from_secs(3);

/// How much is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) nodes: usize,
    pub(crate) pods: usize,
    pub(crate) deployments: usize,
    pub(crate) services: bool,
}

/// How long it took, from the first POST of a Deployment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Until all pods were Ready.
    pub(crate) ready: Duration,
    /// Until the Deployments' statuses said so.
    pub(crate) told: Duration,
}

/// As much of an object as is looked at.
#[derive(Debug, Deserialize, Clone)]
struct Slim {
    metadata: Named,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Named {
    name: String,
    resource_version: String,
}

#[derive(Debug, Deserialize, Clone, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    conditions: Vec<Condition>,
    available_replicas: usize,
}

#[derive(Debug, Deserialize, Clone)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Slim {
    fn is_ready(&self) -> bool {
        let conditions = &self.status.conditions;
        conditions
            .iter()
            .any(|c| c.kind == "Ready" && c.status == "True")
    }
}

impl Load {
    /// Makes the nodes (unless the actor does), waits until all are ready and one pod has gone the
    /// whole way.
    pub(crate) async fn prepare(&self, client: &Client, nodes_come: bool) -> anyhow::Result<()> {
        let ready = async {
            if !nodes_come {
                let numbers = stream::iter(0..self.nodes);
                let made = numbers.map(|i| fake_node(client, i)).buffer_unordered(16);
                made.try_collect::<Vec<()>>().await?;
            }
            self.wait_for_nodes(client).await?;
            wait_for_namespace(client).await?;
            let mut pods = Watch::begin(client, "/api/v1", "pods", "app=warm-up").await?;
            create(client, deployment("warm-up", "warm-up", 1)).await?;
            while !pods.next().await?.is_ready() {}
            tokio::time::sleep(SETTLING).await;
            Ok(())
        };
        tokio::time::timeout(PREPARING, ready)
            .await
            .with_context(|| format!("not ready for the load after {PREPARING:?}"))?
    }

    /// Posts the Deployments and waits until all of their pods are Ready and the Deployments say so,
    /// and then until what was put off is done.
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<Times> {
        if self.services {
            for number in 0..self.deployments {
                let api: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
                api.create(&PostParams::default(), &object(service(number))?)
                    .await?;
            }
        }
        let pods = Watch::begin(client, "/api/v1", "pods", "app=perf").await?;
        let deployments = Watch::begin(client, "/apis/apps/v1", "deployments", "app=perf").await?;
        let begun = Instant::now();
        // A task of its own: nothing that the harness does is to delay what it sees.
        let ready = tokio::spawn(all_ready(pods, self.pods, begun));
        let told = tokio::spawn(all_told(deployments, self.pods, begun));
        for number in 0..self.deployments {
            let rest = usize::from(number < self.pods % self.deployments);
            let replicas = self.pods / self.deployments + rest;
            let name = format!("perf-{number}");
            create(client, deployment(&name, "perf", replicas)).await?;
        }
        let both = async { anyhow::Ok((ready.await??, told.await??)) };
        let (ready, told) = tokio::time::timeout(RUNNING, both)
            .await
            .with_context(|| format!("not all pods are ready after {RUNNING:?}"))??;
        tokio::time::sleep(SETTLING).await;
        Ok(Times { ready, told })
    }

    async fn wait_for_nodes(&self, client: &Client) -> anyhow::Result<()> {
        let api: Api<Node> = Api::all(client.clone());
        let mut told = 0;
        loop {
            let nodes = api.list(&ListParams::default()).await?;
            let ready = nodes.items.iter().filter(|node| usable(node)).count();
            if ready >= self.nodes {
                return Ok(());
            }
            if ready != told {
                println!("  {ready} of {} nodes ready", self.nodes);
                told = ready;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

async fn all_ready(mut pods: Watch, wanted: usize, begun: Instant) -> anyhow::Result<Duration> {
    let (mut ready, mut told) = (HashSet::new(), Instant::now());
    while ready.len() < wanted {
        let pod = pods.next().await?;
        if pod.is_ready() {
            ready.insert(pod.metadata.name);
        }
        if told.elapsed() > Duration::from_secs(1) {
            println!("  {} of {wanted} pods ready", ready.len());
            told = Instant::now();
        }
    }
    Ok(begun.elapsed())
}

async fn all_told(
    mut deployments: Watch,
    wanted: usize,
    begun: Instant,
) -> anyhow::Result<Duration> {
    let mut available = HashMap::new();
    while available.values().sum::<usize>() < wanted {
        let deployment = deployments.next().await?;
        let replicas = deployment.status.available_replicas;
        available.insert(deployment.metadata.name, replicas);
    }
    Ok(begun.elapsed())
}

type Events = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<Slim>>> + Send>>;

/// A watch of objects in the namespace. An API server that has no time ends watches that fall behind, so
/// it is begun anew from where it was.
struct Watch {
    client: Client,
    path: String,
    version: String,
    events: Events,
}

impl Watch {
    /// Sees what happens from now on; the server has it when this returns.
    async fn begin(client: &Client, group: &str, kind: &str, of: &str) -> anyhow::Result<Self> {
        let path = format!("{group}/namespaces/{NAMESPACE}/{kind}?labelSelector={of}");
        let request = http::Request::get(&path).body(Vec::new())?;
        let list: Value = client.request(request).await?;
        let version = list["metadata"]["resourceVersion"].as_str();
        let version = version.context("a list without a version")?.to_owned();
        let events = Self::open(client, &path, &version).await?;
        Ok(Self {
            client: client.clone(),
            path,
            version,
            events,
        })
    }

    async fn open(client: &Client, path: &str, version: &str) -> anyhow::Result<Events> {
        let uri = format!("{path}&watch=true&timeoutSeconds=3600&resourceVersion={version}");
        let request = http::Request::get(uri).body(Vec::new())?;
        Ok(Box::pin(client.request_events::<Slim>(request).await?))
    }

    /// The next object that was added or changed.
    async fn next(&mut self) -> anyhow::Result<Slim> {
        loop {
            match self.events.next().await.transpose()? {
                Some(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                    self.version.clone_from(&object.metadata.resource_version);
                    return Ok(object);
                }
                Some(WatchEvent::Deleted(object)) => {
                    bail!("{} was deleted", object.metadata.name);
                }
                Some(WatchEvent::Error(error)) => bail!("a watch failed: {}", error.message),
                Some(WatchEvent::Bookmark(_)) => {}
                None => self.events = Self::open(&self.client, &self.path, &self.version).await?,
            }
        }
    }
}

/// A node that kwok plays. The admission plugin TaintNodesByCondition taints it; the controller that
/// would take the taint away is not among those that are compared.
async fn fake_node(client: &Client, number: usize) -> anyhow::Result<()> {
    let name = format!("fake-{number}");
    let capacity = json!({"cpu": "32", "memory": "256Gi", "pods": "110"});
    let node = object(json!({
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
        },
        "status": {"capacity": capacity, "allocatable": capacity},
    }))?;
    let api: Api<Node> = Api::all(client.clone());
    api.create(&PostParams::default(), &node).await?;
    let untaint = Patch::Merge(json!({"spec": {"taints": null}}));
    api.patch(&name, &PatchParams::default(), &untaint).await?;
    Ok(())
}

fn usable(node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let status = node.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    taints.is_none_or(Vec::is_empty)
        && conditions.is_some_and(|conditions| {
            conditions
                .iter()
                .any(|c| c.type_ == "Ready" && c.status == "True")
        })
}

/// The controllers have begun when the namespace has what they put into each.
async fn wait_for_namespace(client: &Client) -> anyhow::Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    while accounts.get_opt("default").await?.is_none()
        || maps.get_opt("kube-root-ca.crt").await?.is_none()
    {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn create(client: &Client, body: Value) -> anyhow::Result<()> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    api.create(&PostParams::default(), &object(body)?).await?;
    Ok(())
}

fn deployment(name: &str, app: &str, replicas: usize) -> Value {
    let labels = json!({"app": app, "name": name});
    json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{
                    "name": "app",
                    "image": "registry.k8s.io/pause:3.10",
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                }]},
            },
        },
    })
}

fn service(number: usize) -> Value {
    json!({
        "metadata": {"name": format!("perf-{number}")},
        "spec": {"selector": {"name": format!("perf-{number}")}, "ports": [{"port": 80}]},
    })
}

fn object<T: DeserializeOwned>(value: Value) -> anyhow::Result<T> {
    Ok(serde_json::from_value(value)?)
}
