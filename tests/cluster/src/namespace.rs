//! A namespace a test, and short words for what tests do in it.

use crate::audit::{Audit, Write, Writer};
use crate::{Cluster, Outcome, eventually};
use anyhow::{Context, Result, anyhow, bail};
use corten_test::folder::keep;
use corten_test::shown;
use futures::FutureExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Event, Namespace as NamespaceObject, Pod, ServiceAccount};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use runtime::groups::Family;
use runtime::manifests;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A kind that lives in namespaces.
pub trait Kind:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + 'static
{
}
impl<K> Kind for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + 'static
{
}

/// Runs `test` in a new namespace of the shared cluster, on a tokio runtime of its own.
///
/// `name` is the beginning of the namespace's name and its label `test`. When the test fails, what is in
/// the namespace is printed to stderr. It is emptied and deleted afterwards, unless `KEEP=1`.
///
/// # Errors
/// What the test or the cluster's start failed with. A panic of the test goes on after the clean-up.
pub fn with_namespace<T>(name: &str, test: T) -> Outcome
where
    T: AsyncFnOnce(Namespace) -> Result<()>,
{
    Cluster::shared()?.with_namespace(name, test)
}

impl Cluster {
    /// The same in this cluster.
    ///
    /// # Errors
    /// What the test failed with. A panic of the test goes on after the clean-up.
    pub fn with_namespace<T>(&self, name: &str, test: T) -> Outcome
    where
        T: AsyncFnOnce(Namespace) -> Result<()>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("a tokio runtime")?;
        let _running = Running::new();
        Ok(runtime.block_on(async {
            let ns = Namespace::new(self, name).await?;
            let outcome = AssertUnwindSafe(test(ns.clone())).catch_unwind().await;
            if !matches!(outcome, Ok(Ok(()))) {
                let there = shown::describe(&ns.client, Some(&ns.name)).await;
                eprintln!("--- namespace {}\n{there}", ns.name);
            }
            if keep() {
                eprintln!("KEEP: the namespace {} stays", ns.name);
            } else {
                ns.clear().await;
            }
            outcome.unwrap_or_else(|panic| resume_unwind(panic))
        })?)
    }
}

/// Tests of this process that have a namespace now.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// One of them.
struct Running;

