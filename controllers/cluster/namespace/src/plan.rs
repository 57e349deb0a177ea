//! What goes next (upstream: namespaced_resources_deleter.go, `deleteAllContent`).

use crate::{Content, FINALIZER, State, World};
use ::plan::{Action, Kind, Plan, Propagation, Reference};
use jiff::Timestamp;
use runtime::meta::Meta;
use std::time::Duration;

/// What was deleted without a grace period is gone by then.
const SOON: Duration = Duration::from_millis(200);
/// The longest time to the next look.
const LATE: Duration = Duration::from_secs(15);

/// Whether these are pods: they go first.
pub(crate) fn is_pods(kind: &Kind) -> bool {
    kind.group.is_empty() && kind.plural == "pods"
}

pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    let content = match &world.state {
        State::Settled => return plan,
        State::Early(at) => {
            plan.again(until(*at, world.now));
            return plan;
        }
        State::Going(content) => content,
    };
    if content.is_empty() {
        plan.then(vec![finalize(world)]);
        return plan;
    }
    let deletes = deletes(content);
    plan.again(if deletes.is_empty() {
        patience(world)
    } else {
        SOON
    });
    plan.then(deletes);
    plan
}

fn deletes(content: &Content) -> Vec<Action> {
    let pods_are_left = content.left.iter().any(|(kind, _)| is_pods(kind));
    let turn = content.left.iter();
    let turn = turn.filter(|(kind, _)| is_pods(kind) || !pods_are_left);
    let objects = turn.flat_map(|(kind, objects)| objects.iter().map(|o| (*kind, o)));
    let staying = objects.filter(|(_, object)| object.deletion_timestamp.is_none());
    staying.map(|(kind, object)| delete(kind, object)).collect()
}

fn delete(kind: Kind, object: &Meta) -> Action {
    let on = Reference {
        kind,
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        uid: object.uid.clone(),
    };
    Action::delete_ref(on)
        // No finalizer `orphan` for the kinds that have it by default.
        .with_propagation(Propagation::Background)
        .because("its namespace goes")
}

/// Takes our finalizer away.
fn finalize(world: &World) -> Action {
    let mut namespace = (*world.namespace).clone();
    if let Some(finalizers) = namespace.spec.as_mut().and_then(|s| s.finalizers.as_mut()) {
        finalizers.retain(|finalizer| finalizer != FINALIZER);
    }
    let mut action = Action::replace(namespace).because("nothing is in it");
    action.subresource = "finalize";
    action
}

/// A quarter of the time since it began: what hangs is asked for ever more rarely.
fn patience(world: &World) -> Duration {
    let deleted = world.namespace.metadata.deletion_timestamp.as_ref();
    let since = deleted.map_or(Duration::ZERO, |deleted| until(world.now, deleted.0));
    (since / 4).clamp(Duration::from_secs(1), LATE)
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}

impl Content {
    /// Whether nothing is in the namespace, for sure.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty() && self.unlisted.is_empty() && self.undiscovered.is_none()
    }

    /// Whether all that is left is on its way: what holds it up may be told.
    pub(crate) fn hangs(&self) -> bool {
        !self.is_empty() && deletes(self).is_empty()
    }
}
