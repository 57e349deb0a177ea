//! The garbage collector.

use crate::looms::Looms;
use crate::manifest::{deployment, is_complete, pod, uid};
use anyhow::{Context, Result, ensure};
use cluster::{Namespace, Outcome, eventually, upstream_fails, with_namespace};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;

/// A reference to an owner of a kind; whoever carries it holds the owner up.
fn owner<K: Resource<DynamicType = ()>>(object: &K) -> Value {
    json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()),
        "name": object.name_any(), "uid": object.uid(), "blockOwnerDeletion": true,
    })
}

fn owned(name: &str, owners: &[Value]) -> Value {
    json!({ "metadata": { "name": name, "ownerReferences": owners } })
}

async fn map(ns: &Namespace, name: &str, owners: &[Value]) -> Result<ConfigMap> {
    ns.create(owned(name, owners)).await
}

/// Waits until a ConfigMap is gone.
async fn gone(ns: &Namespace, name: &str) -> Result<()> {
    eventually(&format!("{name} is gone"), async || {
        let found = ns.api::<ConfigMap>().get_opt(name).await?;
        ensure!(found.is_none(), "{found:?}");
        Ok(())
    })
    .await
}

/// A ConfigMap that is there a while later still.
async fn stays(ns: &Namespace, name: &str) -> Result<ConfigMap> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let found = ns.get::<ConfigMap>(name).await?;
    ensure!(found.metadata.deletion_timestamp.is_none(), "{found:?}");
    Ok(found)
}

async fn delete(ns: &Namespace, name: &str, params: DeleteParams) -> Result<()> {
    ns.api::<ConfigMap>().delete(name, &params).await?;
    Ok(())
}

async fn deployed(ns: &Namespace) -> Result<Deployment> {
    ns.create::<Deployment>(deployment("web", 2)).await?;
    ns.until("web", "is complete", is_complete).await
}

#[test]
fn a_deployment_takes_its_sets_and_pods_with_it() -> Outcome {
    with_namespace("gc-background", async |ns| {
        deployed(&ns).await?;
        ns.create::<Pod>(pod("mine", "web")).await?;
        let background = DeleteParams::background();
        ns.api::<Deployment>().delete("web", &background).await?;
        ns.until_all::<ReplicaSet>("", "are gone", <[_]>::is_empty)
            .await?;
        let mine = |pods: &[Pod]| pods.iter().all(|pod| pod.name_any() == "mine");
        ns.until_all::<Pod>("", "are the one that has no owner", mine)
            .await?;
        Ok(())
    })
}

#[test]
fn in_the_foreground_a_deployment_goes_last() -> Outcome {
    with_namespace("gc-foreground", async |ns| {
        deployed(&ns).await?;
        let foreground = DeleteParams::foreground();
        ns.api::<Deployment>().delete("web", &foreground).await?;
        eventually("the Deployment is gone", async || {
            let found = ns.api::<Deployment>().get_opt("web").await?;
            ensure!(found.is_none(), "{:?}", found.map(|d| d.metadata));
            Ok(())
        })
        .await?;
        ensure!(ns.list::<ReplicaSet>("").await?.is_empty());
        ensure!(ns.list::<Pod>("").await?.is_empty());
        Ok(())
    })
}

#[test]
fn in_the_foreground_an_owner_waits_for_those_that_block_it_and_no_others() -> Outcome {
    with_namespace("gc-blocks", async |ns| {
        let top = map(&ns, "top", &[]).await?;
        for (name, blocks) in [("blocks", true), ("does-not", false)] {
            let mut reference = owner(&top);
            reference["blockOwnerDeletion"] = blocks.into();
            let mut object = owned(name, &[reference]);
            object["metadata"]["finalizers"] = json!(["example.com/hold"]);
            ns.create::<ConfigMap>(object).await?;
        }
        delete(&ns, "top", DeleteParams::foreground()).await?;
        let is_going = |map: &ConfigMap| map.metadata.deletion_timestamp.is_some();
        ns.until("blocks", "is being deleted", is_going).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        ns.get::<ConfigMap>("top").await.context("it must wait")?;
        let free = || json!({ "metadata": { "finalizers": null } });
        ns.merge::<ConfigMap>("blocks", free()).await?;
        gone(&ns, "top").await?;
        ns.merge::<ConfigMap>("does-not", free()).await?;
        gone(&ns, "does-not").await?;
        Ok(())
    })
}

#[test]
fn orphans_stay_and_name_their_owner_no_more() -> Outcome {
    with_namespace("gc-orphan", async |ns| {
        deployed(&ns).await?;
        let before = ns.list::<ReplicaSet>("").await?.remove(0);
        ns.api::<Deployment>()
            .delete("web", &DeleteParams::orphan())
            .await?;
        eventually("the Deployment is gone", async || {
            let found = ns.api::<Deployment>().get_opt("web").await?;
            ensure!(found.is_none(), "{:?}", found.map(|d| d.metadata));
            Ok(())
        })
        .await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = ns.list::<ReplicaSet>("").await?.remove(0);
        ensure!(uid(&after) == uid(&before) && after.owner_references().is_empty());
        ensure!(ns.list::<Pod>("").await?.len() == 2);
        Ok(())
    })
}

