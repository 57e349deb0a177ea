//! An Indexed Job whose pods all run at once and end after about a second, until it is Complete.

use std::time::Instant;

use anyhow::{Result, bail};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{About, Times, Workload};
use crate::hand::Hand;
use crate::manifests::{ALL, APP, JOBS, template};
use crate::watch::{Conditions, Slim, Watch};

pub(crate) struct Job {
    pub(crate) pods: usize,
}

impl Workload for Job {
    fn about(&self) -> About {
        About::new("pod", self.pods, &["job-controller"])
    }

    fn prepare<'a>(&'a self, _: &'a Hand) -> BoxFuture<'a, Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn run<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<Times>> {
        async {
            let mut jobs = Watch::<Slim<Conditions>>::begin(hand, JOBS, ALL).await?;
            let begun = Instant::now();
            hand.create(JOBS, &job(self.pods)).await?;
            loop {
                let job = jobs.next_that_is().await?;
                if job.is("Failed") {
                    bail!("the Job has failed");
                }
                if job.is("Complete") {
                    break;
                }
            }
            Ok(Times {
                done: begun.elapsed(),
                told: None,
            })
        }
        .boxed()
    }
}

fn job(pods: usize) -> Value {
    let labels = json!({"app": APP});
    let mut template = template(labels.clone());
    template["spec"]["restartPolicy"] = "Never".into();
    // kwok's stage for pods of Jobs says the same.
    template["metadata"]["annotations"] = json!({"hollow.corten.dev/run-for": "1s"});
    json!({
        "metadata": {"name": "perf", "labels": labels},
        "spec": {
            "completions": pods,
            "parallelism": pods,
            "completionMode": "Indexed",
            "template": template,
        },
    })
}
