//! The operator at work. Each story is told twice.

use crate::{NAME, Website, WebsiteSpec, run};
use corten_test::{Cluster, Effect, Error, Fault, Operator};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::CustomResourceExt;
use serde_json::json;
use std::time::Duration;

/// The kind is installed, the operator runs, and `shop` wants three pods.
async fn with_a_shop(cluster: &Cluster) -> Result<Operator, Error> {
    cluster.apply_one(&Website::crd()).await?;
    let operator = cluster.run(NAME, run)?;
    let spec = WebsiteSpec {
        image: "shop:1".to_owned(),
        replicas: 3,
    };
    cluster.apply_one(&Website::new("shop", spec)).await?;
    Ok(operator)
}

fn has_ready(count: i32) -> impl Fn(&Website) -> bool {
    move |shop: &Website| {
        let status = shop.status.clone().unwrap_or_default();
        status.ready == count && status.observed_generation == shop.metadata.generation
    }
}

async fn a_website_is_served(cluster: Cluster) -> Result<(), Error> {
    let _operator = with_a_shop(&cluster).await?;
    cluster
        .until("shop", "has three pods", has_ready(3))
        .await?;
    cluster
        .until_pods_ready("default", "website=shop", 3)
        .await?;
    cluster.get::<Service>("shop").await?;
    cluster
        .merge::<Website>("shop", json!({ "spec": { "replicas": 1 } }))
        .await?;
    cluster.until("shop", "has one pod", has_ready(1)).await?;
    Ok(())
}

async fn all_of_a_website_goes_with_it(cluster: Cluster) -> Result<(), Error> {
    let _operator = with_a_shop(&cluster).await?;
    cluster
        .until("shop", "has three pods", has_ready(3))
        .await?;
    cluster.delete::<Website>("shop").await?;
    cluster.until_gone::<Deployment>("shop").await?;
    cluster.until_gone::<Service>("shop").await?;
    cluster
        .eventually("the pods are gone", async || {
            match cluster.list::<Pod>("default", "website=shop").await {
                Ok(pods) if pods.is_empty() => Ok(()),
                Ok(pods) => Err(format!("{} are there", pods.len())),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
}

async fn what_is_wrong_with_a_website_is_told(cluster: Cluster) -> Result<(), Error> {
    let _operator = with_a_shop(&cluster).await?;
    let wrong = cluster
        .merge::<Website>("shop", json!({ "spec": { "replicas": -1 } }))
        .await;
    let said = wrong
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(
        said.contains("spec.replicas in body should be greater than or equal to 0"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn in_memory_a_website_is_served() -> Result<(), Error> {
    a_website_is_served(Cluster::sim().await?).await
}

#[tokio::test]
async fn really_a_website_is_served() -> Result<(), Error> {
    a_website_is_served(Cluster::real().await?).await
}

#[tokio::test]
async fn in_memory_all_of_a_website_goes_with_it() -> Result<(), Error> {
    all_of_a_website_goes_with_it(Cluster::sim().await?).await
}

#[tokio::test]
async fn really_all_of_a_website_goes_with_it() -> Result<(), Error> {
    all_of_a_website_goes_with_it(Cluster::real().await?).await
}

#[tokio::test]
async fn in_memory_what_is_wrong_with_a_website_is_told() -> Result<(), Error> {
    what_is_wrong_with_a_website_is_told(Cluster::sim().await?).await
}

#[tokio::test]
async fn really_what_is_wrong_with_a_website_is_told() -> Result<(), Error> {
    what_is_wrong_with_a_website_is_told(Cluster::real().await?).await
}

/// Only in memory: its first five writes fail, one after the other, and it is killed in between.
#[tokio::test]
async fn it_gets_over_failures_and_its_own_death() -> Result<(), Error> {
    let cluster = Cluster::sim().await?;
    for nth in 1..=5 {
        cluster.fail(Fault::write(NAME, nth, Effect::FailBefore(500)))?;
    }
    let operator = with_a_shop(&cluster).await?;
    cluster.pass(Duration::from_secs(2)).await;
    operator.kill();
    let _operator = cluster.run(NAME, run)?;
    cluster
        .until("shop", "has three pods", has_ready(3))
        .await?;
    Ok(())
}

/// Only in memory: a day passes, in which an operator that has nothing to do writes nothing.
#[tokio::test]
async fn it_writes_nothing_while_nothing_changes() -> Result<(), Error> {
    let cluster = Cluster::sim().await?;
    let _operator = with_a_shop(&cluster).await?;
    cluster
        .until("shop", "has three pods", has_ready(3))
        .await?;
    cluster.pass(Duration::from_mins(1)).await;
    let writes = || cluster.in_memory().map(|sim| sim.writes(NAME));
    let before = writes();
    cluster.pass(Duration::from_hours(24)).await;
    assert_eq!(writes(), before);
    Ok(())
}
