//! Tokens in Secrets of the type `kubernetes.io/service-account-token`.

use crate::jwt::{Claims, Issuer, Token};
use crate::plan::tokens;
use ::plan::Plan;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use objects::meta;
use runtime::{Caches, Controller, Key, Moment, Reads, Watches};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The type of Secrets that hold tokens.
pub const TOKEN_SECRET: &str = "kubernetes.io/service-account-token";
/// The annotation of such a Secret that names its service account.
pub const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
/// The annotation that says which incarnation of it.
pub const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// Fills Secrets with tokens, and deletes those whose service account is gone.
#[derive(Clone)]
pub struct TokenController {
    issuer: Issuer,
    ca: Option<Arc<str>>,
    reads: Reads,
    /// The service accounts of Secrets that went, which may still name them.
    gone: Arc<Mutex<HashMap<Key, Owner>>>,
}

/// The service account that a Secret names: its name and, if the Secret says so, its UID.
type Owner = (String, String);

/// A Secret and its service account.
#[derive(Clone, Debug)]
pub struct TokenWorld {
    /// The Secret as the cache holds it.
    pub secret: Arc<Secret>,
    /// Its service account.
    pub account: Account,
    /// The token that it is to have, if it has none.
    pub token: Option<Token>,
    /// PEM: the certificates that it is to have.
    pub ca: Option<Arc<str>>,
}

/// The service account of a Secret.
#[derive(Clone, Debug)]
pub enum Account {
    /// This one.
    Is(Arc<ServiceAccount>),
    /// It is not there, on the API server's own word.
    Gone,
    /// The Secret names none, or nobody could be asked.
    Unknown,
}

impl TokenController {
    /// A controller whose tokens `issuer` signs, and that hands out `ca`, the certificates (PEM) that the API server's
    /// own one is signed by.
    pub fn new(issuer: Issuer, ca: Option<String>, reads: Reads) -> Self {
        Self {
            issuer,
            ca: ca.map(Into::into),
            reads,
            gone: Arc::default(),
        }
    }

    async fn account(&self, caches: &Caches, secret: &Secret) -> Account {
        let Some((name, uid)) = owner(secret) else {
            return Account::Unknown;
        };
        let namespace = meta::namespace(&secret.metadata);
        let is = |account: &ServiceAccount| uid.is_empty() || meta::uid(&account.metadata) == uid;
        let cached = caches.of::<ServiceAccount>().get(namespace, &name);
        if let Some(account) = cached.filter(|account| is(account)) {
            return Account::Is(account);
        }
        // The cache may be behind: nothing is deleted on its word.
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}");
        match self.reads.get::<ServiceAccount>(&path).await {
            Ok(account) if is(&account) => Account::Is(Arc::new(account)),
            Ok(_) => Account::Gone,
            Err(error) if error.not_found => Account::Gone,
            Err(_) => Account::Unknown,
        }
    }

    fn sign(&self, secret: &Secret, account: &ServiceAccount) -> Option<Token> {
        if !tokens::wants_token(secret) {
            return None;
        }
        let claims = Claims {
            namespace: meta::namespace(&secret.metadata),
            account: meta::name(&account.metadata),
            uid: meta::uid(&account.metadata),
            secret: meta::name(&secret.metadata),
        };
        let token = self.issuer.token(claims);
        if let Err(error) = &token {
            tracing::warn!(
                namespace = claims.namespace,
                secret = claims.secret,
                error,
                "no token could be made"
            );
        }
        token.ok()
    }
}

impl Controller for TokenController {
    const NAME: &'static str = "serviceaccount-token-controller";
    const QUEUE: &'static str = "serviceaccount_tokens_secret";

    type Object = Secret;
    type World = TokenWorld;

    fn matters(secret: &Secret) -> bool {
        is_token(secret)
    }

    fn watch(watches: &Watches<'_>) {
        watches.on::<ServiceAccount>(|change, queue, caches| {
            if change.new.is_some() {
                return;
            }
            let account = &change.latest().metadata;
            for secret in caches.of::<Secret>().in_namespace(meta::namespace(account)) {
                let named = owner(&secret).is_some_and(|(name, _)| name == meta::name(account));
                if named && is_token(&secret) {
                    queue.add(Key::of(&secret.metadata));
                }
            }
        });
    }

    fn listen(&self, watches: &Watches<'_>) {
        let gone = self.gone.clone();
        watches.on::<Secret>(move |change, queue, _| {
            if change.new.is_some() || !is_token(change.latest()) {
                return;
            }
            if let Some(owner) = owner(change.latest()) {
                let key = Key::of(&change.latest().metadata);
                lock(&gone).insert(key.clone(), owner);
                queue.add(key);
            }
        });
    }

    async fn observe(&self, caches: &Caches, secret: Arc<Secret>, _: Moment) -> TokenWorld {
        lock(&self.gone).remove(&Key::of(&secret.metadata));
        let account = match is_token(&secret) {
            true => self.account(caches, &secret).await,
            false => Account::Unknown,
        };
        let token = match &account {
            Account::Is(account) => self.sign(&secret, account),
            _ => None,
        };
        TokenWorld {
            secret,
            account,
            token,
            ca: self.ca.clone(),
        }
    }

    fn plan(world: &TokenWorld) -> Plan {
        tokens::plan(world)
    }

    fn gone(&self, caches: &Caches, key: &Key) -> Plan {
        let Some((name, uid)) = lock(&self.gone).get(key).cloned() else {
            return Plan::none();
        };
        let account = caches.of::<ServiceAccount>().get(&key.namespace, &name);
        let account = account.filter(|a| uid.is_empty() || meta::uid(&a.metadata) == uid);
        let plan = account.map_or_else(Plan::none, |a| tokens::forget(&a, &key.name));
        if plan.is_empty() {
            lock(&self.gone).remove(key);
        }
        plan
    }
}

/// Whether it holds a token, or is to.
pub(crate) fn is_token(secret: &Secret) -> bool {
    secret.type_.as_deref() == Some(TOKEN_SECRET)
}

/// The service account that a Secret names.
pub(crate) fn owner(secret: &Secret) -> Option<Owner> {
    let of = |key| meta::annotation(&secret.metadata, key).unwrap_or_default();
    let name = of(ACCOUNT_NAME);
    (!name.is_empty()).then(|| (name.to_owned(), of(ACCOUNT_UID).to_owned()))
}

fn lock(gone: &Mutex<HashMap<Key, Owner>>) -> MutexGuard<'_, HashMap<Key, Owner>> {
    gone.lock().unwrap_or_else(PoisonError::into_inner)
}
