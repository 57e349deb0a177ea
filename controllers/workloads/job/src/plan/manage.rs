//! How many pods run: too many are deleted, or missing ones created, never both at once
//! (upstream: `manageJob`).

use super::backoff;
use super::count::{Count, FAILURES, IGNORED, Own, number};
use super::finalizers;
use super::indexes::Indexes;
use super::policy::{Meaning, meaning};
use crate::{COMPLETION_INDEX, FINALIZER, World};
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use objects::rank::{self, Ranked};
use objects::{meta, names, template};
use plan::{Action, Plan};
use std::collections::BTreeMap;
use std::time::Duration;

/// At most this many pods are created or deleted in one plan (upstream: `MaxPodCreateDeletePerSync`).
const BURST: usize = 500;
/// The most of a name before the suffix of five.
const NAME: usize = 58;
const INDEX_ENV: &str = "JOB_COMPLETION_INDEX";

/// Deletes what is too much, or creates what is missing.
pub(crate) fn manage(world: &World, count: &Count<'_>, plan: &mut Plan) {
    let active: Vec<&Own<'_>> = count.active().collect();
    let wanted = wanted(world, count, active.len());
    let surplus = surplus(world, &active, wanted);
    if !surplus.is_empty() {
        let tracked = surplus.iter().filter(|pod| finalizers::is_tracked(pod));
        plan.then(
            tracked
                .map(|pod| finalizers::release_unchanged(pod))
                .collect(),
        );
        plan.then(surplus.into_iter().map(|pod| delete(world, pod)).collect());
        return;
    }
    if world.spec.suspend {
        return;
    }
    let going = match world.spec.only_failed {
        true => count.terminating().count(),
        false => 0,
    };
    let missing = wanted.saturating_sub(active.len() + going).min(BURST);
    if missing > 0 {
        create_missing(world, count, missing, plan);
    }
}

/// How many pods are to run. A work queue is left to itself once a pod has succeeded.
fn wanted(world: &World, count: &Count<'_>, active: usize) -> usize {
    let parallelism = world.spec.parallelism as usize;
    match world.spec.completions {
        _ if world.spec.suspend => 0,
        None if count.succeeded > 0 => active,
        None => parallelism,
        Some(completions) => {
            let left = (i64::from(completions) - count.succeeded).max(0);
            parallelism.min(usize::try_from(left).unwrap_or_default())
        }
    }
}

/// The pods to delete: those that no index needs, and then those that hurt least
/// (upstream: `activePodsForRemoval`, `appendDuplicatedIndexPodsForRemoval`).
fn surplus<'a>(world: &World, active: &[&Own<'a>], wanted: usize) -> Vec<&'a Pod> {
    let at_least = active.len().saturating_sub(wanted);
    let (mut gone, mut left): (Vec<&Pod>, Vec<&Pod>) = (Vec::new(), Vec::new());
    if world.spec.indexed {
        let mut by_index: BTreeMap<i32, Vec<&Pod>> = BTreeMap::new();
        for own in active {
            match own.index.filter(|index| *index < world.spec.indexes()) {
                Some(index) => by_index.entry(index).or_default().push(own.pod),
                None => gone.push(own.pod),
            }
        }
        for mut same in by_index.into_values().map(|pods| ranked(world, pods)) {
            left.extend(same.pop());
            gone.extend(same);
        }
    } else {
        left.extend(active.iter().map(|own| &**own.pod));
    }
    if gone.len() < at_least {
        let more = at_least - gone.len();
        if more < left.len() {
            left = ranked(world, left);
        }
        gone.extend(left.into_iter().take(more));
    }
    gone.truncate(BURST);
    gone
}

/// In order of deletion.
fn ranked<'a>(world: &World, pods: Vec<&'a Pod>) -> Vec<&'a Pod> {
    if pods.len() < 2 {
        return pods;
    }
    let mut ranked: Vec<Ranked<'a>> = pods
        .into_iter()
        .map(|pod| Ranked { pod, rank: 0 })
        .collect();
    rank::deletion_order(&mut ranked, world.now());
    ranked.into_iter().map(|ranked| ranked.pod).collect()
}

/// Deletes a pod.
pub(crate) fn delete(world: &World, pod: &Pod) -> Action {
    let message = format!("Deleted pod: {}", meta::name(&pod.metadata));
    Action::delete(pod)
        .noting(&world.owner, "SuccessfulDelete", message)
        .warning(&world.owner, "FailedDelete", "Error deleting")
}

