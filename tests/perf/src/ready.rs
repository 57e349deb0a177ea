//! When pods are all Ready, and when those that own them say so.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use crate::hand::Hand;
use crate::manifests::{ALL, PODS};
use crate::watch::{Conditions, Progress, Slim, Watch};
use crate::workloads::Times;

/// The status of what owns pods.
#[derive(Debug, Deserialize, Clone, Default)]
#[serde(rename_all = "camelCase", default)]
struct Owner {
    #[serde(alias = "numberAvailable")]
    available_replicas: usize,
}

/// Posts `owners` to `collection` and waits until their pods, `wanted` in all, are Ready and they say so.
pub(crate) async fn run(
    hand: &Hand,
    collection: &str,
    owners: &[Value],
    wanted: usize,
) -> Result<Times> {
    let pods = Watch::begin(hand, PODS, ALL).await?;
    let told = Watch::begin(hand, collection, ALL).await?;
    let begun = Instant::now();
    // A task of its own: nothing that the harness does is to delay what it sees.
    let ready = tokio::spawn(all_ready(pods, wanted, begun));
    let told = tokio::spawn(all_told(told, wanted, begun));
    for owner in owners {
        hand.create(collection, owner).await?;
    }
    Ok(Times {
        done: ready.await??,
        told: Some(told.await??),
    })
}

async fn all_ready(
    mut pods: Watch<Slim<Conditions>>,
    wanted: usize,
    begun: Instant,
) -> Result<Duration> {
    let (mut ready, mut progress) = (HashSet::new(), Progress::new(wanted, "pods ready"));
    while ready.len() < wanted {
        let pod = pods.next_that_is().await?;
        if pod.is("Ready") {
            ready.insert(pod.metadata.name);
        }
        progress.at(ready.len());
    }
    Ok(begun.elapsed())
}

async fn all_told(
    mut owners: Watch<Slim<Owner>>,
    wanted: usize,
    begun: Instant,
) -> Result<Duration> {
    let mut available = HashMap::new();
    while available.values().sum::<usize>() < wanted {
        let owner = owners.next_that_is().await?;
        available.insert(owner.metadata.name, owner.status.available_replicas);
    }
    Ok(begun.elapsed())
}
