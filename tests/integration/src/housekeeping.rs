//! Ranges of Services and of nodes, and roles made of roles.

use anyhow::{Context, Result, ensure};
use cluster::{Cluster, Outcome, actor, eventually, upstream_fails, with_namespace};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::networking::v1::ServiceCIDR;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use objects::cidr::Cidr;
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn service_cidr(client: &Client, name: &str, cidr: &str) -> Result<()> {
    let object = json!({ "metadata": { "name": name }, "spec": { "cidrs": [cidr] } });
    let api: Api<ServiceCIDR> = Api::all(client.clone());
    let object = serde_json::from_value(object)?;
    api.create(&PostParams::default(), &object).await?;
    until(client, name, "is ready", |cidr| {
        ready(cidr)["status"] == "True"
    })
    .await?;
    Ok(())
}

async fn until(
    client: &Client,
    name: &str,
    what: &str,
    is: impl Fn(&ServiceCIDR) -> bool,
) -> Result<ServiceCIDR> {
    let api: Api<ServiceCIDR> = Api::all(client.clone());
    eventually(&format!("{name} {what}"), async || {
        let cidr = api.get(name).await?;
        ensure!(is(&cidr), "{:?}", cidr.status);
        Ok(cidr)
    })
    .await
}

async fn gone(client: &Client, name: &str) -> Result<()> {
    let api: Api<ServiceCIDR> = Api::all(client.clone());
    eventually(&format!("{name} is gone"), async || {
        ensure!(api.get_opt(name).await?.is_none());
        Ok(())
    })
    .await
}

fn ready(cidr: &ServiceCIDR) -> Value {
    let status = serde_json::to_value(&cidr.status).unwrap_or_default();
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    conditions
        .into_iter()
        .find(|c| c["type"] == "Ready")
        .unwrap_or_default()
}

fn service(name: &str, ip: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "clusterIP": ip, "ports": [{ "port": 80 }] },
    })
}

#[test]
fn a_range_of_services_is_ready_and_waits_for_the_last_of_them() -> Outcome {
    with_namespace("service-cidr", async |ns| {
        let (client, name) = (ns.client(), ns.name().to_owned());
        service_cidr(&client, &name, "10.97.0.0/24").await?;
        let cidr = until(&client, &name, "is there", |_| true).await?;
        let finalizers = cidr.metadata.finalizers.clone().unwrap_or_default();
        ensure!(
            finalizers == ["networking.k8s.io/service-cidr-finalizer"],
            "{finalizers:?}"
        );
        ensure!(ready(&cidr)["message"] == "Kubernetes Service CIDR is ready");
        // The API server gives addresses out of it a moment after it is ready.
        eventually("a Service gets an address of it", async || {
            ns.create::<Service>(service("web", "10.97.0.7")).await?;
            Ok(())
        })
        .await?;
        let api: Api<ServiceCIDR> = Api::all(client.clone());
        api.delete(&name, &DeleteParams::default()).await?;
        let waits = |cidr: &ServiceCIDR| ready(cidr)["reason"] == "Terminating";
        let cidr = until(&client, &name, "waits", waits).await?;
        ensure!(ready(&cidr)["status"] == "False");
        ns.delete::<Service>("web").await?;
        gone(&client, &name).await
    })
}

#[test]
fn a_range_inside_another_goes_with_its_services_running() -> Outcome {
    with_namespace("service-cidr-inside", async |ns| {
        let (client, name) = (ns.client(), ns.name().to_owned());
        let wide = format!("{name}-wide");
        service_cidr(&client, &name, "10.98.0.0/24").await?;
        eventually("a Service gets an address of it", async || {
            ns.create::<Service>(service("web", "10.98.0.7")).await?;
            Ok(())
        })
        .await?;
        let api: Api<ServiceCIDR> = Api::all(client.clone());
        api.delete(&name, &DeleteParams::default()).await?;
        let waits = |cidr: &ServiceCIDR| ready(cidr)["reason"] == "Terminating";
        until(&client, &name, "waits", waits).await?;
        service_cidr(&client, &wide, "10.98.0.0/16").await?;
        gone(&client, &name).await?;
        ns.delete::<Service>("web").await?;
        api.delete(&wide, &DeleteParams::default()).await?;
        gone(&client, &wide).await
    })
}

#[test]
fn of_two_ranges_that_go_together_one_waits_for_the_services() -> Outcome {
    upstream_fails(
        "canDeleteCIDR (pkg/controller/servicecidrs)",
        "one of them waits",
        with_namespace("service-cidr-pair", async |ns| {
            let (client, one) = (ns.client(), ns.name().to_owned());
            let two = format!("{one}-two");
            service_cidr(&client, &one, "10.99.0.0/24").await?;
            service_cidr(&client, &two, "10.99.0.0/24").await?;
            eventually("a Service gets an address of them", async || {
                ns.create::<Service>(service("web", "10.99.0.7")).await?;
                Ok(())
            })
            .await?;
            let api: Api<ServiceCIDR> = Api::all(client.clone());
            api.delete(&one, &DeleteParams::default()).await?;
            api.delete(&two, &DeleteParams::default()).await?;
            let waits = |cidr: &ServiceCIDR| ready(cidr)["reason"] == "Terminating";
            let waiting = eventually("one of them waits", async || {
                for name in [&one, &two] {
                    if api.get_opt(name).await?.is_some_and(|cidr| waits(&cidr)) {
                        return Ok(());
                    }
                }
                anyhow::bail!("none does");
            })
            .await;
            ns.delete::<Service>("web").await?;
            waiting?;
            gone(&client, &one).await?;
            gone(&client, &two).await
        }),
    )
}

