//! Which slices are written: one for each IP family and each set of ports.

pub(crate) mod desired;

use crate::{MANAGED_BY, Mirrored, World, delete};
use ::plan::{Action, Note, Plan, Reference};
use desired::{Group, GroupKey, Skipped};
use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::endpoint::{
    self, MANAGED_BY_LABEL, SERVICE_NAME_LABEL, TRIGGER_TIME_ANNOTATION, same_beyond_hints,
};
use objects::{meta, names};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// `kubectl apply` keeps here what it applied to the Endpoints: not true of a slice.
const LAST_APPLIED_ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Decides.
pub(crate) fn plan(world: &World) -> Plan {
    match world {
        World::Unmirrored(slices) => {
            let mut plan = Plan::none();
            let why = "there is nothing to mirror";
            plan.then(slices.iter().map(|slice| delete(slice, why)).collect());
            plan
        }
        World::Mirrored(world) => mirror(world),
    }
}

/// What becomes of the slices. A draft in `update` has the name of the slice whose place it takes.
#[derive(Debug, Default)]
struct Drafts {
    create: Vec<EndpointSlice>,
    update: Vec<EndpointSlice>,
    delete: Vec<Arc<EndpointSlice>>,
}

/// `reconciler.go reconcile`
fn mirror(world: &Mirrored) -> Plan {
    let mut plan = Plan::none();
    let (groups, skipped) = desired::groups(world);
    if world.news {
        tell(&mut plan, world, &skipped);
    }
    let mut existing = by_group(sorted(&world.slices));
    let mut drafts = Drafts::default();
    for (key, group) in groups {
        let slices = existing.remove(&key).unwrap_or_default();
        let mut slices = slices.into_iter();
        match slices.next() {
            None => drafts
                .create
                .push(slice(&world.endpoints, &key, &group, None)),
            Some(old) => {
                let new = slice(&world.endpoints, &key, &group, Some(old));
                if !is_right(old, &new, &group) {
                    drafts.update.push(new);
                }
            }
        }
        // One slice holds a whole subset; others of these ports would only repeat it.
        drafts.delete.extend(slices.cloned());
    }
    let needless = existing.into_values().flatten();
    drafts.delete.extend(needless.cloned());
    reuse(&mut drafts);
    if meta::is_deleting(&world.endpoints.metadata) {
        drafts.create.clear();
    }
    write(&mut plan, drafts, world);
    plan
}

/// What could not be mirrored.
fn tell(plan: &mut Plan, world: &Mirrored, skipped: &Skipped) {
    let about = Reference::to(&*world.endpoints);
    if skipped.invalid > 0 {
        let message = format!(
            "Skipped {} invalid IP addresses when mirroring to EndpointSlices",
            skipped.invalid
        );
        plan.note(Note::warning(&about, "InvalidIPAddress", message));
    }
    if skipped.all > skipped.invalid {
        let message = format!(
            "A max of {} addresses can be mirrored to EndpointSlices per Endpoints subset. {} addresses were skipped",
            world.max, skipped.all
        );
        plan.note(Note::warning(&about, "TooManyAddressesToMirror", message));
    }
}

/// The slice of a group, in the place of an old one or with a name yet to be chosen (`utils.go newEndpointSlice`).
fn slice(
    endpoints: &Endpoints,
    (family, _): &GroupKey,
    group: &Group,
    old: Option<&Arc<EndpointSlice>>,
) -> EndpointSlice {
    let metadata = old.map_or_else(
        || ObjectMeta {
            namespace: endpoints.metadata.namespace.clone(),
            ..ObjectMeta::default()
        },
        |old| old.metadata.clone(),
    );
    EndpointSlice {
        metadata: ObjectMeta {
            labels: Some(labels(endpoints)),
            annotations: annotations(endpoints),
            owner_references: Some(vec![meta::owner_reference(
                "v1",
                "Endpoints",
                &endpoints.metadata,
            )]),
            ..metadata
        },
        address_type: family.clone(),
        endpoints: Some(group.endpoints.values().cloned().collect()),
        ports: Some(group.ports.clone()),
    }
}

/// The labels of the Endpoints, except that nobody may forge the two which say whose slice it is.
fn labels(endpoints: &Endpoints) -> BTreeMap<String, String> {
    let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
    let name = meta::name(&endpoints.metadata).to_owned();
    labels.insert(SERVICE_NAME_LABEL.to_owned(), name);
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    labels
}

