//! Records events (core/v1), as client-go's recorder does: the same event again raises its count, many
//! alike are combined, a source that floods an object is cut off. Never in the way of the loops: a bounded
//! queue that drops when it is full.

use crate::process::Process;
use ahash::AHashMap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use plan::{Action, Cause, Kind, Note, PatchType, Reference};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Events that nobody has looked at; more are dropped (client-go: `maxQueuedEvents`).
const QUEUED: usize = 1000;
/// Writes that wait to be sent, of some 2 KB each; more are dropped. Of client-go's, any number may wait.
const WAITING: usize = 10_000;
/// Events that are on their way at once: they must not take the window from the loops.
const AT_ONCE: usize = 4;
/// An object may have this many events of one source at once, then one each [`REFILL`]
/// (client-go: `defaultSpamBurst`, `defaultSpamQPS`).
const BURST: f64 = 25.0;
const REFILL: Duration = Duration::from_mins(5);
/// After so many events that differ only in their message within [`ALIKE`], they become one
/// (client-go: `defaultAggregateMaxEvents`).
const DIFFERENT: usize = 10;
const ALIKE: Duration = Duration::from_mins(10);
/// Objects that are remembered (client-go: `maxLruCacheEntries`).
const REMEMBERED: usize = 4096;

/// Where events are put.
pub(crate) struct Recorder(mpsc::Sender<Sighting>);

pub(crate) struct Sighting {
    component: &'static str,
    note: Note,
    at: Timestamp,
}

impl Recorder {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Sighting>) {
        let (sender, receiver) = mpsc::channel(QUEUED);
        (Self(sender), receiver)
    }
}

/// [`Recorder`] with the clock it stamps with.
pub(crate) struct Stamped<'a> {
    pub(crate) recorder: &'a Recorder,
    pub(crate) now: Timestamp,
}

impl Stamped<'_> {
    /// Puts the event into the queue, or drops it if the queue is full.
    pub(crate) fn record(&self, component: &'static str, note: &Note) {
        let sighting = Sighting {
            component,
            note: note.clone(),
            at: self.now,
        };
        if self.recorder.0.try_send(sighting).is_err() {
            tracing::debug!(reason = note.reason, about = %note.about, "too many events, one dropped");
        }
    }
}

/// Sends what comes out of the queue until the process ends.
pub(crate) async fn send(process: Arc<Process>, mut queue: mpsc::Receiver<Sighting>) {
    let mut outbox = Outbox::default();
    let slots = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    loop {
        let (slot, (component, action)) = tokio::select! {
            sighting = queue.recv() => match sighting {
                Some(sighting) => {
                    outbox.put(sighting);
                    continue;
                }
                None => return,
            },
            slot = slots.clone().acquire_owned(), if !outbox.waiting.is_empty() => {
                match (slot, outbox.waiting.pop_front()) {
                    (Ok(slot), Some(write)) => (slot, write),
                    _ => return,
                }
            }
        };
        let this = process.clone();
        process.spawn("event".to_owned(), async move {
            let executor = crate::execute::Executor::new(this, component);
            if let Err(failure) = executor.run(&action).await
                && !failure.is_benign()
                && failure.cause != Cause::AlreadyExists
            {
                tracing::debug!(event = %action.on, error = failure.message, "event not recorded");
            }
            drop(slot);
        });
    }
}

