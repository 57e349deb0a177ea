//! What a decision is made from: a validated DaemonSet, the nodes as it sees them, its pods by node, its revisions.

use crate::place::{self, Demand, Place};
use crate::revisions::Revisions;
use ::plan::{Action, Claim, Reference};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetSpec};
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use objects::history::CONTROLLER_REVISION_HASH;
use objects::{Selector, int_or_percent, meta, pod};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A DaemonSet and all that is known about it.
#[derive(Clone, Debug)]
pub struct World {
    /// As the cache has it.
    pub set: Arc<DaemonSet>,
    /// The DaemonSet as events and preconditions name it.
    pub me: Reference,
    /// What its pods and revisions carry.
    pub owner_reference: OwnerReference,
    /// What it asks for.
    pub spec: Spec,
    /// All nodes, by name.
    pub places: Vec<Place>,
    /// Its own pods and those that it adopts, by name.
    pub pods: Vec<Arc<Pod>>,
    /// Its pods by the node that they are on or meant for; the first of a node is the one that stays if only one may.
    /// Without those that have ended and are being deleted: nothing is left to do about them.
    pub by_node: BTreeMap<String, Vec<Arc<Pod>>>,
    /// Adoptions of the pods and revisions that it selects and nobody controls.
    pub adoptions: Vec<Action>,
    /// Releases of the pods and revisions of its own that it does not select any more.
    pub releases: Vec<Action>,
    /// The templates that it has had.
    pub revisions: Revisions,
    /// By UID: failed pods that wait, and until when, before they are replaced.
    pub waiting: HashMap<String, Timestamp>,
    /// By node: the UID of the newest pod of its own that was ever seen there.
    pub predecessors: HashMap<String, String>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// The spec of a DaemonSet, checked.
#[derive(Clone, Debug)]
pub enum Spec {
    /// The selector is empty: it would take every pod of the namespace.
    SelectsAll,
    /// The API server would have refused it; nothing is done. The text names the field.
    Invalid(String),
    /// A usable one, all options resolved.
    Valid(Settings),
}

/// Options with their defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What pods are made from.
    pub template: PodTemplateSpec,
    /// How old pods are replaced.
    pub strategy: Strategy,
    /// For how long a pod must be ready to be available, in seconds.
    pub min_ready_seconds: i32,
    /// How many old revisions are kept.
    pub history_limit: i32,
    /// The template's number from before there were revisions; pods that carry it are up to date too.
    pub template_generation: Option<i64>,
}

/// How old pods are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// By whoever deletes them.
    OnDelete,
    /// Step by step, within bounds in nodes.
    RollingUpdate {
        /// Nodes that may have a new pod beside an available old one. Above zero, old pods go after new ones come.
        max_surge: i32,
        /// Nodes that may lack an available pod.
        max_unavailable: i32,
    },
}

/// The annotation and the label of the template's number from before there were revisions.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";
pub(crate) const TEMPLATE_GENERATION_LABEL: &str = "pod-template-generation";

impl World {
    /// Sorts out what the caches hold about `set`. `pods` and `revisions` are its own and the orphans of its namespace,
    /// all in any order.
    pub fn new(
        set: Arc<DaemonSet>,
        nodes: &[Arc<Node>],
        pods: Vec<Arc<Pod>>,
        revisions: Vec<Arc<ControllerRevision>>,
        now: Timestamp,
    ) -> Self {
        let mut world = Self {
            me: Reference::to(&*set),
            owner_reference: meta::owner_reference("apps/v1", "DaemonSet", &set.metadata),
            spec: Spec::SelectsAll,
            places: Vec::new(),
            pods: Vec::new(),
            by_node: BTreeMap::new(),
            adoptions: Vec::new(),
            releases: Vec::new(),
            revisions: Revisions::default(),
            waiting: HashMap::new(),
            predecessors: HashMap::new(),
            now,
            set,
        };
        let Some(spec) = world.set.spec.clone() else {
            world.spec = Spec::Invalid("spec: there is none".to_owned());
            return world;
        };
        let selector = match Selector::parse(&spec.selector) {
            Ok(selector) if selector.is_empty() => return world,
            Ok(selector) => selector,
            Err(error) => {
                world.spec = Spec::Invalid(format!("spec.selector: {error}"));
                return world;
            }
        };

        let bare = PodSpec::default();
        let demand = Demand::of(spec.template.spec.as_ref().unwrap_or(&bare));
        world.places = nodes.iter().map(|node| demand.place(node)).collect();
        world.places.sort_by(|a, b| a.node.cmp(&b.node));
        world.spec = match Settings::of(&world.set, &spec, world.desired()) {
            Ok(settings) => Spec::Valid(settings),
            Err(error) => Spec::Invalid(error),
        };

        world.pods = world.claim(pods, &selector);
        world
            .pods
            .sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        for pod in &world.pods {
            if pod::is_terminal(pod) && meta::is_deleting(&pod.metadata) {
                continue;
            }
            if let Some(node) = place::target(pod) {
                let on = world.by_node.entry(node.to_owned()).or_default();
                on.push(pod.clone());
            }
        }
        for pods in world.by_node.values_mut() {
            // podByCreationTimestampAndPhase; they are in the order of their names already.
            pods.sort_by_key(|pod| (pod::node_name(pod).is_none(), meta::created(&pod.metadata)));
        }
        let revisions = world.claim(revisions, &selector);
        world.revisions = Revisions::new(&world.set, &spec.template, revisions);
        world
    }

