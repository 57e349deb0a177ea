#![allow(clippy::unwrap_used)]

use super::*;
use ::plan::Verb;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{from_value, json};
use std::sync::Arc;

const NOW: &str = "2026-01-01T12:00:00Z";

/// A token that may sign, with these values besides.
fn token(id: &str, more: &[(&str, &str)]) -> Arc<Secret> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
        "metadata": { "namespace": "kube-system", "name": format!("bootstrap-token-{id}"), "uid": "u1", "resourceVersion": "7" },
    });
    let mut secret: Secret = from_value(secret).unwrap();
    let values = [
        ("token-id", id),
        ("token-secret", "0123456789abcdef"),
        ("usage-bootstrap-signing", "true"),
    ];
    for (key, value) in values.iter().chain(more) {
        let data = secret.data.get_or_insert_default();
        data.insert((*key).to_owned(), ByteString(value.as_bytes().to_vec()));
    }
    Arc::new(secret)
}

fn world(data: &[(&str, &str)], tokens: Vec<Arc<Secret>>) -> SignerWorld {
    let data: BTreeMap<_, _> = data.iter().copied().collect();
    let info = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "namespace": "kube-public", "name": "cluster-info", "resourceVersion": "5" },
        "data": data,
    });
    SignerWorld {
        info: Arc::new(from_value(info).unwrap()),
        tokens,
        now: NOW.parse().unwrap(),
    }
}

/// The keys that the ConfigMap has afterwards, if it is written.
fn keys(world: &SignerWorld) -> Option<String> {
    let plan = sign(world);
    let Verb::Replace(object) = &plan.actions().next()?.verb else {
        return None;
    };
    let data = object.read::<ConfigMap>()?.data?;
    Some(data.into_keys().collect::<Vec<_>>().join(" "))
}

#[test]
fn there_is_a_signature_of_each_token_that_may_sign_and_of_no_other() {
    let config = ("kubeconfig", "content");
    let signed = jws::sign("content", "aaaaaa", "0123456789abcdef");
    let good = ("jws-kubeconfig-aaaaaa", signed.as_str());
    let a = || vec![token("aaaaaa", &[])];
    for (what, data, tokens, expected) in [
        (
            "new",
            vec![config],
            a(),
            Some("jws-kubeconfig-aaaaaa kubeconfig"),
        ),
        ("signed", vec![config, good], a(), None),
        (
            "signed wrong",
            vec![config, ("jws-kubeconfig-aaaaaa", "x")],
            a(),
            Some("jws-kubeconfig-aaaaaa kubeconfig"),
        ),
        (
            "changed",
            vec![("kubeconfig", "new"), good],
            a(),
            Some("jws-kubeconfig-aaaaaa kubeconfig"),
        ),
        (
            "token gone",
            vec![config, good, ("own", "kept")],
            vec![],
            Some("kubeconfig own"),
        ),
        ("nothing to sign", vec![("own", "kept")], a(), None),
        (
            "two",
            vec![config, good],
            vec![token("bbbbbb", &[]), token("aaaaaa", &[])],
            Some("jws-kubeconfig-aaaaaa jws-kubeconfig-bbbbbb kubeconfig"),
        ),
        (
            "expired",
            vec![config, good],
            vec![token("aaaaaa", &[("expiration", NOW)])],
            Some("kubeconfig"),
        ),
        (
            "never expires",
            vec![config, good],
            vec![token("aaaaaa", &[("expiration", "")])],
            None,
        ),
        (
            "unreadable end",
            vec![config, good],
            vec![token("aaaaaa", &[("expiration", "soon")])],
            Some("kubeconfig"),
        ),
        (
            "not for signing",
            vec![config],
            vec![token("aaaaaa", &[("usage-bootstrap-signing", "True")])],
            None,
        ),
        (
            "another id",
            vec![config],
            vec![token("aaaaaa", &[("token-id", "bbbbbb")])],
            None,
        ),
        (
            "no secret",
            vec![config],
            vec![token("aaaaaa", &[("token-secret", "")])],
            None,
        ),
        ("odd id", vec![config], vec![token("aaaaa\"", &[])], None),
        ("long id", vec![config], vec![token("aaaaaaa", &[])], None),
    ] {
        assert_eq!(keys(&world(&data, tokens)).as_deref(), expected, "{what}");
    }
}

#[test]
fn it_is_signed_anew_when_a_token_ends() {
    let ends = vec![token(
        "aaaaaa",
        &[("expiration", "2026-01-01T13:00:00+00:30")],
    )];
    let plan = sign(&world(&[("kubeconfig", "content")], ends));
    assert_eq!(
        plan.to_string(),
        "update configmap/cluster-info\nagain in 1800.000s"
    );
}

#[test]
fn a_token_goes_when_it_ends() {
    let delete = "delete secret/bootstrap-token-aaaaaa (it has expired)";
    for (expiration, expected) in [
        ("", ""),
        ("2026-01-01T12:00:01Z", "again in 1.000s"),
        (NOW, delete),
        ("2025-01-01T12:00:00Z", delete),
        ("soon", delete),
    ] {
        let world = CleanerWorld {
            secret: token("aaaaaa", &[("expiration", expiration)]),
            now: NOW.parse().unwrap(),
        };
        assert_eq!(clean(&world).to_string(), expected, "{expiration:?}");
    }
    let mut other = (*token("aaaaaa", &[("expiration", NOW)])).clone();
    other.type_ = Some("Opaque".to_owned());
    assert!(
        clean(&CleanerWorld {
            secret: Arc::new(other),
            now: NOW.parse().unwrap()
        })
        .is_empty()
    );
}
