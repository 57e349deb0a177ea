//! What a namespace uses of what a quota limits. Pure.
//! (upstream: `k8s.io/apiserver/pkg/quota/v1/resources.go`, `CalculateUsage`)

pub(crate) mod devices;
pub(crate) mod pods;
mod scopes;
pub(crate) mod services;
pub(crate) mod volumes;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Service};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use objects::Quantity;
pub(crate) use scopes::Requirement;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Amounts by the names that quotas have for them.
pub type Amounts = BTreeMap<String, Quantity>;

/// What is in a namespace, of the kinds that a quota of it may look at.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// Its pods.
    pub pods: Vec<Arc<Pod>>,
    /// Its Services.
    pub services: Vec<Arc<Service>>,
    /// Its PersistentVolumeClaims.
    pub volumes: Vec<Arc<PersistentVolumeClaim>>,
    /// Its ResourceClaims.
    pub devices: devices::Devices,
    /// How many objects there are, by [`Place`].
    pub counts: BTreeMap<Place, Count>,
}

/// The plural and the group of a kind.
pub type Place = (String, String);

/// How many objects of a kind there are in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Known(usize),
    /// They have not been listed yet.
    Unlisted,
    /// The API server has no such kind.
    Unserved,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How much is used of each resource that is known.
    pub used: Amounts,
    /// The resources of `spec.hard` of which the API server knows nothing.
    pub unknown: Vec<String>,
    /// Resources, and a scope of the quota that never matches what they count.
    pub misplaced: Vec<(String, String)>,
    /// Whether something has not been listed yet.
    pub unlisted: bool,
    /// When the next pod that hangs in its deletion does not count any more.
    pub until: Option<Timestamp>,
    /// How many objects were looked at.
    pub looked_at: usize,
}

/// What a quota makes necessary to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) pods: bool,
    pub(crate) services: bool,
    pub(crate) volumes: bool,
    pub(crate) devices: bool,
    pub(crate) kinds: BTreeSet<Place>,
}

impl Needs {
    pub(crate) fn of(quota: &ResourceQuota) -> Self {
        let mut needs = Self::default();
        for name in hard(quota).into_iter().flatten().map(|(name, _)| name) {
            needs.pods |= pods::counts(name);
            needs.services |= services::counts(name);
            needs.volumes |= volumes::counts(name);
            needs.devices |= devices::may_count(name);
            needs.kinds.extend(place(name));
        }
        // What a pod was charged is not charged to its claim again.
        needs.pods |= needs.devices;
        needs
    }
}

/// What the quota's spec limits.
pub(crate) fn hard(quota: &ResourceQuota) -> Option<&BTreeMap<String, ApiQuantity>> {
    quota.spec.as_ref()?.hard.as_ref()
}

/// The kind whose objects are all that a resource counts (upstream: `objectCountEvaluator`).
pub(crate) fn place(name: &str) -> Option<Place> {
    let plain = |plural: &str| Some((plural.to_owned(), String::new()));
    match name {
        "configmaps" | "resourcequotas" | "replicationcontrollers" | "secrets" => plain(name),
        _ if pods::counts(name) || services::counts(name) || volumes::counts(name) => None,
        devices::COUNT => None,
        _ => {
            let kind = name.strip_prefix("count/")?;
            let (plural, group) = kind.split_once('.').unwrap_or((kind, ""));
            Some((plural.to_owned(), group.to_owned()))
        }
    }
}

/// Counts what `content` uses of what `quota` limits.
pub(crate) fn tally(quota: &ResourceQuota, content: &Content, now: Timestamp) -> Tally {
    let mut tally = Tally::default();
    let scopes = Requirement::all(quota);
    for name in hard(quota).into_iter().flatten().map(|(name, _)| name) {
        let unlisted = devices::may_count(name) && content.devices.unlisted;
        let objects = place(name).map(|place| content.counts.get(&place).copied());
        let known = match objects {
            Some(Some(Count::Known(count))) => Some(count),
            Some(Some(Count::Unserved)) => None,
            Some(Some(Count::Unlisted) | None) => {
                tally.unlisted = true;
                // That it makes no sense is told with the first status, whether it is counted by then or not.
                tally.misplace(name, &scopes);
                continue;
            }
            None if unlisted => {
                tally.unlisted = true;
                continue;
            }
            None if is_known(name, content) => Some(0),
            None => None,
        };
        let Some(count) = known else {
            tally.unknown.push(name.clone());
            continue;
        };
        // No scope says anything about objects of other kinds: a quota that has one counts none of them.
        let count = if scopes.is_empty() { count } else { 0 };
        tally.misplace(name, &scopes);
        tally
            .used
            .insert(name.clone(), Quantity::from_units(count as i64));
    }
    for pod in &content.pods {
        if scopes.iter().all(|scope| scope.has_pod(pod)) {
            pods::each(pod, now, |name, amount| tally.add(name, amount));
        }
        if let Some(until) = pods::charged_until(pod, now) {
            tally.until = Some(tally.until.map_or(until, |t| t.min(until)));
        }
    }
    for claim in &content.volumes {
        if scopes.iter().all(|scope| scope.has_volume(claim)) {
            volumes::each(claim, |name, amount| tally.add(name, amount));
        }
    }
    if scopes.is_empty() {
        for service in &content.services {
            services::each(service, |name, amount| tally.add(name, amount));
        }
        devices::each(&content.devices, &content.pods, now, |name, amount| {
            tally.add(name, amount);
        });
    }
    tally.looked_at = content.pods.len() + content.services.len() + content.volumes.len();
    tally
}

fn is_known(name: &str, content: &Content) -> bool {
    pods::counts(name)
        || services::counts(name)
        || volumes::counts(name)
        || (devices::may_count(name) && content.devices.served)
}

impl Tally {
    /// Remembers it if no object that `name` counts can be in one of the scopes.
    fn misplace(&mut self, name: &str, scopes: &[Requirement<'_>]) {
        let stray = scopes.iter().find(|scope| !scope.goes_with(name));
        if let Some(stray) = stray {
            self.misplaced
                .push((name.to_owned(), stray.scope.to_owned()));
        }
    }

    fn add(&mut self, name: &str, amount: Quantity) {
        if let Some(used) = self.used.get_mut(name) {
            *used += amount;
        }
    }
}