#[test]
fn an_owner_is_one_incarnation_and_not_a_name() -> Outcome {
    with_namespace("gc-uid", async |ns| {
        let first = map(&ns, "top", &[]).await?;
        map(&ns, "right", &[owner(&first)]).await?;
        let mut wrong = owner(&first);
        wrong["uid"] = "7f1e0c5e-0000-4000-8000-000000000000".into();
        map(&ns, "wrong", &[wrong]).await?;
        gone(&ns, "wrong").await?;
        stays(&ns, "right").await?;
        delete(&ns, "top", DeleteParams::background()).await?;
        map(&ns, "top", &[]).await?;
        gone(&ns, "right").await?;
        Ok(())
    })
}

#[test]
fn one_owner_that_stays_is_enough() -> Outcome {
    with_namespace("gc-two", async |ns| {
        let (a, b) = (map(&ns, "a", &[]).await?, map(&ns, "b", &[]).await?);
        for name in ["background", "foreground"] {
            map(&ns, name, &[owner(&a), owner(&b)]).await?;
        }
        delete(&ns, "a", DeleteParams::foreground()).await?;
        gone(&ns, "a").await?;
        for name in ["background", "foreground"] {
            let left = stays(&ns, name).await?.owner_references().to_vec();
            ensure!(left.len() == 1 && left[0].name == "b", "{left:?}");
        }
        delete(&ns, "b", DeleteParams::background()).await?;
        gone(&ns, "background").await?;
        Ok(())
    })
}

#[test]
fn objects_that_own_each_other_do_not_wait_for_each_other() -> Outcome {
    with_namespace("gc-circle", async |ns| {
        let a = map(&ns, "a", &[]).await?;
        let b = map(&ns, "b", &[owner(&a)]).await?;
        let owners = json!({ "metadata": { "ownerReferences": [owner(&b)] } });
        ns.merge::<ConfigMap>("a", owners).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        delete(&ns, "a", DeleteParams::foreground()).await?;
        gone(&ns, "a").await?;
        gone(&ns, "b").await?;
        Ok(())
    })
}

#[test]
fn an_owner_in_another_namespace_is_none_and_that_is_told() -> Outcome {
    with_namespace("gc-far", async |ns| {
        let far: Api<ConfigMap> = Api::default_namespaced(ns.client());
        let object = serde_json::from_value(owned(ns.name(), &[]))?;
        let top = far.create(&PostParams::default(), &object).await?;
        // The collector knows the owner by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        map(&ns, "stray", &[owner(&top)]).await?;
        gone(&ns, "stray").await?;
        let text = "does not exist in namespace";
        ns.event("stray", "OwnerRefInvalidNamespace", text).await?;
        far.delete(ns.name(), &DeleteParams::default()).await?;
        Ok(())
    })
}

#[test]
fn what_lives_in_no_namespace_is_not_deleted_for_an_owner_in_one() -> Outcome {
    with_namespace("gc-cluster", async |ns| {
        let roles: Api<ClusterRole> = Api::all(ns.client());
        let top = map(&ns, "top", &[]).await?;
        let object = serde_json::from_value(owned(ns.name(), &[owner(&top)]))?;
        roles.create(&PostParams::default(), &object).await?;
        delete(&ns, "top", DeleteParams::background()).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        roles.get(ns.name()).await?;
        roles.delete(ns.name(), &DeleteParams::default()).await?;
        Ok(())
    })
}

#[test]
fn kinds_that_are_installed_later_are_collected_too() -> Outcome {
    with_namespace("gc-custom", async |ns| {
        let looms = Looms::of(&ns);
        looms.installed(async || collected(&ns, &looms).await).await
    })
}

async fn collected(ns: &Namespace, looms: &Looms) -> Result<()> {
    let a = eventually("the kind is served", async || {
        looms.create(owned("a", &[])).await
    })
    .await?;
    let reference = json!({
        "apiVersion": looms.version, "kind": "Loom", "name": "a", "uid": a.uid(),
        "blockOwnerDeletion": true,
    });
    map(ns, "dependent", std::slice::from_ref(&reference)).await?;
    let top = map(ns, "top", &[]).await?;
    looms.create(owned("b", &[reference, owner(&top)])).await?;
    // Custom resources take merge patches only: `b` is let go of by `a`.
    looms.api.delete("a", &DeleteParams::foreground()).await?;
    let is_gone = async |name: &str| {
        eventually(&format!("{name} is gone"), async || {
            let left = looms.api.get_opt(name).await?;
            ensure!(left.is_none(), "{left:?}");
            Ok(())
        })
        .await
    };
    // Upstream asks every 30 s what is served.
    if is_gone("a").await.is_err() {
        is_gone("a").await?;
    }
    gone(ns, "dependent").await?;
    let left = looms.api.get("b").await?.owner_references().to_vec();
    ensure!(left.len() == 1 && left[0].name == "top", "{left:?}");
    delete(ns, "top", DeleteParams::background()).await?;
    is_gone("b").await
}

#[test]
fn an_owner_is_found_in_a_version_that_is_not_served_any_more() -> Outcome {
    let outcome = with_namespace("gc-version", async |ns| {
        let set = ns.create::<Deployment>(deployment("web", 1)).await?;
        let mut reference = owner(&set);
        reference["apiVersion"] = "apps/v1beta1".into();
        map(&ns, "dependent", &[reference]).await?;
        ns.delete::<Deployment>("web").await?;
        gone(&ns, "dependent").await?;
        Ok(())
    });
    let bug = "restMappingError: an owner of a version that is not served is asked for without end";
    upstream_fails(bug, "dependent is gone", outcome)
}
