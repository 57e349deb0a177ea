//! Who our loops are to the API server: ServiceAccounts of their own, with the roles of the chart. What a role lacks
//! fails a test, and not a user.

use crate::audit::{Audit, Use, Writer};
use crate::{Cluster, eventually};
use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::AuthInfo;
use kube::{Api, Client, Config};
use registry::roles::{ELECTION, GUARD, LEASE, Rule, STOCK, probe_of};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Where the accounts, and the leases of elections, are.
pub(crate) const NAMESPACE: &str = "corten-system";

/// What has been asked for until now, by whom; of clusters that are gone too.
static ASKED: Mutex<BTreeSet<Use>> = Mutex::new(BTreeSet::new());
/// The parts that have acted, by their account.
static ACTED: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

/// How the roles were used until now, in all clusters of this process.
#[derive(Debug)]
pub struct Rights {
    /// Requests that RBAC refused, once each kind of request.
    pub forbidden: Vec<String>,
    /// What was granted and not asked for, but for what is seldom needed.
    pub unused: Vec<String>,
    /// Verbs that were granted and asked for.
    pub used: usize,
}

impl Cluster {
    /// How the roles were used until now, in this cluster and in those that are gone.
    ///
    /// # Errors
    /// The audit log cannot be read.
    pub fn rights(&self) -> Result<Rights> {
        gather(&self.audit)?;
        let asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        let acted = ACTED.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |of: &Use| {
            let (account, verb, group) = (&of.account, &of.verb, &of.group);
            format!("{account}: {verb} {}.{group} {}", of.resource, of.on)
        };
        let forbidden = asked.iter().filter(|of| of.forbidden).map(line).collect();
        let mut rights = Rights {
            forbidden,
            unused: Vec::new(),
            used: 0,
        };
        for (account, parts) in acted.iter() {
            let asked: Vec<&Use> = asked.iter().filter(|of| of.account == *account).collect();
            let roles = parts.iter().filter_map(|part| registry::roles::role(part));
            let rules = roles.flat_map(|role| role.rules).map(|rule| (rule, false));
            let rules = rules.chain(ELECTION.rules.iter().map(|rule| (rule, true)));
            for (rule, at_home) in rules.filter(|(rule, _)| rule.seldom.is_empty()) {
                let asked = || asked.iter().filter(|of| of.at_home == at_home);
                for (resource, verb) in grants(rule) {
                    match asked().any(|of| covers(rule, resource, verb, of)) {
                        true => rights.used += 1,
                        false => {
                            let group = rule.group;
                            rights
                                .unused
                                .push(format!("{account}: {verb} {resource}.{group}"));
                        }
                    }
                }
            }
        }
        Ok(rights)
    }
}

impl Cluster {
    /// A kubeconfig for a program that has the roles of these parts and no other, and whose Lease is that of the account's
    /// name in its namespace ([`Cluster::accounts`]).
    ///
    /// # Errors
    /// A part has no role; the API server's.
    pub async fn account(&self, account: &str, parts: &[&str]) -> Result<PathBuf> {
        let mut admin = self.config.clone();
        admin.headers.clear();
        let access = of(&admin, &admin, account, parts).await?;
        let file = |ending: &str| self.folder().join(format!("{account}.{ending}"));
        let (ca, kubeconfig) = (file("crt"), file("kubeconfig"));
        std::fs::write(
            &ca,
            runtime::args::root_ca(&access).context("an authority")?,
        )?;
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": account,
            "clusters": [{ "name": account, "cluster": {
                "server": access.cluster_url.to_string(), "certificate-authority": ca,
            } }],
            "users": [{ "name": account, "user": access.auth_info }],
            "contexts": [{ "name": account, "context": { "cluster": account, "user": account } }],
        });
        std::fs::write(&kubeconfig, text.to_string())?;
        Ok(kubeconfig)
    }

    /// Where the accounts and their Leases are.
    pub fn accounts(&self) -> &'static str {
        NAMESPACE
    }
}

/// Remembers what a cluster's loops have asked for.
pub(crate) fn gather(audit: &Audit) -> Result<()> {
    let mut uses = audit.uses()?;
    // Which object it was matters where it was refused.
    for granted in uses.iter_mut().filter(|of| !of.forbidden) {
        granted.on.clear();
    }
    ASKED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(uses);
    Ok(())
}

fn grants(rule: &Rule) -> impl Iterator<Item = (&'static str, &'static str)> {
    let verbs = rule.verbs;
    rule.resources
        .iter()
        .flat_map(move |resource| verbs.iter().map(move |verb| (*resource, *verb)))
}

