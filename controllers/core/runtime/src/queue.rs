//! The work queue: every key at most once in it, never worked on twice at the same time, later after a
//! failure. Semantics of client-go's `util/workqueue`, plus a pause between two runs of one key, so that a
//! thousand events about one object are a few runs and not a thousand.

use crate::caches::{Cache, Key};
use crate::metrics::QueueMetrics;
use crate::watched::Watched;
use ahash::{AHashMap, AHashSet};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a key waits after its n-th failure in a row: `base × 2ⁿ`, at most `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait.
    pub base: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Backoff {
    /// client-go's default for controllers: 5 ms to 1000 s.
    pub const DEFAULT: Self = Self {
        base: Duration::from_millis(5),
        max: Duration::from_secs(1000),
    };

    /// The wait after `failures` failures before this one.
    pub fn delay(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max)
    }
}

/// A de-duplicating queue of keys. Clones are the same queue.
pub struct Queue<K = Key>(Arc<Inner<K>>);

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<K> {
    state: Mutex<State<K>>,
    wake: Notify,
    backoff: Backoff,
    metrics: QueueMetrics,
}

struct State<K> {
    /// Keys that can be worked on, in order. Each of them is in `dirty`.
    ready: VecDeque<K>,
    /// Keys that are to be worked on, with the time since when.
    dirty: AHashMap<K, Instant>,
    /// Keys that a worker holds, with the time since when. A dirty one among them is not in `ready`.
    working: AHashMap<K, Instant>,
    /// Keys to be added later; `due` holds the earliest time of each, older entries in the heap are void.
    later: BinaryHeap<Reverse<(Instant, K)>>,
    due: AHashMap<K, Instant>,
    /// Keys that must not run again before this time, unless they were to be added later anyway.
    paused: AHashMap<K, Instant>,
    /// Keys that must not run again before this time, whoever asks.
    resting: AHashMap<K, Instant>,
    failures: AHashMap<K, u32>,
    /// Pauses to forget.
    swept: usize,
}

impl<K: Clone + Eq + Ord + Hash> Queue<K> {
    /// An empty queue.
    pub fn new(backoff: Backoff, metrics: QueueMetrics) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(State {
                ready: VecDeque::new(),
                dirty: AHashMap::new(),
                working: AHashMap::new(),
                later: BinaryHeap::new(),
                due: AHashMap::new(),
                paused: AHashMap::new(),
                resting: AHashMap::new(),
                failures: AHashMap::new(),
                swept: 0,
            }),
            wake: Notify::new(),
            backoff,
            metrics,
        }))
    }

    /// The key is to be worked on.
    pub fn add(&self, key: K) {
        let now = Instant::now();
        let mut state = self.state();
        if state.dirty.contains_key(&key) {
            return;
        }
        let until = state.paused.get(&key).max(state.resting.get(&key));
        match until.copied() {
            Some(until) if until > now && !state.working.contains_key(&key) => {
                self.later(&mut state, key, until);
            }
            _ => self.ready(&mut state, key, now),
        }
    }

    /// The key is to be worked on after `delay`, if nothing adds it before.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let mut state = self.state();
        self.later(&mut state, key, Instant::now() + delay);
    }

    /// The key failed: it comes again after its back-off. Returns the wait.
    pub fn retry(&self, key: K) -> Duration {
        self.0.metrics.retried();
        let delay = {
            let mut state = self.state();
            let failures = state.failures.entry(key.clone()).or_default();
            let delay = self.0.backoff.delay(*failures);
            *failures += 1;
            delay
        };
        self.add_after(key, delay);
        delay
    }

    /// The key succeeded: its back-off starts anew.
    pub fn forget(&self, key: &K) {
        self.state().failures.remove(key);
    }

    /// How often the key failed in a row.
    pub fn failures(&self, key: &K) -> u32 {
        self.state().failures.get(key).copied().unwrap_or_default()
    }

    /// The next key to work on. It must be given back with [`Queue::done`].
    pub async fn next(&self) -> K {
        loop {
            let woken = self.0.wake.notified();
            let due = {
                let mut state = self.state();
                let now = Instant::now();
                self.promote(&mut state, now);
                if let Some(key) = state.ready.pop_front() {
                    let since = state.dirty.remove(&key).unwrap_or(now);
                    state.working.insert(key.clone(), now);
                    if !state.ready.is_empty() {
                        self.0.wake.notify_one();
                    }
                    self.0.metrics.queued(now - since);
                    self.0.metrics.depth(state.ready.len() as i64);
                    return key;
                }
                state.later.peek().map(|Reverse((at, _))| *at)
            };
            match due {
                Some(at) => {
                    tokio::select! {
                        () = woken => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                None => woken.await,
            }
        }
    }

    /// The key has been worked on; it does not run again for `pause`.
    pub fn done(&self, key: &K, pause: Duration) {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(since) = state.working.remove(key) {
            self.0.metrics.worked(now - since);
        }
        if !pause.is_zero() {
            state.paused.insert(key.clone(), now + pause);
            state.sweep(now);
        }
        if let Some(since) = state.dirty.remove(key) {
            if pause.is_zero() {
                state.dirty.insert(key.clone(), since);
                state.ready.push_back(key.clone());
                self.0.wake.notify_one();
            } else {
                self.later(&mut state, key.clone(), now + pause);
            }
        }
    }

    /// The key is not worked on for `time`, even if it was to be added sooner.
    pub fn rest(&self, key: &K, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.state();
        state.resting.insert(key.clone(), until);
        if let Some(due) = state.due.get(key).copied()
            && due < until
        {
            state.due.remove(key);
            self.later(&mut state, key.clone(), until);
        }
    }

    /// True when nothing is to be done now or later.
    pub fn is_idle(&self) -> bool {
        let state = self.state();
        state.dirty.is_empty() && state.working.is_empty() && state.due.is_empty()
    }

    fn ready(&self, state: &mut State<K>, key: K, now: Instant) {
        self.0.metrics.added();
        state.due.remove(&key);
        state.dirty.insert(key.clone(), now);
        if !state.working.contains_key(&key) {
            state.ready.push_back(key);
            self.0.metrics.depth(state.ready.len() as i64);
            self.0.wake.notify_one();
        }
    }

    fn later(&self, state: &mut State<K>, key: K, at: Instant) {
        let rested = state.resting.get(&key).copied();
        let at = rested.map_or(at, |until| until.max(at));
        if state.due.get(&key).is_some_and(|due| *due <= at) {
            return;
        }
        state.due.insert(key.clone(), at);
        state.later.push(Reverse((at, key)));
        self.0.wake.notify_one();
    }

    fn promote(&self, state: &mut State<K>, now: Instant) {
        while let Some(Reverse((at, _))) = state.later.peek()
            && *at <= now
        {
            let Some(Reverse((at, key))) = state.later.pop() else {
                break;
            };
            if state.due.get(&key) == Some(&at) {
                state.due.remove(&key);
                if !state.dirty.contains_key(&key) {
                    self.ready(state, key, now);
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue<Key> {
    /// Of the objects of these keys, those that are there and `wanted` are to be worked on.
    pub fn add_those<K: Watched>(
        &self,
        cache: &Cache<K>,
        keys: impl IntoIterator<Item = Key>,
        wanted: impl Fn(&K) -> bool,
    ) {
        for key in keys {
            if cache.find(&key).is_some_and(|object| wanted(&object)) {
                self.add(key);
            }
        }
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    /// Forgets pauses that are over, now and then, so that keys of objects long gone do not stay.
    fn sweep(&mut self, now: Instant) {
        self.swept += 1;
        if self.swept > self.paused.len().max(64) {
            self.swept = 0;
            self.paused.retain(|_, until| *until > now);
            self.resting.retain(|_, until| *until > now);
            let keep: AHashSet<K> = self.due.keys().chain(self.dirty.keys()).cloned().collect();
            self.failures.retain(|key, _| keep.contains(key));
        }
    }
}

#[cfg(test)]
mod tests;