    /// The options, if the spec is usable.
    pub fn settings(&self) -> Option<&Settings> {
        match &self.spec {
            Spec::Valid(settings) => Some(settings),
            Spec::SelectsAll | Spec::Invalid(_) => None,
        }
    }

    /// True when it is being deleted. Then nobody can say which of its revisions are left, so even its status stays as
    /// it is.
    pub fn is_going(&self) -> bool {
        meta::is_deleting(&self.set.metadata)
    }

    /// The number of nodes where a pod belongs.
    pub fn desired(&self) -> i32 {
        self.places.iter().filter(|place| place.should_run).count() as i32
    }

    /// Its pods on a node.
    pub fn on(&self, node: &str) -> &[Arc<Pod>] {
        self.by_node.get(node).map_or(&[], Vec::as_slice)
    }

    /// What it thinks of the node of this name; nothing for one that is not there.
    pub fn place(&self, node: &str) -> Option<&Place> {
        let found = self
            .places
            .binary_search_by(|place| place.node.as_str().cmp(node));
        found.ok().map(|index| &self.places[index])
    }

    /// Whether the pod was made from the current template (`IsPodUpdated`).
    pub(crate) fn is_updated(&self, settings: &Settings, pod: &Pod) -> bool {
        let generation = meta::label(&pod.metadata, TEMPLATE_GENERATION_LABEL);
        self.has_current_hash(pod)
            || settings
                .template_generation
                .is_some_and(|wanted| generation == Some(wanted.to_string().as_str()))
    }

    /// Whether the pod carries the hash of the current revision, or of one that is the same.
    pub(crate) fn has_current_hash(&self, pod: &Pod) -> bool {
        meta::label(&pod.metadata, CONTROLLER_REVISION_HASH)
            .is_some_and(|hash| self.revisions.is_current(hash))
    }

    /// Those of `objects` that are its own or will be.
    fn claim<K>(&mut self, objects: Vec<Arc<K>>, selector: &Selector) -> Vec<Arc<K>>
    where
        K: k8s_openapi::Resource
            + k8s_openapi::Metadata<Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>,
    {
        let mut own = Vec::new();
        for object in objects {
            let matches = selector.matches(object.metadata().labels.as_ref());
            match Claim::of(&self.set.metadata, object.metadata(), matches) {
                Claim::Keep => own.push(object),
                Claim::Adopt => {
                    let adopt = Action::adopt(&*object, &self.me, &self.owner_reference);
                    self.adoptions.push(adopt);
                    own.push(object);
                }
                Claim::Release => {
                    let release = Action::release(&*object, &self.me.uid);
                    self.releases.push(release);
                }
                Claim::Ignore => {}
            }
        }
        own
    }
}

// === impl Settings ===

impl Settings {
    fn of(set: &DaemonSet, spec: &DaemonSetSpec, desired: i32) -> Result<Self, String> {
        let generation = meta::annotation(&set.metadata, TEMPLATE_GENERATION);
        Ok(Self {
            template: spec.template.clone(),
            strategy: Strategy::of(spec, desired)?,
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            history_limit: spec.revision_history_limit.unwrap_or(10),
            template_generation: generation.and_then(|text| text.parse().ok()),
        })
    }
}

impl Strategy {
    /// Both bounds are rounded up; if that makes both zero, one node may be without, as otherwise nothing could ever
    /// move (`updatedDesiredNodeCounts`).
    fn of(spec: &DaemonSetSpec, desired: i32) -> Result<Self, String> {
        let strategy = spec.update_strategy.as_ref();
        match strategy.and_then(|s| s.type_.as_deref()) {
            Some("OnDelete") => return Ok(Self::OnDelete),
            Some("RollingUpdate" | "") | None => {}
            Some(other) => return Err(format!("spec.updateStrategy.type: unknown type {other:?}")),
        }
        let rolling = strategy.and_then(|s| s.rolling_update.as_ref());
        let count = |value: Option<&IntOrString>, field: &str| match value {
            None => Ok(0),
            Some(value) => int_or_percent::resolve(value, desired, true)
                .map(|count| count.max(0))
                .map_err(|error| format!("spec.updateStrategy.rollingUpdate.{field}: {error}")),
        };
        let max_surge = count(rolling.and_then(|r| r.max_surge.as_ref()), "maxSurge")?;
        let unavailable = rolling.and_then(|r| r.max_unavailable.as_ref());
        let max_unavailable = match count(unavailable, "maxUnavailable")? {
            0 if max_surge == 0 => 1,
            count => count,
        };
        Ok(Self::RollingUpdate {
            max_surge,
            max_unavailable,
        })
    }

    /// Whether a node may have two pods for a while.
    pub(crate) fn surges(self) -> bool {
        matches!(self, Self::RollingUpdate { max_surge, .. } if max_surge > 0)
    }
}
