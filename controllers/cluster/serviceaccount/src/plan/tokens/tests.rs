#![allow(clippy::unwrap_used)]

use super::*;
use crate::jwt::Token;
use ::plan::Verb;
use serde_json::{Value, from_value, json};
use std::sync::Arc;

fn secret(edit: impl FnOnce(&mut Secret)) -> Arc<Secret> {
    let bytes = |text: &str| json!(ByteString(text.as_bytes().to_vec()));
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {
            "namespace": "shop", "name": "till-token", "uid": "u2", "resourceVersion": "7",
            "annotations": { ACCOUNT_NAME: "till", ACCOUNT_UID: "u1" },
        },
        "data": { "token": bytes("t"), "namespace": bytes("shop"), "ca.crt": bytes("PEM") },
    });
    let mut secret = from_value(secret).unwrap();
    edit(&mut secret);
    Arc::new(secret)
}

fn account(secrets: &[&str]) -> ServiceAccount {
    let secrets: Vec<Value> = secrets.iter().map(|name| json!({ "name": name })).collect();
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "namespace": "shop", "name": "till", "uid": "u1", "resourceVersion": "5" },
        "secrets": secrets,
    });
    from_value(account).unwrap()
}

fn world(secret: Arc<Secret>) -> TokenWorld {
    TokenWorld {
        account: Account::Is(Arc::new(account(&[]))),
        token: wants_token(&secret).then(|| Token("new".to_owned())),
        ca: Some("PEM".into()),
        secret,
    }
}

/// The data that a plan writes, and the annotations.
fn written(plan: &Plan) -> Option<String> {
    let Verb::Replace(object) = &plan.actions().next()?.verb else {
        return None;
    };
    let secret = object.read::<Secret>()?;
    let data = secret.data.iter().flatten();
    let data = data.map(|(key, value)| format!("{key}={}", String::from_utf8_lossy(&value.0)));
    let annotations = secret.metadata.annotations.iter().flatten();
    let annotations = annotations.map(|(key, value)| {
        format!(
            "{}={value}",
            key.trim_start_matches("kubernetes.io/service-account.")
        )
    });
    Some(data.chain(annotations).collect::<Vec<_>>().join(" "))
}

#[test]
fn what_is_missing_is_filled_in_and_the_rest_stays() {
    let all = "ca.crt=PEM namespace=shop token=t name=till uid=u1";
    let cases: [(&str, Arc<Secret>, Option<&str>); 7] = [
        ("right", secret(|_| ()), None),
        (
            "empty",
            secret(|s| s.data = None),
            Some("ca.crt=PEM namespace=shop token=new name=till uid=u1"),
        ),
        (
            "no token",
            secret(|s| drop(s.data.as_mut().unwrap().remove("token"))),
            Some("ca.crt=PEM namespace=shop token=new name=till uid=u1"),
        ),
        (
            "no namespace",
            secret(|s| drop(s.data.as_mut().unwrap().remove("namespace"))),
            Some(all),
        ),
        (
            "another ca",
            secret(|s| s.data.as_mut().unwrap().get_mut("ca.crt").unwrap().0 = vec![1]),
            Some(all),
        ),
        (
            "another namespace",
            secret(|s| s.data.as_mut().unwrap().get_mut("namespace").unwrap().0 = vec![120]),
            None,
        ),
        (
            "no uid",
            secret(|s| {
                s.metadata.annotations.as_mut().unwrap().remove(ACCOUNT_UID);
                s.data
                    .as_mut()
                    .unwrap()
                    .insert("own".into(), ByteString(b"kept".to_vec()));
                s.data.as_mut().unwrap().remove("token");
            }),
            Some("ca.crt=PEM namespace=shop own=kept token=new name=till uid=u1"),
        ),
    ];
    for (what, secret, expected) in cases {
        let plan = plan(&world(secret));
        assert_eq!(written(&plan).as_deref(), expected, "{what}");
        assert!(
            !plan.to_string().contains("new"),
            "a token is in no plan's text"
        );
    }
}

#[test]
fn without_certificates_those_that_are_there_stay() {
    let other = secret(|s| s.data.as_mut().unwrap().get_mut("ca.crt").unwrap().0 = vec![1]);
    let world = TokenWorld {
        ca: None,
        ..world(other)
    };
    assert!(plan(&world).is_empty());
}

#[test]
fn a_secret_goes_with_its_account_and_only_on_the_api_servers_word() {
    let of = |account, secret| {
        plan(&TokenWorld {
            account,
            ..world(secret)
        })
        .to_string()
    };
    assert_eq!(
        of(Account::Gone, secret(|_| ())),
        "delete secret/till-token (its service account is gone)"
    );
    assert_eq!(of(Account::Unknown, secret(|_| ())), "again in 1.000s");
    assert_eq!(
        of(Account::Unknown, secret(|s| s.metadata.annotations = None)),
        ""
    );
    let going = secret(|s| {
        s.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            jiff::Timestamp::UNIX_EPOCH,
        ));
    });
    assert_eq!(of(Account::Gone, going), "");
}

#[test]
fn an_account_forgets_a_secret_that_is_gone() {
    let plan = forget(&account(&["other", "till-token"]), "till-token");
    assert_eq!(
        plan.to_string(),
        "update serviceaccount/till (a secret of its list is gone)"
    );
    let Verb::Replace(object) = &plan.actions().next().unwrap().verb else {
        unreachable!("it is a replacement");
    };
    let account_ = object.read::<ServiceAccount>().unwrap();
    assert_eq!(account_.secrets, account(&["other"]).secrets);
    assert!(forget(&account(&["other"]), "till-token").is_empty());
}
