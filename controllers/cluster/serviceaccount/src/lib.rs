//! What each namespace needs before pods can run in it: the ServiceAccount `default`
//! ([`ServiceAccountController`]), and the certificates by which pods know the API server, in the ConfigMap
//! `kube-root-ca.crt` ([`RootCaPublisher`]). And tokens that stand in Secrets: [`TokenController`] makes them,
//! [`LegacyTokenCleaner`] deletes those that nobody uses.
//!
//! **Promises.** In each active namespace both are there; who deletes one gets it back, and what somebody wrote into
//! the ConfigMap is put right. A Secret of the type `kubernetes.io/service-account-token` gets a token, the namespace
//! and the certificates, and goes with its service account, on the API server's own word that that is gone; when it
//! goes the service account's list forgets it. A token that was made for a service account (it stands in its list),
//! that no pod names and that nobody has used for a year is marked, and deleted a year later.
//!
//! **Never.** Nothing is made in a namespace that is on its way out. What a ServiceAccount may pull and mount is its
//! owner's business. No Secret is made here; the API server hands tokens out on request. A token or a key stands in no
//! log, event or plan.
//!
//! Read [`plan`] first. The semantics are upstream's
//! `pkg/controller/serviceaccount/{serviceaccounts_controller,tokens_controller,legacy_serviceaccount_token_cleaner}.go`
//! and `pkg/controller/certificates/rootcacertpublisher/publisher.go`; none has events. The differences: a ConfigMap
//! that somebody made immutable with the wrong certificates is replaced by a new one instead of failing for ever; a
//! Secret is tried until it has its token, where upstream gives it up after ten failures; and a service account keeps
//! naming a Secret that was deleted and made again.
#![forbid(unsafe_code)]

pub mod jwt;
pub mod legacy;
mod metrics;
mod plan;
pub mod tokens;

pub use jwt::Issuer;
pub use legacy::LegacyTokenCleaner;
pub use tokens::TokenController;

use ::plan::{Metric, Plan, Sample, Turn};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use objects::meta;
use runtime::{Caches, Change, Controller, Key, Moment, Queue, Watched, Watches};
use std::sync::Arc;

/// The ServiceAccount that pods get which name none.
pub const DEFAULT_ACCOUNT: &str = "default";
/// The ConfigMap that is projected into each pod beside its token.
pub const ROOT_CA_CONFIG_MAP: &str = "kube-root-ca.crt";

/// Makes the ServiceAccount `default`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceAccountController;

/// Makes the ConfigMap `kube-root-ca.crt`.
#[derive(Clone, Debug)]
pub struct RootCaPublisher {
    ca: Arc<str>,
}

/// A namespace and its ServiceAccount.
#[derive(Clone, Debug)]
pub struct AccountWorld {
    /// The namespace's name, if something may be made in it.
    pub active: Option<String>,
    /// The ServiceAccount `default` as it is.
    pub account: Option<Arc<ServiceAccount>>,
}

/// A namespace and its certificates.
#[derive(Clone, Debug)]
pub struct RootCaWorld {
    /// The namespace's name, if something may be made in it.
    pub active: Option<String>,
    /// The ConfigMap `kube-root-ca.crt` as it is.
    pub config_map: Option<Arc<ConfigMap>>,
    /// PEM: the certificates that it should hold.
    pub ca: Arc<str>,
}

impl RootCaPublisher {
    /// A publisher of `ca`, the certificates (PEM) that the API server's own one is signed by.
    pub fn new(ca: String) -> Self {
        Self { ca: ca.into() }
    }
}

impl Controller for ServiceAccountController {
    const NAME: &'static str = "serviceaccount-controller";
    const QUEUE: &'static str = "serviceaccount";
    type Object = Namespace;
    type World = AccountWorld;

    fn watch(watches: &Watches<'_>) {
        watches.on::<ServiceAccount>(|change, queue, _| {
            if change.new.is_none() {
                wake_namespace(change, queue, DEFAULT_ACCOUNT);
            }
        });
    }

    async fn observe(&self, caches: &Caches, namespace: Arc<Namespace>, _: Moment) -> AccountWorld {
        let name = meta::name(&namespace.metadata);
        AccountWorld {
            active: active(&namespace),
            account: caches.of::<ServiceAccount>().get(name, DEFAULT_ACCOUNT),
        }
    }

    fn plan(world: &AccountWorld) -> Plan {
        plan::account(world)
    }
}

impl Controller for RootCaPublisher {
    const NAME: &'static str = "root-ca-certificate-publisher-controller";
    const QUEUE: &'static str = "root_ca_cert_publisher";
    const METRICS: &'static [&'static Metric] = metrics::METRICS;
    type Object = Namespace;
    type World = RootCaWorld;

    fn watch(watches: &Watches<'_>) {
        watches.on::<ConfigMap>(|change, queue, _| {
            wake_namespace(change, queue, ROOT_CA_CONFIG_MAP);
        });
    }

    async fn observe(&self, caches: &Caches, namespace: Arc<Namespace>, _: Moment) -> RootCaWorld {
        let name = meta::name(&namespace.metadata);
        RootCaWorld {
            active: active(&namespace),
            config_map: caches.of::<ConfigMap>().get(name, ROOT_CA_CONFIG_MAP),
            ca: self.ca.clone(),
        }
    }

    fn plan(world: &RootCaWorld) -> Plan {
        plan::root_ca(world)
    }

    fn measure(_: &RootCaWorld, turn: &Turn<'_>) -> Vec<Sample> {
        metrics::measure(turn)
    }
}

fn active(namespace: &Namespace) -> Option<String> {
    let phase = namespace
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    let active = phase == Some("Active") && !meta::is_deleting(&namespace.metadata);
    active.then(|| meta::name(&namespace.metadata).to_owned())
}

fn wake_namespace<K: Watched>(change: &Change<K>, queue: &Queue, name: &str) {
    if let Some(meta) = change.metas().find(|meta| meta::name(meta) == name) {
        queue.add(Key::new("", meta::namespace(meta)));
    }
}

#[cfg(test)]
mod tests;
