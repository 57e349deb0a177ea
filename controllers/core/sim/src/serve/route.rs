//! Paths: `/api/v1/…` and `/apis/<group>/<version>/…`.

use std::collections::HashMap;

use http::{Method, Uri};

use super::verb_of;
use crate::kinds::{Kind, KindId};
use crate::refusal::{self, Answer};
use crate::selector::Selector;
use crate::state::{State, Verb};

/// What a request is about.
pub(crate) struct Route {
    pub(crate) verb: Verb,
    pub(crate) kind: KindId,
    pub(crate) table: &'static Kind,
    pub(crate) subresource: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) query: HashMap<String, String>,
}

impl Route {
    pub(crate) fn selector(&self) -> Answer<Selector> {
        Selector::parse(self.text("labelSelector"), self.text("fieldSelector"))
    }

    pub(crate) fn text(&self, parameter: &str) -> &str {
        self.query.get(parameter).map_or("", String::as_str)
    }

    pub(crate) fn flag(&self, parameter: &str) -> bool {
        ["true", "1"].contains(&self.text(parameter))
    }
}

/// None for the paths of discovery.
pub(super) fn route(state: &State, method: &Method, uri: &Uri) -> Answer<Option<Route>> {
    let query: HashMap<String, String> =
        form_urlencoded::parse(uri.query().unwrap_or("").as_bytes())
            .into_owned()
            .collect();
    let path: Vec<&str> = uri.path().split('/').filter(|p| !p.is_empty()).collect();
    let (group, version, rest) = match path.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Ok(None),
    };
    let (namespace, rest) = match rest {
        [] => return Ok(None),
        // Of a namespace itself: /namespaces/<name>/status and /finalize.
        ["namespaces", _, "status" | "finalize"] => ("", rest),
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        _ => ("", rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, "", ""),
        [plural, name] => (*plural, *name, ""),
        [plural, name, subresource] => (*plural, *name, *subresource),
        _ => return Err(refusal::no_such_path()),
    };
    let kind = state
        .by_path(group, version, plural)
        .ok_or_else(refusal::no_such_path)?;
    let table = state.kinds[kind];
    let pod = table.rules() == "Pod";
    let subresource = match subresource {
        "" => "",
        "status" if table.status => "status",
        "scale" if table.scale => "scale",
        "binding" if pod => "binding",
        "eviction" if pod => "eviction",
        "finalize" if table.rules() == "Namespace" => "finalize",
        "approval" if table.rules() == "CertificateSigningRequest" => "approval",
        _ => return Err(refusal::no_such_path()),
    };
    let watches = ["true", "1"].contains(&query.get("watch").map_or("", String::as_str));
    let verb = verb_of(method, !name.is_empty(), watches)?;
    Ok(Some(Route {
        verb,
        kind,
        table,
        subresource,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        query,
    }))
}
