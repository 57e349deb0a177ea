//! A Kubernetes cluster for tests of operators, in one line: a Deployment makes pods there, pods get nodes and become
//! ready, owners that are deleted take theirs along.
//!
//! ```
//! use corten_test::Cluster;
//! use k8s_openapi::api::apps::v1::Deployment;
//! use std::time::Duration;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let cluster = Cluster::sim().await?;
//! cluster.apply(include_str!("../../../examples/workloads/deployment.yaml")).await?;
//! let is_available = |shop: &Deployment| {
//!     shop.status.as_ref().and_then(|status| status.available_replicas) == Some(3)
//! };
//! cluster.until("shop", "is available", is_available).await?;
//! cluster.pass(Duration::from_secs(3600)).await; // an hour, in about a second
//! # Ok::<_, corten_test::Error>(()) }).unwrap();
//! ```
//!
//! **Two clusters, one test.** [`Cluster::sim`] is an API server in memory with all our controllers, scheduler and
//! hollow nodes on it, in virtual time: each test has its own within a tenth of a second, an hour takes no longer than what
//! happens in it, and any request can be made to fail ([`Cluster::fail`]). [`Cluster::real`] is a real etcd and
//! kube-apiserver with the same loops on it, four seconds away. A test takes a [`Cluster`] and does not know which; what
//! both are, everything here does on both.
//!
//! **The operator under test** runs in the test's process ([`Cluster::run`]); nothing of it is known here. It speaks
//! through any [`kube::Client`] of [`Cluster::client_of`].
//!
//! **Does not** pull images or run containers (hollow nodes pretend to: what a pod does is said by annotations, as on
//! `corten up`); in memory there are no webhooks, no CEL, one version of each custom kind, no RBAC; see [`sim`].
//!
//! Read [`Cluster`], then `simulated.rs` and `real.rs`; what waits say that were in vain is in [`shown`].
#![forbid(unsafe_code)]

mod error;
pub mod folder;
mod operator;
mod options;
mod real;
pub mod shown;
mod simulated;
mod wait;

pub use error::Error;
pub use operator::Operator;
pub use options::Options;
pub use sim::{Effect, Fault, Lost, Verb};
pub use simulated::LOOPS;
pub use wait::{PATIENCE, within};

#[cfg(test)]
mod tests;

use http::HeaderValue;
use http::header::USER_AGENT;
use jiff::Timestamp;
use k8s_openapi::ClusterResourceScope;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use real::Real;
use runtime::manifests;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sim::Sim;
use simulated::Simulated;
use std::any::TypeId;
use std::fmt::{Debug, Display};
use std::path::Path;
use std::time::Duration;

/// Who the test itself is to the server.
pub const TEST: &str = "test";
/// Where objects are whose namespace nobody names.
const HOME: &str = "default";

/// A kind that is known when the test is compiled: of Kubernetes, or one that derives `CustomResource`.
pub trait Kind:
    Resource<DynamicType = (), Scope: 'static>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}
impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope: 'static>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// A running cluster. It ends when this is dropped.
///
/// Where a method takes a `place`, it is `namespace/name`, or a name alone: in the namespace `default`, or of an object
/// that has none.
pub struct Cluster {
    client: Client,
    stage: Stage,
}

enum Stage {
    InMemory(Simulated),
    Real(Box<Real>),
}

impl Cluster {
    /// A cluster in memory, ready for pods: three nodes, a default StorageClass, all controllers. Must be called within
    /// a tokio runtime of one thread, as a plain `#[tokio::test]` is; it stops that runtime's clock, and time goes on
    /// whenever nobody has anything to do.
    ///
    /// # Errors
    /// [`Error::Start`].
    pub async fn sim() -> Result<Self, Error> {
        Self::sim_with(Options::default()).await
    }

    /// The same, otherwise made.
    ///
    /// # Errors
    /// [`Error::Start`].
    pub async fn sim_with(options: Options) -> Result<Self, Error> {
        let stage = Box::pin(Simulated::start(options)).await?;
        Ok(Self {
            client: stage.sim.client_for(TEST),
            stage: Stage::InMemory(stage),
        })
    }

    /// A real cluster, ready for pods: etcd and kube-apiserver of this machine, got or built when they are used for the
    /// first time (minutes), with the same loops on it.
    ///
    /// # Errors
    /// [`Error::Start`].
    pub async fn real() -> Result<Self, Error> {
        Self::real_with(Options::default()).await
    }

    /// The same, otherwise made.
    ///
    /// # Errors
    /// [`Error::Start`].
    pub async fn real_with(options: Options) -> Result<Self, Error> {
        let real = Real::start(options).await?;
        let client = Client::try_from(real.config.clone());
        let client = client.map_err(|error| Error::Start(error.to_string()))?;
        Ok(Self {
            client,
            stage: Stage::Real(Box::new(real)),
        })
    }

    /// A client of the test, which may do everything.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client of somebody else, who may do everything too: faults and counters go by the actor in memory; a real
    /// server reads it as the user agent.
    ///
    /// # Errors
    /// The name cannot stand in a header.
    pub fn client_of(&self, actor: &str) -> Result<Client, Error> {
        match &self.stage {
            Stage::InMemory(stage) => Ok(stage.sim.client_for(actor)),
            Stage::Real(real) => {
                let mut config = real.config.clone();
                let agent = HeaderValue::from_str(actor);
                let agent = agent.map_err(|error| Error::Start(format!("{actor}: {error}")))?;
                config.headers.push((USER_AGENT, agent));
                Client::try_from(config).map_err(|error| Error::Start(error.to_string()))
            }
        }
    }

