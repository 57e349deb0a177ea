//! One round: what is done to which pod, and for which pod all others wait.
//!
//! Upstream: `processReplica`, `processCondemned`, `updateStatefulSet`, `updateStatefulSetAfterInvariantEstablished` in
//! `stateful_set_control.go`.

use super::claims::{Block, Holder};
use super::revisions::{self, Revision, Revisions};
use super::{healing, pods};
use crate::identity;
use crate::world::{Settings, Strategy, World};
use ::plan::{Action, Note, Plan};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use objects::{meta, pod};
use std::collections::BTreeSet;
use std::time::Duration;

/// A pod that has failed is not made again before it has had this age: a node that refuses it will refuse the next
/// one too.
const AGE: SignedDuration = SignedDuration::from_secs(2);

/// A round in the making.
pub(super) struct Round<'a> {
    world: &'a World,
    settings: &'a Settings,
    revisions: &'a Revisions,
    /// The ordinals of the pods that this round deletes.
    leaving: BTreeSet<i64>,
    claims: Vec<Action>,
    mends: Vec<Action>,
    creates: Vec<Action>,
    deletes: Vec<Action>,
    notes: Vec<Note>,
    again: Option<Duration>,
}

/// Whether the next pod may be looked at under `OrderedReady`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Go,
    Wait,
}

impl<'a> Round<'a> {
    pub(super) fn new(world: &'a World, settings: &'a Settings, revisions: &'a Revisions) -> Self {
        Self {
            world,
            settings,
            revisions,
            leaving: BTreeSet::new(),
            claims: Vec::new(),
            mends: Vec::new(),
            creates: Vec::new(),
            deletes: Vec::new(),
            notes: Vec::new(),
            again: None,
        }
    }

    pub(super) fn go(mut self) -> Self {
        // Each part comes when the part before it has nothing to wait for.
        if self.keep_all() == Next::Go && self.shrink() == Next::Go {
            self.update();
        }
        self
    }

    /// A pod's claims come before it; what a deletion depends on comes before that.
    pub(super) fn write(self, plan: &mut Plan) {
        plan.then_ramp(self.claims);
        plan.then(self.mends);
        plan.then_ramp(self.creates);
        plan.then(self.deletes);
        for note in self.notes {
            plan.note(note);
        }
        if let Some(delay) = self.again {
            plan.again(delay);
        }
    }

    // === the pods that are wanted ===

    fn keep_all(&mut self) -> Next {
        let (world, settings) = (self.world, self.settings);
        let mut missing = world.missing(settings).peekable();
        for (ordinal, pod) in world.pods.range(settings.ordinals.clone()) {
            let is_preceded = missing.peek().is_some_and(|missing| missing < ordinal);
            if !settings.parallel && is_preceded {
                break;
            }
            if self.keep(*ordinal, pod) == Next::Wait && !settings.parallel {
                return Next::Wait;
            }
        }
        let mut next = Next::Go;
        for ordinal in missing {
            self.create(ordinal);
            next = Next::Wait;
        }
        if settings.parallel { Next::Go } else { next }
    }

    fn create(&mut self, ordinal: i64) {
        let holder = Holder::new(self.world, self.settings, ordinal, None);
        match holder.block() {
            Some(Block::Stale) => return,
            Some(Block::Going(claim)) => {
                let name = identity::pod_name(&self.world.owner.name, ordinal);
                let message = pods::failed(self.world, "Create", &name);
                let message = format!("{message}: pvc {claim} is being deleted");
                let note = Note::warning(&self.world.owner, "FailedCreate", message);
                self.notes.push(note);
                return;
            }
            None => {}
        }
        self.claims.extend(holder.create_missing());
        self.mends.extend(holder.retain().0);
        self.notes.extend(holder.conflicts());
        let revision = self.wanted(ordinal);
        self.creates
            .push(pods::create(self.world, ordinal, revision));
    }