impl Running {
    fn new() -> Self {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until no test of this process has a namespace: for one that looks at what all have left behind. Blocks.
#[expect(
    clippy::disallowed_methods,
    reason = "it has a thread to itself: that of its test"
)]
pub fn alone() {
    while RUNNING.load(Ordering::SeqCst) > 0 {
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A namespace of one test. Clones are the same namespace.
#[derive(Clone)]
pub struct Namespace {
    client: Client,
    name: String,
    audit: Audit,
}

impl Namespace {
    /// A new one with a random name; returns when pods can be made in it.
    async fn new(cluster: &Cluster, test: &str) -> Result<Self> {
        let (client, audit) = (cluster.client()?, cluster.audit.clone());
        let name = format!("{test}-{:06x}", rand::random::<u32>() >> 8);
        let object: NamespaceObject = serde_json::from_value(
            json!({ "metadata": { "name": name, "labels": { "test": test } } }),
        )?;
        Api::all(client.clone())
            .create(&PostParams::default(), &object)
            .await?;
        let ns = Self {
            client,
            name,
            audit,
        };
        let account = "the namespace has its ServiceAccount";
        ns.until::<ServiceAccount>("default", account, |_| true)
            .await?;
        Ok(ns)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same namespace seen as a process of this family of groups sees it: [`Family::Corten`] makes the kinds of
    /// `apps/v1` those of `apps.corten.dev/v1`.
    #[must_use]
    pub fn of(&self, family: Family) -> Self {
        Self {
            client: family.client(self.client.clone()),
            ..self.clone()
        }
    }

    /// A client of the test's tokio runtime.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The objects of a kind in it.
    pub fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Makes an object from its manifest without apiVersion and kind.
    pub async fn create<K: Kind>(&self, manifest: Value) -> Result<K> {
        let (name, kind) = (manifest["metadata"]["name"].clone(), K::kind(&()));
        let object = serde_json::from_value(manifest).with_context(|| format!("{kind} {name}"))?;
        let created = self.api().create(&PostParams::default(), &object).await;
        created.with_context(|| format!("create {kind} {name}"))
    }

    /// Applies a manifest of one object, YAML or JSON, as `kubectl apply --server-side` does.
    pub async fn apply(&self, manifest: &str) -> Result<DynamicObject> {
        let manifests = manifests::read("the manifest", manifest)?;
        let [manifest] = manifests.as_slice() else {
            bail!("{} objects where one is expected", manifests.len());
        };
        Ok(manifest.apply(&self.client, "test", &self.name).await?)
    }

    /// Changes an object by a merge patch.
    pub async fn merge<K: Kind>(&self, name: &str, patch: Value) -> Result<K> {
        let patched = self
            .api()
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        patched.with_context(|| format!("merge into {} {name}: {patch}", K::kind(&())))
    }

    /// Changes the status of an object by a merge patch.
    pub async fn merge_status<K: Kind>(&self, name: &str, patch: Value) -> Result<K> {
        let patch = json!({ "status": patch });
        let patched = self
            .api()
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        patched.with_context(|| format!("merge status of {} {name}", K::kind(&())))
    }

    /// The object of this name.
    pub async fn get<K: Kind>(&self, name: &str) -> Result<K> {
        let found = self.api().get(name).await;
        found.with_context(|| format!("get {} {name}", K::kind(&())))
    }

    /// The objects that a label selector (`app=web`) selects; an empty one selects all.
    pub async fn list<K: Kind>(&self, selector: &str) -> Result<Vec<K>> {
        let listed = self
            .api()
            .list(&ListParams::default().labels(selector))
            .await;
        let listed = listed.with_context(|| format!("list {}", K::kind(&())))?;
        Ok(listed.items)
    }

    /// Deletes an object; those that it owns go after it.
    pub async fn delete<K: Kind>(&self, name: &str) -> Result<()> {
        let deleted = self.api::<K>().delete(name, &DeleteParams::default()).await;
        deleted.with_context(|| format!("delete {} {name}", K::kind(&())))?;
        Ok(())
    }

    /// Waits until the object is there and `is` says yes; `what` completes the sentence "<name> …".
    pub async fn until<K: Kind>(
        &self,
        name: &str,
        what: &str,
        is: impl Fn(&K) -> bool,
    ) -> Result<K> {
        let what = format!("{} {name} {what}", K::kind(&()));
        eventually(&what, async || {
            let object = self.get::<K>(name).await?;
            if is(&object) {
                return Ok(object);
            }
            bail!("{}", short(&object));
        })
        .await
    }

    /// Waits until `is` says yes of the selected objects; `what` completes the sentence "<selector> …".
    pub async fn until_all<K: Kind>(
        &self,
        selector: &str,
        what: &str,
        is: impl Fn(&[K]) -> bool,
    ) -> Result<Vec<K>> {
        let what = format!("{} ({selector}) {what}", K::kind(&()));
        eventually(&what, async || {
            let objects = self.list::<K>(selector).await?;
            if is(&objects) {
                return Ok(objects);
            }
            let seen: Vec<_> = objects.iter().map(short).collect();
            bail!("{} objects: {}", seen.len(), seen.join("; "));
        })
        .await
    }

    /// Waits for an event of this reason about the object of this name whose message has `text` in it.
    pub async fn event(&self, about: &str, reason: &str, text: &str) -> Result<Event> {
        eventually(
            &format!("event {reason} about {about}: {text}"),
            async || {
                let events = self.events(about).await?;
                let is = |e: &&Event| {
                    e.reason.as_deref() == Some(reason)
                        && e.message.as_deref().unwrap_or_default().contains(text)
                };
                let seen: Vec<_> = events.iter().map(shown::event).collect();
                let found = events.iter().find(is).cloned();
                found.ok_or_else(|| anyhow!("{}", seen.join("; ")))
            },
        )
        .await
    }

    /// The events about the object of this name.
    pub async fn events(&self, about: &str) -> Result<Vec<Event>> {
        let mut events = self.list::<Event>("").await?;
        events.retain(|e| e.involved_object.name.as_deref() == Some(about));
        Ok(events)
    }

    /// What the loops have written in it, events included.
    pub fn writes(&self) -> Result<Vec<Write>> {
        let mut writes = self.audit.since(0, Some(&self.name))?;
        writes.retain(|write| write.writer == Writer::Loops);
        Ok(writes)
    }

    /// Best effort: the namespace controller empties it. Pods need not wait for their grace period.
    async fn clear(&self) {
        let (delete, list) = (
            DeleteParams::default().grace_period(0),
            ListParams::default(),
        );
        let namespaces: Api<NamespaceObject> = Api::all(self.client.clone());
        let gone = DeleteParams::default();
        drop(namespaces.delete(&self.name, &gone).await);
        drop(self.api::<Pod>().delete_collection(&delete, &list).await);
    }
}

/// What of an object is worth reading in a message.
fn short<K: Kind>(object: &K) -> String {
    let value = serde_json::to_value(object).unwrap_or_default();
    let mut status = value["status"].clone();
    if let Some(fields) = status.as_object_mut() {
        fields.retain(|name, _| !["containerStatuses", "podIPs", "hostIPs"].contains(&&**name));
    }
    let rest = if status.is_null() {
        ""
    } else {
        &*status.to_string()
    };
    format!("{} {rest}", object.name_any())
}
