#![allow(clippy::unwrap_used)]

use super::*;
use crate::request::tests::pem;
use crate::status::status;
use ::plan::Verb;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use std::sync::Arc;

const NOW: &str = "2026-01-02T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A kubelet's request of two hours ago with these conditions (type and last update).
fn csr(
    conditions: &[(&str, &str)],
    edit: impl FnOnce(&mut CertificateSigningRequest),
) -> Arc<CertificateSigningRequest> {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(kind, since)| json!({ "type": kind, "status": "True", "lastUpdateTime": since }))
        .collect();
    let csr = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": { "name": "a", "uid": "u1", "resourceVersion": "7", "creationTimestamp": "2026-01-02T10:00:00Z" },
        "spec": {
            "request": "", "signerName": KUBELET_CLIENT, "username": "system:bootstrap:x",
            "usages": ["client auth", "digital signature"],
        },
        "status": { "conditions": conditions },
    });
    let mut csr: CertificateSigningRequest = serde_json::from_value(csr).unwrap();
    csr.spec.request = ByteString(pem(&["O=system:nodes", "CN=system:node:a"], &[]));
    edit(&mut csr);
    Arc::new(csr)
}

fn signed(csr: &mut CertificateSigningRequest) {
    csr.status.get_or_insert_default().certificate = Some(ByteString(b"PEM".to_vec()));
}

#[test]
fn whoever_sends_a_kubelets_request_is_asked_for_what_it_may() {
    let asked = |edit: fn(&mut CertificateSigningRequest)| {
        let permissions = permissions(&csr(&[], edit));
        permissions
            .iter()
            .map(|p| p.subresource)
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(|_| ()), ["nodeclient"]);
    let own =
        |csr: &mut CertificateSigningRequest| csr.spec.username = Some("system:node:a".into());
    assert_eq!(asked(own), ["selfnodeclient", "nodeclient"]);
    assert_eq!(
        asked(|csr| csr.spec.signer_name = "kubernetes.io/kube-apiserver-client".into()),
        [""; 0]
    );
    assert_eq!(
        asked(|csr| csr.spec.usages = Some(vec!["server auth".into()])),
        [""; 0]
    );
    assert_eq!(
        asked(|csr| csr.spec.request = ByteString(b"x".to_vec())),
        [""; 0]
    );
}

fn approved(asked: Vec<(Permission, Result<bool, String>)>) -> Plan {
    let csr = csr(&[], |_| ());
    approve(&ApproverWorld {
        csr,
        asked,
        now: at(NOW),
    })
}

#[test]
fn who_may_is_approved_and_who_may_not_is_asked_again() {
    let plan = approved(vec![(OWN, Ok(false)), (ANY, Ok(true))]);
    assert_eq!(
        plan.to_string(),
        "update certificatesigningrequest/a/approval (nodeclient)"
    );
    let Verb::Replace(object) = &plan.actions().next().unwrap().verb else {
        unreachable!("it is a replacement");
    };
    let csr = &object.read::<CertificateSigningRequest>().unwrap();
    let condition = &csr.status.as_ref().unwrap().conditions.as_ref().unwrap()[0];
    assert_eq!(
        (condition.type_.as_str(), condition.reason.as_deref()),
        ("Approved", Some("AutoApproved"))
    );
    assert_eq!(condition.message.as_deref(), Some(ANY.message));
    assert_eq!(
        approved(vec![(ANY, Ok(false))]).to_string(),
        "again in 1000.000s"
    );
    assert_eq!(
        approved(vec![(ANY, Err("no answer".into()))]).to_string(),
        "again in 1000.000s"
    );
    assert_eq!(approved(vec![]).to_string(), "");
}

#[test]
fn requests_wait_for_one_after_the_other() {
    let waits =
        |csr: &CertificateSigningRequest| (waits_for_approval(csr), waits_for_certificate(csr));
    for (conditions, expected) in [
        (&[][..], (true, false)),
        (&[("Approved", NOW)], (false, true)),
        (&[("Denied", NOW)], (false, false)),
        (&[("Approved", NOW), ("Denied", NOW)], (false, false)),
        (&[("Approved", NOW), ("Failed", NOW)], (false, false)),
    ] {
        assert_eq!(waits(&csr(conditions, |_| ())), expected, "{conditions:?}");
        assert_eq!(
            waits(&csr(conditions, signed)),
            (false, false),
            "{conditions:?}, signed"
        );
    }
}

#[test]
fn the_answer_is_written_into_the_status() {
    let world = |answer| SignerWorld {
        csr: csr(&[("Approved", NOW)], |_| ()),
        answer,
        now: at(NOW),
    };
    let certificate = status(&world(Answer::Certificate("PEM".into())))
        .unwrap()
        .status
        .unwrap();
    assert_eq!(certificate.certificate, Some(ByteString(b"PEM".to_vec())));
    let refused = status(&world(Answer::Refused("why".into())))
        .unwrap()
        .status
        .unwrap();
    let failed = &refused.conditions.unwrap()[1];
    assert_eq!(failed.reason.as_deref(), Some("SignerValidationFailure"));
    assert_eq!(
        (failed.type_.as_str(), failed.message.as_deref()),
        ("Failed", Some("why"))
    );
    assert!(status(&world(Answer::None)).is_none());
    let later = world(Answer::NotNow("expired".into()));
    assert!(status(&later).is_none());
    assert_eq!(sign(&later).to_string(), "again in 60.000s");
}

#[test]
fn requests_go_when_they_are_old() {
    let hour = "2026-01-02T11:00:00Z";
    let early = "2026-01-02T10:59:59Z";
    let yesterday = "2026-01-01T11:59:59Z";
    let delete = |why: &str| format!("delete certificatesigningrequest/a ({why})");
    let text = |csr, expires: Option<&str>| {
        let expires = expires.map(at);
        clean(&CleanerWorld {
            csr,
            expires,
            now: at(NOW),
        })
        .to_string()
    };
    for (conditions, expected) in [
        (&[][..], "again in 79200.001s".to_owned()),
        (&[("Approved", yesterday)], delete("nobody signed it")),
        (&[("Approved", early)], "again in 82799.001s".to_owned()),
        (&[("Denied", early)], delete("it was denied")),
        (&[("Denied", hour)], "again in 0.001s".to_owned()),
        (
            &[("Approved", hour), ("Failed", early)],
            delete("it failed"),
        ),
        (&[("Example", yesterday)], String::new()),
    ] {
        assert_eq!(
            text(csr(conditions, |_| ()), None),
            expected,
            "{conditions:?}"
        );
    }
    assert_eq!(
        text(csr(&[("Approved", early)], signed), None),
        delete("it was signed")
    );
    assert_eq!(
        text(csr(&[("Approved", NOW)], signed), None),
        "again in 3600.001s"
    );
    let expired = text(csr(&[("Approved", NOW)], signed), Some(hour));
    assert_eq!(expired, delete("its certificate has expired"));
    let old = csr(&[], |csr| {
        csr.metadata.creation_timestamp.as_mut().unwrap().0 = at(yesterday);
    });
    assert_eq!(text(old, None), delete("nobody decided about it"));
}

#[test]
fn a_condition_without_a_time_is_never_old() {
    let timeless = csr(&[("Denied", NOW)], |csr| {
        csr.status.as_mut().unwrap().conditions.as_mut().unwrap()[0].last_update_time = None;
    });
    assert!(
        clean(&CleanerWorld {
            csr: timeless,
            expires: None,
            now: at(NOW)
        })
        .is_empty()
    );
}
