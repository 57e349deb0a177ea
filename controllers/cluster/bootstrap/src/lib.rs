//! Bootstrap tokens, by which nodes join that know nothing of the cluster yet: [`BootstrapSigner`] signs the kubeconfig
//! in the ConfigMap `kube-public/cluster-info` with each of them, [`TokenCleaner`] deletes those that have expired.
//!
//! **Promises.** The ConfigMap has a signature of each token in `kube-system` that may sign and has not expired, and of
//! no other. A token goes when it expires.
//!
//! **Never.** A token stands in a log, an event or a plan.
//!
//! **Better than upstream.** A signature goes when its token expires, also where nobody deletes that: upstream takes it
//! away at the next change of a token.
//!
//! Both are off unless they are named, as upstream's; `--controllers=*,bootstrap-signer-controller` turns one on.
//! Semantics: upstream `pkg/controller/bootstrap`, `cluster-bootstrap/token/jws`; no events. Start reading at [`plan`].
#![forbid(unsafe_code)]

mod jws;
mod plan;

use ::plan::Plan;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use objects::meta;
use runtime::{Caches, Controller, Key, Moment, Watches};
use std::sync::Arc;

/// The namespace and the name of the ConfigMap that is signed.
const CLUSTER_INFO: (&str, &str) = ("kube-public", "cluster-info");
/// The namespace of the tokens.
const TOKENS: &str = "kube-system";
/// The type of their Secrets.
const TOKEN_SECRET: &str = "bootstrap.kubernetes.io/token";

/// Signs `cluster-info`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootstrapSigner;

/// Deletes tokens that have expired.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenCleaner;

/// `cluster-info` and the tokens.
#[derive(Clone)]
pub struct SignerWorld {
    /// The ConfigMap as the cache holds it.
    pub info: Arc<ConfigMap>,
    /// The Secrets with tokens.
    pub tokens: Vec<Arc<Secret>>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// A token.
#[derive(Clone)]
pub struct CleanerWorld {
    /// Its Secret as the cache holds it.
    pub secret: Arc<Secret>,
    /// The time of the decision.
    pub now: Timestamp,
}

impl Controller for BootstrapSigner {
    const NAME: &'static str = "bootstrap-signer-controller";
    const QUEUE: &'static str = "bootstrap_signer_queue";

    type Object = ConfigMap;
    type World = SignerWorld;

    fn matters(info: &ConfigMap) -> bool {
        Key::of(&info.metadata) == cluster_info()
    }

    fn watch(watches: &Watches<'_>) {
        watches.on::<Secret>(|change, queue, _| {
            if [&change.old, &change.new]
                .into_iter()
                .flatten()
                .any(|secret| is_token(secret))
            {
                queue.add(cluster_info());
            }
        });
    }

    async fn observe(&self, caches: &Caches, info: Arc<ConfigMap>, moment: Moment) -> SignerWorld {
        let mut tokens = caches.of::<Secret>().in_namespace(TOKENS);
        tokens.retain(|secret| is_token(secret));
        SignerWorld {
            info,
            tokens,
            now: moment.now,
        }
    }

    fn plan(world: &SignerWorld) -> Plan {
        plan::sign(world)
    }
}

impl Controller for TokenCleaner {
    const NAME: &'static str = "token-cleaner-controller";
    const QUEUE: &'static str = "token_cleaner";

    type Object = Secret;
    type World = CleanerWorld;

    fn matters(secret: &Secret) -> bool {
        is_token(secret)
    }

    async fn observe(&self, _: &Caches, secret: Arc<Secret>, moment: Moment) -> CleanerWorld {
        CleanerWorld {
            secret,
            now: moment.now,
        }
    }

    fn plan(world: &CleanerWorld) -> Plan {
        plan::clean(world)
    }
}

fn cluster_info() -> Key {
    Key::new(CLUSTER_INFO.0, CLUSTER_INFO.1)
}

fn is_token(secret: &Secret) -> bool {
    secret.type_.as_deref() == Some(TOKEN_SECRET) && meta::namespace(&secret.metadata) == TOKENS
}