/// What is to be sent. Events are compared when they come and not when there is time to send them: those of a
/// source that floods an object must not take the room of others.
#[derive(Default)]
struct Outbox {
    memory: Memory,
    waiting: VecDeque<(&'static str, Action)>,
}

impl Outbox {
    fn put(&mut self, sighting: Sighting) {
        if self.waiting.len() >= WAITING {
            let (reason, about) = (sighting.note.reason, &sighting.note.about);
            tracing::debug!(reason, %about, "too many events, one dropped");
            return;
        }
        self.waiting.extend(self.memory.correlate(sighting));
    }
}

/// What was recorded lately.
#[derive(Default)]
struct Memory {
    same: AHashMap<(Alike, Digest), Recorded>,
    alike: AHashMap<Alike, (Vec<Digest>, Instant)>,
    budgets: AHashMap<Digest, (f64, Instant)>,
    serial: u64,
    state: ahash::RandomState,
}

/// Stands for a text: what is remembered of thousands of objects is only whether it was the same.
type Digest = u64;
/// Source, object, type and reason of an event: all but its message.
type Alike = Digest;

struct Recorded {
    on: Reference,
    count: i32,
}

impl Memory {
    /// The write that records this sighting: a new event, a higher count of one that is there, or none.
    fn correlate(&mut self, sighting: Sighting) -> Option<(&'static str, Action)> {
        let Sighting {
            component,
            note,
            at,
        } = sighting;
        let subject = self.state.hash_one((component, &note.about));
        if !self.afford(subject) {
            return None;
        }
        let alike = self.state.hash_one((subject, note.note_type, note.reason));
        let told = self.state.hash_one(&note.message);
        let combined = self.is_one_too_many(alike, told);
        let (message, same) = if combined {
            let message = format!("(combined from similar events): {}", note.message);
            (message, (alike, Digest::default()))
        } else {
            (note.message.clone(), (alike, told))
        };
        if let Some(recorded) = self.same.get_mut(&same) {
            recorded.count += 1;
            let body = json!({
                "count": recorded.count,
                "lastTimestamp": Time(at),
                "message": message,
            });
            return Some((
                component,
                Action::patch(recorded.on.clone(), PatchType::Merge, body),
            ));
        }
        self.serial += 1;
        let event = event(component, &note, message, at, self.serial);
        let action = Action::create(event);
        if self.same.len() >= REMEMBERED {
            self.same.clear();
        }
        let recorded = Recorded {
            on: action.on.clone(),
            count: 1,
        };
        self.same.insert(same, recorded);
        Some((component, action))
    }

    /// A token bucket for each source and object.
    fn afford(&mut self, subject: Digest) -> bool {
        let now = Instant::now();
        if self.budgets.len() >= REMEMBERED {
            self.budgets.clear();
        }
        let (tokens, since) = self.budgets.entry(subject).or_insert((BURST, now));
        let earned = (now - *since).as_secs_f64() / REFILL.as_secs_f64();
        *tokens = (*tokens + earned).min(BURST);
        *since = now;
        if *tokens < 1.0 {
            return false;
        }
        *tokens -= 1.0;
        true
    }

    /// True when so many messages of this kind differed lately that one has to stand for the rest.
    fn is_one_too_many(&mut self, alike: Alike, told: Digest) -> bool {
        let now = Instant::now();
        if self.alike.len() >= REMEMBERED {
            self.alike.clear();
        }
        let (messages, since) = self.alike.entry(alike).or_insert((Vec::new(), now));
        if now - *since > ALIKE {
            messages.clear();
            *since = now;
        }
        if messages.contains(&told) {
            return false;
        }
        if messages.len() >= DIFFERENT {
            return true;
        }
        messages.push(told);
        false
    }
}

fn event(
    component: &'static str,
    note: &Note,
    message: String,
    at: Timestamp,
    serial: u64,
) -> Event {
    let about = &note.about;
    // Events about cluster-scoped objects live in `default`, as upstream's.
    let namespace = if about.namespace.is_empty() {
        "default"
    } else {
        &about.namespace
    };
    let unique = at.as_nanosecond() as u64 ^ (serial << 48);
    let mut name = about.name.clone();
    name.truncate(230);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{unique:x}")),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: reference(about),
        type_: Some(format!("{:?}", note.note_type)),
        reason: Some(note.reason.to_owned()),
        message: Some(message),
        count: Some(1),
        first_timestamp: Some(Time(at)),
        last_timestamp: Some(Time(at)),
        source: Some(EventSource {
            component: Some(component.to_owned()),
            host: None,
        }),
        reporting_component: Some(component.to_owned()),
        ..Event::default()
    }
}

fn reference(about: &Reference) -> ObjectReference {
    let Kind { kind, .. } = about.kind;
    ObjectReference {
        api_version: Some(about.kind.api_version()),
        kind: Some(kind.to_owned()),
        name: Some(about.name.clone()),
        namespace: (!about.namespace.is_empty()).then(|| about.namespace.clone()),
        uid: (!about.uid.is_empty()).then(|| about.uid.clone()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests;