fn role(name: &str, labels: Value, body: Value) -> Result<ClusterRole> {
    let mut role = body;
    role["metadata"] = json!({ "name": name, "labels": labels });
    Ok(serde_json::from_value(role)?)
}

fn verbs(role: &ClusterRole) -> String {
    let rules = role.rules.iter().flatten();
    rules
        .map(|rule| rule.verbs.join("+"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_role_has_the_rules_of_those_that_it_selects() -> Outcome {
    with_namespace("roles", async |ns| {
        let api: Api<ClusterRole> = Api::all(ns.client());
        let (name, create) = (ns.name().to_owned(), PostParams::default());
        let to = json!({ "to": name });
        let rule =
            |verb: &str| json!({ "rules": [{ "verbs": [verb], "nonResourceURLs": ["/x"] }] });
        let sum = json!({ "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": to }] } });
        let is = async |expected: &str| {
            eventually(&format!("the rules are {expected}"), async || {
                let found = verbs(&api.get(&name).await?);
                ensure!(found == expected, "{found}");
                Ok(())
            })
            .await
        };
        let (b, a) = (format!("{name}-b"), format!("{name}-a"));
        api.create(&create, &role(&name, json!({}), sum)?).await?;
        api.create(&create, &role(&b, to.clone(), rule("put"))?)
            .await?;
        is("put").await?;
        api.create(&create, &role(&a, to.clone(), rule("get"))?)
            .await?;
        is("get put").await?;
        let edited =
            Patch::Merge(json!({ "rules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }] }));
        api.patch(&name, &PatchParams::default(), &edited).await?;
        is("get put").await?;
        let changed = Patch::Merge(rule("head"));
        api.patch(&a, &PatchParams::default(), &changed).await?;
        is("head put").await?;
        api.delete(&b, &DeleteParams::default()).await?;
        is("head").await?;
        for name in [&name, &a] {
            api.delete(name, &DeleteParams::default()).await?;
        }
        Ok(())
    })
}

#[test]
fn a_role_that_selects_none_has_no_rules() -> Outcome {
    upstream_fails(
        "applyClusterRoles (pkg/controller/clusterroleaggregation)",
        "the rules are gone",
        with_namespace("roles-none", async |ns| {
            let api: Api<ClusterRole> = Api::all(ns.client());
            let name = ns.name().to_owned();
            let sum = json!({
                "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": { "to": name } }] },
                "rules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
            });
            api.create(&PostParams::default(), &role(&name, json!({}), sum)?)
                .await?;
            let emptied = eventually("the rules are gone", async || {
                let found = verbs(&api.get(&name).await?);
                ensure!(found.is_empty(), "{found}");
                Ok(())
            })
            .await;
            api.delete(&name, &DeleteParams::default()).await?;
            emptied
        }),
    )
}

#[test]
fn each_node_has_a_range_of_its_own_that_stays() -> Outcome {
    let cluster = Cluster::start(actor(), 3)?;
    cluster.with_namespace("ranges", async |ns| {
        let api: Api<Node> = Api::all(ns.client());
        let node = |name: &str, spec: Value| json!({ "metadata": { "name": name }, "spec": spec });
        let own = json!({ "podCIDR": "10.128.77.0/24", "podCIDRs": ["10.128.77.0/24"] });
        let create = PostParams::default();
        for object in [node("own", own), node("bare", json!({}))] {
            api.create(&create, &serde_json::from_value(object)?)
                .await?;
        }
        let all: Cidr = "10.128.0.0/9".parse()?;
        let ranges = async || -> Result<BTreeSet<String>> {
            let nodes = api.list(&Default::default()).await?;
            let mut found = BTreeSet::new();
            for node in &nodes {
                let name = node.metadata.name.clone().unwrap_or_default();
                let spec = node.spec.clone().unwrap_or_default();
                let range = spec
                    .pod_cidr
                    .with_context(|| format!("{name} has no range"))?;
                ensure!(spec.pod_cidrs == Some(vec![range.clone()]));
                let cidr: Cidr = range.parse()?;
                ensure!(all.covers(cidr) && cidr.prefix() == 24, "{name}: {range}");
                ensure!(found.insert(range.clone()), "{range} is of two nodes");
                let ttl = node.metadata.annotations.iter().flatten();
                let mut ttl = ttl.filter(|(key, _)| *key == "node.alpha.kubernetes.io/ttl");
                ensure!(
                    ttl.next().is_some_and(|(_, ttl)| ttl == "0"),
                    "{name} has no ttl"
                );
            }
            Ok(found)
        };
        let five = eventually("all nodes have ranges", async || {
            let found = ranges().await?;
            ensure!(found.len() == 5, "{found:?}");
            Ok(found)
        })
        .await?;
        ensure!(five.contains("10.128.77.0/24"));
        api.delete("bare", &DeleteParams::default()).await?;
        let again = serde_json::from_value(node("again", json!({})))?;
        api.create(&create, &again).await?;
        eventually("a new node has a range too", async || {
            let found = ranges().await?;
            ensure!(found.len() == 5, "{found:?}");
            Ok(())
        })
        .await
    })
}
