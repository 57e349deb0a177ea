#![allow(clippy::unwrap_used)]

use super::*;
use crate::request::tests::pem;

const NODE: [&str; 2] = ["O=system:nodes", "CN=system:node:a"];

fn judge(signer: &str, subject: &[&str], names: &[&str], usages: &str) -> String {
    let request = Request::parse(&pem(subject, names)).unwrap();
    let usages: Vec<String> = usages.split(',').map(str::to_owned).collect();
    objection(signer, &request, &usages).unwrap_or_default()
}

#[test]
fn kubelets_may_be_clients() {
    let all = "client auth,digital signature,key encipherment";
    for (subject, names, usages, expected) in [
        (&NODE[..], &[][..], all, ""),
        (&NODE, &[], "digital signature,client auth", ""),
        (
            &NODE,
            &[],
            "client auth",
            "usages did not match [client auth digital signature key encipherment]",
        ),
        (
            &NODE,
            &[],
            "client auth,digital signature,server auth",
            "usages did not match [client auth digital signature key encipherment]",
        ),
        (
            &["CN=system:node:a"],
            &[],
            all,
            "subject organization is not system:nodes",
        ),
        (
            &["O=system:nodes", "O=system:masters", "CN=system:node:a"],
            &[],
            all,
            "subject organization is not system:nodes",
        ),
        (
            &["O=system:nodes", "CN=mike"],
            &[],
            all,
            "subject common name does not begin with system:node:",
        ),
        (
            &NODE,
            &["dns:a"],
            all,
            "DNS subjectAltNames are not allowed",
        ),
        (
            &NODE,
            &["mail:a@b.c"],
            all,
            "Email subjectAltNames are not allowed",
        ),
        (
            &NODE,
            &["ip:10.0.0.1"],
            all,
            "IP subjectAltNames are not allowed",
        ),
        (
            &NODE,
            &["uri:http://a/"],
            all,
            "URI subjectAltNames are not allowed",
        ),
    ] {
        assert_eq!(
            judge(KUBELET_CLIENT, subject, names, usages),
            expected,
            "{subject:?} {names:?}"
        );
    }
}

#[test]
fn kubelets_may_serve() {
    let all = "server auth,digital signature,key encipherment";
    let names = ["dns:a", "ip:10.0.0.1"];
    for (subject, names, usages, expected) in [
        (&NODE[..], &names[..], all, ""),
        (&NODE, &["ip:10.0.0.1"], "server auth,digital signature", ""),
        (&NODE, &[], all, "DNS or IP subjectAltName is required"),
        (
            &NODE,
            &["dns:a", "mail:a@b.c"],
            all,
            "Email subjectAltNames are not allowed",
        ),
        (
            &NODE,
            &["dns:a", "uri:http://a/"],
            all,
            "URI subjectAltNames are not allowed",
        ),
        (
            &NODE,
            &names,
            "client auth",
            "usages did not match [digital signature key encipherment server auth]",
        ),
        (
            &["O=system:nodes", "CN=mike"],
            &names,
            all,
            "subject common name does not begin with system:node:",
        ),
        (
            &["O=x", "CN=system:node:a"],
            &names,
            all,
            "subject organization is not system:nodes",
        ),
    ] {
        assert_eq!(
            judge(KUBELET_SERVING, subject, names, usages),
            expected,
            "{subject:?} {names:?}"
        );
    }
}

#[test]
fn clients_are_clients_and_nothing_else() {
    for (usages, expected) in [
        ("client auth", ""),
        ("client auth,digital signature,key encipherment", ""),
        (
            "digital signature",
            "missing required usage for client certificate: client auth",
        ),
        (
            "client auth,server auth",
            "invalid usage for client certificate: server auth",
        ),
        (
            "cert sign",
            "invalid usage for client certificate: cert sign",
        ),
    ] {
        assert_eq!(
            judge(CLIENT, &["CN=ann"], &[], usages),
            expected,
            "{usages}"
        );
    }
    assert_eq!(judge(LEGACY, &["CN=ann"], &["dns:a"], "any"), "");
    assert_eq!(
        judge("example.com/x", &[], &[], "any"),
        "unrecognized signerName: \"example.com/x\""
    );
}
