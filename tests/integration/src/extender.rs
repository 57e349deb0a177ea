//! An extender over HTTP, which a scheduler beside the cluster's own asks about pods that want its devices: ours, or
//! upstream's, with the same results.

use crate::manifest::IMAGE;
use crate::own_nodes;
use crate::scheduler::runs_on;
use anyhow::{Context, Result, ensure};
use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use cluster::{Cluster, Namespace, Outcome, actor, eventually, with_namespace};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};

/// What the extender looks after; the scheduler itself does not count it.
const DEVICE: &str = "example.com/device";

/// An extender. The nodes it gets end with a number: it never lets `1` pass, likes `3` best, and lets victims leave `2`
/// only.
#[derive(Clone)]
struct Extender {
    client: Client,
    /// Which verb was asked for which pod.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Extender {
    fn asked(&self, what: &str) -> usize {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|asked| asked.starts_with(what)).count()
    }

    /// Says how the pod has to be treated: by its label `is`.
    fn answer(&self, verb: &str, body: &Value) -> Result<Value> {
        let of = &body["Pod"]["metadata"];
        let name = of["name"].as_str().or(body["PodName"].as_str());
        let line = format!("{verb} {}", name.unwrap_or_default());
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(line.clone());
        let before = asked.iter().filter(|asked| **asked == line).count();
        drop(asked);
        let is = of["labels"]["is"].as_str().unwrap_or_default();
        let names = body["NodeNames"].as_array().cloned().unwrap_or_default();
        let ends = |node: &Value, end: &str| node.as_str().is_some_and(|it| it.ends_with(end));
        Ok(match verb {
            "filter" => {
                ensure!(is != "unlucky" || before > 1, "as the test wants it");
                let refuses = |node: &&Value| is == "refused" || ends(node, "-1");
                let (failed, passed): (Vec<_>, Vec<_>) = names.iter().partition(refuses);
                let failed = failed.into_iter().filter_map(|node| node.as_str());
                let failed = failed.map(|node| (node.to_owned(), json!("no device there")));
                let failed: serde_json::Map<_, _> = failed.collect();
                json!({ "NodeNames": passed, "FailedNodes": failed, "Error": "" })
            }
            "prioritize" => {
                let score = |node: &Value| if ends(node, "-3") { 10 } else { 0 };
                let scores = names
                    .iter()
                    .map(|node| json!({ "Host": node, "Score": score(node) }));
                scores.collect()
            }
            "preempt" => {
                let victims = body["NodeNameToMetaVictims"].as_object().cloned();
                let mut victims = victims.context("it knows nodes by name")?;
                victims.retain(|node, _| node.ends_with("-2"));
                json!({ "NodeNameToMetaVictims": victims })
            }
            _ => Value::Null,
        })
    }

    async fn bind(&self, body: &Value) -> Result<Value> {
        let [name, space] = ["PodName", "PodNamespace"].map(|it| body[it].as_str());
        let (name, space) = (name.context("a name")?, space.context("a namespace")?);
        let binding = json!({
            "metadata": { "name": name, "uid": body["PodUID"] },
            "target": { "kind": "Node", "name": body["Node"] },
        });
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), space);
        let params = PostParams::default();
        let bound = pods.create_subresource::<_, Value>("binding", name, &params, &binding);
        let error = bound.await.err().map(|error| error.to_string());
        Ok(json!({ "Error": error.unwrap_or_default() }))
    }
}

