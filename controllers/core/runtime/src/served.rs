//! What the API server serves, from its aggregated discovery
//! (`k8s.io/api/apidiscovery/v2`; upstream: garbagecollector.go, `GetDeletableResources`).

use crate::reads::{ReadError, Reads};
use ahash::{AHashMap, AHashSet};
use plan::Kind;
use serde::Deserialize;

/// The form to ask for.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// The paths to ask.
const PATHS: [&str; 2] = ["/api", "/apis"];

/// An answer to discovery.
#[derive(Debug, Deserialize)]
pub struct Groups {
    items: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    #[serde(default)]
    metadata: Named,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Version {
    version: String,
    #[serde(default)]
    resources: Vec<Resource>,
    #[serde(default)]
    freshness: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource: String,
    response_kind: Option<ResponseKind>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct ResponseKind {
    kind: String,
}

/// A kind in one of the versions that it is served in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// All that is needed to address it.
    pub kind: Kind,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether objects of it can be listed, watched and deleted.
    collectable: bool,
    /// Whether objects of it can be listed and deleted.
    emptied: bool,
}

/// All kinds that are served, the preferred version of each group first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table(Vec<Served>, Vec<String>);

impl Table {
    /// The table that the answers make. Where a server behind the API server is away, what it served `before` counts.
    pub fn new(answers: &[Groups], before: &Self) -> Self {
        let (mut table, mut away) = (Vec::new(), Vec::new());
        for group in answers.iter().flat_map(|answer| &answer.items) {
            let name = &group.metadata.name;
            for version in &group.versions {
                if version.freshness == "Stale" && version.resources.is_empty() {
                    let stale =
                        |s: &&Served| s.kind.group == name && s.kind.version == version.version;
                    table.extend(before.0.iter().filter(stale));
                    away.push(format!("{name}/{}", version.version));
                }
                table.extend(version.served(name));
            }
        }
        Self(table, away)
    }

    /// The group versions that nobody answers for at the moment.
    pub fn away(&self) -> &[String] {
        &self.1
    }

    /// The kind that an owner reference names. If it is not served in that version any more it is the same kind in
    /// another: a group has all its versions in one store.
    pub fn find(&self, api_version: &str, kind: &str) -> Option<Served> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let mut found = self.0.iter();
        let named = |s: &&Served| s.kind.group == group && s.kind.kind == kind;
        let exact = found.find(|s| named(s) && s.kind.version == version);
        exact.or_else(|| self.0.iter().find(named)).copied()
    }

    /// The kinds of which objects can be collected, each in its preferred version. Events own nothing and are not
    /// owned: nobody watches them.
    pub fn collectable(&self) -> AHashMap<(&'static str, &'static str), Served> {
        let mut seen = AHashSet::new();
        let is_event =
            |kind: &Kind| kind.plural == "events" && ["", "events.k8s.io"].contains(&kind.group);
        let kinds = self
            .0
            .iter()
            .filter(|s| s.collectable && !is_event(&s.kind));
        kinds
            .filter(|s| seen.insert((s.kind.group, s.kind.plural)))
            .map(|s| ((s.kind.group, s.kind.plural), *s))
            .collect()
    }
}

impl Table {
    /// The kinds that hold objects in namespaces, each in its preferred version: what is in the way when a namespace
    /// goes.
    pub fn in_namespaces(&self) -> Vec<Kind> {
        let mut seen = AHashSet::new();
        let kinds = self.0.iter().filter(|s| s.emptied && s.namespaced);
        let kinds = kinds.filter(|s| seen.insert((s.kind.group, s.kind.plural)));
        kinds.map(|s| s.kind).collect()
    }
}

impl Reads {
    /// What is served now.
    ///
    /// # Errors
    /// No answer, or one that is no discovery.
    pub async fn served(&self) -> Result<Vec<Groups>, ReadError> {
        let mut answers = Vec::new();
        for path in PATHS {
            answers.push(self.get_as(path, ACCEPT).await?);
        }
        Ok(answers)
    }
}

impl Version {
    fn served(&self, group: &str) -> impl Iterator<Item = Served> {
        self.resources.iter().filter_map(move |resource| {
            let kind = &resource.response_kind.as_ref()?.kind;
            let can = |verb: &str| resource.verbs.iter().any(|v| v == verb);
            Some(Served {
                kind: crate::meta::kind(group, &self.version, kind, &resource.resource),
                namespaced: resource.scope == "Namespaced",
                collectable: can("list") && can("watch") && can("delete"),
                emptied: can("list") && can("delete"),
            })
        })
    }
}

#[cfg(test)]
mod tests;
