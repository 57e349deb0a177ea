//! `extenders`: who is asked over HTTP, shared by all profiles (`apis/config/validation`, `buildExtenders`).

use super::part;
use crate::extender::Extender;
use objects::selector::valid_key;
use runtime::args::parse_duration;
use runtime::outside::{Pem, Tls};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long an extender is waited for that says nothing of it.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Given {
    #[serde(rename = "urlPrefix")]
    url_prefix: String,
    #[serde(default)]
    filter_verb: String,
    #[serde(default)]
    preempt_verb: String,
    #[serde(default)]
    prioritize_verb: String,
    #[serde(default)]
    weight: i64,
    #[serde(default)]
    bind_verb: String,
    #[serde(default, rename = "enableHTTPS")]
    enable_https: bool,
    #[serde(default)]
    tls_config: Option<GivenTls>,
    #[serde(default)]
    http_timeout: Option<String>,
    #[serde(default)]
    node_cache_capable: bool,
    #[serde(default)]
    managed_resources: Vec<Managed>,
    #[serde(default)]
    ignorable: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Managed {
    name: String,
    #[serde(default)]
    ignored_by_scheduler: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct GivenTls {
    insecure: bool,
    server_name: String,
    cert_file: String,
    key_file: String,
    #[serde(rename = "caFile")]
    ca_file: String,
    cert_data: String,
    key_data: String,
    #[serde(rename = "caData")]
    ca_data: String,
}

/// The extenders, those that cannot be gone on without first, and the resources that they look after alone.
pub(super) fn read(given: Vec<Value>) -> Result<(Vec<Extender>, Vec<String>), String> {
    let (mut all, mut ignored) = (Vec::new(), Vec::new());
    let (mut managed, mut binders) = (BTreeSet::new(), 0);
    for (index, given) in given.into_iter().enumerate() {
        let at = format!("extenders[{index}]");
        let given: Given = part(given, &at)?;
        if !given.prioritize_verb.is_empty() && given.weight <= 0 {
            let weight = given.weight;
            return Err(format!("{at}.weight: {weight} is not greater than 0"));
        }
        binders += usize::from(!given.bind_verb.is_empty());
        for (index, resource) in given.managed_resources.iter().enumerate() {
            let (name, at) = (
                &resource.name,
                format!("{at}.managedResources[{index}].name"),
            );
            if !is_extended(name) {
                return Err(format!("{at}: {name:?} is no name of an extended resource"));
            }
            if !managed.insert(name.clone()) {
                return Err(format!("{at}: {name:?} is there twice"));
            }
            if resource.ignored_by_scheduler {
                ignored.push(name.clone());
            }
        }
        all.push(extender(given, &at)?);
    }
    if binders > 1 {
        return Err(format!("extenders: {binders} have a bindVerb, and one can"));
    }
    all.sort_by_key(|extender| extender.is_ignorable);
    Ok((all, ignored))
}

fn extender(given: Given, at: &str) -> Result<Extender, String> {
    let wrong = |error| format!("{at}.httpTimeout: {error}");
    let timeout = given.http_timeout.as_deref().map(parse_duration);
    let timeout = timeout.transpose().map_err(wrong)?.unwrap_or_default();
    let has_config = given.tls_config.is_some();
    let tls = tls(given.tls_config.unwrap_or_default(), given.enable_https, at)?;
    let url = given.url_prefix;
    let rest = url.strip_prefix("http://").or(url.strip_prefix("https://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Err(format!(
            "{at}.urlPrefix: {url:?} is not a URL like http://10.0.0.1:8888/x"
        ));
    }
    if url.starts_with("http://") && has_config {
        tracing::warn!(url, "the extender's tlsConfig has no effect without https");
    }
    Ok(Extender {
        url,
        filter: given.filter_verb,
        prioritize: given.prioritize_verb,
        preempt: given.preempt_verb,
        bind: given.bind_verb,
        weight: given.weight,
        tls,
        timeout: if timeout.is_zero() { TIMEOUT } else { timeout },
        is_cache_capable: given.node_cache_capable,
        managed: given
            .managed_resources
            .into_iter()
            .map(|of| of.name)
            .collect(),
        is_ignorable: given.ignorable,
    })
}

/// With HTTPS asked for and nobody named who signs, everybody is believed, as upstream has it.
fn tls(given: GivenTls, enable_https: bool, at: &str) -> Result<Tls, String> {
    let at = format!("{at}.tlsConfig");
    let pem = |data: String, file: String| match (data.is_empty(), file.is_empty()) {
        (false, _) => Some(Pem::Data(data)),
        (true, false) => Some(Pem::File(file)),
        (true, true) => None,
    };
    let authority = pem(given.ca_data, given.ca_file);
    let certificate = pem(given.cert_data, given.cert_file);
    let key = pem(given.key_data, given.key_file);
    if given.insecure && authority.is_some() {
        return Err(format!(
            "{at}: insecure and an authority exclude each other"
        ));
    }
    if certificate.is_some() != key.is_some() {
        return Err(format!("{at}: a certificate and its key belong together"));
    }
    Ok(Tls {
        insecure: given.insecure || (enable_https && authority.is_none()),
        server_name: Some(given.server_name).filter(|name| !name.is_empty()),
        authority,
        certificate,
        key,
    })
}

/// `IsExtendedResourceName`: `domain/name`, not one of Kubernetes' own.
fn is_extended(name: &str) -> bool {
    let domain = name.split_once('/').map(|(domain, _)| domain);
    let is_foreign =
        domain.is_some_and(|of| !of.contains("kubernetes.io") && !of.starts_with("requests."));
    is_foreign && valid_key(name) && valid_key(&format!("requests.{name}"))
}
