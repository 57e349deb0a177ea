//! Which tokens sign, and when they end (upstream: bootstrapsigner.go, tokencleaner.go,
//! cluster-bootstrap/util/secrets/secrets.go).

use crate::{CleanerWorld, SignerWorld, jws};
use ::plan::{Action, Plan};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use objects::meta;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a Secret's name begins with; the token's id follows.
const PREFIX: &str = "bootstrap-token-";
/// What is signed.
const KUBECONFIG: &str = "kubeconfig";
/// What the key of a signature begins with; the token's id follows.
const SIGNATURE: &str = "jws-kubeconfig-";

/// When a token ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Never,
    In(Duration),
    /// It has, or nobody can read when it does.
    Over,
}

pub(crate) fn sign(world: &SignerWorld) -> Plan {
    let mut plan = Plan::none();
    let Some(data) = &world.info.data else {
        return plan;
    };
    let Some(content) = data.get(KUBECONFIG) else {
        return plan;
    };
    let mut wanted = BTreeMap::new();
    for secret in &world.tokens {
        if let Some((id, token)) = may_sign(secret, world.now) {
            wanted.insert(format!("{SIGNATURE}{id}"), jws::sign(content, id, token));
            if let End::In(left) = end(secret, world.now) {
                plan.again(left);
            }
        }
    }
    let (signatures, others): (BTreeMap<_, _>, BTreeMap<_, _>) = data
        .clone()
        .into_iter()
        .partition(|(key, _)| key.starts_with(SIGNATURE));
    if signatures != wanted && !meta::is_deleting(&world.info.metadata) {
        let mut new = (*world.info).clone();
        new.data = Some(others.into_iter().chain(wanted).collect());
        plan.then(vec![Action::replace(new)]);
    }
    plan
}

pub(crate) fn clean(world: &CleanerWorld) -> Plan {
    let mut plan = Plan::none();
    if !crate::is_token(&world.secret) || meta::is_deleting(&world.secret.metadata) {
        return plan;
    }
    match end(&world.secret, world.now) {
        End::Never => {}
        End::In(left) => drop(plan.again(left)),
        End::Over => {
            // Somebody may be about to give it more time.
            let version = world.secret.metadata.resource_version.clone();
            let delete = Action::delete(&*world.secret).at_version(version);
            plan.then(vec![delete.because("it has expired")]);
        }
    }
    plan
}

/// The id and the secret of a token that may sign.
fn may_sign(secret: &Secret, now: Timestamp) -> Option<(&str, &str)> {
    let id = meta::name(&secret.metadata).strip_prefix(PREFIX)?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_id = id.len() == 6 && id.chars().all(plain);
    let token = value(secret, "token-secret");
    let may = is_id
        && value(secret, "token-id") == id
        && !token.is_empty()
        && end(secret, now) != End::Over
        && value(secret, "usage-bootstrap-signing") == "true";
    may.then_some((id, token))
}

fn end(secret: &Secret, now: Timestamp) -> End {
    let text = value(secret, "expiration");
    if text.is_empty() {
        return End::Never;
    }
    let Ok(at) = text.parse::<Timestamp>() else {
        return End::Over;
    };
    match Duration::try_from(at.duration_since(now)) {
        Ok(left) if !left.is_zero() => End::In(left),
        _ => End::Over,
    }
}

/// What is not text is not there.
fn value<'a>(secret: &'a Secret, key: &str) -> &'a str {
    let data = secret.data.as_ref().and_then(|data| data.get(key));
    data.and_then(|value| str::from_utf8(&value.0).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