    /// Runs an operator, given a client of that name, until it is killed ([`Operator::kill`]) or the test ends.
    ///
    /// # Errors
    /// As [`Cluster::client_of`].
    pub fn run<F>(&self, name: &str, operator: impl FnOnce(Client) -> F) -> Result<Operator, Error>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Ok(Operator::start(operator(self.client_of(name)?)))
    }

    /// The server, if it is one in memory: for its history, its counters, and faults of watches.
    pub fn in_memory(&self) -> Option<&Sim> {
        match &self.stage {
            Stage::InMemory(stage) => Some(&stage.sim),
            Stage::Real(_) => None,
        }
    }

    /// The administrator's kubeconfig file, of a real cluster.
    pub fn kubeconfig(&self) -> Option<&Path> {
        match &self.stage {
            Stage::InMemory(_) => None,
            Stage::Real(real) => Some(&real.kubeconfig),
        }
    }

    /// The time in the cluster: in memory it begins with 2026.
    pub fn now(&self) -> Timestamp {
        match &self.stage {
            Stage::InMemory(stage) => stage.sim.now(),
            Stage::Real(_) => runtime::Clock::system().now(),
        }
    }

    /// Lets time pass with all that happens in it: in memory at once, on a real cluster as time does.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Lays a fault in wait for a request: of the actor that [`Cluster::run`] names, of [`LOOPS`] or of [`TEST`].
    ///
    /// # Errors
    /// [`Error::OnlyInMemory`].
    pub fn fail(&self, fault: Fault) -> Result<(), Error> {
        let server = self.in_memory();
        let server = server.ok_or(Error::OnlyInMemory("a fault"))?;
        server.inject(fault);
        Ok(())
    }

    /// Applies manifests, YAML or JSON, as `kubectl apply --server-side` does, and waits until each
    /// CustomResourceDefinition among them is served. Gives what became of them.
    ///
    /// # Errors
    /// A manifest is none, or was refused.
    pub async fn apply(&self, text: &str) -> Result<Vec<DynamicObject>, Error> {
        let mut applied = Vec::new();
        for manifest in manifests::read("manifest", text)? {
            let object = manifest.apply(&self.client, TEST, HOME).await?;
            let kind = object.types.as_ref().map(|types| types.kind.as_str());
            if kind == Some("CustomResourceDefinition") {
                self.until_served(&object.name_any()).await?;
            }
            applied.push(object);
        }
        Ok(applied)
    }

    /// Applies one object of a known kind; its CustomResourceDefinition, for one that derives it, is such an object too.
    ///
    /// # Errors
    /// The server refuses it.
    pub async fn apply_one<K: Kind>(&self, object: &K) -> Result<K, Error> {
        let mut value = serde_json::to_value(object).map_err(manifest)?;
        value["apiVersion"] = K::api_version(&()).into();
        value["kind"] = K::kind(&()).into();
        let applied = self.apply(&value.to_string()).await?;
        let [object] = applied.as_slice() else {
            return Err(manifest("one object is expected"));
        };
        object.clone().try_parse().map_err(manifest)
    }

    fn api<K: Kind>(&self, namespace: &str) -> Api<DynamicObject> {
        let kind = ApiResource::erase::<K>(&());
        match TypeId::of::<K::Scope>() == TypeId::of::<ClusterResourceScope>() {
            true => Api::all_with(self.client.clone(), &kind),
            false => Api::namespaced_with(self.client.clone(), namespace, &kind),
        }
    }

    /// An object.
    ///
    /// # Errors
    /// There is none.
    pub async fn get<K: Kind>(&self, place: &str) -> Result<K, Error> {
        let (namespace, name) = placed(place);
        let found = self.api::<K>(namespace).get(name).await;
        let found = found.map_err(api(&format!("get {} {place}", K::kind(&()))))?;
        found.try_parse().map_err(manifest)
    }

    /// The objects of a namespace (of the whole cluster for a kind that has none) that a label selector (`app=web`)
    /// selects; an empty one selects all.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn list<K: Kind>(&self, namespace: &str, selector: &str) -> Result<Vec<K>, Error> {
        let selected = ListParams::default().labels(selector);
        let listed = self.api::<K>(namespace).list(&selected).await;
        let listed = listed.map_err(api(&format!("list {}", K::plural(&()))))?;
        let objects = listed.items.into_iter();
        objects
            .map(|object| object.try_parse().map_err(manifest))
            .collect()
    }

    /// Changes an object by a JSON merge patch.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn merge<K: Kind>(&self, place: &str, patch: Value) -> Result<K, Error> {
        let (namespace, name) = placed(place);
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        let patched = self.api::<K>(namespace).patch(name, &params, &patch).await;
        let patched = patched.map_err(api(&format!("patch {} {place}", K::kind(&()))))?;
        patched.try_parse().map_err(manifest)
    }

    /// Deletes an object; those that it owns go after it.
    ///
    /// # Errors
    /// There is none.
    pub async fn delete<K: Kind>(&self, place: &str) -> Result<(), Error> {
        let (namespace, name) = placed(place);
        let background = DeleteParams::background();
        let deleted = self.api::<K>(namespace).delete(name, &background).await;
        deleted
            .map(drop)
            .map_err(api(&format!("delete {} {place}", K::kind(&()))))
    }

    /// What there is, for people: a line an object, why pods are pending, the last events.
    pub async fn describe(&self) -> String {
        shown::describe(&self.client, None).await
    }
}

/// Namespace and name.
fn placed(place: &str) -> (&str, &str) {
    place.split_once('/').unwrap_or((HOME, place))
}

fn api(what: &str) -> impl FnOnce(kube::Error) -> Error {
    move |error| Error::Api {
        what: what.to_owned(),
        error,
    }
}

/// What is wrong with an object.
fn manifest(said: impl Display) -> Error {
    Error::Manifest(manifests::Misapplied(said.to_string()))
}
