//! A scheduler that begins where there are nodes, and pods on them that leave room for one more on one node only. It
//! has begun when the pod that waits is there.

use std::time::Instant;

use anyhow::{Context, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::scheduling::{node, place};
use super::{About, Controllers, Times, Workload};
use crate::hand::Hand;
use crate::manifests::PODS;
use crate::watch::{Conditions, Slim, Watch};

/// Of the pod that waits.
const WAITS: &str = "app=waits";

/// Nodes full of pods.
pub(crate) struct Restart {
    pub(crate) nodes: usize,
    pub(crate) pods: usize,
}

impl Restart {
    /// The node where there is room: none of the first, none of the last.
    fn room(&self) -> usize {
        self.nodes * 2 / 3
    }

    /// So many pods fill a node, which has four cores.
    fn each(&self) -> usize {
        self.pods.div_ceil(self.nodes)
    }

    fn pod(&self, name: &str, app: &str) -> Value {
        let cpu = format!("{}m", 4_000 / self.each());
        json!({
            "metadata": {"name": name, "labels": {"app": app}},
            "spec": {"containers": [{
                "name": "app", "image": "registry.k8s.io/pause:3.10",
                "resources": {"requests": {"cpu": cpu, "memory": "500Mi"}},
            }]},
        })
    }

    async fn fill(&self, hand: &Hand) -> Result<()> {
        place(hand, (0..self.nodes).map(|number| node(number, 1))).await?;
        let all = (0..self.nodes * self.each()).filter(|number| *number != self.room());
        let pods = all.map(|number| {
            let mut pod = self.pod(&format!("there-{number}"), "there");
            pod["spec"]["nodeName"] = json!(format!("node-{}", number % self.nodes));
            pod
        });
        hand.create_all(PODS, pods).await?;
        hand.create(PODS, &self.pod("waits", "waits")).await?;
        Ok(())
    }

    async fn wait(&self, hand: &Hand) -> Result<Times> {
        let begun = Instant::now();
        let (there, mut pods) = Watch::<Slim<Conditions>>::with_all(hand, PODS, WAITS).await?;
        if !there.iter().any(|pod| pod.is("PodScheduled")) {
            while !pods.next_that_is().await?.is("PodScheduled") {}
        }
        let done = begun.elapsed();
        let pod = hand.get(&format!("{PODS}/waits")).await?;
        let pod = pod.context("the pod that waited is gone")?;
        let (right, given) = (format!("node-{}", self.room()), &pod["spec"]["nodeName"]);
        anyhow::ensure!(
            *given == *right,
            "there is room on {right}, and the pod is on {given}"
        );
        Ok(Times { done, told: None })
    }
}

impl Workload for Restart {
    fn about(&self) -> About {
        About {
            controllers: Controllers::OnlyScheduler,
            late: true,
            ..About::new("start", 1, &[])
        }
    }

    fn prepare<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<()>> {
        self.fill(hand).boxed()
    }

    fn run<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<Times>> {
        self.wait(hand).boxed()
    }
}
