//! Tokens in Secrets that nobody uses any more.

use crate::plan::legacy;
use crate::tokens;
use ::plan::Plan;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use objects::meta;
use runtime::{Caches, Controller, Moment, Watches};
use std::sync::Arc;

/// Where the API server says since when it notes which token was used.
const TRACKING: (&str, &str, &str) = (
    "kube-system",
    "kube-apiserver-legacy-service-account-token-tracking",
    "since",
);

/// Marks tokens that were made for service accounts and that nobody uses, and deletes them when nobody misses them.
#[derive(Clone, Copy, Debug)]
pub struct LegacyTokenCleaner {
    period: SignedDuration,
}

/// A Secret with a token.
#[derive(Clone, Debug)]
pub struct LegacyWorld {
    /// The Secret as the cache holds it.
    pub secret: Arc<Secret>,
    /// Whether it stands in the list of its service account: it was made for it, and by no user.
    pub made: bool,
    /// Whether a pod names it.
    pub mounted: bool,
    /// The day since when the API server notes what was used.
    pub tracked: Option<Date>,
    /// How long a token may be unused, and marked.
    pub period: SignedDuration,
    /// The time of the decision.
    pub now: Timestamp,
}

impl LegacyTokenCleaner {
    /// A cleaner of tokens that were not used for this long; upstream's default are 365 days.
    pub fn new(period: SignedDuration) -> Self {
        Self { period }
    }
}

impl Controller for LegacyTokenCleaner {
    const NAME: &'static str = "legacy-serviceaccount-token-cleaner-controller";
    const QUEUE: &'static str = "legacy_serviceaccount_token_cleaner";

    type Object = Secret;
    type World = LegacyWorld;

    fn matters(secret: &Secret) -> bool {
        tokens::is_token(secret)
    }

    fn watch(watches: &Watches<'_>) {
        watches.reads::<ServiceAccount>();
        watches.reads::<ConfigMap>();
        watches.reads::<Pod>();
    }

    async fn observe(&self, caches: &Caches, secret: Arc<Secret>, moment: Moment) -> LegacyWorld {
        let mut world = LegacyWorld {
            made: false,
            mounted: false,
            tracked: None,
            period: self.period,
            now: moment.now,
            secret,
        };
        if !legacy::is_old(&world) {
            return world;
        }
        let (namespace, name) = (
            meta::namespace(&world.secret.metadata),
            meta::name(&world.secret.metadata),
        );
        world.made = tokens::owner(&world.secret).is_some_and(|(account, uid)| {
            let account = caches.of::<ServiceAccount>().get(namespace, &account);
            account.is_some_and(|account| {
                let mut listed = account.secrets.iter().flatten();
                let is = uid.is_empty() || meta::uid(&account.metadata) == uid;
                is && listed.any(|reference| reference.name.as_deref() == Some(name))
            })
        });
        if world.made {
            let pods = caches.of::<Pod>().in_namespace(namespace);
            world.mounted = pods.iter().any(|pod| legacy::mounts(pod, name));
            let tracking = caches.of::<ConfigMap>().get(TRACKING.0, TRACKING.1);
            let since = tracking.and_then(|map| map.data.as_ref()?.get(TRACKING.2)?.parse().ok());
            world.tracked = since;
        }
        world
    }

    fn plan(world: &LegacyWorld) -> Plan {
        legacy::plan(world)
    }
}
