//! The namespace controller: empties namespaces that are being deleted, and then lets them go.
//!
//! **Promises.** Pods go first and nothing else goes while one is left; then everything of every kind that can be
//! listed and deleted, custom kinds too; the finalizer `kubernetes` of the namespace goes when nothing was found. What
//! stands in the way is told in the namespace's conditions: what could not be discovered or listed, what is left, which
//! finalizers hold it.
//!
//! **Never.** A finalizer of an object is never taken away. A namespace is not let go while a group of kinds cannot be
//! discovered or a kind cannot be listed: there may be something in it.
//!
//! It begins 5 s after the deletion, as upstream: by then no API server lets anything new in. It looks again when a pod
//! goes, and after a while that grows with the age of the deletion. Where pods are left, upstream says
//! `NamespaceContentRemaining=False` all the same; here it is `True`.
//!
//! Semantics: upstream `pkg/controller/namespace`. Start reading at [`plan`].
#![forbid(unsafe_code)]

mod plan;
mod status;
#[cfg(test)]
mod tests;

use ::plan::{Kind, Object, Outcome, Plan};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use objects::meta;
use runtime::meta::Meta;
use runtime::served::Table;
use runtime::{Backoff, Caches, Controller, Key, Moment, Reads, Runtime, Watches};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The finalizer in a namespace's spec that is this controller's.
const FINALIZER: &str = "kubernetes";
/// How long after the deletion objects may still come in (upstream: `namespaceDeletionGracePeriod`).
const GRACE: SignedDuration = SignedDuration::from_secs(5);
/// How many kinds are listed at once.
const AT_ONCE: usize = 8;

/// The control loop for namespaces.
#[derive(Clone)]
pub struct NamespaceController {
    reads: Reads,
    /// What was served last, for servers that are away now.
    table: Arc<Mutex<Table>>,
}

/// What it looks at when it decides about one namespace.
#[derive(Clone, Debug)]
pub struct World {
    /// The namespace as the cache holds it.
    pub namespace: Arc<Namespace>,
    /// What is to be seen to.
    pub state: State,
    /// The time of the decision.
    pub now: Timestamp,
}

/// Where the deletion of a namespace stands.
#[derive(Clone, Debug)]
pub enum State {
    /// Nobody deletes it, or it is empty and others have to let it go.
    Settled,
    /// Something may still come in until this time.
    Early(Timestamp),
    /// What is in it.
    Going(Content),
}

/// What is in a namespace.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// The objects of each kind that has some.
    pub left: Vec<(Kind, Vec<Meta>)>,
    /// Why not all kinds are known.
    pub undiscovered: Option<String>,
    /// Why not all objects are known, a kind each.
    pub unlisted: Vec<String>,
}

impl NamespaceController {
    /// The controller of a process.
    pub fn new(runtime: &Runtime) -> Self {
        Self {
            reads: runtime.reads(),
            table: Arc::default(),
        }
    }

    async fn look(&self, namespace: &str) -> Content {
        let mut content = Content::default();
        let kinds = match self.reads.served().await {
            Ok(answers) => {
                let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
                *table = Table::new(&answers, &table);
                let away = table.away();
                if !away.is_empty() {
                    let (count, away) = (away.len(), away.join(", "));
                    let text = format!("Discovery failed for some groups, {count} failing: {away}");
                    content.undiscovered = Some(text);
                }
                table.in_namespaces()
            }
            Err(error) => {
                content.undiscovered = Some(error.message);
                return content;
            }
        };
        let list = async |kind: Kind| (kind, self.reads.metas(kind, namespace).await);
        let (pods, others): (Vec<_>, Vec<_>) = kinds.into_iter().partition(plan::is_pods);
        for kinds in [pods, others] {
            let mut lists = futures::stream::iter(kinds.into_iter().map(list)).buffered(AT_ONCE);
            while let Some((kind, listed)) = lists.next().await {
                match listed {
                    Ok(objects) if objects.is_empty() => {}
                    Ok(objects) => content.left.push((kind, objects)),
                    Err(error) => {
                        let place = kind.path(namespace);
                        content.unlisted.push(format!("{place}: {error}"));
                    }
                }
            }
            // The others are none of our business yet.
            if !content.left.is_empty() || !content.unlisted.is_empty() {
                break;
            }
        }
        content
    }
}

impl Controller for NamespaceController {
    const NAME: &'static str = "namespace-controller";
    const QUEUE: &'static str = "namespace";
    // namespace_controller.go, nsControllerRateLimiter
    const BACKOFF: Backoff = Backoff {
        base: Duration::from_millis(5),
        max: Duration::from_mins(1),
    };

    type Object = Namespace;
    type World = World;

    fn matters(namespace: &Namespace) -> bool {
        meta::is_deleting(&namespace.metadata)
    }

    fn watch(watches: &Watches<'_>) {
        watches.on::<Pod>(|change, queue, caches| {
            let pod = &change.latest().metadata;
            if change.new.is_none() {
                let namespaces = caches.of::<Namespace>();
                let namespace = namespaces.get("", meta::namespace(pod));
                if namespace.is_some_and(|namespace| meta::is_deleting(&namespace.metadata)) {
                    queue.add(Key::new("", meta::namespace(pod)));
                }
            }
        });
    }

    async fn observe(&self, _: &Caches, namespace: Arc<Namespace>, moment: Moment) -> World {
        let state = match begins(&namespace) {
            None => State::Settled,
            Some(at) if at > moment.now => State::Early(at),
            Some(_) => State::Going(self.look(meta::name(&namespace.metadata)).await),
        };
        World {
            namespace,
            state,
            now: moment.now,
        }
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }

    fn status(world: &World, _: &Outcome) -> Option<Object> {
        status::status(world).map(Object::new)
    }
}

/// When there is something to be done for a namespace; never if nobody deletes it.
fn begins(namespace: &Namespace) -> Option<Timestamp> {
    let deleted = namespace.metadata.deletion_timestamp.as_ref()?.0;
    let spec = namespace.spec.as_ref()?;
    let mut finalizers = spec.finalizers.iter().flatten();
    finalizers.find(|finalizer| *finalizer == FINALIZER)?;
    Some(deleted.checked_add(GRACE).unwrap_or(deleted))
}
