//! Certificate signing requests: kubelets' are approved ([`CsrApprover`]), those of Kubernetes' own signers are signed
//! ([`CsrSigner`]), and old ones go ([`CsrCleaner`]).
//!
//! **Promises.** A request of a kubelet for a certificate by which it is a client is approved if whoever sent it may:
//! the API server is asked with a SubjectAccessReview, for `certificatesigningrequests/selfnodeclient` if it is for
//! whoever sent it and for `certificatesigningrequests/nodeclient` else. An approved request of one of the four signers
//! `kubernetes.io/…` gets a certificate if it is one that the signer may sign, and the condition `Failed` with the
//! reason `SignerValidationFailure` if not. A certificate says what the request says and nothing that Go would not
//! have taken over; it begins five minutes ago and ends with its authority at the latest. Requests go an hour after
//! they were answered, a day after they were made or approved without an answer, and when their certificate ends: at
//! that time, and not within an hour of it as upstream's.
//!
//! **Never.** A private key leaves this process, or stands in a log, an event or a plan. A request that was denied is
//! not signed.
//!
//! **Better than upstream.** A request that cannot be read or signed is told so in its status, where upstream tries it
//! again until it is deleted. What was not approved because whoever sent it may not is asked again after a time that
//! grows with its age.
//!
//! Semantics: upstream `pkg/controller/certificates/{approver,signer,cleaner,authority}`; none has events. Start
//! reading at [`verdict`] and [`plan`]; [`request`] and [`authority`] know X.509.
#![forbid(unsafe_code)]

pub mod authority;
mod options;
mod plan;
pub mod request;
mod status;
pub mod verdict;

pub use options::Flags;

use ::plan::{Object, Outcome, Plan};
use authority::{Authority, Wanted};
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use objects::meta;
use request::Request;
use runtime::{Backoff, Caches, Controller, Moment, ReadError, Reads};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The authority of each signer.
pub type Authorities = BTreeMap<String, Arc<Authority>>;

const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(200),
    max: Duration::from_secs(1000),
};

/// Approves the requests of kubelets.
#[derive(Clone)]
pub struct CsrApprover {
    reads: Reads,
}

/// Signs requests that were approved.
#[derive(Clone, Debug)]
pub struct CsrSigner {
    authorities: Arc<Authorities>,
}

/// Deletes requests that are old.
#[derive(Clone, Copy, Debug, Default)]
pub struct CsrCleaner;

/// A request that may be approved.
#[derive(Clone, Debug)]
pub struct ApproverWorld {
    /// The request as the cache holds it.
    pub csr: Arc<CertificateSigningRequest>,
    /// What whoever sent it was asked for, in this order, and what the API server said to it.
    pub asked: Vec<(plan::Permission, Result<bool, String>)>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// A request that may be signed.
#[derive(Clone, Debug)]
pub struct SignerWorld {
    /// The request as the cache holds it.
    pub csr: Arc<CertificateSigningRequest>,
    /// What comes of it.
    pub answer: Answer,
    /// The time of the decision.
    pub now: Timestamp,
}

/// What comes of a request that was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing: it has one, is not approved, or is another signer's.
    None,
    /// This certificate: PEM text.
    Certificate(String),
    /// It is none that may be signed, and why.
    Refused(String),
    /// The authority cannot sign it at the moment, and why.
    NotNow(String),
}

/// A request that may have to go.
#[derive(Clone, Debug)]
pub struct CleanerWorld {
    /// The request as the cache holds it.
    pub csr: Arc<CertificateSigningRequest>,
    /// When its certificate ends, if it has one.
    pub expires: Option<Timestamp>,
    /// The time of the decision.
    pub now: Timestamp,
}

impl CsrApprover {
    /// An approver that asks the API server who may what.
    pub fn new(reads: Reads) -> Self {
        Self { reads }
    }

    async fn may(&self, csr: &CertificateSigningRequest, what: &str) -> Result<bool, ReadError> {
        let spec = &csr.spec;
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": spec.username, "uid": spec.uid, "groups": spec.groups, "extra": spec.extra,
                "resourceAttributes": {
                    "group": "certificates.k8s.io", "version": "*", "verb": "create",
                    "resource": "certificatesigningrequests", "subresource": what,
                },
            },
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let answer: Value = self.reads.ask(path, &review).await?;
        Ok(answer["status"]["allowed"] == true)
    }
}

