//! Faults on demand, per actor: of requests ([`Fault`]) and of watches and lists ([`Sim`]'s
//! `cut_watches`, `freeze_watches`, `lag_watches`, `expire_watches`, `stale_lists`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::Sim;
use crate::state::Verb;

/// A request as a fault sees it.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// Who asks.
    pub actor: &'a str,
    /// What for.
    pub verb: Verb,
    /// The kind.
    pub kind: &'static str,
    /// `status`, `scale`, `binding`, `eviction` or empty.
    pub subresource: &'a str,
    /// The namespace, empty for objects of the cluster and requests across namespaces.
    pub namespace: &'a str,
    /// The name in the path, empty for creates and lists.
    pub name: &'a str,
    /// The number of this write among all of the actor's, from 1; 0 for reads.
    pub write: u64,
}

/// A check of a request.
pub type Predicate = Box<dyn Fn(&Seen<'_>) -> bool + Send + Sync>;
/// Called once at a crash.
pub type OnCrash = Box<dyn FnOnce() + Send>;

/// Which request a fault is for.
pub enum On {
    /// The actor's nth write since [`Sim::new`], from 1.
    Write(u64),
    /// A request that the predicate accepts.
    Request(Predicate),
}

/// How an answer gets lost after the write was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The client reads 504 (reason Timeout).
    Timeout,
    /// The connection breaks.
    Connection,
    /// Nothing ever comes.
    Silence,
}

/// When a crash happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the write is committed (it never is).
    Before,
    /// After it is committed, before the answer.
    After,
}

/// What a fault does.
pub enum Effect {
    /// Nothing is committed; the client reads this code.
    FailBefore(u16),
    /// Nothing is committed; the connection breaks.
    Disconnect,
    /// It is committed; the answer is lost.
    FailAfter(Lost),
    /// Nothing is committed; 409 as after a concurrent update.
    Conflict,
    /// Nothing is committed; 429 with a Retry-After header, in seconds.
    TooManyRequests {
        /// Seconds.
        retry_after: u32,
    },
    /// The function is called, so that the harness can kill the actor; the request gets no answer.
    Crash(Moment, OnCrash),
}

/// A fault that waits for its request, and goes off once.
pub struct Fault {
    /// Whose requests.
    pub actor: String,
    /// Which of them.
    pub on: On,
    /// What happens.
    pub effect: Effect,
}

impl Fault {
    /// A fault of the actor's nth write (from 1).
    pub fn write(actor: &str, nth: u64, effect: Effect) -> Fault {
        Fault {
            actor: actor.to_owned(),
            on: On::Write(nth),
            effect,
        }
    }

    /// A fault of the actor's next request that the predicate accepts.
    pub fn request(
        actor: &str,
        predicate: impl Fn(&Seen<'_>) -> bool + Send + Sync + 'static,
        effect: Effect,
    ) -> Fault {
        Fault {
            actor: actor.to_owned(),
            on: On::Request(Box::new(predicate)),
            effect,
        }
    }
}

/// What happens to the watch that brought an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upset {
    /// It ends, as a closed connection does.
    Cut,
    /// It says nothing more, see [`Sim::freeze_watches`].
    Freeze,
    /// It ends with an ERROR event of code 410.
    Expire,
}

/// An upset that waits for the event after which it happens.
struct Waiting {
    actor: String,
    nth: u64,
    upset: Upset,
}

/// What is wrong with an actor's watches and lists of a kind (`*`: of all kinds).
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    /// Watches say nothing at all.
    pub(crate) frozen: bool,
    /// Watches tell nothing newer than this revision.
    pub(crate) lag: Option<u64>,
    /// Running watches that began before the nth cut end.
    pub(crate) cuts: u64,
    /// Running watches that began before the nth expiry end with 410 in the stream.
    pub(crate) expiries: u64,
    /// So many watch starts get 410 as HTTP status.
    pub(crate) refused_starts: u32,
    /// Lists and gets answer from this revision.
    pub(crate) stale: Option<u64>,
}

/// All faults and counters.
#[derive(Default)]
pub(crate) struct Faults {
    waiting: Vec<Fault>,
    away: HashSet<String>,
    sights: HashMap<(String, String), Sight>,
    writes: HashMap<String, u64>,
    delivered: HashMap<String, u64>,
    upsets: Vec<Waiting>,
    upset: Option<&'static str>,
}

const ALL: &str = "*";

impl Faults {
    /// Whether the server is not there for an actor.
    pub(crate) fn is_away(&self, actor: &str) -> bool {
        self.away.contains(actor)
    }

    /// Counts a request and takes the fault that is for it.
    pub(crate) fn strike(&mut self, seen: &mut Seen<'_>) -> Option<Effect> {
        if seen.verb.writes() {
            let count = self.writes.entry(seen.actor.to_owned()).or_default();
            *count += 1;
            seen.write = *count;
        }
        let at = self.waiting.iter().position(|fault| {
            fault.actor == seen.actor
                && match &fault.on {
                    On::Write(nth) => seen.write == *nth && *nth > 0,
                    On::Request(predicate) => predicate(seen),
                }
        })?;
        Some(self.waiting.remove(at).effect)
    }

    /// What holds for an actor's view of a kind: the kind's own and that of all kinds together.
    pub(crate) fn sight(&self, actor: &str, kind: &str) -> Sight {
        let of = |kind: &str| self.sights.get(&(actor.to_owned(), kind.to_owned()));
        match (of(kind), of(ALL)) {
            (None, None) => Sight::default(),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (Some(own), Some(all)) => Sight {
                frozen: own.frozen || all.frozen,
                lag: own.lag.into_iter().chain(all.lag).min(),
                cuts: own.cuts + all.cuts,
                expiries: own.expiries + all.expiries,
                refused_starts: own.refused_starts + all.refused_starts,
                stale: own.stale.into_iter().chain(all.stale).min(),
            },
        }
    }

