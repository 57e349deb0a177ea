//! A DaemonSet, until its pod on each node is Ready.

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use super::{About, Times, Workload};
use crate::hand::Hand;
use crate::manifests::{APP, DAEMON_SETS, workload};
use crate::ready;

pub(crate) struct DaemonSet {
    pub(crate) nodes: usize,
}

impl Workload for DaemonSet {
    fn about(&self) -> About {
        About::new("pod", self.nodes, &["daemonset-controller"])
    }

    fn prepare<'a>(&'a self, _: &'a Hand) -> BoxFuture<'a, Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn run<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<Times>> {
        async {
            let set = workload("perf", APP, json!({}));
            ready::run(hand, DAEMON_SETS, &[set], self.nodes).await
        }
        .boxed()
    }
}
