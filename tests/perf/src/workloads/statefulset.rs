//! A StatefulSet that starts its pods in parallel, until all are Ready.

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use super::{About, Times, Workload};
use crate::hand::Hand;
use crate::manifests::{APP, STATEFUL_SETS, workload};
use crate::ready;

pub(crate) struct StatefulSet {
    pub(crate) pods: usize,
}

impl Workload for StatefulSet {
    fn about(&self) -> About {
        About::new("pod", self.pods, &["statefulset-controller"])
    }

    fn prepare<'a>(&'a self, _: &'a Hand) -> BoxFuture<'a, Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn run<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<Times>> {
        async {
            let spec = json!({
                "replicas": self.pods, "podManagementPolicy": "Parallel", "serviceName": "perf",
            });
            let set = workload("perf", APP, spec);
            ready::run(hand, STATEFUL_SETS, &[set], self.pods).await
        }
        .boxed()
    }
}
