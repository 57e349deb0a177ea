//! What Kubernetes' own signers sign. Pure (upstream: pkg/apis/certificates/helpers.go, signer.go).

use crate::request::Request;
use std::collections::BTreeSet;

/// Certificates of clients of the API server.
pub const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
/// Certificates by which kubelets are clients of the API server.
pub const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Certificates of kubelets' servers.
pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
/// Anything, for nobody who looks closely.
pub const LEGACY: &str = "kubernetes.io/legacy-unknown";
/// All of them.
pub const SIGNERS: [&str; 4] = [CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY];

/// Why a request is none that this signer may sign. A signer of another name signs nothing.
pub fn objection(signer: &str, request: &Request, usages: &[String]) -> Option<String> {
    match signer {
        KUBELET_SERVING => kubelet_serving(request, usages),
        KUBELET_CLIENT => kubelet_client(request, usages),
        CLIENT => client(usages),
        LEGACY => None,
        other => Some(format!("unrecognized signerName: {other:?}")),
    }
}

/// Why a request is not one of a kubelet that wants to be a client.
pub fn kubelet_client(request: &Request, usages: &[String]) -> Option<String> {
    let wrong = if request.organizations() != ["system:nodes"] {
        "subject organization is not system:nodes"
    } else if request.has_dns_names() {
        "DNS subjectAltNames are not allowed"
    } else if request.has_emails() {
        "Email subjectAltNames are not allowed"
    } else if request.has_addresses() {
        "IP subjectAltNames are not allowed"
    } else if request.has_uris() {
        "URI subjectAltNames are not allowed"
    } else if !request.common_name().starts_with("system:node:") {
        "subject common name does not begin with system:node:"
    } else {
        let needed = ["client auth", "digital signature", "key encipherment"];
        return unfit(usages, needed);
    };
    Some(wrong.to_owned())
}

fn kubelet_serving(request: &Request, usages: &[String]) -> Option<String> {
    let wrong = if request.organizations() != ["system:nodes"] {
        "subject organization is not system:nodes"
    } else if !request.has_dns_names() && !request.has_addresses() {
        "DNS or IP subjectAltName is required"
    } else if request.has_emails() {
        "Email subjectAltNames are not allowed"
    } else if request.has_uris() {
        "URI subjectAltNames are not allowed"
    } else if let Some(wrong) = unfit(
        usages,
        ["digital signature", "key encipherment", "server auth"],
    ) {
        return Some(wrong);
    } else if !request.common_name().starts_with("system:node:") {
        "subject common name does not begin with system:node:"
    } else {
        return None;
    };
    Some(wrong.to_owned())
}

fn client(usages: &[String]) -> Option<String> {
    let allowed = ["digital signature", "key encipherment", "client auth"];
    if let Some(usage) = usages
        .iter()
        .find(|usage| !allowed.contains(&usage.as_str()))
    {
        return Some(format!("invalid usage for client certificate: {usage}"));
    }
    let missing = !usages.iter().any(|usage| usage == "client auth");
    missing.then(|| "missing required usage for client certificate: client auth".to_owned())
}

/// Whether there are other usages than these; `key encipherment`, which is for RSA, may be missing.
fn unfit(usages: &[String], needed: [&str; 3]) -> Option<String> {
    let has: BTreeSet<&str> = usages.iter().map(String::as_str).collect();
    let mut fits: BTreeSet<&str> = needed.into();
    if has == fits {
        return None;
    }
    fits.remove("key encipherment");
    (has != fits).then(|| format!("usages did not match [{}]", needed.join(" ")))
}

#[cfg(test)]
mod tests;
