//! Records events (core/v1), as client-go's recorder does: the same event again raises its count, many
//! alike are combined, a source that floods an object is cut off. Never in the way of the loops: a bounded
//! queue that drops when it is full, and what is sent gives way to what loops write.

use crate::execute::Executor;
use crate::process::Process;
use ahash::AHashMap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use plan::{Action, Cause, Kind, Note, PatchType, Reference};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Events that nobody has looked at; more are dropped (client-go: `maxQueuedEvents`).
const QUEUED: usize = 1000;
/// Writes that wait to be sent, of some 400 bytes each; more are dropped. Of client-go's, any number may wait.
const WAITING: usize = 20_000;
/// Events that are on their way at once: they must not take the window from the loops. All writes of one event go
/// the same way, one after the other: what raises its count never overtakes what makes it.
const WAYS: usize = 4;
/// While loops write, an event gives way to them for so long: in a burst of a thousand pods, the thousand bindings come
/// first. Not when most of the room is taken.
const GIVES_WAY: Duration = Duration::from_secs(30);
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
    let (mut outbox, ways) = Outbox::new();
    for way in ways {
        process.spawn("event".to_owned(), carry(process.clone(), way));
    }
    while let Some(sighting) = queue.recv().await {
        outbox.put(sighting);
    }
}

/// One way out of the outbox.
async fn carry(process: Arc<Process>, mut way: mpsc::Receiver<Waiting>) {
    while let Some(waiting) = way.recv().await {
        let patience = match way.len() < WAITING / WAYS * 3 / 4 {
            true => GIVES_WAY,
            false => Duration::ZERO,
        };
        let executor = Executor::new(process.clone(), waiting.sighting.component)
            .spare(waiting.since + patience);
        let action = waiting.action();
        drop(waiting);
        if let Err(failure) = executor.run(&action).await
            && !failure.is_benign()
            && failure.cause != Cause::AlreadyExists
        {
            tracing::debug!(event = %action.on, error = failure.message, "event not recorded");
        }
    }
}

/// What is to be sent. Events are compared when they come and not when there is time to send them: those of a
/// source that floods an object must not take the room of others.
struct Outbox {
    memory: Memory,
    ways: [mpsc::Sender<Waiting>; WAYS],
}

impl Outbox {
    /// The outbox and the ends of its ways.
    fn new() -> (Self, Vec<mpsc::Receiver<Waiting>>) {
        let mut ends = Vec::new();
        let ways = [(); WAYS].map(|()| {
            let (way, end) = mpsc::channel(WAITING / WAYS);
            ends.push(end);
            way
        });
        let memory = Memory::default();
        (Self { memory, ways }, ends)
    }

    fn put(&mut self, sighting: Sighting) {
        if self.ways.iter().any(|way| way.capacity() == 0) {
            let (reason, about) = (sighting.note.reason, &sighting.note.about);
            tracing::debug!(reason, %about, "too many events, one dropped");
            return;
        }
        if let Some(waiting) = self.memory.correlate(sighting) {
            // It has room, and its other end lives as long as the process.
            let _ = self.ways[waiting.recorded.serial % WAYS].try_send(waiting);
        }
    }
}

/// A write that waits for its turn. The action is made then: of a burst thousands wait, and an event's text is
/// several times as long as what it is made of.
struct Waiting {
    since: Instant,
    sighting: Sighting,
    recorded: Recorded,
}

impl Waiting {
    /// A new event, or a higher count of one that is there.
    fn action(&self) -> Action {
        let Sighting { note, at, .. } = &self.sighting;
        let name = self.recorded.name(&note.about);
        if self.recorded.count == 1 {
            return Action::create(event(name, &self.sighting));
        }
        let on = Reference {
            kind: Kind::of::<Event>(),
            namespace: namespace(&note.about).to_owned(),
            name,
            uid: String::new(),
        };
        let body = json!({
            "count": self.recorded.count,
            "lastTimestamp": Time(*at),
            "message": note.message,
        });
        Action::patch(on, PatchType::Merge, body)
    }
}

/// What was recorded lately.
#[derive(Default)]
struct Memory {
    same: AHashMap<(Alike, Digest), Recorded>,
    alike: AHashMap<Alike, (Vec<Digest>, Instant)>,
    budgets: AHashMap<Digest, (f64, Instant)>,
    serial: usize,
    state: ahash::RandomState,
}

/// Stands for a text: what is remembered of thousands of objects is only whether it was the same.
type Digest = u64;
/// Source, object, type and reason of an event: all but its message.
type Alike = Digest;

/// An event that was recorded; its name follows from this and from the object that it is about.
#[derive(Clone, Copy)]
struct Recorded {
    serial: usize,
    first: Timestamp,
    count: i32,
}

impl Recorded {
    fn name(&self, about: &Reference) -> String {
        let unique = self.first.as_nanosecond() as u64 ^ ((self.serial as u64) << 48);
        let mut name = about.name.clone();
        name.truncate(230);
        format!("{name}.{unique:x}")
    }
}

impl Memory {
    /// The write that records this sighting: a new event, a higher count of one that is there, or none.
    fn correlate(&mut self, mut sighting: Sighting) -> Option<Waiting> {
        let note = &mut sighting.note;
        let subject = self.state.hash_one((sighting.component, &note.about));
        if !self.afford(subject) {
            return None;
        }
        let alike = self.state.hash_one((subject, note.note_type, note.reason));
        let told = self.state.hash_one(&note.message);
        let mut same = (alike, told);
        if self.is_one_too_many(alike, told) {
            note.message = format!("(combined from similar events): {}", note.message);
            same = (alike, Digest::default());
        }
        if self.same.len() >= REMEMBERED && !self.same.contains_key(&same) {
            self.same.clear();
        }
        let recorded = self.same.entry(same).or_insert_with(|| {
            self.serial += 1;
            Recorded {
                serial: self.serial,
                first: sighting.at,
                count: 0,
            }
        });
        recorded.count += 1;
        let recorded = *recorded;
        Some(Waiting {
            since: Instant::now(),
            sighting,
            recorded,
        })
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

/// Events about cluster-scoped objects live in `default`, as upstream's.
fn namespace(about: &Reference) -> &str {
    match about.namespace.as_str() {
        "" => "default",
        namespace => namespace,
    }
}

fn event(name: String, sighting: &Sighting) -> Event {
    let Sighting {
        component,
        note,
        at,
    } = sighting;
    Event {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace(&note.about).to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: reference(&note.about),
        type_: Some(format!("{:?}", note.note_type)),
        reason: Some(note.reason.to_owned()),
        message: Some(note.message.clone()),
        count: Some(1),
        first_timestamp: Some(Time(*at)),
        last_timestamp: Some(Time(*at)),
        source: Some(EventSource {
            component: Some((*component).to_owned()),
            host: None,
        }),
        reporting_component: Some((*component).to_owned()),
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
