//! Pods that only a scheduler has to do with: they are made one by one, there are no controllers and no node agents,
//! and a pod is done when it is bound.
//!
//! The workloads are those of upstream's scheduler_perf (`test/integration/scheduler_perf`), made anew from their
//! published parameters: what nodes and pods look like, and how many pods there are before.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{About, Controllers, Times, Workload};
use crate::hand::Hand;
use crate::manifests::{ALL, APP, NODES, PODS, SERVICES};
use crate::watch::{Conditions, Progress, Slim, Watch};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const CLASSES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";
const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";
/// So often something comes and goes where something does.
const CHURN: Duration = Duration::from_millis(200);

/// What pods ask for, beside their requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing.
    Plain,
    /// To be spread over zones: the skew is at most five.
    Spread,
    /// The same, if it can be had.
    PreferSpread,
    /// To be in a zone with others of their kind.
    Affinity,
    /// To be on a node without others of their kind.
    AntiAffinity,
    /// To be in one of two zones.
    NodeAffinity,
    /// More than any node has, with high priority.
    TooMuch,
    /// Little, with low priority.
    Low,
    /// Most of a node, with high priority.
    High,
}

/// Pods on nodes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scheduling {
    pub(crate) nodes: usize,
    pub(crate) pods: usize,
    /// How many zones the nodes are in.
    pub(crate) zones: usize,
    /// Pods that are there before, each kind in hundredths of the nodes.
    pub(crate) before: &'static [(Wish, usize)],
    /// The pods that are measured.
    pub(crate) wish: Wish,
    pub(crate) churn: Churn,
}

/// What happens meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Churn {
    /// Nothing else.
    Nothing,
    /// Important pods come that fit nowhere, and stay.
    Comes,
    /// A node, a Service and such a pod come and go.
    ComesAndGoes,
}

impl Wish {
    fn pod(self, name: &str, app: &str) -> Value {
        let labels = json!({"app": app, "wish": format!("{self:?}").to_lowercase()});
        let selector = json!({"matchLabels": labels});
        let term = |key: &str| json!([{"topologyKey": key, "labelSelector": selector}]);
        let spread = |otherwise: &str| {
            json!({"topologySpreadConstraints": [{
                "maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": otherwise, "labelSelector": selector,
            }]})
        };
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        let more = match self {
            Self::Plain => json!({}),
            Self::Spread => spread("DoNotSchedule"),
            Self::PreferSpread => spread("ScheduleAnyway"),
            Self::Affinity => json!({"affinity": {"podAffinity": {required: term(ZONE)}}}),
            Self::AntiAffinity => json!({"affinity": {"podAntiAffinity": {required: term(HOST)}}}),
            Self::NodeAffinity => json!({"affinity": {"nodeAffinity": {required: {
                "nodeSelectorTerms": [{"matchExpressions": [
                    {"key": ZONE, "operator": "In", "values": ["zone-0", "zone-1"]},
                ]}],
            }}}}),
            Self::Low => json!({"terminationGracePeriodSeconds": 0}),
            Self::High | Self::TooMuch => json!({"priorityClassName": "high"}),
        };
        let cpu = match self {
            Self::TooMuch => "9",
            Self::Low => "900m",
            Self::High => "3",
            _ => "100m",
        };
        let mut spec = json!({"containers": [{
            "name": "app", "image": "registry.k8s.io/pause:3.10",
            "resources": {"requests": {"cpu": cpu, "memory": "500Mi"}},
        }]});
        if let (Some(whole), Value::Object(more)) = (spec.as_object_mut(), more) {
            whole.extend(more);
        }
        json!({"metadata": {"name": name, "labels": labels}, "spec": spec})
    }
}

/// A node of four cores, in one of so many zones.
pub(super) fn node(number: usize, zones: usize) -> Value {
    let name = format!("node-{number}");
    let capacity = json!({"cpu": "4", "memory": "32Gi", "pods": "110"});
    json!({
        "metadata": {
            "name": name,
            "labels": {HOST: name, ZONE: format!("zone-{}", number % zones)},
        },
        "status": {
            "capacity": capacity, "allocatable": capacity,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Perf"}],
        },
    })
}

