//! Certificate signing requests.

use anyhow::{Context, Result, ensure};
use cluster::{Outcome, eventually, with_namespace};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::{Value, json};

/// A request for this common name and organisation, in PEM.
fn pem(name: &str, organization: &str) -> Result<Vec<u8>> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let group = DnType::OrganizationName;
    params.distinguished_name.push(group, organization);
    let key = KeyPair::generate()?;
    Ok(params.serialize_request(&key)?.pem()?.into_bytes())
}

/// The requests of a test, which are deleted in the end.
struct Requests {
    api: Api<CertificateSigningRequest>,
    prefix: String,
}

impl Requests {
    fn new(client: Client, prefix: &str) -> Self {
        Self {
            api: Api::all(client),
            prefix: prefix.to_owned(),
        }
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    async fn send(&self, name: &str, spec: Value, pem: Vec<u8>) -> Result<()> {
        let mut csr = json!({ "metadata": { "name": self.name(name) }, "spec": spec });
        csr["spec"]["request"] = json!(ByteString(pem));
        let csr = serde_json::from_value(csr)?;
        self.api.create(&PostParams::default(), &csr).await?;
        Ok(())
    }

    async fn approve(&self, name: &str) -> Result<()> {
        let condition =
            json!({ "type": "Approved", "status": "True", "reason": "Test", "message": "" });
        let patch = json!({ "status": { "conditions": [condition] } });
        let patched = self
            .api
            .patch_subresource(
                "approval",
                &self.name(name),
                &PatchParams::default(),
                &Patch::Merge(&patch),
            )
            .await;
        patched.context("approve")?;
        Ok(())
    }

    async fn until(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        eventually(&format!("{name} {what}"), async || {
            let csr = self.api.get(&self.name(name)).await?;
            let status = serde_json::to_value(csr.status)?;
            ensure!(is(&status), "{status}");
            Ok(status)
        })
        .await
    }

    async fn clear(&self, names: &[&str]) {
        for name in names {
            drop(
                self.api
                    .delete(&self.name(name), &DeleteParams::default())
                    .await,
            );
        }
    }
}

fn is_issued(status: &Value) -> bool {
    status["certificate"].is_string()
}

fn condition(status: &Value, kind: &str) -> Value {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    conditions
        .into_iter()
        .find(|c| c["type"] == kind)
        .unwrap_or_default()
}

#[test]
fn an_approved_client_gets_a_certificate_that_lasts_as_long_as_it_asked() -> Outcome {
    with_namespace("csr-client", async |ns| {
        let requests = Requests::new(ns.client(), ns.name());
        let spec = json!({
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth", "digital signature"],
            "expirationSeconds": 3600,
        });
        requests.send("ann", spec, pem("ann", "dev")?).await?;
        requests.approve("ann").await?;
        let status = requests.until("ann", "is issued", is_issued).await?;
        let certificate: ByteString = serde_json::from_value(status["certificate"].clone())?;
        let lasts = certificates::authority::expires(&certificate.0).context("certificate")?;
        let left = lasts.duration_since(jiff::Timestamp::now()).as_secs();
        ensure!((3400..=3600).contains(&left), "{left}");
        requests.clear(&["ann"]).await;
        Ok(())
    })
}

#[test]
fn what_a_signer_may_not_sign_fails_with_the_reason() -> Outcome {
    with_namespace("csr-wrong", async |ns| {
        let requests = Requests::new(ns.client(), ns.name());
        for (name, signer, usages, organization, expected) in [
            (
                "usage",
                "kubernetes.io/kube-apiserver-client",
                json!(["client auth", "server auth"]),
                "dev",
                "invalid usage for client certificate: server auth",
            ),
            (
                "group",
                "kubernetes.io/kube-apiserver-client-kubelet",
                json!(["client auth", "digital signature"]),
                "dev",
                "subject organization is not system:nodes",
            ),
            (
                "names",
                "kubernetes.io/kubelet-serving",
                json!(["server auth", "digital signature"]),
                "system:nodes",
                "DNS or IP subjectAltName is required",
            ),
        ] {
            let spec = json!({ "signerName": signer, "usages": usages });
            let request = pem("system:node:a", organization)?;
            requests.send(name, spec, request).await?;
            requests.approve(name).await?;
            let failed = |status: &Value| condition(status, "Failed")["status"] == "True";
            let status = requests.until(name, "has failed", failed).await?;
            let failed = condition(&status, "Failed");
            ensure!(failed["reason"] == "SignerValidationFailure", "{failed}");
            ensure!(failed["message"] == expected, "{failed}");
            ensure!(!is_issued(&status));
        }
        requests.clear(&["usage", "group", "names"]).await;
        Ok(())
    })
}

#[test]
fn a_kubelet_that_may_is_approved_and_signed_without_anybodys_help() -> Outcome {
    with_namespace("csr-kubelet", async |ns| {
        let requests = Requests::new(ns.client(), ns.name());
        let spec = json!({
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["client auth", "digital signature"],
        });
        requests
            .send("a", spec, pem("system:node:a", "system:nodes")?)
            .await?;
        let status = requests.until("a", "is issued", is_issued).await?;
        let approved = condition(&status, "Approved");
        ensure!(approved["reason"] == "AutoApproved", "{approved}");
        ensure!(
            approved["message"]
                == "Auto approving kubelet client certificate after SubjectAccessReview.",
            "{approved}"
        );
        requests.clear(&["a"]).await;
        Ok(())
    })
}

#[test]
fn nobody_elses_request_is_touched() -> Outcome {
    with_namespace("csr-other", async |ns| {
        let requests = Requests::new(ns.client(), ns.name());
        let spec = json!({ "signerName": "example.com/own", "usages": ["client auth"] });
        requests.send("own", spec, pem("ann", "dev")?).await?;
        requests.approve("own").await?;
        let spec = json!({
            "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"],
        });
        requests
            .send("waits", spec.clone(), pem("ann", "dev")?)
            .await?;
        // A third one shows that the others have been looked at.
        requests.send("last", spec, pem("ann", "dev")?).await?;
        requests.approve("last").await?;
        requests.until("last", "is issued", is_issued).await?;
        let untouched =
            |status: &Value| !is_issued(status) && condition(status, "Failed").is_null();
        requests.until("own", "is as it was", untouched).await?;
        requests.until("waits", "is as it was", untouched).await?;
        requests.clear(&["own", "waits", "last"]).await;
        Ok(())
    })
}
