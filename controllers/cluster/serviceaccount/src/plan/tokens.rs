//! What a Secret with a token lacks (upstream: tokens_controller.go).

use crate::tokens::{ACCOUNT_NAME, ACCOUNT_UID, Account, TokenWorld};
use ::plan::{Action, Plan};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use objects::meta;
use std::time::Duration;

const TOKEN: &str = "token";
const NAMESPACE: &str = "namespace";
const CA: &str = "ca.crt";

pub(crate) fn plan(world: &TokenWorld) -> Plan {
    let mut plan = Plan::none();
    let secret = &world.secret;
    if meta::is_deleting(&secret.metadata) {
        return plan;
    }
    match &world.account {
        Account::Gone => {
            let delete = Action::delete(&**secret).because("its service account is gone");
            plan.then(vec![delete]);
        }
        Account::Is(account) => {
            if let Some(filled) = filled(world, account) {
                plan.then(vec![Action::replace(filled)]);
            }
        }
        // It names one, and nobody could be asked.
        Account::Unknown if crate::tokens::owner(secret).is_some() => {
            plan.again(Duration::from_secs(1));
        }
        Account::Unknown => {}
    }
    plan
}

/// Takes the Secret that is gone off the list of its service account.
pub(crate) fn forget(account: &ServiceAccount, secret: &str) -> Plan {
    let mut plan = Plan::none();
    let names = |reference: &k8s_openapi::api::core::v1::ObjectReference| {
        reference.name.as_deref() == Some(secret)
    };
    if account.secrets.iter().flatten().any(names) {
        let mut new = account.clone();
        if let Some(list) = new.secrets.as_mut() {
            list.retain(|reference| !names(reference));
        }
        plan.then(vec![
            Action::replace(new).because("a secret of its list is gone"),
        ]);
    }
    plan
}

/// Whether there is no token in it.
pub(crate) fn wants_token(secret: &Secret) -> bool {
    value(secret, TOKEN).is_empty()
}

/// The Secret with what it lacks; none if it lacks nothing.
fn filled(world: &TokenWorld, account: &ServiceAccount) -> Option<Secret> {
    let old = &world.secret;
    let ca = world.ca.as_deref().unwrap_or_default();
    let mut lacks = Vec::new();
    if !ca.is_empty() && value(old, CA) != ca.as_bytes() {
        lacks.push((CA, ca));
    }
    if value(old, NAMESPACE).is_empty() {
        lacks.push((NAMESPACE, meta::namespace(&old.metadata)));
    }
    if let Some(token) = &world.token {
        lacks.push((TOKEN, &token.0));
    }
    if lacks.is_empty() {
        return None;
    }
    let mut new = (**old).clone();
    let data = new.data.get_or_insert_default();
    for (key, value) in lacks {
        data.insert(key.to_owned(), ByteString(value.as_bytes().to_vec()));
    }
    let annotations = new.metadata.annotations.get_or_insert_default();
    for (key, value) in [
        (ACCOUNT_NAME, meta::name(&account.metadata)),
        (ACCOUNT_UID, meta::uid(&account.metadata)),
    ] {
        annotations.insert(key.to_owned(), value.to_owned());
    }
    Some(new)
}

fn value<'a>(secret: &'a Secret, key: &str) -> &'a [u8] {
    let data = secret.data.as_ref().and_then(|data| data.get(key));
    data.map_or(&[], |value| &value.0)
}

#[cfg(test)]
mod tests;