fn create_missing(world: &World, count: &Count<'_>, missing: usize, plan: &mut Plan) {
    if !world.spec.per_index() {
        let wait = backoff::wait(world);
        if !wait.is_zero() {
            plan.again(wait);
            return;
        }
    }
    if !world.spec.indexed {
        let pods = (0..missing as u64).map(|n| create(world, count, None, n));
        plan.then_ramp(pods.collect());
        return;
    }
    let mut waits = Vec::new();
    let mut pods = Vec::new();
    for (n, index) in free(world, count, missing).into_iter().enumerate() {
        let failed = count.delayed.get(&index);
        match failed.map_or(Duration::ZERO, |failed| backoff::wait_for(world, failed)) {
            Duration::ZERO => pods.push(create(world, count, Some(index), n as u64)),
            wait => waits.push(wait),
        }
    }
    plan.then_ramp(pods);
    if let Some(wait) = waits.into_iter().min() {
        plan.again(wait);
    }
}

/// The lowest indexes that nobody works on (upstream: `firstPendingIndexes`).
fn free(world: &World, count: &Count<'_>, most: usize) -> Vec<i32> {
    let mut taken = count
        .completed
        .union(&Indexes::of(count.active().filter_map(|own| own.index)));
    if world.spec.only_failed {
        taken = taken.union(&Indexes::of(
            count.terminating().filter_map(|own| own.index),
        ));
    }
    if let Some(failed) = &count.failed_indexes {
        taken = taken.union(failed);
    }
    taken.missing(world.spec.indexes(), most)
}

fn create(world: &World, count: &Count<'_>, index: Option<i32>, n: u64) -> Action {
    let owner = &world.owner;
    let base = base(&owner.name, index);
    let name = names::generate(&base, world.moment.seed, n);
    let template = &world.spec.template;
    let reference = &world.owner_reference;
    let mut pod = template::pod_from_template(template, reference, &owner.namespace, &name);
    // The name is ours to choose; this says where it comes from, as people and tools know it.
    pod.metadata.generate_name = Some(base);
    let finalizers = pod.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
    }
    if let Some(index) = index {
        give_index(world, count, index, &mut pod);
    }
    Action::create(pod)
        .noting(owner, "SuccessfulCreate", format!("Created pod: {name}"))
        .warning(owner, "FailedCreate", "Error creating")
}

/// `web-` or `web-3-`; of a long name the index stays (upstream: `podGenerateNameWithIndex`).
fn base(job: &str, index: Option<i32>) -> String {
    let end = index.map_or_else(|| "-".to_owned(), |index| format!("-{index}-"));
    if index.is_none() || job.len() + end.len() <= NAME {
        return format!("{job}{end}");
    }
    format!("{}{end}", &job[..job.floor_char_boundary(NAME - end.len())])
}

/// Tells a pod which completion it is for.
fn give_index(world: &World, count: &Count<'_>, index: i32, pod: &mut Pod) {
    let text = index.to_string();
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(COMPLETION_INDEX.to_owned(), text.clone());
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(COMPLETION_INDEX.to_owned(), text);
    if world.spec.per_index() {
        let (failures, ignored) = failures(world, count.delayed.get(&index).map(|pod| &***pod));
        annotations.insert(FAILURES.to_owned(), failures.to_string());
        if ignored > 0 {
            annotations.insert(IGNORED.to_owned(), ignored.to_string());
        }
    }
    let Some(spec) = pod.spec.as_mut() else {
        return;
    };
    spec.hostname = Some(format!("{}-{index}", world.owner.name));
    let init = spec.init_containers.iter_mut().flatten();
    spec.containers.iter_mut().chain(init).for_each(give_env);
}

/// How many pods of the index have failed before the one that takes the place of this
/// (upstream: `getNewIndexFailureCounts`).
fn failures(world: &World, replaced: Option<&Pod>) -> (i32, i32) {
    let Some(pod) = replaced else {
        return (0, 0);
    };
    let (failures, ignored) = (number(pod, FAILURES), number(pod, IGNORED));
    match meaning(world, pod) {
        Meaning::Ignored => (failures, ignored.saturating_add(1)),
        _ => (failures.saturating_add(1), ignored),
    }
}

fn give_env(container: &mut Container) {
    let env = container.env.get_or_insert_default();
    if env.iter().any(|variable| variable.name == INDEX_ENV) {
        return;
    }
    env.push(EnvVar {
        name: INDEX_ENV.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: format!("metadata.labels['{COMPLETION_INDEX}']"),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    });
}
