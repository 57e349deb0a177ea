//! ReplicaSets as they shall be.

use crate::annotations::{DESIRED_REPLICAS, MAX_REPLICAS};
use crate::replicas;
use crate::world::{Settings, World};
use ::plan::{Action, Plan};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
use objects::meta;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All ReplicaSets of a Deployment.
pub(super) struct Drafts {
    pub(super) new: Option<Draft>,
    /// Oldest first.
    pub(super) old: Vec<Draft>,
}

/// One ReplicaSet as it shall be: what it is, and what differs.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) rs: Arc<ReplicaSet>,
    pub(super) replicas: i32,
    exists: bool,
    min_ready_seconds: i32,
    annotations: BTreeMap<String, String>,
}

// === impl Drafts ===

impl Drafts {
    pub(super) fn of(world: &World) -> Self {
        Self {
            new: world.new_replica_set().map(Draft::of),
            old: world.old.iter().map(Draft::of).collect(),
        }
    }

    /// The old ones, oldest first, and then the new one.
    pub(super) fn all(&self) -> impl Iterator<Item = &Draft> {
        self.old.iter().chain(&self.new)
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Draft> {
        self.old.iter_mut().chain(&mut self.new)
    }

    /// Those that shall have pods.
    pub(super) fn active(&self) -> impl Iterator<Item = &Draft> {
        self.all().filter(|draft| draft.replicas > 0)
    }

    /// The sum of the sizes.
    pub(super) fn wanted(&self) -> i32 {
        sum(self.all().map(|draft| draft.replicas))
    }

    /// How many pods may be added so that there are never more than `max_total`.
    ///
    /// Upstream counts sizes only: a ReplicaSet that was made smaller a moment ago still has its pods, and the sum of
    /// pods passes the bound for as long as its controller takes. Here a pod counts until its ReplicaSet says that it
    /// is gone, and nothing grows while one of them has not even seen its size.
    pub(super) fn room(&self, settings: &Settings) -> i32 {
        if !self.are_current() {
            return 0;
        }
        let pods = sum(self.all().map(Draft::pods));
        (settings.max_total() - pods).max(0)
    }

    /// True when each ReplicaSet has told what it has since its size was last changed.
    pub(super) fn are_current(&self) -> bool {
        self.all()
            .all(|draft| !draft.exists || replicas::is_current(&draft.rs))
    }

    /// True when a size differs from the cache, or a ReplicaSet is to be created.
    pub(super) fn any_resized(&self) -> bool {
        self.all().any(|draft| !draft.exists || draft.is_resized())
    }

    /// Puts what differs into the plan: creation, then what shrinks or only changes its annotations, then what grows.
    /// Where some shrink, growth waits for the next round, when their pods are seen to be gone.
    pub(super) fn write(&self, world: &World, plan: &mut Plan) {
        let create = self.new.iter().filter(|draft| !draft.exists);
        plan.then(create.map(|draft| draft.create(world)).collect());
        let shrinks = self.all().any(|draft| draft.exists && draft.grows_by() < 0);
        let (grow, keep): (Vec<_>, Vec<_>) = self
            .all()
            .filter(|draft| draft.differs())
            .partition(|draft| draft.grows_by() > 0);
        plan.then(keep.into_iter().map(|draft| draft.replace(world)).collect());
        if !shrinks {
            plan.then(grow.into_iter().map(|draft| draft.replace(world)).collect());
        }
    }
}

// === impl Draft ===

impl Draft {
    fn of(rs: &Arc<ReplicaSet>) -> Self {
        Self {
            replicas: replicas::wanted(rs),
            min_ready_seconds: replicas::min_ready_seconds(rs),
            annotations: BTreeMap::new(),
            exists: true,
            rs: rs.clone(),
        }
    }

    /// One that is to be created, with no pods at first.
    pub(super) fn to_create(rs: ReplicaSet) -> Self {
        Self {
            replicas: 0,
            exists: false,
            ..Self::of(&Arc::new(rs))
        }
    }

    pub(super) fn exists(&self) -> bool {
        self.exists
    }