    /// Takes one of the watch starts that are to be refused.
    pub(crate) fn refuses_start(&mut self, actor: &str, kind: &str) -> bool {
        for kind in [kind, ALL] {
            let sight = self.sights.get_mut(&(actor.to_owned(), kind.to_owned()));
            if let Some(sight) = sight.filter(|s| s.refused_starts > 0) {
                sight.refused_starts -= 1;
                return true;
            }
        }
        false
    }

    /// Counts the events that a watch of a kind brings, and lays hands on the watch if it is time.
    pub(crate) fn delivered(&mut self, actor: &str, kind: &'static str, events: u64) {
        let count = self.delivered.entry(actor.to_owned()).or_default();
        *count += events;
        let due = |w: &Waiting| w.actor == actor && w.nth <= *count;
        let Some(at) = self.upsets.iter().position(due) else {
            return;
        };
        let upset = self.upsets.remove(at).upset;
        self.upset = Some(kind);
        let key = (actor.to_owned(), kind.to_owned());
        let sight = self.sights.entry(key).or_default();
        match upset {
            Upset::Cut => sight.cuts += 1,
            Upset::Freeze => sight.frozen = true,
            Upset::Expire => sight.expiries += 1,
        }
    }
}

impl Sim {
    /// Lays a fault in wait.
    pub fn inject(&self, fault: Fault) {
        self.faults().waiting.push(fault);
    }

    /// Takes away all faults that have not gone off and heals all watches and lists.
    pub fn heal(&self) {
        let mut faults = self.faults();
        faults.waiting.clear();
        for sight in faults.sights.values_mut() {
            *sight = Sight {
                cuts: sight.cuts,
                expiries: sight.expiries,
                ..Sight::default()
            };
        }
        drop(faults);
        self.wake_all();
    }

    /// Lays an upset in wait: it befalls the watch that brings the actor's nth event (from 1, over
    /// all kinds), right after it.
    pub fn upset(&self, actor: &str, nth: u64, upset: Upset) {
        self.faults().upsets.push(Waiting {
            actor: actor.to_owned(),
            nth,
            upset,
        });
    }

    /// The kind of the watch that the last upset befell; none before the first.
    pub fn upset_kind(&self) -> Option<&'static str> {
        self.faults().upset
    }

    /// Is not there for an actor, until it is called with `false`: its watches end, and each request of its meets a
    /// connection that breaks.
    pub fn be_away(&self, actor: &str, away: bool) {
        let mut faults = self.faults();
        if away {
            faults.away.insert(actor.to_owned());
        } else {
            faults.away.remove(actor);
        }
        drop(faults);
        self.cut_watches(actor, ALL);
    }

    /// How many faults still wait.
    pub fn faults_waiting(&self) -> usize {
        self.faults().waiting.len()
    }

    /// How many writes (POST, PUT, PATCH, DELETE, whatever their answer) an actor has sent.
    pub fn writes(&self, actor: &str) -> u64 {
        self.faults().writes.get(actor).copied().unwrap_or(0)
    }

    /// How many watch events (without bookmarks) an actor was sent.
    pub fn watch_events(&self, actor: &str) -> u64 {
        self.faults().delivered.get(actor).copied().unwrap_or(0)
    }

    /// Ends the actor's running watches of a kind (`*`: of all kinds), as a closed connection does.
    pub fn cut_watches(&self, actor: &str, kind: &str) {
        self.see(actor, kind, |sight| sight.cuts += 1);
    }

    /// Makes the actor's watches of a kind say nothing, neither events nor bookmarks nor an end
    /// (a black hole), until [`Sim::thaw_watches`].
    pub fn freeze_watches(&self, actor: &str, kind: &str) {
        self.see(actor, kind, |sight| sight.frozen = true);
    }

    /// Makes the actor's watches of a kind stay at the revision of now, with bookmarks of it (a
    /// watch cache that lags), until [`Sim::thaw_watches`].
    pub fn lag_watches(&self, actor: &str, kind: &str) {
        let now = self.state().revision;
        self.see(actor, kind, |sight| sight.lag = Some(now));
    }

    /// Ends [`Sim::freeze_watches`] and [`Sim::lag_watches`]; what was held comes at once.
    pub fn thaw_watches(&self, actor: &str, kind: &str) {
        self.see(actor, kind, |sight| {
            sight.frozen = false;
            sight.lag = None;
        });
    }

    /// Ends the actor's running watches of a kind with an ERROR event of code 410.
    pub fn expire_watches(&self, actor: &str, kind: &str) {
        self.see(actor, kind, |sight| sight.expiries += 1);
    }

    /// Answers the actor's next watch start of a kind with HTTP status 410.
    pub fn refuse_watch_start(&self, actor: &str, kind: &str) {
        self.see(actor, kind, |sight| sight.refused_starts += 1);
    }

    /// Answers the actor's lists and gets of a kind from a revision (a lagging API server), until
    /// it is called with none.
    pub fn stale_lists(&self, actor: &str, kind: &str, revision: Option<u64>) {
        self.see(actor, kind, |sight| sight.stale = revision);
    }

    fn see(&self, actor: &str, kind: &str, change: impl FnOnce(&mut Sight)) {
        let key = (actor.to_owned(), kind.to_owned());
        change(self.faults().sights.entry(key).or_default());
        self.wake_all();
    }

    fn wake_all(&self) {
        for store in &self.state().stores {
            store.wake.send_replace(());
        }
    }
}

/// A crash function that tells a [`tokio::sync::Notify`].
pub fn notify(notify: Arc<tokio::sync::Notify>) -> OnCrash {
    Box::new(move || notify.notify_one())
}
