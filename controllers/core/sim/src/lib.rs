//! A kube-apiserver in memory: everything that the controllers ask of the real one, at virtual
//! time, with faults on demand. Tests sweep it, and what-if runs on it.
//!
//! A [`kube::Client`] speaks to it in process ([`Sim::client`]); tests set the scene and look at
//! the outcome without HTTP ([`Sim::create`], [`Sim::list`], [`Sim::history`]). Under a paused
//! tokio runtime its clock is tokio's, so an hour takes microseconds. Two equal runs are equal to
//! the byte: UIDs, generated names and addresses are counted, nothing is random.
//!
//! What it deliberately does not do: authentication and authorisation, admission webhooks, CEL,
//! more than one version of a custom kind, protobuf and tables, managedFields (server-side apply knows no conflicts, and a write that only
//! takes ownership of a field is none). It runs no controllers; [`Sim::garbage_collect`] is one step of one.
//!
//! Where to read: `kinds` (the table of kinds), `serve` (from an HTTP request to a verb), `verbs`
//! (what a verb does), `state` (what is stored, and the log), `watch`, `fault`. The semantics are
//! those of `k8s.io/apiserver` v0.36 and the strategies under `pkg/registry` of Kubernetes v1.36;
//! [`differential`] compares the two.

mod custom;
mod defaults;
pub mod differential;
pub mod fault;
mod kinds;
mod meta;
mod patch;
mod refusal;
mod schema;
mod selector;
mod serve;
mod shape;
mod state;
mod validate;
mod verbs;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

pub use fault::{Effect, Fault, Lost, Moment, On, Seen, Upset};
pub use kinds::{Generation, KINDS, Kind};
pub use refusal::Refusal;
pub use state::{State, Verb, Write};

use state::Context;

/// The moment at which every [`Sim`] begins: 2026-01-01T00:00:00Z.
const BEGIN: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// The actor of [`Sim::client`].
pub const ANONYMOUS: &str = "anonymous";
/// The actor of the direct calls ([`Sim::create`] and so on).
pub const HARNESS: &str = "harness";

/// A type that can be stored: it stands in the table of kinds.
pub trait Stored:
    Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Stored for K where
    K: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

/// A server behind this one: the answer to a GET of a path with this query, or none (404). It is asked with the state
/// locked.
type Behind = Box<dyn Fn(&State, &str, &str) -> Option<Value> + Send + Sync>;

/// The server. A handle: clones are the same server.
#[derive(Clone)]
pub struct Sim {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    behind: Mutex<Vec<(String, Behind)>>,
    faults: Mutex<fault::Faults>,
    start: Instant,
}

impl Default for Sim {
    fn default() -> Self {
        Sim::new()
    }
}

