//! What a process remembers of autoscalers between two looks. It may be forgotten: see [`crate::history`].

use crate::history::{History, ScaleEvent, written};
use crate::plan::{Decision, Rescale};
use crate::world::World;
use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use objects::{Selector, meta};
use runtime::Key;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is remembered, by autoscaler.
#[derive(Default)]
pub(crate) struct Memory {
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    known: HashMap<Key, Known>,
    /// The autoscalers whose pods have a label, see [`place`].
    places: HashMap<String, HashSet<Key>>,
}

impl All {
    fn put(&mut self, key: Key, known: Known) {
        let place = known.place(&key);
        if self.known.get(&key).map(|old| old.place(&key)) != Some(place.clone()) {
            self.take(&key);
            let there = self.places.entry(place).or_default();
            there.insert(key.clone());
        }
        self.known.insert(key, known);
    }

    fn take(&mut self, key: &Key) {
        let Some(known) = self.known.remove(key) else {
            return;
        };
        let place = known.place(key);
        if let Some(there) = self.places.get_mut(&place) {
            there.remove(key);
            if there.is_empty() {
                self.places.remove(&place);
            }
        }
    }
}

/// Where those are found that scale pods with this label in a namespace; with none, those that do not say which label
/// theirs have.
fn place(namespace: &str, label: Option<(&str, &str)>) -> String {
    let (key, value) = label.unwrap_or_default();
    format!("{namespace}/{key}={value}")
}

struct Known {
    /// The incarnation.
    uid: String,
    recommendations: Vec<(Timestamp, i32)>,
    events: Vec<ScaleEvent>,
    /// What was to be done; whether it was shows in the replicas.
    intent: Option<(Timestamp, Rescale)>,
    /// Which pods it scales.
    selector: Option<Selector>,
}

impl Known {
    /// One place is enough: a pod that is selected has all the labels.
    fn place(&self, key: &Key) -> String {
        let label = self.selector.as_ref().and_then(|s| s.pairs().next());
        place(&key.namespace, label)
    }
}

impl Memory {
    /// What is known of the past of an autoscaler whose target has so many replicas now.
    pub(crate) fn history(
        &self,
        hpa: &HorizontalPodAutoscaler,
        replicas: i32,
        now: Timestamp,
    ) -> History {
        let all = self.all();
        let known = all.known.get(&Key::of(&hpa.metadata));
        let Some(known) = known.filter(|known| known.uid == meta::uid(&hpa.metadata)) else {
            return History::resumed(hpa, replicas, now);
        };
        let mut history = History {
            recommendations: known.recommendations.clone(),
            events: known.events.clone(),
        };
        if let Some((at, intent)) = &known.intent
            && intent.from != replicas
        {
            let change = replicas.saturating_sub(intent.from);
            history.events.push((*at, Some(change)));
        }
        // Another process may have scaled too, one that led before or believes that it still does.
        for event in written(hpa) {
            if !history.events.iter().any(|(at, _)| *at == event.0) {
                history.events.push(event);
            }
        }
        if history.recommendations.is_empty() {
            history.recommendations.push((now, replicas));
        }
        history
    }

    /// What was decided, and is about to be done.
    pub(crate) fn decided(&self, world: &World, decision: &Decision) {
        let Ok(target) = &world.target else {
            return;
        };
        let mut history = target.history.clone();
        if let Some(recommended) = decision.recommended {
            history.recommendations.push((world.now(), recommended));
        }
        let windows = world.spec.behavior.iter();
        let windows = windows.flat_map(|(up, down)| [up.window, down.window]);
        let window = windows
            .max()
            .unwrap_or(world.options.downscale_stabilization);
        let longest = world.spec.longest_period();
        let history = history.since(world.now() - window, world.now() - longest);
        let known = Known {
            uid: world.owner.uid.clone(),
            recommendations: history.recommendations,
            events: history.events,
            intent: decision.rescale.clone().map(|intent| (world.now(), intent)),
            selector: target.selector.clone().ok(),
        };
        self.all().put(Key::of(&world.hpa.metadata), known);
    }

    /// The autoscaler is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.all().take(key);
    }

    /// Which other autoscalers of the namespace of `own` scale pods with these labels, as far as is known.
    pub(crate) fn rivals(
        &self,
        own: &Key,
        labels: &[Option<&BTreeMap<String, String>>],
    ) -> Vec<Key> {
        let all = self.all();
        let places = labels.iter().copied().flatten().flatten();
        let places = places.map(|(key, value)| Some((key.as_str(), value.as_str())));
        let places = places
            .chain([None])
            .filter_map(|label| all.places.get(&place(&own.namespace, label)));
        let scales = |key: &&Key| {
            let known = all.known.get(key);
            let selector = known.and_then(|known| known.selector.as_ref());
            *key != own
                && selector.is_some_and(|selector| labels.iter().any(|l| selector.matches(*l)))
        };
        places.flatten().filter(scales).cloned().collect()
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