fn annotations(endpoints: &Endpoints) -> Option<BTreeMap<String, String>> {
    let mut annotations = endpoints.metadata.annotations.clone()?;
    annotations.remove(TRIGGER_TIME_ANNOTATION);
    annotations.remove(LAST_APPLIED_ANNOTATION);
    Some(annotations).filter(|annotations| !annotations.is_empty())
}

/// Whether a slice says what it should, in whatever order, and belongs to these Endpoints and not to earlier ones of
/// the same name.
fn is_right(old: &EndpointSlice, new: &EndpointSlice, group: &Group) -> bool {
    let known = old.endpoints.as_deref().unwrap_or_default();
    let same = |endpoint: &Endpoint| {
        let wanted = group.endpoints.get(&endpoint::identity(endpoint));
        wanted.is_some_and(|wanted| same_beyond_hints(endpoint, wanted))
    };
    let identities: BTreeSet<_> = known.iter().map(endpoint::identity).collect();
    let annotations = |slice: &EndpointSlice| slice.metadata.annotations.clone();
    let owners = |slice: &EndpointSlice| {
        let owners = slice.metadata.owner_references.iter().flatten();
        let owners = owners.filter(|owner| owner.kind == "Endpoints");
        owners
            .map(|owner| owner.uid.clone())
            .collect::<BTreeSet<_>>()
    };
    known.len() == group.endpoints.len()
        && identities.len() == known.len()
        && known.iter().all(same)
        && old.metadata.labels == new.metadata.labels
        && annotations(old).unwrap_or_default() == annotations(new).unwrap_or_default()
        && owners(old) == owners(new)
}

/// A slice to be made takes the place of one of its family to be deleted (`reconciler_helpers.go recycleSlices`).
fn reuse(drafts: &mut Drafts) {
    let mut kept = Vec::new();
    for old in std::mem::take(&mut drafts.delete) {
        let is_alike = |draft: &EndpointSlice| draft.address_type == old.address_type;
        let Some(at) = drafts.create.iter().position(is_alike) else {
            kept.push(old);
            continue;
        };
        let draft = drafts.create.remove(at);
        drafts.update.push(EndpointSlice {
            metadata: ObjectMeta {
                labels: draft.metadata.labels,
                annotations: draft.metadata.annotations,
                owner_references: draft.metadata.owner_references,
                ..old.metadata.clone()
            },
            ..draft
        });
    }
    drafts.delete = kept;
}

/// New slices first and old ones last: no address is ever missing on the way.
fn write(plan: &mut Plan, drafts: Drafts, world: &Mirrored) {
    let about = Reference::to(&*world.endpoints);
    let warn = |action: Action| {
        let message = format!(
            "Error updating Endpoint Slices for Endpoints {}/{}",
            about.namespace, about.name
        );
        action.warning(&about, "FailedToUpdateEndpointSlices", message)
    };
    let base = format!("{}-", about.name);
    let taken: BTreeSet<&str> = world
        .slices
        .iter()
        .map(|slice| meta::name(&slice.metadata))
        .collect();
    let mut names = names::fresh(&base, world.seed, &taken);
    let creates = drafts.create.into_iter().map(|mut draft| {
        draft.metadata.name = names.next();
        warn(Action::create(draft))
    });
    plan.then(creates.collect());
    let updates = drafts.update.into_iter();
    plan.then(updates.map(|draft| warn(Action::replace(draft))).collect());
    let why = "no subset needs it";
    let deletes = drafts.delete.iter();
    plan.then(deletes.map(|slice| warn(delete(slice, why))).collect());
}

/// The slices by what they are for.
pub(crate) fn by_group(
    slices: Vec<&Arc<EndpointSlice>>,
) -> BTreeMap<GroupKey, Vec<&Arc<EndpointSlice>>> {
    let mut groups: BTreeMap<GroupKey, Vec<&Arc<EndpointSlice>>> = BTreeMap::new();
    for slice in slices {
        let ports = endpoint::port_key(slice.ports.as_deref().unwrap_or_default());
        let key = (slice.address_type.clone(), ports);
        groups.entry(key).or_default().push(slice);
    }
    groups
}

pub(crate) fn sorted(slices: &[Arc<EndpointSlice>]) -> Vec<&Arc<EndpointSlice>> {
    let mut sorted: Vec<_> = slices.iter().collect();
    sorted.sort_by_key(|slice| meta::name(&slice.metadata));
    sorted
}