/// Makes nodes, and what pods need to be made.
pub(super) async fn place(
    hand: &Hand,
    nodes: impl ExactSizeIterator<Item = Value> + Clone,
) -> Result<()> {
    while hand.get("/api/v1/namespaces/default").await?.is_none() {
        tokio::time::sleep(CHURN).await;
    }
    let account = json!({"metadata": {"name": "default"}});
    hand.create(ACCOUNTS, &account).await?;
    let class = json!({"metadata": {"name": "high"}, "value": 1_000});
    hand.create(CLASSES, &class).await?;
    // The API server taints what nobody has said to be ready.
    let untainted = json!({"spec": {"taints": null}});
    let names = (0..nodes.len()).map(|number| format!("{NODES}/node-{number}"));
    hand.create_all(NODES, nodes).await?;
    hand.merge_all(names, &untainted).await
}

impl Scheduling {
    async fn place(&self, hand: &Hand) -> Result<()> {
        place(hand, (0..self.nodes).map(|number| node(number, self.zones))).await?;
        for (kind, (wish, hundredths)) in self.before.iter().enumerate() {
            let count = self.nodes * hundredths / 100;
            let pods = bound(hand, "before", count).await?;
            let name = |number: usize| format!("before-{kind}-{number}");
            let made = (0..count).map(|number| wish.pod(&name(number), "before"));
            hand.create_all(PODS, made).await?;
            pods.await??;
        }
        Ok(())
    }

    async fn schedule(&self, hand: &Hand) -> Result<Times> {
        let begun = Instant::now();
        let pods = bound(hand, APP, self.pods).await?;
        let made = (0..self.pods).map(|number| self.wish.pod(&format!("pod-{number}"), APP));
        let churn = async {
            match self.churn {
                Churn::Nothing => std::future::pending().await,
                goes => churn(hand, goes == Churn::ComesAndGoes).await,
            }
        };
        let all = async {
            hand.create_all(PODS, made).await?;
            pods.await??;
            anyhow::Ok(())
        };
        tokio::select! {
            failed = churn => failed?,
            done = all => done?,
        }
        Ok(Times {
            done: begun.elapsed(),
            told: None,
        })
    }
}

/// Waits, in a task of its own, until so many pods of an app more have been bound.
async fn bound(
    hand: &Hand,
    app: &str,
    wanted: usize,
) -> Result<tokio::task::JoinHandle<Result<()>>> {
    let selector = match app {
        APP => ALL.to_owned(),
        app => format!("app={app}"),
    };
    let mut pods = Watch::<Slim<Conditions>>::begin(hand, PODS, &selector).await?;
    Ok(tokio::spawn(async move {
        let (mut bound, mut progress) = (HashSet::new(), Progress::new(wanted, "pods bound"));
        while bound.len() < wanted {
            let pod = pods.next_that_is().await?;
            if pod.is("PodScheduled") {
                bound.insert(pod.metadata.name);
            }
            progress.at(bound.len());
        }
        Ok(())
    }))
}

/// Has pods come that fit nowhere, for ever; if they go, a node and a Service come and go with them.
async fn churn(hand: &Hand, goes: bool) -> Result<()> {
    for number in 0_usize.. {
        let name = format!("churn-{number}");
        let node = json!({"metadata": {"name": name}, "status": {"capacity": {"cpu": "1"}}});
        let service = json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
        let mut pod = Wish::TooMuch.pod(&name, "churn");
        pod["spec"]["terminationGracePeriodSeconds"] = json!(0);
        let mut all = vec![(PODS, pod)];
        if goes {
            all.extend([(NODES, node), (SERVICES, service)]);
        }
        for (collection, object) in &all {
            hand.create(collection, object).await?;
        }
        tokio::time::sleep(CHURN).await;
        for (collection, _) in all.iter().filter(|_| goes) {
            hand.delete(&format!("{collection}/{name}")).await?;
        }
    }
    Ok(())
}

impl Workload for Scheduling {
    fn about(&self) -> About {
        About {
            controllers: Controllers::OnlyScheduler,
            ..About::new("pod", self.pods, &[])
        }
    }

    fn prepare<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<()>> {
        self.place(hand).boxed()
    }

    fn run<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<Times>> {
        self.schedule(hand).boxed()
    }
}
