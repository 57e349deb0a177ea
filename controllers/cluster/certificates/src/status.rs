//! The certificate, or why there is none (upstream: signer/signer.go, `handle`).

use crate::{Answer, SignerWorld};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(crate) fn status(world: &SignerWorld) -> Option<CertificateSigningRequest> {
    let mut csr = (*world.csr).clone();
    let status = csr.status.get_or_insert_default();
    match &world.answer {
        Answer::None | Answer::NotNow(_) => return None,
        Answer::Certificate(pem) => status.certificate = Some(ByteString(pem.clone().into_bytes())),
        Answer::Refused(why) => {
            let failed = CertificateSigningRequestCondition {
                type_: "Failed".to_owned(),
                status: "True".to_owned(),
                reason: Some("SignerValidationFailure".to_owned()),
                message: Some(why.clone()),
                last_update_time: Some(Time(world.now)),
                ..CertificateSigningRequestCondition::default()
            };
            status.conditions.get_or_insert_default().push(failed);
        }
    }
    Some(csr)
}
