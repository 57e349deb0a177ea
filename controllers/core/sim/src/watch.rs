//! Watches: events from the log, bookmarks, an end. `k8s.io/apiserver
//! pkg/storage/cacher/{cacher,watch_cache,cache_watcher}.go`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::Sim;
use crate::fault::Sight;
use crate::kinds::{Kind, KindId};
use crate::refusal::{self, Answer, Refusal};
use crate::selector::Selector;
use crate::serve::{Reply, Route, version_of};
use crate::state::{Event, Object};

/// Upstream's cacher sends one about every minute; kube's watcher gives up after 295 s of silence.
const BOOKMARK_EVERY: Duration = Duration::from_secs(55);
/// Without `timeoutSeconds` upstream ends a watch after 30 to 60 minutes (`--min-request-timeout`).
const LONGEST: u64 = 1800;

struct Watch {
    sim: Sim,
    actor: Arc<str>,
    kind: KindId,
    table: &'static Kind,
    namespace: String,
    selector: Selector,
    partial: bool,
    bookmarks: bool,
    /// All events up to this revision have been sent.
    seen: u64,
    /// What is ready to be sent.
    pending: Vec<Bytes>,
    wake: watch::Receiver<()>,
    began: Sight,
    next_bookmark: Instant,
    end: Instant,
    over: bool,
}

