//! Which slices are written: a group of slices for each IP family and each set of ports, packed apart.

mod desired;
mod hints;
mod pack;
pub(crate) mod topology;

use crate::{MANAGED_BY, MANAGED_BY_LABEL, Routing, SERVICE_NAME_LABEL, Selecting, World};
use ::plan::{Action, Note, NoteType, Plan, Reference};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::endpoint::{self, Family, PortKey, TRIGGER_TIME_ANNOTATION};
use objects::{meta, names};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Decides.
pub(crate) fn plan(world: &World) -> Plan {
    match world {
        World::NotOurs => Plan::none(),
        World::Resting(rest) => {
            let mut plan = Plan::none();
            plan.again(*rest);
            plan
        }
        World::Selecting(world) => slices(world),
    }
}

/// What becomes of the slices of one family. Drafts are slices as they should be; one in `update` has the name of the
/// slice whose place it takes.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    pub(crate) create: Vec<EndpointSlice>,
    pub(crate) update: Vec<EndpointSlice>,
    pub(crate) unchanged: Vec<Arc<EndpointSlice>>,
    pub(crate) delete: Vec<Arc<EndpointSlice>>,
    /// The earliest change of readiness that these drafts make known.
    pub(crate) trigger: Option<Timestamp>,
}

/// `reconciler.go Reconcile`
fn slices(world: &Selecting) -> Plan {
    let service = &*world.service;
    let families = endpoint::families(service);
    let mut plan = Plan::none();
    let mut all = Drafts::default();
    for family in &families {
        let mut drafts = family_drafts(world, *family);
        let note = prefer(world, *family, &mut drafts);
        reuse(&mut drafts, service);
        drop_needless(&mut drafts, world);
        let writes = drafts.create.len() + drafts.update.len() + drafts.delete.len();
        if let Some(note) = note.filter(|_| world.news || writes > 0) {
            plan.note(note);
        }
        all.create.append(&mut drafts.create);
        all.update.append(&mut drafts.update);
        all.delete.append(&mut drafts.delete);
        all.trigger = earlier(all.trigger, drafts.trigger);
    }
    let strange = world.slices.iter().filter(|slice| {
        !families
            .iter()
            .any(|family| family.as_str() == slice.address_type)
    });
    all.delete.extend(strange.cloned());
    if !world.slices.iter().any(|slice| is_owned(slice, service)) {
        all.trigger = meta::created(&service.metadata);
    }
    write(&mut plan, all, world);
    plan
}

/// `reconciler.go reconcileByAddressType`, up to hints
fn family_drafts(world: &Selecting, family: Family) -> Drafts {
    let service = &*world.service;
    let mut drafts = Drafts::default();
    let mut existing: BTreeMap<PortKey, Vec<&Arc<EndpointSlice>>> = BTreeMap::new();
    for slice in sorted(&world.slices) {
        if slice.address_type != family.as_str() {
            continue;
        }
        if is_owned(slice, service) {
            let key = endpoint::port_key(slice.ports.as_deref().unwrap_or_default());
            existing.entry(key).or_default().push(slice);
        } else {
            // Of an earlier Service of this name, and so for the garbage collector: it must not answer for this one.
            drafts.delete.push(slice.clone());
        }
    }
    for (key, group) in desired::groups(world, family) {
        let slices = existing.remove(&key).unwrap_or_default();
        let new = || bare(service, family, group.ports.clone());
        pack::pack(&mut drafts, &slices, group.endpoints, world, new);
    }
    drafts
        .delete
        .extend(existing.into_values().flatten().cloned());
    if drafts.create.is_empty() && drafts.update.is_empty() && drafts.unchanged.is_empty() {
        drafts.create.push(bare(service, family, Vec::new()));
    }
    drafts
}

/// Sets hints and says what there is to say about it.
fn prefer(world: &Selecting, family: Family, drafts: &mut Drafts) -> Option<Note> {
    let hinted = world.slices.iter().any(|slice| hints::any(slice));
    let (note_type, reason, message) = match &world.routing {
        Routing::Auto(shares) => {
            let assigned = match shares {
                Ok(shares) => topology::assign(drafts, shares),
                Err(why) => Err((*why).to_owned()),
            };
            match assigned {
                Ok(()) if hinted => return None,
                Ok(()) => (
                    NoteType::Normal,
                    "TopologyAwareHintsEnabled",
                    "Topology Aware Hints has been enabled".to_owned(),
                ),
                Err(why) => {
                    hints::set(drafts, &Routing::Anywhere);
                    (NoteType::Warning, "TopologyAwareHintsDisabled", why)
                }
            }
        }
        routing => {
            hints::set(drafts, routing);
            if !(world.was_auto && hinted) {
                return None;
            }
            (
                NoteType::Warning,
                "TopologyAwareHintsDisabled",
                "Topology Aware Hints has been disabled".to_owned(),
            )
        }
    };
    let message = format!("{message}, addressType: {}", family.as_str());
    Some(Note::new(
        &Reference::to(&*world.service),
        note_type,
        reason,
        message,
    ))
}