impl CsrSigner {
    /// A signer with these authorities.
    pub fn new(authorities: Authorities) -> Self {
        Self {
            authorities: Arc::new(authorities),
        }
    }

    fn answer(&self, csr: &CertificateSigningRequest, now: Timestamp) -> Answer {
        let spec = &csr.spec;
        let authority = self.authorities.get(&spec.signer_name);
        let (Some(authority), true) = (authority, plan::waits_for_certificate(csr)) else {
            return Answer::None;
        };
        let request = match Request::parse(&spec.request.0) {
            Ok(request) if request.is_signed() => request,
            Ok(_) => return Answer::Refused("its signature is not that of its key".to_owned()),
            Err(error) => return Answer::Refused(error),
        };
        let usages = spec.usages.as_deref().unwrap_or_default();
        if let Some(why) = verdict::objection(&spec.signer_name, &request, usages) {
            return Answer::Refused(why);
        }
        let seconds = spec.expiration_seconds;
        match authority.sign(
            &request,
            Wanted {
                usages,
                seconds,
                now,
            },
        ) {
            Ok(certificate) => Answer::Certificate(certificate),
            Err(error) => Answer::NotNow(error),
        }
    }
}

impl Controller for CsrApprover {
    const NAME: &'static str = "certificatesigningrequest-approving-controller";
    const QUEUE: &'static str = "certificate";
    const BACKOFF: Backoff = BACKOFF;

    type Object = CertificateSigningRequest;
    type World = ApproverWorld;

    fn matters(csr: &CertificateSigningRequest) -> bool {
        plan::waits_for_approval(csr)
    }

    async fn observe(
        &self,
        _: &Caches,
        csr: Arc<CertificateSigningRequest>,
        moment: Moment,
    ) -> ApproverWorld {
        let mut asked = Vec::new();
        if plan::waits_for_approval(&csr) {
            for permission in plan::permissions(&csr) {
                let answer = self.may(&csr, permission.subresource).await;
                let allowed = matches!(answer, Ok(true));
                asked.push((permission, answer.map_err(|error| error.message)));
                if allowed {
                    break;
                }
            }
        }
        ApproverWorld {
            csr,
            asked,
            now: moment.now,
        }
    }

    fn plan(world: &ApproverWorld) -> Plan {
        plan::approve(world)
    }
}

impl Controller for CsrSigner {
    const NAME: &'static str = "certificatesigningrequest-signing-controller";
    const QUEUE: &'static str = "certificate";
    const BACKOFF: Backoff = BACKOFF;

    type Object = CertificateSigningRequest;
    type World = SignerWorld;

    fn matters(csr: &CertificateSigningRequest) -> bool {
        plan::waits_for_certificate(csr)
    }

    async fn observe(
        &self,
        _: &Caches,
        csr: Arc<CertificateSigningRequest>,
        moment: Moment,
    ) -> SignerWorld {
        let answer = self.answer(&csr, moment.now);
        if let Answer::NotNow(error) = &answer {
            let name = meta::name(&csr.metadata);
            tracing::warn!(csr = name, error, "no certificate could be made");
        }
        SignerWorld {
            csr,
            answer,
            now: moment.now,
        }
    }

    fn plan(world: &SignerWorld) -> Plan {
        plan::sign(world)
    }

    fn status(world: &SignerWorld, _: &Outcome) -> Option<Object> {
        status::status(world).map(Object::new)
    }
}

impl Controller for CsrCleaner {
    const NAME: &'static str = "certificatesigningrequest-cleaner-controller";
    const QUEUE: &'static str = "csr_cleaner";

    type Object = CertificateSigningRequest;
    type World = CleanerWorld;

    async fn observe(
        &self,
        _: &Caches,
        csr: Arc<CertificateSigningRequest>,
        moment: Moment,
    ) -> CleanerWorld {
        let certificate = csr.status.as_ref().and_then(|s| s.certificate.as_ref());
        CleanerWorld {
            expires: certificate.and_then(|pem| authority::expires(&pem.0)),
            csr,
            now: moment.now,
        }
    }

    fn plan(world: &CleanerWorld) -> Plan {
        plan::clean(world)
    }
}
