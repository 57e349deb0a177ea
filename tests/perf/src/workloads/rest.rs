//! A cluster of nodes and pods in which nothing happens, with all controllers that both have.

use std::time::Duration;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{About, Controllers, Times, Workload};
use crate::hand::Hand;
use crate::manifests::{APP, DEPLOYMENTS, deployment};
use crate::ready;

const SECONDS: usize = 60;
/// What the pods brought about is over after this long.
const SETTLED: Duration = Duration::from_secs(15);

pub(crate) struct Rest {
    pub(crate) pods: usize,
}

impl Workload for Rest {
    fn about(&self) -> About {
        About {
            controllers: Controllers::All,
            timed: false,
            ..About::new("second", SECONDS, &[])
        }
    }

    fn prepare<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<()>> {
        async {
            let deployment = deployment(APP, APP, self.pods);
            ready::run(hand, DEPLOYMENTS, &[deployment], self.pods).await?;
            tokio::time::sleep(SETTLED).await;
            Ok(())
        }
        .boxed()
    }

    fn run<'a>(&'a self, _: &'a Hand) -> BoxFuture<'a, Result<Times>> {
        async {
            let done = Duration::from_secs(SECONDS as u64);
            tokio::time::sleep(done).await;
            Ok(Times { done, told: None })
        }
        .boxed()
    }
}