    pub(super) fn name(&self) -> &str {
        meta::name(&self.rs.metadata)
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        let drafted = self.annotations.get(key).map(String::as_str);
        drafted.or_else(|| meta::annotation(&self.rs.metadata, key))
    }

    /// Sets an annotation, if it is another than that.
    pub(super) fn annotate(&mut self, key: &str, value: &str) {
        if self.annotation(key) != Some(value) {
            self.annotations.insert(key.to_owned(), value.to_owned());
        }
    }

    pub(super) fn set_min_ready_seconds(&mut self, seconds: i32) {
        self.min_ready_seconds = seconds;
    }

    /// Sets the size and writes down what it was reckoned from; the same size changes nothing.
    pub(super) fn scale_to(&mut self, replicas: i32, settings: &Settings) {
        if self.replicas != replicas {
            self.replicas = replicas;
            self.note_size(settings);
        }
    }

    /// Writes down which `replicas` and bound this size belongs to.
    pub(super) fn note_size(&mut self, settings: &Settings) {
        self.annotate(DESIRED_REPLICAS, &settings.replicas.to_string());
        self.annotate(MAX_REPLICAS, &settings.max_total().to_string());
    }

    /// The most pods that it may have, now or soon.
    pub(super) fn pods(&self) -> i32 {
        self.replicas.max(replicas::active(&self.rs))
    }

    /// The fewest available pods that it will have with this size. Its controller deletes unavailable ones first, so
    /// those of a smaller size stay; while its status is older than its spec, nothing is known.
    pub(super) fn available(&self) -> i32 {
        if self.exists && replicas::is_current(&self.rs) {
            replicas::available(&self.rs).clamp(0, self.replicas)
        } else {
            0
        }
    }

    /// Pods of its size that are known to be missing or not available.
    pub(super) fn unhealthy(&self) -> i32 {
        if self.exists && replicas::is_current(&self.rs) {
            self.replicas - self.available()
        } else {
            0
        }
    }

    fn grows_by(&self) -> i32 {
        self.replicas - replicas::wanted(&self.rs)
    }

    fn is_resized(&self) -> bool {
        self.grows_by() != 0
    }

    fn differs(&self) -> bool {
        self.exists
            && (self.is_resized()
                || !self.annotations.is_empty()
                || self.min_ready_seconds != replicas::min_ready_seconds(&self.rs))
    }

    fn object(&self) -> ReplicaSet {
        let mut rs = (*self.rs).clone();
        let spec = rs.spec.get_or_insert_with(ReplicaSetSpec::default);
        spec.replicas = Some(self.replicas);
        if self.min_ready_seconds != replicas::min_ready_seconds(&self.rs) {
            spec.min_ready_seconds = Some(self.min_ready_seconds);
        }
        let annotations = rs.metadata.annotations.get_or_insert_with(BTreeMap::new);
        annotations.extend(self.annotations.clone());
        rs
    }

    fn create(&self, world: &World) -> Action {
        let name = self.name();
        let action = Action::create(self.object())
            .because("new template")
            .warning(
                &world.me,
                "ReplicaSetCreateError",
                format!("Failed to create new replica set {name:?}"),
            );
        if self.replicas == 0 {
            return action;
        }
        let message = format!("Scaled up replica set {name} from 0 to {}", self.replicas);
        action.noting(&world.me, "ScalingReplicaSet", message)
    }

    fn replace(&self, world: &World) -> Action {
        let action = Action::replace(self.object());
        let direction = match self.grows_by() {
            0 => return action.because("annotations"),
            n if n > 0 => "up",
            _ => "down",
        };
        let (name, from, to) = (self.name(), replicas::wanted(&self.rs), self.replicas);
        let message = format!("Scaled {direction} replica set {name} from {from} to {to}");
        let why = if direction == "up" {
            "scale up"
        } else {
            "scale down"
        };
        action
            .noting(&world.me, "ScalingReplicaSet", message)
            .because(why)
    }
}

/// The sum of counts, held at the end of the range: sizes are anybody's to write.
pub(super) fn sum(counts: impl Iterator<Item = i32>) -> i32 {
    counts.fold(0, i32::saturating_add)
}