/// A slice to be made takes the place of one to be deleted: one write, and one thing to learn for each node
/// (`reconciler.go finalize`). Empty ones are taken first, so that a placeholder stays what it is.
fn reuse(drafts: &mut Drafts, service: &Service) {
    let is_bare =
        |slice: &EndpointSlice| slice.ports.as_ref().is_none_or(Vec::is_empty) && count(slice) == 0;
    drafts.delete.sort_by_key(|slice| !is_bare(slice));
    let mut kept = Vec::new();
    for old in std::mem::take(&mut drafts.delete) {
        match drafts.create.pop_if(|_| is_owned(&old, service)) {
            Some(draft) => drafts.update.push(EndpointSlice {
                metadata: ObjectMeta {
                    labels: draft.metadata.labels,
                    ..old.metadata.clone()
                },
                ..draft
            }),
            None => kept.push(old),
        }
    }
    drafts.delete = kept;
}

/// Updates that would change nothing, and creations for a Service that is on its way out: the garbage collector
/// would have to run after them.
fn drop_needless(drafts: &mut Drafts, world: &Selecting) {
    let existing = world
        .slices
        .iter()
        .map(|slice| (meta::name(&slice.metadata), &**slice));
    let existing: BTreeMap<_, _> = existing.collect();
    drafts.update.retain(|draft| {
        existing.get(meta::name(&draft.metadata)).is_none_or(|old| {
            old.metadata.labels != draft.metadata.labels
                || old.endpoints.as_deref().unwrap_or_default()
                    != draft.endpoints.as_deref().unwrap_or_default()
                || old.ports.as_deref().unwrap_or_default()
                    != draft.ports.as_deref().unwrap_or_default()
        })
    });
    if meta::is_deleting(&world.service.metadata) {
        drafts.create.clear();
    }
}

/// New slices first and old ones last: no endpoint is ever missing on the way.
fn write(plan: &mut Plan, drafts: Drafts, world: &Selecting) {
    let about = Reference::to(&*world.service);
    let key = format!("{}/{}", about.namespace, about.name);
    let warn = |action: Action| {
        let message = format!("Error updating Endpoint Slices for Service {key}");
        action.warning(&about, "FailedToUpdateEndpointSlices", message)
    };
    let base = format!("{}-", about.name);
    let taken: BTreeSet<&str> = world
        .slices
        .iter()
        .map(|s| meta::name(&s.metadata))
        .collect();
    let mut names = names::fresh(&base, world.seed, &taken);
    let creates = drafts.create.into_iter().map(|mut draft| {
        draft.metadata.name = names.next();
        warn(Action::create(triggered(draft, drafts.trigger)))
    });
    plan.then(creates.collect());
    let updates = drafts.update.into_iter();
    let updates = updates.map(|draft| warn(Action::replace(triggered(draft, drafts.trigger))));
    plan.then(updates.collect());
    plan.then(
        drafts
            .delete
            .iter()
            .map(|slice| warn(Action::delete(&**slice)))
            .collect(),
    );
}

/// `utils.go addTriggerTimeAnnotation`
fn triggered(mut slice: EndpointSlice, trigger: Option<Timestamp>) -> EndpointSlice {
    let annotations = slice.metadata.annotations.get_or_insert_default();
    match trigger {
        Some(time) => annotations.insert(TRIGGER_TIME_ANNOTATION.to_owned(), time.to_string()),
        None => annotations.remove(TRIGGER_TIME_ANNOTATION),
    };
    if annotations.is_empty() {
        slice.metadata.annotations = None;
    }
    slice
}

/// A slice without endpoints (`utils.go newEndpointSlice`); its name is chosen when it is written.
fn bare(service: &Service, family: Family, ports: Vec<EndpointPort>) -> EndpointSlice {
    EndpointSlice {
        metadata: ObjectMeta {
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels(service)),
            owner_references: Some(vec![meta::owner_reference(
                "v1",
                "Service",
                &service.metadata,
            )]),
            ..ObjectMeta::default()
        },
        address_type: family.as_str().to_owned(),
        endpoints: Some(Vec::new()),
        ports: Some(ports),
    }
}

/// The Service's labels, except that nobody may forge the three which say whose slice it is
/// (`utils.go setEndpointSliceLabels`).
fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = endpoint::labels(service, (MANAGED_BY_LABEL, MANAGED_BY));
    let name = meta::name(&service.metadata).to_owned();
    labels.insert(SERVICE_NAME_LABEL.to_owned(), name);
    labels
}

/// `utils.go ownedBy`
pub(crate) fn is_owned(slice: &EndpointSlice, service: &Service) -> bool {
    let owners = slice.metadata.owner_references.iter().flatten();
    let uid = meta::uid(&service.metadata);
    owners
        .into_iter()
        .any(|owner| owner.uid == uid && owner.kind == "Service")
}

fn sorted(slices: &[Arc<EndpointSlice>]) -> Vec<&Arc<EndpointSlice>> {
    let mut sorted: Vec<_> = slices.iter().collect();
    sorted.sort_by_key(|slice| meta::name(&slice.metadata));
    sorted
}

pub(crate) fn count(slice: &EndpointSlice) -> usize {
    slice.endpoints.as_ref().map_or(0, Vec::len)
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    [a, b].into_iter().flatten().min()
}

#[cfg(test)]
pub(crate) mod tests;
