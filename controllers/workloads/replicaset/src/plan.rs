//! What to do about one ReplicaSet or ReplicationController. Pure.

mod failures;

use crate::{PodSet, World};
use k8s_openapi::api::core::v1::Pod;
use objects::rank::{self, Ranked};
use objects::{Selector, names, pod, template};
use plan::{Action, Claim, Note, Plan};
use std::sync::Arc;

/// At most this many pods are created or deleted in one plan (upstream: `BurstReplicas`).
const BURST: usize = 500;

/// Adopts and releases, then creates what is missing or deletes what is too much.
pub(crate) fn plan<K: PodSet>(world: &World<K>) -> Plan {
    let mut plan = Plan::none();
    let selector = match &world.selector {
        Ok(selector) => selector,
        Err(error) => {
            let message = format!("spec.selector: {error}");
            plan.note(Note::warning(&world.owner, "InvalidSelector", message));
            return plan;
        }
    };
    if world.is_going() {
        return plan;
    }
    let claimed = claim(world, selector);
    plan.then(claimed.patches);

    let wanted = world.replicas as usize;
    let have = claimed.pods.len();
    if have < wanted {
        match failures::wait(world) {
            None => {
                let missing = (wanted - have).min(BURST);
                plan.then_ramp((0..missing).map(|n| create(world, n as u64)).collect());
            }
            Some(delay) => {
                plan.again(delay);
            }
        }
    } else if have > wanted {
        let surplus = (have - wanted).min(BURST);
        plan.then(
            victims(world, &claimed.pods, surplus)
                .map(|pod| delete(world, pod))
                .collect(),
        );
    }
    if let Some(at) = next_available(world, &claimed.pods) {
        plan.again((at - world.now()).try_into().unwrap_or_default());
    }
    plan
}

/// The active pods of a set, and what makes them so.
pub(crate) struct Claimed<'a> {
    pub(crate) pods: Vec<&'a Arc<Pod>>,
    patches: Vec<Action>,
}

/// Which of the active pods are its own (upstream: controller_ref_manager.go, `ClaimPods`).
pub(crate) fn claim<'a, K: PodSet>(world: &'a World<K>, selector: &Selector) -> Claimed<'a> {
    let mut claimed = Claimed {
        pods: Vec::new(),
        patches: Vec::new(),
    };
    for pod in world.pods.iter().filter(|pod| pod::is_active(pod)) {
        let matches = selector.matches(pod.metadata.labels.as_ref());
        match Claim::of(world.set.metadata(), &pod.metadata, matches) {
            Claim::Keep => claimed.pods.push(pod),
            Claim::Adopt => {
                claimed.pods.push(pod);
                let adopt = Action::adopt(&**pod, &world.owner, &world.owner_reference);
                claimed.patches.push(adopt);
            }
            Claim::Release => {
                let release = Action::release(&**pod, &world.owner.uid);
                claimed.patches.push(release);
            }
            Claim::Ignore => {}
        }
    }
    claimed
}

fn create<K: PodSet>(world: &World<K>, n: u64) -> Action {
    let owner = &world.owner;
    let base = format!("{}-", owner.name);
    let name = names::generate(&base, world.moment.seed, n);
    let mut pod = template::pod_from_template(
        &world.template,
        &world.owner_reference,
        &owner.namespace,
        &name,
    );
    // The name is ours to choose; this says where it comes from, as people and tools know it.
    pod.metadata.generate_name = Some(base);
    Action::create(pod)
        .noting(owner, "SuccessfulCreate", format!("Created pod: {name}"))
        .warning(owner, "FailedCreate", "Error creating")
}

fn delete<K: PodSet>(world: &World<K>, pod: &Pod) -> Action {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    Action::delete(pod)
        .noting(
            &world.owner,
            "SuccessfulDelete",
            format!("Deleted pod: {name}"),
        )
        .warning(&world.owner, "FailedDelete", "Error deleting")
}

/// The pods that go first.
fn victims<'a, K: PodSet>(
    world: &World<K>,
    pods: &[&'a Arc<Pod>],
    surplus: usize,
) -> impl Iterator<Item = &'a Pod> {
    let mut ranked: Vec<Ranked<'a>> = pods
        .iter()
        .map(|pod| Ranked {
            pod,
            rank: pod::node_name(pod)
                .and_then(|node| world.neighbours.get(node))
                .copied()
                .unwrap_or_default(),
        })
        .collect();
    if surplus < ranked.len() {
        rank::deletion_order(&mut ranked, world.now());
    }
    ranked.into_iter().take(surplus).map(|ranked| ranked.pod)
}

/// When the next pod that is ready becomes available, so that the status says so in time
/// (upstream: controller_utils.go, `FindMinNextPodAvailabilityCheck`).
fn next_available<K: PodSet>(world: &World<K>, pods: &[&Arc<Pod>]) -> Option<jiff::Timestamp> {
    let min_ready = world.min_ready_seconds;
    let waiting = pods
        .iter()
        .filter(|pod| !pod::is_available(pod, min_ready, world.now()));
    waiting
        .filter_map(|pod| pod::available_at(pod, min_ready))
        .min()
}
