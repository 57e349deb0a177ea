//! Which pods belong together by what selects them: Services, and the controllers whose pods are spread by default.
//!
//! Upstream: `framework/plugins/helper/spread.go` (`DefaultSelector`).

use crate::pods::PodInfo;
use crate::signature::is_personal;
use ahash::AHashMap;
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{ReplicationController, Service};
use objects::{Selector, meta};
use std::collections::BTreeMap;

/// The selectors of all that selects pods.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// By kind, namespace and name.
    controllers: AHashMap<(&'static str, String, String), Selector>,
    /// By namespace, then name.
    services: AHashMap<String, BTreeMap<String, Selector>>,
    /// How often anything else was selected than before.
    pub(crate) epoch: u64,
    /// How many selectors look at labels that tell the pods of one controller from each other.
    pub(crate) personal: usize,
}

/// A kind whose objects select pods.
pub trait Selects:
    k8s_openapi::Metadata<Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>
{
    /// Its API version and kind, as owner references have it.
    const OWNER: (&'static str, &'static str);

    /// What it selects; none if it selects nothing, or what it says cannot be understood.
    fn selector(&self) -> Option<Selector>;
}

fn of_map(labels: Option<&BTreeMap<String, String>>) -> Option<Selector> {
    labels.map(Selector::from_labels)
}

impl Selects for Service {
    const OWNER: (&'static str, &'static str) = ("v1", "Service");

    fn selector(&self) -> Option<Selector> {
        of_map(self.spec.as_ref()?.selector.as_ref())
    }
}

impl Selects for ReplicationController {
    const OWNER: (&'static str, &'static str) = ("v1", "ReplicationController");

    fn selector(&self) -> Option<Selector> {
        of_map(self.spec.as_ref()?.selector.as_ref())
    }
}

impl Selects for ReplicaSet {
    const OWNER: (&'static str, &'static str) = ("apps/v1", "ReplicaSet");

    fn selector(&self) -> Option<Selector> {
        Selector::parse(&self.spec.as_ref()?.selector).ok()
    }
}

impl Selects for StatefulSet {
    const OWNER: (&'static str, &'static str) = ("apps/v1", "StatefulSet");

    fn selector(&self) -> Option<Selector> {
        Selector::parse(&self.spec.as_ref()?.selector).ok()
    }
}

const CONTROLLERS: [(&str, &str); 3] = [
    ReplicationController::OWNER,
    ReplicaSet::OWNER,
    StatefulSet::OWNER,
];

impl Owners {
    /// An object as the watch shows it.
    pub fn put<K: Selects>(&mut self, object: &K) {
        let of = object.metadata();
        let (namespace, name) = (meta::namespace(of).to_owned(), meta::name(of).to_owned());
        let Some(selector) = object.selector() else {
            return self.remove(object);
        };
        let old = if K::OWNER == Service::OWNER {
            let services = self.services.entry(namespace).or_default();
            services.insert(name, selector.clone())
        } else {
            let key = (K::OWNER.1, namespace, name);
            self.controllers.insert(key, selector.clone())
        };
        self.epoch += u64::from(old.as_ref() != Some(&selector));
        self.personal += usize::from(is_personal(&selector));
        self.personal -= usize::from(old.as_ref().is_some_and(is_personal));
    }

    /// An object that is gone.
    pub fn remove<K: Selects>(&mut self, object: &K) {
        let of = object.metadata();
        let (namespace, name) = (meta::namespace(of), meta::name(of));
        if K::OWNER != Service::OWNER {
            let key = (K::OWNER.1, namespace.to_owned(), name.to_owned());
            let old = self.controllers.remove(&key);
            self.lost(old.as_ref());
        } else if let Some(services) = self.services.get_mut(namespace) {
            let old = services.remove(name);
            if services.is_empty() {
                self.services.remove(namespace);
            }
            self.lost(old.as_ref());
        }
    }

    fn lost(&mut self, old: Option<&Selector>) {
        self.epoch += u64::from(old.is_some());
        self.personal -= usize::from(old.is_some_and(is_personal));
    }

    /// What selects the pods that belong together with this one: all its Services and its controller. None if nothing
    /// does.
    pub fn selector_of(&self, info: &PodInfo) -> Option<Selector> {
        let of = &info.like.metadata;
        let services = self.services.get(meta::namespace(of)).into_iter().flatten();
        let mut selectors: Vec<&Selector> = services
            .map(|(_, selector)| selector)
            .filter(|selector| selector.matches(of.labels.as_ref()))
            .collect();
        if let Some(owner) = meta::controller_of(of) {
            let kind = (owner.api_version.as_str(), owner.kind.as_str());
            let kind = CONTROLLERS.into_iter().find(|known| *known == kind);
            let controller = kind.and_then(|(_, kind)| {
                let key = (kind, meta::namespace(of).to_owned(), owner.name.clone());
                self.controllers.get(&key)
            });
            selectors.extend(controller);
        }
        let all = selectors.into_iter().cloned().reduce(Selector::and)?;
        (!all.is_empty()).then_some(all)
    }
}
