//! ConfigMaps of one owner, which is deleted in the background, until they are gone.

use std::time::Instant;

use anyhow::{Context, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{About, Times, Workload};
use crate::hand::Hand;
use crate::manifests::{ALL, APP, CONFIG_MAPS};
use crate::watch::{Change, Nothing, Progress, Slim, Watch};

const OWNER: &str = "owner";

pub(crate) struct Garbage {
    pub(crate) objects: usize,
}

impl Workload for Garbage {
    fn about(&self) -> About {
        About::new("object", self.objects, &["garbage-collector-controller"])
    }

    fn prepare<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<()>> {
        async {
            own(hand, OWNER, APP, self.objects).await?;
            // When one that was made later is collected, the others are known too.
            let gone = Watch::begin(hand, CONFIG_MAPS, "app=warm-up").await?;
            own(hand, "warm-up", "warm-up", 1).await?;
            hand.delete(&format!("{CONFIG_MAPS}/warm-up")).await?;
            all_gone(gone, 1).await?;
            Ok(())
        }
        .boxed()
    }

    fn run<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<Times>> {
        async {
            let gone = Watch::begin(hand, CONFIG_MAPS, ALL).await?;
            let begun = Instant::now();
            // A task of its own: nothing that the harness does is to delay what it sees.
            let gone = tokio::spawn(all_gone(gone, self.objects));
            hand.delete(&format!("{CONFIG_MAPS}/{OWNER}")).await?;
            Ok(Times {
                done: gone.await?? - begun,
                told: None,
            })
        }
        .boxed()
    }
}

/// Makes an owner and what it owns.
async fn own(hand: &Hand, owner: &str, app: &str, count: usize) -> Result<()> {
    let object = json!({"metadata": {"name": owner}});
    let made = hand.create(CONFIG_MAPS, &object).await?;
    let uid = made["metadata"]["uid"]
        .as_str()
        .context("an object without a UID")?;
    let owned = (0..count).map(|number| dependent(&format!("{owner}-{number}"), app, owner, uid));
    hand.create_all(CONFIG_MAPS, owned).await
}

fn dependent(name: &str, app: &str, owner: &str, uid: &str) -> Value {
    let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uid});
    json!({
        "metadata": {"name": name, "labels": {"app": app}, "ownerReferences": [reference]},
        "data": {"key": "value"},
    })
}

async fn all_gone(mut objects: Watch<Slim<Nothing>>, wanted: usize) -> Result<Instant> {
    let (mut gone, mut progress) = (0, Progress::new(wanted, "gone"));
    while gone < wanted {
        if let Change::Gone(_) = objects.next().await? {
            gone += 1;
        }
        progress.at(gone);
    }
    Ok(Instant::now())
}