/// Whether this request needs this verb of the rule.
fn covers(rule: &Rule, resource: &str, verb: &str, of: &Use) -> bool {
    let same = |granted: &str, asked: &str| granted == "*" || granted == asked;
    let resource = match resource.strip_prefix("*/") {
        Some(sub) => of
            .resource
            .split_once('/')
            .is_some_and(|(_, asked)| asked == sub),
        None => same(resource, &of.resource),
    };
    same(rule.group, &of.group) && resource && verb == of.verb
}

/// The user that the account of this part is.
pub(crate) fn user(account: &str) -> String {
    format!("system:serviceaccount:{NAMESPACE}:{account}")
}

/// Takes down which parts act as this account.
fn acts(account: &str, parts: Vec<String>) {
    let mut acted = ACTED.lock().unwrap_or_else(PoisonError::into_inner);
    acted.insert(account.to_owned(), parts);
}

/// `access` as the ServiceAccount `account`, made by the administrator that `admin` is, with the roles of `parts` and
/// one for the Lease of that name.
pub(crate) async fn of(
    admin: &Config,
    access: &Config,
    account: &str,
    parts: &[&str],
) -> Result<Config> {
    let client = Client::try_from(Writer::Test.signs(admin.clone()))?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    let meta = json!({ "name": account });
    apply(
        &Api::<Namespace>::all(client.clone()),
        json!({ "name": NAMESPACE }),
        json!({}),
    )
    .await?;
    apply(&accounts, meta.clone(), json!({})).await?;
    let named = parts.iter().map(|part| (*part).to_owned()).collect();
    acts(account, named);
    let mut rules = Vec::new();
    for part in parts {
        let role = registry::roles::role(part).with_context(|| format!("{part} has no role"))?;
        rules.extend(role.rules.iter().map(rule));
    }
    let subjects = json!([{ "kind": "ServiceAccount", "name": account, "namespace": NAMESPACE }]);
    let binding = |kind: &str| {
        json!({
            "subjects": subjects,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": account },
        })
    };
    let all = json!({ "rules": rules });
    apply(&Api::<ClusterRole>::all(client.clone()), meta.clone(), all).await?;
    let roles = Api::<ClusterRoleBinding>::all(client.clone());
    apply(&roles, meta.clone(), binding("ClusterRole")).await?;
    let lease = |rule: &Rule| {
        let mut object = self::rule(rule);
        if rule.names == [LEASE] {
            object["resourceNames"] = json!([account]);
        }
        object
    };
    let mut home: Vec<Value> = ELECTION.rules.iter().map(lease).collect();
    home.extend(parts.iter().filter_map(|part| probe_of(part)).map(rule));
    let stock = |rule: &Rule| {
        let mut object = self::rule(rule);
        if rule.names == [STOCK] {
            object["resourceNames"] = json!([match parts {
                ["scheduler"] => "kube-scheduler",
                _ => "kube-controller-manager",
            }]);
        }
        object
    };
    let stock = GUARD.rules.iter().map(stock).collect::<Vec<_>>();
    for (namespace, rules) in [(NAMESPACE, home), ("kube-system", stock)] {
        let roles = Api::<Role>::namespaced(client.clone(), namespace);
        apply(&roles, meta.clone(), json!({ "rules": rules })).await?;
        let roles = Api::<RoleBinding>::namespaced(client.clone(), namespace);
        apply(&roles, meta.clone(), binding("Role")).await?;
    }
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            expiration_seconds: Some(24 * 3600),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let params = PostParams::default();
    let answer = accounts.create_token_request(account, &params, &request);
    let token = answer.await?.status.and_then(|status| status.token);
    let token = token.context("a token")?;
    let mut config = access.clone();
    config.auth_info = AuthInfo {
        token: Some(token.into()),
        ..AuthInfo::default()
    };
    let own = Client::try_from(config.clone())?;
    let leases: Api<k8s_openapi::api::coordination::v1::Lease> = Api::namespaced(own, NAMESPACE);
    eventually("the account has its role", async || {
        Ok(leases.get_opt(account).await.map(drop)?)
    })
    .await?;
    Ok(config)
}

/// A rule as RBAC has it.
fn rule(rule: &Rule) -> Value {
    let mut object = json!({
        "apiGroups": [rule.group], "resources": rule.resources, "verbs": rule.verbs,
    });
    if !rule.names.is_empty() {
        object["resourceNames"] = json!(rule.names);
    }
    object
}

async fn apply<K>(api: &Api<K>, meta: Value, mut rest: Value) -> Result<()>
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
{
    let name = meta["name"].as_str().unwrap_or_default().to_owned();
    rest["metadata"] = meta;
    rest["apiVersion"] = K::api_version(&()).into();
    rest["kind"] = K::kind(&()).into();
    let params = PatchParams::apply("test").force();
    let applied = api.patch(&name, &params, &Patch::Apply(&rest)).await;
    applied
        .map(drop)
        .with_context(|| format!("{} {name}", K::kind(&())))
}
