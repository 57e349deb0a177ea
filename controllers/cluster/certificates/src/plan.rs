//! Approval, and the end of requests (upstream: approver/sarapprove.go, cleaner/cleaner.go).

use crate::request::Request;
use crate::verdict::{KUBELET_CLIENT, kubelet_client};
use crate::{Answer, ApproverWorld, CleanerWorld, SignerWorld};
use ::plan::{Action, Plan};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition,
};
use objects::meta;
use std::time::Duration;

/// How long a request stays after it was approved and signed, denied, or failed.
const ANSWERED: SignedDuration = SignedDuration::from_hours(1);
/// How long it stays without an answer.
const PENDING: SignedDuration = SignedDuration::from_hours(24);
/// How long until what was refused is asked again, at most.
const LATE: Duration = Duration::from_secs(1000);

/// What whoever sends a request has to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Of `certificatesigningrequests`, to create.
    pub subresource: &'static str,
    /// What the condition says that comes of it.
    pub message: &'static str,
}

const OWN: Permission = Permission {
    subresource: "selfnodeclient",
    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
};
const ANY: Permission = Permission {
    subresource: "nodeclient",
    message: "Auto approving kubelet client certificate after SubjectAccessReview.",
};

/// Whether nobody has decided about it yet.
pub(crate) fn waits_for_approval(csr: &CertificateSigningRequest) -> bool {
    !is_issued(csr) && !has(csr, "Approved") && !has(csr, "Denied")
}

/// Whether it was approved and has no answer yet.
pub(crate) fn waits_for_certificate(csr: &CertificateSigningRequest) -> bool {
    let failed = |c: &&CertificateSigningRequestCondition| {
        c.type_ == "Failed" && (c.status.is_empty() || c.status == "True")
    };
    !is_issued(csr)
        && has(csr, "Approved")
        && !has(csr, "Denied")
        && conditions(csr).find(failed).is_none()
}

/// The permissions by which a request may be approved, one of which is enough.
pub(crate) fn permissions(csr: &CertificateSigningRequest) -> Vec<Permission> {
    let spec = &csr.spec;
    if spec.signer_name != KUBELET_CLIENT {
        return Vec::new();
    }
    let Ok(request) = Request::parse(&spec.request.0) else {
        return Vec::new();
    };
    let usages = spec.usages.as_deref().unwrap_or_default();
    if kubelet_client(&request, usages).is_some() {
        return Vec::new();
    }
    if spec.username.as_deref() == Some(request.common_name()) {
        return vec![OWN, ANY];
    }
    vec![ANY]
}

pub(crate) fn approve(world: &ApproverWorld) -> Plan {
    let mut plan = Plan::none();
    let allowed = world.asked.iter().find(|(_, answer)| *answer == Ok(true));
    if let Some((permission, _)) = allowed {
        let mut csr = (*world.csr).clone();
        let status = csr.status.get_or_insert_default();
        let approved = CertificateSigningRequestCondition {
            type_: "Approved".to_owned(),
            status: "True".to_owned(),
            reason: Some("AutoApproved".to_owned()),
            message: Some(permission.message.to_owned()),
            ..CertificateSigningRequestCondition::default()
        };
        status.conditions.get_or_insert_default().push(approved);
        let mut action = Action::replace(csr).because(permission.subresource);
        action.subresource = "approval";
        plan.then(vec![action]);
    } else if !world.asked.is_empty() {
        // It may be allowed later.
        let age = meta::created(&world.csr.metadata).map(|at| between(at, world.now));
        let age = age.unwrap_or_default();
        plan.again((age / 4).clamp(Duration::from_secs(1), LATE));
    }
    plan
}

/// The certificate is a matter of the status; where there is none at the moment it is tried again.
pub(crate) fn sign(world: &SignerWorld) -> Plan {
    let mut plan = Plan::none();
    if matches!(world.answer, Answer::NotNow(_)) {
        plan.again(Duration::from_mins(1));
    }
    plan
}

pub(crate) fn clean(world: &CleanerWorld) -> Plan {
    let mut plan = Plan::none();
    let csr = &world.csr;
    if meta::is_deleting(&csr.metadata) {
        return plan;
    }
    let Some((at, why)) = end(world) else {
        return plan;
    };
    if at < world.now {
        let delete = Action::delete(&**csr).at_version(csr.metadata.resource_version.clone());
        plan.then(vec![delete.because(why)]);
    } else {
        // Older than that, not as old.
        plan.again(between(world.now, at) + Duration::from_millis(1));
    }
    plan
}

/// When the request goes as it is, and why.
fn end(world: &CleanerWorld) -> Option<(Timestamp, &'static str)> {
    let csr = &world.csr;
    let issued = is_issued(csr);
    let mut ends = Vec::new();
    let mut add = |from: Option<Timestamp>, lasts: SignedDuration, why| {
        let at = from.and_then(|from| from.checked_add(lasts).ok());
        ends.extend(at.map(|at| (at, why)));
    };
    if conditions(csr).next().is_none() {
        add(
            meta::created(&csr.metadata),
            PENDING,
            "nobody decided about it",
        );
    }
    for condition in conditions(csr) {
        let since = condition.last_update_time.as_ref().map(|time| time.0);
        match condition.type_.as_str() {
            "Approved" if issued => {
                add(since, ANSWERED, "it was signed");
                add(
                    world.expires,
                    SignedDuration::ZERO,
                    "its certificate has expired",
                );
            }
            "Approved" => add(since, PENDING, "nobody signed it"),
            "Denied" => add(since, ANSWERED, "it was denied"),
            "Failed" => add(since, ANSWERED, "it failed"),
            _ => {}
        }
    }
    ends.into_iter().min()
}

fn is_issued(csr: &CertificateSigningRequest) -> bool {
    let certificate = csr.status.as_ref().and_then(|s| s.certificate.as_ref());
    certificate.is_some_and(|pem| !pem.0.is_empty())
}

fn has(csr: &CertificateSigningRequest, kind: &str) -> bool {
    conditions(csr).any(|condition| condition.type_ == kind)
}

fn conditions(
    csr: &CertificateSigningRequest,
) -> impl Iterator<Item = &CertificateSigningRequestCondition> {
    let status = csr.status.as_ref();
    status
        .and_then(|s| s.conditions.as_deref())
        .unwrap_or_default()
        .iter()
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