    /// Looks after a pod that is there.
    fn keep(&mut self, ordinal: i64, pod: &Pod) -> Next {
        let is_going = meta::is_deleting(&pod.metadata);
        if pod::is_terminal(pod) {
            if !is_going {
                self.replace_ended(ordinal, pod);
            }
            return Next::Wait;
        }
        if is_going {
            return Next::Wait;
        }
        let is_pending = pod::phase(pod) == "Pending";
        if is_pending {
            self.mend_claims(ordinal, pod);
        }
        if self.is_hopeless(ordinal, pod) {
            let why = "broken, and of a revision that is not wanted";
            self.deletes
                .push(of_this_version(pods::delete(self.world, pod, why), pod));
            self.leaving.insert(ordinal);
            return Next::Wait;
        }
        if !self.settings.parallel && !self.is_available(pod) {
            return Next::Wait;
        }
        let identity = pods::identify(self.world, ordinal, pod);
        self.mends.extend(identity);
        if !is_pending {
            self.mend_claims(ordinal, pod);
        }
        Next::Go
    }

    /// Whether it ended well or not: a pod that was evicted may have ended either way.
    fn replace_ended(&mut self, ordinal: i64, pod: &Pod) {
        let age = meta::created(&pod.metadata).map(|at| self.world.now.duration_since(at));
        if let Some(age) = age.filter(|age| *age < AGE) {
            self.look_again(AGE - age);
        } else {
            self.delete(ordinal, pod, "it has ended");
        }
    }

    /// Claims that are missing (a pod that runs has mounted them, so nobody can help it), and their owners.
    fn mend_claims(&mut self, ordinal: i64, pod: &Pod) {
        let holder = Holder::new(self.world, self.settings, ordinal, Some(pod));
        if !pods::has_its_volumes(self.world, ordinal, pod) {
            let name = identity::pod_name(&self.world.owner.name, ordinal);
            let message = pods::failed(self.world, "Update", &name);
            let message = format!(
                "{message}: spec.volumes: they are not those of volumeClaimTemplates, and a pod's cannot change"
            );
            let note = Note::warning(&self.world.owner, "FailedUpdate", message);
            self.notes.push(note);
        } else if pod::phase(pod) == "Pending" {
            self.claims.extend(holder.create_missing());
        }
        let (actions, notes) = holder.retain();
        self.mends.extend(actions);
        self.notes.extend(notes);
    }

    /// See [`healing`].
    fn is_hopeless(&mut self, ordinal: i64, pod: &Pod) -> bool {
        let is_wanted = revisions::of_pod(pod) == Some(self.wanted(ordinal).name.as_str());
        if is_wanted || self.settings.strategy == Strategy::OnDelete {
            return false;
        }
        match healing::broken_at(pod) {
            Some(at) if at <= self.world.now => true,
            Some(at) => {
                self.look_again(at.duration_since(self.world.now));
                false
            }
            None => false,
        }
    }

