//! Tokens in Secrets, of service accounts and of nodes that join.

use anyhow::{Context, Result, ensure};
use cluster::{Outcome, eventually, with_namespace};
use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::TokenReview;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

fn token_secret(name: &str, account: &str) -> Value {
    json!({
        "metadata": { "name": name, "annotations": { "kubernetes.io/service-account.name": account } },
        "type": "kubernetes.io/service-account-token",
    })
}

fn value(secret: &Secret, key: &str) -> Option<String> {
    let value: &ByteString = secret.data.as_ref()?.get(key)?;
    String::from_utf8(value.0.clone()).ok()
}

/// Whom the API server takes the holder of a token for.
async fn user(client: Client, token: &str) -> Result<Option<String>> {
    let review = json!({ "metadata": {}, "spec": { "token": token } });
    let review: TokenReview = serde_json::from_value(review)?;
    let answer = Api::<TokenReview>::all(client)
        .create(&PostParams::default(), &review)
        .await?;
    let user = answer.status.context("status")?.user;
    Ok(user.and_then(|user| user.username))
}

fn is_filled(secret: &Secret) -> bool {
    value(secret, "token").is_some()
}

#[test]
fn a_secret_gets_a_token_that_the_api_server_takes() -> Outcome {
    with_namespace("tokens", async |ns| {
        ns.create::<ServiceAccount>(json!({ "metadata": { "name": "till" } }))
            .await?;
        ns.create::<Secret>(token_secret("till-token", "till"))
            .await?;
        let secret = ns.until("till-token", "is filled", is_filled).await?;
        let token = value(&secret, "token").context("token")?;
        ensure!(value(&secret, "namespace").as_deref() == Some(ns.name()));
        ensure!(value(&secret, "ca.crt").is_some_and(|ca| ca.contains("BEGIN CERTIFICATE")));
        let account = ns.get::<ServiceAccount>("till").await?;
        let annotations = secret.metadata.annotations.unwrap_or_default();
        ensure!(
            annotations.get("kubernetes.io/service-account.uid") == account.metadata.uid.as_ref()
        );
        let expected = format!("system:serviceaccount:{}:till", ns.name());
        ensure!(user(ns.client(), &token).await? == Some(expected));
        Ok(())
    })
}

#[test]
fn what_is_taken_out_of_a_secret_comes_back() -> Outcome {
    with_namespace("tokens-back", async |ns| {
        ns.create::<Secret>(token_secret("default-token", "default"))
            .await?;
        let first = ns.until("default-token", "is filled", is_filled).await?;
        let patch =
            json!({ "data": { "token": null, "namespace": null, "ca.crt": null, "own": "eA==" } });
        ns.merge::<Secret>("default-token", patch).await?;
        let whole = |secret: &Secret| {
            ["token", "namespace", "ca.crt", "own"]
                .iter()
                .all(|key| value(secret, key).is_some_and(|value| !value.is_empty()))
        };
        let second = ns.until("default-token", "is whole again", whole).await?;
        ensure!(value(&first, "ca.crt") == value(&second, "ca.crt"));
        Ok(())
    })
}

#[test]
fn a_secret_goes_with_its_account_and_one_of_none_goes_at_once() -> Outcome {
    with_namespace("tokens-go", async |ns| {
        ns.create::<ServiceAccount>(json!({ "metadata": { "name": "till" } }))
            .await?;
        ns.create::<Secret>(token_secret("till-token", "till"))
            .await?;
        ns.create::<Secret>(json!({ "metadata": { "name": "other" } }))
            .await?;
        ns.until("till-token", "is filled", is_filled).await?;
        ns.delete::<ServiceAccount>("till").await?;
        let only_other = |all: &[Secret]| all.len() == 1;
        ns.until_all("", "are those of nobody", only_other).await?;
        ns.create::<Secret>(token_secret("lost", "nobody")).await?;
        ns.until_all::<Secret>("", "are those of nobody again", only_other)
            .await?;
        Ok(())
    })
}

#[test]
fn an_account_forgets_a_token_that_was_deleted() -> Outcome {
    with_namespace("tokens-list", async |ns| {
        ns.create::<Secret>(token_secret("mine", "default")).await?;
        ns.until("mine", "is filled", is_filled).await?;
        let listed = json!({ "secrets": [{ "name": "mine" }, { "name": "theirs" }] });
        ns.merge::<ServiceAccount>("default", listed).await?;
        ns.delete::<Secret>("mine").await?;
        let one = |account: &ServiceAccount| {
            let names = account.secrets.iter().flatten().map(|s| s.name.clone());
            names.collect::<Vec<_>>() == [Some("theirs".to_owned())]
        };
        ns.until("default", "lists what is left", one).await?;
        Ok(())
    })
}

#[test]
fn cluster_info_is_signed_with_the_tokens_of_nodes_that_join() -> Outcome {
    with_namespace("join", async |ns| {
        let secrets: Api<Secret> = Api::namespaced(ns.client(), "kube-system");
        let maps: Api<ConfigMap> = Api::namespaced(ns.client(), "kube-public");
        let create = PostParams::default();
        let info = json!({
            "metadata": { "name": "cluster-info" }, "data": { "kubeconfig": "content" },
        });
        maps.create(&create, &serde_json::from_value(info)?).await?;
        let token = |id: &str, expiration: &str| {
            json!({
                "metadata": { "name": format!("bootstrap-token-{id}") },
                "type": "bootstrap.kubernetes.io/token",
                "stringData": {
                    "token-id": id, "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true",
                    "expiration": expiration,
                },
            })
        };
        let keys = async || -> Result<String> {
            let data = maps.get("cluster-info").await?.data.unwrap_or_default();
            Ok(data.into_keys().collect::<Vec<_>>().join(" "))
        };
        let good = token("aaaaaa", "2099-01-01T00:00:00Z");
        secrets
            .create(&create, &serde_json::from_value(good)?)
            .await?;
        eventually("it is signed", async || {
            let keys = keys().await?;
            ensure!(keys == "jws-kubeconfig-aaaaaa kubeconfig", "{keys}");
            Ok(())
        })
        .await?;
        let data = maps.get("cluster-info").await?.data.unwrap_or_default();
        // HMAC-SHA256 of RFC 7515, as any client computes it.
        ensure!(
            data["jws-kubeconfig-aaaaaa"]
                == "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFhYWFhYSJ9..bP33uiv86qjL-Zn_WduG6cBRN7N8gyIIyI_GY72SVZQ"
        );
        let old = token("bbbbbb", "2020-01-01T00:00:00Z");
        secrets
            .create(&create, &serde_json::from_value(old)?)
            .await?;
        eventually("the expired token is gone", async || {
            let found = secrets.get_opt("bootstrap-token-bbbbbb").await?;
            ensure!(found.is_none());
            Ok(())
        })
        .await?;
        let delete = DeleteParams::default();
        secrets.delete("bootstrap-token-aaaaaa", &delete).await?;
        eventually("the signature is gone", async || {
            let keys = keys().await?;
            ensure!(keys == "kubeconfig", "{keys}");
            Ok(())
        })
        .await?;
        maps.delete("cluster-info", &delete).await?;
        Ok(())
    })
}