impl Sim {
    /// A server with the four namespaces that every cluster has, and nothing else.
    pub fn new() -> Sim {
        let sim = Sim {
            inner: Arc::new(Inner {
                state: Mutex::new(State::new(BEGIN)),
                behind: Mutex::default(),
                faults: Mutex::default(),
                start: Instant::now(),
            }),
        };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            sim.make_namespace(name);
        }
        sim.state().history.clear();
        sim
    }

    /// A client without a name.
    pub fn client(&self) -> Client {
        self.client_for(ANONYMOUS)
    }

    /// A client of an actor: faults, counters and the history go by it. Needs a tokio runtime.
    pub fn client_for(&self, actor: &str) -> Client {
        serve::client(self, actor)
    }

    /// The virtual time: 2026-01-01T00:00:00Z and what tokio's clock went since [`Sim::new`].
    pub fn now(&self) -> Timestamp {
        let passed: Duration = self.inner.start.elapsed();
        BEGIN + SignedDuration::try_from(passed).unwrap_or(SignedDuration::ZERO)
    }

    /// Creates an object, with the status that it has, and with its namespace if that is missing.
    ///
    /// # Panics
    /// If the server refuses it; see [`Sim::try_create`].
    pub fn create<K: Stored>(&self, object: K) -> K {
        self.try_create(object)
            .expect("the server refused a create of the harness")
    }

    /// Creates an object as [`Sim::create`] does, or says why not.
    pub fn try_create<K: Stored>(&self, object: K) -> Result<K, Refusal> {
        let (kind, namespaced) = self.read(|state| {
            let kind = state.kind_of::<K>();
            (kind, state.kinds[kind].namespaced)
        });
        let value = value_of(&object);
        let mut namespace = meta::namespace(&value).to_owned();
        if namespaced {
            if namespace.is_empty() {
                "default".clone_into(&mut namespace);
            }
            self.make_namespace(&namespace);
        }
        let context = self.context(HARNESS, Verb::Create);
        let object = self
            .state_at(&context)
            .create(&context, kind, &namespace, value, true)?;
        Ok(typed(&object.value))
    }

    /// One object; the namespace is empty for objects of the cluster.
    pub fn get<K: Stored>(&self, namespace: &str, name: &str) -> Option<K> {
        self.state()
            .get::<K>(namespace, name)
            .map(|object| (*object).clone())
    }

    /// All objects of a kind, or those of a namespace, ordered by namespace and name.
    pub fn list<K: Stored>(&self, namespace: Option<&str>) -> Vec<K> {
        self.state()
            .list::<K>(namespace)
            .iter()
            .map(|object| (**object).clone())
            .collect()
    }

    /// Changes an object, spec and status at once; gives what became of it.
    ///
    /// # Panics
    /// If it is absent or the server refuses the change.
    pub fn update_with<K: Stored>(
        &self,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut K),
    ) -> K {
        let mut object: K = self
            .get(namespace, name)
            .expect("there is no such object to update");
        change(&mut object);
        let context = self.context(HARNESS, Verb::Update);
        let kind = self.read(State::kind_of::<K>);
        let value = value_of(&object);
        let updated = self
            .state_at(&context)
            .update(&context, kind, (namespace, name), value, true)
            .expect("the server refused an update of the harness");
        typed(&updated.value)
    }

    /// Deletes an object as a user does: with its grace period and finalizers. Does nothing if it
    /// is absent.
    pub fn delete<K: Stored>(&self, namespace: &str, name: &str) {
        self.delete_with::<K>(namespace, name, &json!({}));
    }

    /// Deletes an object with `metav1.DeleteOptions`. Does nothing if it is absent.
    pub fn delete_with<K: Stored>(&self, namespace: &str, name: &str, options: &Value) {
        let context = self.context(HARNESS, Verb::Delete);
        let name = (namespace, name);
        let kind = self.read(State::kind_of::<K>);
        let answer = self
            .state_at(&context)
            .delete(&context, kind, name, options);
        let absent = answer.as_ref().is_err_and(|status| status.code == 404);
        if !absent {
            answer.expect("the server refused a delete of the harness");
        }
    }

    /// Binds a pod to a node, as a scheduler does. Does nothing if it is absent or bound.
    pub fn bind(&self, namespace: &str, name: &str, node: &str) {
        let mut context = self.context(HARNESS, Verb::Create);
        context.subresource = "binding";
        let binding = json!({ "target": { "kind": "Node", "name": node } });
        // A refusal says that there is nothing left to do.
        let _ = self
            .state_at(&context)
            .bind(&context, (namespace, name), &binding);
    }

    /// Evicts a pod, as a user's drain does. Says whether the disruption budgets let it go; an absent one is gone.
    pub fn evict(&self, namespace: &str, name: &str) -> bool {
        let mut context = self.context(HARNESS, Verb::Create);
        context.subresource = "eviction";
        let answer = self
            .state_at(&context)
            .evict(&context, (namespace, name), &json!({}));
        answer.is_ok_and(|()| true)
    }

    /// All writes since [`Sim::new`], in order.
    pub fn history(&self) -> Vec<Write> {
        self.state().history.clone()
    }

    /// The revision of the last write.
    pub fn revision(&self) -> u64 {
        self.state().revision
    }

    /// Runs a check after every write, with the state that the write made. The check must not
    /// call the [`Sim`]: it is locked meanwhile.
    pub fn on_write(&self, check: impl Fn(&State, &Write) + Send + Sync + 'static) {
        self.state().hooks.push(Arc::new(check));
    }

    /// Looks at the state at one revision.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state())
    }

    /// Refuses creates of a kind with 403 and this message (a quota, a webhook), until
    /// [`Sim::accept_creates`]. An exceeded quota begins with `exceeded quota: `.
    pub fn reject_creates(&self, kind: &str, message: &str) {
        self.state()
            .rejected
            .insert(kind.to_owned(), message.to_owned());
    }

    /// Ends [`Sim::reject_creates`].
    pub fn accept_creates(&self, kind: &str) {
        self.state().rejected.remove(kind);
    }

    /// Forgets all older revisions: watches and lists from them get 410.
    pub fn compact(&self) {
        self.state().compact();
    }

    /// Does what the garbage collector would: deletes dependents of absent owners, serves the
    /// finalizers `orphan` and `foregroundDeletion`, until nothing changes.
    pub fn garbage_collect(&self) {
        let context = self.context("garbage-collector", Verb::Delete);
        self.state_at(&context).garbage_collect(&context);
    }

    /// Lets another server answer all requests of paths that begin with `prefix`, as an APIService does; it is told
    /// path and query.
    pub fn aggregate(
        &self,
        prefix: &str,
        answer: impl Fn(&State, &str, &str) -> Option<Value> + Send + Sync + 'static,
    ) {
        let mut behind = self
            .inner
            .behind
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        behind.push((prefix.to_owned(), Box::new(answer)));
    }

    /// What a server behind this one replies; nothing if there is none for the path.
    fn ask_behind(&self, uri: &http::Uri) -> Option<serve::Reply> {
        let path = uri.path();
        let behind = self
            .inner
            .behind
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (_, answer) = behind.iter().find(|(prefix, _)| path.starts_with(prefix))?;
        Some(
            match answer(&self.state(), path, uri.query().unwrap_or_default()) {
                Some(value) => serve::reply(200, &value),
                None => serve::refused(&refusal::no_such_path()),
            },
        )
    }

    fn make_namespace(&self, name: &str) {
        let kind = kinds::core("Namespace");
        let context = self.context(HARNESS, Verb::Create);
        let mut state = self.state_at(&context);
        if state.object(kind, "", name).is_none() {
            let namespace = json!({ "metadata": { "name": name } });
            // A name that is no label is refused; then so is the object inside it.
            let _ = state.create(&context, kind, "", namespace, true);
        }
    }

    pub(crate) fn context(&self, actor: &str, verb: Verb) -> Context {
        Context {
            actor: actor.into(),
            now: self.now(),
            verb,
            subresource: "",
            dry_run: false,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A check that panicked inside a write fails its test anyway.
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state_at(&self, context: &Context) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.clock = context.now;
        state
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, fault::Faults> {
        self.inner
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn value_of<K: Serialize>(object: &K) -> Value {
    serde_json::to_value(object).expect("API types are plain data")
}

fn typed<K: DeserializeOwned>(value: &Value) -> K {
    K::deserialize(value).expect("what was made of this type has its shape")
}