    /// The revision that the pod of this ordinal would be made from now (upstream: `newVersionedStatefulSetPod`).
    fn wanted(&self, ordinal: i64) -> &'a Revision {
        let Revisions {
            current, update, ..
        } = self.revisions;
        let stays = match self.settings.strategy {
            Strategy::OnDelete => false,
            Strategy::RollingUpdate {
                partition: Some(partition),
                ..
            } => ordinal - self.settings.ordinals.start < partition,
            // The update comes from above and has not come so far. (Upstream counts the pods of the current revision.)
            Strategy::RollingUpdate { .. } => {
                let above = self
                    .world
                    .pods
                    .range(ordinal.saturating_add(1)..self.settings.ordinals.end.max(ordinal + 1));
                let is_old = |pod: &Pod| revisions::of_pod(pod) == Some(current.name.as_str());
                above
                    .into_iter()
                    .any(|(_, pod)| is_old(pod) && self.is_available(pod))
            }
        };
        if stays { current } else { update }
    }

    // === the pods that are too many ===

    fn shrink(&mut self) -> Next {
        let (world, settings) = (self.world, self.settings);
        for (ordinal, pod) in world.condemned(settings) {
            let holder = Holder::new(world, settings, ordinal, Some(pod));
            let (actions, notes) = holder.retain();
            self.mends.extend(actions);
            self.notes.extend(notes);
        }
        let unavailable = world
            .condemned(settings)
            .filter(|(_, pod)| !self.is_available(pod));
        let first_unavailable = unavailable.last().map(|(ordinal, _)| ordinal);
        for (ordinal, pod) in world.condemned(settings) {
            let is_going = meta::is_deleting(&pod.metadata);
            if !settings.parallel {
                // A pod goes when those before it are well, so that they can take over what it has.
                let may_go = self.is_available(pod) || first_unavailable == Some(ordinal);
                if !is_going && may_go {
                    self.delete(ordinal, pod, "one too many");
                }
                return Next::Wait;
            }
            if !is_going {
                self.delete(ordinal, pod, "one too many");
            }
        }
        Next::Go
    }

    // === the pods of another revision ===

    fn update(&mut self) {
        let Strategy::RollingUpdate {
            partition,
            max_unavailable,
        } = self.settings.strategy
        else {
            return;
        };
        let ordinals = &self.settings.ordinals;
        let from = (ordinals.start + partition.unwrap_or(0)).min(ordinals.end);
        match max_unavailable {
            None => self.update_one(from..ordinals.end),
            Some(most) => self.update_some(from..ordinals.end, most),
        }
    }

    /// The highest that is not updated, if all above it are available.
    fn update_one(&mut self, ordinals: std::ops::Range<i64>) {
        for ordinal in ordinals.rev() {
            let Some(pod) = self.staying(ordinal) else {
                return;
            };
            if self.is_old(pod) {
                self.delete(ordinal, pod, "of an old revision");
                return;
            }
            if !self.is_available(pod) {
                return;
            }
        }
    }

    /// The highest that are not updated, as long as no more than `most` are unavailable.
    fn update_some(&mut self, ordinals: std::ops::Range<i64>, most: i64) {
        let all = self.world.pods.range(self.settings.ordinals.clone());
        let available = all
            .filter(|(ordinal, pod)| !self.leaving.contains(ordinal) && self.is_available(pod))
            .count();
        let unavailable = self.settings.replicas() - available as i64;
        let room = usize::try_from(most - unavailable).unwrap_or(0);
        let candidates = self.world.pods.range(ordinals).rev();
        let old: Vec<_> = candidates
            .filter(|(ordinal, pod)| self.staying(**ordinal).is_some() && self.is_old(pod))
            .take(room)
            .collect();
        for (ordinal, pod) in old {
            self.delete(*ordinal, pod, "of an old revision");
        }
    }

    // === questions ===

    /// The pod of this ordinal, unless it has ended or is on its way out.
    fn staying(&self, ordinal: i64) -> Option<&'a Pod> {
        let pod = self.world.pods.get(&ordinal)?;
        (pod::is_active(pod) && !self.leaving.contains(&ordinal)).then_some(pod)
    }

    fn is_old(&self, pod: &Pod) -> bool {
        revisions::of_pod(pod) != Some(self.revisions.update.name.as_str())
    }

    fn is_available(&self, pod: &Pod) -> bool {
        pod::phase(pod) == "Running"
            && !meta::is_deleting(&pod.metadata)
            && pod::is_available(pod, self.settings.min_ready_seconds, self.world.now)
    }

    fn delete(&mut self, ordinal: i64, pod: &Pod, why: &'static str) {
        self.deletes.push(pods::delete(self.world, pod, why));
        self.leaving.insert(ordinal);
    }

    fn look_again(&mut self, after: SignedDuration) {
        let after = Duration::try_from(after).unwrap_or_default();
        self.again = Some(self.again.map_or(after, |again| again.min(after)));
    }
}

/// Deletes the pod only as it was seen: if it has become ready since, it is not broken.
fn of_this_version(mut action: Action, pod: &Pod) -> Action {
    if let ::plan::Verb::Delete {
        resource_version, ..
    } = &mut action.verb
    {
        resource_version.clone_from(&pod.metadata.resource_version);
    }
    action
}
