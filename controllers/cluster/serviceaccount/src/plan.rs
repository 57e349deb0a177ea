//! What is missing or wrong in a namespace.

pub(crate) mod legacy;
pub(crate) mod tokens;

use crate::{AccountWorld, DEFAULT_ACCOUNT, ROOT_CA_CONFIG_MAP, RootCaWorld};
use ::plan::{Action, Plan};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::meta;
use std::collections::BTreeMap;

const CA_KEY: &str = "ca.crt";
const DESCRIPTION_ANNOTATION: &str = "kubernetes.io/description";
/// What people read who wonder where the ConfigMap comes from; upstream's words, which tools may look for.
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
                           endpoints such as the internal service IP or kubernetes.default.svc. No other usage is \
                           guaranteed across distributions of Kubernetes clusters.";

/// `serviceaccounts_controller.go syncNamespace`
pub(crate) fn account(world: &AccountWorld) -> Plan {
    let mut plan = Plan::none();
    if let (Some(namespace), None) = (&world.active, &world.account) {
        let account = ServiceAccount {
            metadata: named(namespace, DEFAULT_ACCOUNT),
            ..ServiceAccount::default()
        };
        plan.then(vec![Action::create(account)]);
    }
    plan
}

/// `publisher.go syncNamespace`
pub(crate) fn root_ca(world: &RootCaWorld) -> Plan {
    let mut plan = Plan::none();
    let Some(namespace) = &world.active else {
        return plan;
    };
    let data = BTreeMap::from([(CA_KEY.to_owned(), world.ca.to_string())]);
    let Some(old) = &world.config_map else {
        let mut metadata = named(namespace, ROOT_CA_CONFIG_MAP);
        describe(&mut metadata);
        plan.then(vec![Action::create(ConfigMap {
            metadata,
            data: Some(data),
            ..ConfigMap::default()
        })]);
        return plan;
    };
    let right = old.data.as_ref() == Some(&data);
    let described = meta::annotation(&old.metadata, DESCRIPTION_ANNOTATION)
        .is_some_and(|text| !text.is_empty());
    if right && described || meta::is_deleting(&old.metadata) {
        return plan;
    }
    if !right && old.immutable == Some(true) {
        // The next look finds none and makes one.
        plan.then(vec![
            Action::delete(&**old).because("immutable with the wrong certificates"),
        ]);
        return plan;
    }
    let mut new = (**old).clone();
    new.data = Some(data);
    describe(&mut new.metadata);
    plan.then(vec![Action::replace(new)]);
    plan
}

fn named(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

fn describe(metadata: &mut ObjectMeta) {
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(DESCRIPTION_ANNOTATION.to_owned(), DESCRIPTION.to_owned());
}

#[cfg(test)]
mod tests;
