//! Autoscalers of Deployments under load, until each has scaled. The harness serves the metrics, the same for all:
//! the pods of a Deployment share a load that is right for so many of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{About, Times, Workload};
use crate::hand::Hand;
use crate::manifests::{ALL, APP, AUTOSCALERS, DEPLOYMENTS, deployment};
use crate::watch::{Progress, Slim, Watch};

const METRICS: &str = "/apis/metrics.k8s.io/v1beta1/nodes";
/// The load asks for so many replicas, and one is there.
const REPLICAS: usize = 4;
/// Of the 10m that a pod asks for.
const UTILIZATION: usize = 50;
const LOAD: &str = "20m";

pub(crate) struct Autoscalers {
    pub(crate) count: usize,
}

/// The statuses of Deployments and autoscalers.
#[derive(Debug, Deserialize, Clone, Default)]
#[serde(rename_all = "camelCase", default)]
struct Scaled {
    #[serde(alias = "currentReplicas")]
    available_replicas: usize,
}

impl Workload for Autoscalers {
    fn about(&self) -> About {
        let controllers = &["horizontal-pod-autoscaler-controller"];
        About {
            metrics: true,
            ..About::new("autoscaler", self.count, controllers)
        }
    }

    fn prepare<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<()>> {
        async {
            while hand.get(METRICS).await.ok().flatten().is_none() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            let there = Watch::begin(hand, DEPLOYMENTS, ALL).await?;
            let deployments = (0..self.count).map(|number| {
                let mut deployment = deployment(&name(number), APP, 1);
                let load = json!({"hollow.corten.dev/cpu-shared": LOAD});
                deployment["spec"]["template"]["metadata"]["annotations"] = load;
                deployment
            });
            hand.create_all(DEPLOYMENTS, deployments).await?;
            scaled(there, self.count, 1).await?;
            Ok(())
        }
        .boxed()
    }

    fn run<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<Times>> {
        async {
            let deployments = Watch::begin(hand, DEPLOYMENTS, ALL).await?;
            let autoscalers = Watch::begin(hand, AUTOSCALERS, ALL).await?;
            let begun = Instant::now();
            // A task of its own: nothing that the harness does is to delay what it sees.
            let done = tokio::spawn(scaled(deployments, self.count, REPLICAS));
            let told = tokio::spawn(scaled(autoscalers, self.count, REPLICAS));
            let autoscalers = (0..self.count).map(|number| autoscaler(&name(number)));
            hand.create_all(AUTOSCALERS, autoscalers).await?;
            Ok(Times {
                done: done.await?? - begun,
                told: Some(told.await?? - begun),
            })
        }
        .boxed()
    }
}

/// When so many objects have had so many replicas.
async fn scaled(
    mut objects: Watch<Slim<Scaled>>,
    count: usize,
    replicas: usize,
) -> Result<Instant> {
    let (mut scaled, mut progress) = (HashMap::new(), Progress::new(count, "scaled"));
    let mut done = 0;
    while done < count {
        let object = objects.next_that_is().await?;
        let is = object.status.available_replicas == replicas;
        scaled.insert(object.metadata.name, is);
        done = scaled.values().filter(|is| **is).count();
        progress.at(done);
    }
    Ok(Instant::now())
}

fn name(number: usize) -> String {
    format!("perf-{number}")
}

fn autoscaler(name: &str) -> Value {
    let target = json!({"type": "Utilization", "averageUtilization": UTILIZATION});
    json!({
        "metadata": {"name": name, "labels": {"app": APP}},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 1,
            "maxReplicas": 10,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    })
}