async fn serve(
    State(extender): State<Extender>,
    Path(verb): Path<String>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    let answer = extender.answer(&verb, &body);
    let answer = match (answer, &*verb) {
        (Ok(_), "bind") => extender.bind(&body).await,
        (answer, _) => answer,
    };
    answer
        .map(Json)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// Three nodes of the test's own, which have devices.
async fn nodes(ns: &Namespace) -> Result<()> {
    let amounts = json!({ "cpu": "1", "memory": "1Gi", "pods": "10", DEVICE: "10" });
    own_nodes::make(ns, 1..=3, &amounts).await
}

/// A pod for them and for the scheduler of the test; `devices` says whether it wants one.
fn there(ns: &Namespace, name: &str, cpu: &str, devices: bool, is: &str) -> Value {
    let mut amounts = json!({ "cpu": cpu });
    if devices {
        amounts[DEVICE] = json!("1");
    }
    json!({
        "metadata": { "name": name, "labels": { "is": is } },
        "spec": {
            "schedulerName": ns.name(), "terminationGracePeriodSeconds": 0,
            "nodeSelector": { "test": ns.name() },
            "tolerations": [{ "key": "test", "value": ns.name() }],
            "containers": [{ "name": "main", "image": IMAGE,
                "resources": { "requests": amounts, "limits": amounts } }],
        },
    })
}

async fn story(ns: &Namespace, extender: &Extender, url: &str) -> Result<()> {
    nodes(ns).await?;
    // Nobody listens where the second one is said to be.
    let config = format!(
        "profiles: [{{ schedulerName: {} }}]
extenders:
- urlPrefix: 'http://127.0.0.1:1/y'
  filterVerb: filter
  prioritizeVerb: prioritize
  preemptVerb: preempt
  weight: 1
  ignorable: true
- urlPrefix: '{url}'
  filterVerb: filter
  prioritizeVerb: prioritize
  preemptVerb: preempt
  bindVerb: bind
  weight: 5
  nodeCacheCapable: true
  managedResources: [{{ name: {DEVICE}, ignoredByScheduler: true }}]",
        ns.name()
    );
    let cluster = Cluster::shared()?;
    let _second = cluster.second_scheduler(actor(), &config).await?;
    let node = |number: u32| format!("{}-{number}", ns.name());

    // It filters, prefers and binds.
    ns.create::<Pod>(there(ns, "wants", "100m", true, "fine"))
        .await?;
    ns.until("wants", "runs on the third", runs_on(&node(3)))
        .await?;
    let text = format!("Successfully assigned {}/wants to {}", ns.name(), node(3));
    ns.event("wants", "Scheduled", &text).await?;
    for asked in ["filter wants", "prioritize wants", "bind wants"] {
        ensure!(
            extender.asked(asked) == 1,
            "{asked}: {}",
            extender.asked(asked)
        );
    }

    // It is not asked about pods that want no device; nobody minds that the other one cannot be reached.
    ns.create::<Pod>(there(ns, "plain", "900m", false, "fine"))
        .await?;
    let runs = |pod: &Pod| {
        pod.status
            .as_ref()
            .is_some_and(|s| s.phase.as_deref() == Some("Running"))
    };
    ns.until("plain", "runs", runs).await?;
    ensure!(extender.asked("filter plain") == 0, "it was asked");
    ns.delete::<Pod>("plain").await?;

    // Its reasons are told.
    ns.create::<Pod>(there(ns, "refused", "100m", true, "refused"))
        .await?;
    ns.event("refused", "FailedScheduling", "3 no device there")
        .await?;

    // Its failure is told, and it is asked again.
    ns.create::<Pod>(there(ns, "unlucky", "100m", true, "unlucky"))
        .await?;
    let text = format!("failed filter with extender at URL {url}/filter, code 500");
    ns.event("unlucky", "FailedScheduling", &text).await?;
    ns.until("unlucky", "runs on the third", runs_on(&node(3)))
        .await?;

    // It says who may leave.
    for number in 1..=3 {
        let mut low = there(ns, &format!("low-{number}"), "600m", false, "fine");
        low["spec"]["nodeName"] = json!(node(number));
        ns.create::<Pod>(low).await?;
    }
    let low = |number: u32| format!("low-{number}");
    for number in 1..=3 {
        ns.until(&low(number), "runs", runs_on(&node(number)))
            .await?;
    }
    let classes: Api<PriorityClass> = Api::all(ns.client());
    let class = format!("{}-high", ns.name());
    let high: PriorityClass =
        serde_json::from_value(json!({ "metadata": { "name": class }, "value": 1000 }))?;
    classes.create(&PostParams::default(), &high).await?;
    let mut high = there(ns, "high", "800m", true, "fine");
    high["spec"]["priorityClassName"] = json!(class);
    // Admission may not know the class yet.
    let admitted = async || ns.create::<Pod>(high.clone()).await;
    eventually("the pod is admitted", admitted).await?;
    let outcome = ns
        .until("high", "runs on the second", runs_on(&node(2)))
        .await;
    classes.delete(&class, &DeleteParams::default()).await?;
    outcome?;
    ensure!(extender.asked("preempt high") > 0, "it was not asked");
    let left = ns.list::<Pod>("is=fine").await?;
    let left = left.iter().filter_map(|pod| pod.metadata.name.as_deref());
    let left: Vec<&str> = left.filter(|name| name.starts_with("low")).collect();
    ensure!(left == ["low-1", "low-3"], "{left:?}");
    Ok(())
}

#[test]
fn an_extender_says_where_pods_go_that_want_its_devices() -> Outcome {
    with_namespace("sched-extender", async |ns| {
        let extender = Extender {
            client: ns.client(),
            asked: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let verbs = Router::new().route("/x/{verb}", axum::routing::post(serve));
        let verbs = verbs.with_state(extender.clone());
        let server = tokio::spawn(async move { axum::serve(listener, verbs).await });
        let outcome = story(&ns, &extender, &format!("http://{address}/x")).await;
        server.abort();
        let nodes: Api<Node> = Api::all(ns.client());
        for number in 1..=3 {
            let name = format!("{}-{number}", ns.name());
            nodes.delete(&name, &DeleteParams::default()).await?;
        }
        outcome
    })
}
