//! A namespace full of ConfigMaps and Secrets that is deleted, until it is gone.

use std::time::Instant;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;

use super::{About, Times, Workload};
use crate::hand::Hand;
use crate::manifests::{ALL, APP};
use crate::prepare::wait_for_namespace;
use crate::watch::{Change, Nothing, Slim, Watch};

const NAMESPACES: &str = "/api/v1/namespaces";

pub(crate) struct Namespace {
    pub(crate) objects: usize,
}

impl Workload for Namespace {
    fn about(&self) -> About {
        About::new("object", self.objects, &["namespace-controller"])
    }

    fn prepare<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<()>> {
        async {
            let namespace = json!({"metadata": {"name": APP, "labels": {"app": APP}}});
            hand.create(NAMESPACES, &namespace).await?;
            wait_for_namespace(hand, APP).await?;
            let halves = [self.objects / 2, self.objects.div_ceil(2)];
            for (resource, count) in ["configmaps", "secrets"].into_iter().zip(halves) {
                let objects = (0..count).map(|number| {
                    json!({"metadata": {"name": format!("{APP}-{number}")}, "data": {"key": "dmFs"}})
                });
                let collection = format!("{NAMESPACES}/{APP}/{resource}");
                hand.create_all(&collection, objects).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn run<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<Times>> {
        async {
            let mut namespaces = Watch::<Slim<Nothing>>::begin(hand, NAMESPACES, ALL).await?;
            let begun = Instant::now();
            hand.delete(&format!("{NAMESPACES}/{APP}")).await?;
            while !matches!(namespaces.next().await?, Change::Gone(_)) {}
            Ok(Times {
                done: begun.elapsed(),
                told: None,
            })
        }
        .boxed()
    }
}