/// Answers a watch request.
pub(crate) fn start(sim: &Sim, actor: &Arc<str>, route: &Route, partial: bool) -> Answer<Reply> {
    let kind = route.table.kind;
    if sim.faults().refuses_start(actor, kind) {
        return Err(refusal::fault(410));
    }
    let began = sim.faults().sight(actor, kind);
    let mut selector = route.selector()?;
    if !route.name.is_empty() {
        selector = Selector::parse("", &format!("metadata.name={}", route.name))?;
    }
    let asked = version_of(route.text("resourceVersion"))?;
    let state = sim.state();
    let seconds = route
        .text("timeoutSeconds")
        .parse::<u64>()
        .ok()
        .filter(|s| *s > 0);
    let now = Instant::now();
    let mut watch = Watch {
        sim: sim.clone(),
        actor: Arc::clone(actor),
        kind: route.kind,
        table: route.table,
        namespace: route.namespace.clone(),
        selector,
        partial,
        bookmarks: route.flag("allowWatchBookmarks"),
        seen: asked,
        pending: Vec::new(),
        wake: state.stores[route.kind].wake.subscribe(),
        next_bookmark: now + BOOKMARK_EVERY,
        end: now + Duration::from_secs(seconds.unwrap_or(LONGEST)),
        over: false,
        began,
    };
    watch.wake.mark_changed();
    let initial = route.flag("sendInitialEvents");
    let never = route.text("sendInitialEvents") == "false";
    if initial || (asked == 0 && !never) {
        // A lagging cache begins where it stands.
        let at = watch
            .began
            .lag
            .or(watch.began.stale)
            .unwrap_or(state.revision);
        let objects = state
            .at(route.kind, at)
            .ok_or_else(|| refusal::too_old(at, state.revision))?;
        let mut events = 0;
        for ((namespace, _), object) in &objects {
            if watch.wants(namespace, object) {
                watch.frame("ADDED", object);
                events += 1;
            }
        }
        watch.seen = at;
        if initial && watch.bookmarks {
            watch.bookmark(at, true);
        }
        drop(state);
        // What is asked for instead of a list is no event: with it comes what a list has in it.
        if !initial {
            sim.faults().delivered(actor, kind, events);
        }
    } else if asked == 0 {
        watch.seen = state.revision;
    } else if asked < state.stores[route.kind].compacted {
        let refusal = refusal::too_old(asked, state.stores[route.kind].compacted);
        watch.pending = watch.fail(&refusal);
    }
    let frames = stream::unfold(watch, |mut watch| async move {
        let frames = watch.next().await?;
        Some((frames, watch))
    });
    let frames = frames.flat_map(|frames| {
        stream::iter(
            frames
                .into_iter()
                .map(|bytes| Ok::<_, Infallible>(Frame::data(bytes))),
        )
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

/// An object that left the selection: as it was while it was in it, with the version of the change.
// cacher/cache_watcher.go convertToWatchEvent.
fn departed(before: &Object, revision: u64) -> Arc<Object> {
    let mut value = (*before.value).clone();
    crate::meta::metadata(&mut value)
        .insert("resourceVersion".to_owned(), json!(revision.to_string()));
    Object::new(value)
}

impl Watch {
    /// What to send next; none at the end.
    async fn next(&mut self) -> Option<Vec<Bytes>> {
        loop {
            self.wake.mark_unchanged();
            let kind = self.table.kind;
            let sight = self.sim.faults().sight(&self.actor, kind);
            if sight.cuts > self.began.cuts {
                return None;
            }
            if sight.expiries > self.began.expiries && !self.over {
                return Some(self.fail(&refusal::fault(410)));
            }
            if sight.frozen {
                // A black hole swallows the end as well.
                self.wake.changed().await.ok()?;
                continue;
            }
            if !self.pending.is_empty() {
                return Some(std::mem::take(&mut self.pending));
            }
            if self.over {
                return None;
            }
            match self.events(sight.lag) {
                Err(refusal) => return Some(self.fail(&refusal)),
                Ok(frames) if !frames.is_empty() => return Some(frames),
                Ok(_) => {}
            }
            let now = Instant::now();
            if now >= self.end {
                return None;
            }
            if now >= self.next_bookmark {
                self.next_bookmark = now + BOOKMARK_EVERY;
                if self.bookmarks {
                    self.bookmark(self.seen, false);
                    return Some(std::mem::take(&mut self.pending));
                }
            }
            let until = self.end.min(self.next_bookmark);
            tokio::select! {
                changed = self.wake.changed() => changed.ok()?,
                () = sleep_until(until) => {}
            }
        }
    }

    /// The events after `seen`, up to where the actor's cache stands.
    fn events(&mut self, lag: Option<u64>) -> Answer<Vec<Bytes>> {
        let sim = self.sim.clone();
        let state = sim.state();
        let store = &state.stores[self.kind];
        let newest = lag.unwrap_or(u64::MAX).min(state.revision);
        if newest <= self.seen {
            return Ok(Vec::new());
        }
        if self.seen < store.lost {
            return Err(refusal::too_old(self.seen, store.compacted));
        }
        let first = store
            .log
            .partition_point(|event| event.revision <= self.seen);
        let mut count = 0;
        for event in store.log[first..]
            .iter()
            .take_while(|e| e.revision <= newest)
        {
            if let Some(kind) = self.kind_of(event) {
                match &event.before {
                    Some(before) if kind == "DELETED" && !event.gone => {
                        self.frame(kind, &departed(before, event.revision));
                    }
                    _ => self.frame(kind, &event.object),
                }
                count += 1;
            }
        }
        self.seen = newest;
        drop(state);
        if count > 0 {
            let kind = self.table.kind;
            sim.faults().delivered(&self.actor, kind, count);
        }
        Ok(std::mem::take(&mut self.pending))
    }

    /// What an event is to this watch: an object that leaves the selection is deleted for it.
    fn kind_of(&self, event: &Event) -> Option<&'static str> {
        let namespace = crate::meta::namespace(&event.object.value);
        let before = event
            .before
            .as_ref()
            .is_some_and(|b| self.wants(namespace, b));
        let after = !event.gone && self.wants(namespace, &event.object);
        match (before, after) {
            (false, true) => Some("ADDED"),
            (true, true) => Some("MODIFIED"),
            (true, false) => Some("DELETED"),
            (false, false) => None,
        }
    }

    fn wants(&self, namespace: &str, object: &Object) -> bool {
        (self.namespace.is_empty() || self.namespace == namespace)
            && self.selector.matches(&object.value)
    }

    /// Three pieces, so that the object's text is shared and not copied.
    fn frame(&mut self, kind: &'static str, object: &Object) {
        let head = match kind {
            "ADDED" => &br#"{"type":"ADDED","object":"#[..],
            "MODIFIED" => &br#"{"type":"MODIFIED","object":"#[..],
            _ => &br#"{"type":"DELETED","object":"#[..],
        };
        self.pending.push(Bytes::from_static(head));
        self.pending.push(if self.partial {
            object.partial()
        } else {
            object.bytes.clone()
        });
        self.pending.push(Bytes::from_static(b"}\n"));
    }

    fn bookmark(&mut self, revision: u64, end_of_initial: bool) {
        let table = self.table;
        let mut metadata = json!({ "resourceVersion": revision.to_string() });
        if end_of_initial {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let (kind, version) = if self.partial {
            ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned())
        } else {
            (table.kind, table.api_version())
        };
        let object = json!({ "kind": kind, "apiVersion": version, "metadata": metadata });
        let event = json!({ "type": "BOOKMARK", "object": object });
        self.pending.push(Bytes::from(format!("{event}\n")));
    }

    fn fail(&mut self, status: &Refusal) -> Vec<Bytes> {
        self.over = true;
        let event = json!({ "type": "ERROR", "object": refusal::body(status) });
        vec![Bytes::from(format!("{event}\n"))]
    }
}
