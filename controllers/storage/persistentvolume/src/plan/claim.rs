//! A claim: find it a volume, or somebody who makes one.

use super::of_version;
use crate::claims::{ClaimWorld, Class, Named};
use crate::migration::{IN_TREE, driver};
use crate::reference_of;
use ::plan::{Action, Note, NoteType, PatchType, Plan, Reference};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use objects::meta;
use objects::volume::{self, Wish};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How soon the API server is asked again for what a cache does not show.
const SOON: Duration = Duration::from_secs(1);

/// What a claim has to expect.
#[derive(Clone, Debug)]
pub(crate) enum Course {
    /// It gets this volume, or has it.
    Bind(Arc<PersistentVolume>),
    /// It waits, for the reason in the event.
    Wait(Note),
    /// It waits for a volume that it names and that is not there yet, or goes without one: there is nothing to say.
    Pending,
    /// It gets the default class.
    Classify(String),
    /// This one is to make a volume for it.
    Provision(String),
    /// It had a volume, which is gone: reason and message.
    Lost(&'static str, &'static str),
    /// Nothing can be said yet.
    Ask,
}

/// Decides.
pub fn plan(world: &ClaimWorld) -> Plan {
    let mut plan = Plan::none();
    let claim = &*world.claim;
    if let Some(patch) = migrate(claim) {
        plan.then(vec![patch]);
        return plan;
    }
    match Course::of(world) {
        Course::Bind(volume) => {
            // The volume first: it is the one that two claims may want.
            plan.then(bind_volume(&volume, claim).into_iter().collect());
            plan.then(bind_claim(claim, &volume).into_iter().collect());
        }
        Course::Wait(note) => {
            plan.note(note);
        }
        Course::Classify(class) => {
            let body = of_version(
                &claim.metadata,
                json!({ "spec": { "storageClassName": class } }),
            );
            let patch = Action::patch(Reference::to(claim), PatchType::Merge, body);
            plan.then(vec![patch.because("it gets the default class")]);
        }
        Course::Provision(provisioner) => provision(claim, &provisioner, &mut plan),
        Course::Ask => {
            plan.again(SOON);
        }
        Course::Pending | Course::Lost(..) => {}
    }
    plan
}

impl Course {
    pub(crate) fn of(world: &ClaimWorld) -> Self {
        let claim = &*world.claim;
        if volume::is_marked(&claim.metadata, volume::BIND_COMPLETED) {
            return bound(world);
        }
        let wish = match Wish::of(claim) {
            Ok(wish) => wish,
            Err(error) => {
                let message = format!("spec.selector: {error}");
                return wait(claim, NoteType::Warning, "FailedBinding", message);
            }
        };
        match &world.named {
            Named::None if meta::is_deleting(&claim.metadata) => Self::Pending,
            Named::None => unbound(world, &wish),
            Named::Is(volume) => requested(claim, volume, &wish),
            Named::Gone | Named::Unknown => Self::Pending,
        }
    }
}

/// A claim that was bound once (upstream: `syncBoundClaim`).
fn bound(world: &ClaimWorld) -> Course {
    const REFERENCE: &str =
        "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!";
    const VOLUME: &str = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
    const OTHER: &str = "Two claims are bound to the same volume, this one is bound incorrectly";
    match &world.named {
        Named::None => Course::Lost("ClaimLost", REFERENCE),
        Named::Gone => Course::Lost("ClaimLost", VOLUME),
        Named::Unknown => Course::Ask,
        Named::Is(volume) => match reference_of(volume) {
            Some(reference) if reference.uid != world.claim.metadata.uid => {
                Course::Lost("ClaimMisbound", OTHER)
            }
            _ => Course::Bind(volume.clone()),
        },
    }
}

/// A claim that names the volume that it wants.
fn requested(
    claim: &PersistentVolumeClaim,
    volume: &Arc<PersistentVolume>,
    wish: &Wish<'_>,
) -> Course {
    let name = meta::name(&volume.metadata);
    if volume::is_bound_to(volume, claim) {
        return Course::Bind(volume.clone());
    }
    if reference_of(volume).is_some() {
        let message = format!("volume {name:?} already bound to a different claim.");
        return wait(claim, NoteType::Warning, "FailedBinding", message);
    }
    match wish.check(volume) {
        Ok(()) => Course::Bind(volume.clone()),
        Err(why) => {
            let message = format!("Cannot bind to requested volume {name:?}: {why}");
            wait(claim, NoteType::Warning, "VolumeMismatch", message)
        }
    }
}

/// A claim that takes any volume that will do.
fn unbound(world: &ClaimWorld, wish: &Wish<'_>) -> Course {
    let claim = &*world.claim;
    if let Some(volume) = wish.reserved(&world.volumes) {
        return Course::Bind(volume.clone());
    }
    let delayed = matches!(&world.class, Class::Is(class) if volume::waits_for_consumer(class));
    if !delayed && let Some(volume) = wish.best(&world.volumes) {
        return Course::Bind(volume.clone());
    }
    if let Some(class) = world
        .default_class
        .as_ref()
        .filter(|_| !volume::has_class(claim))
    {
        return Course::Classify(class.clone());
    }
    if delayed && !volume::is_marked(&claim.metadata, volume::SELECTED_NODE) {
        return wait_for_consumer(world);
    }
    let why = match &world.class {
        Class::None => {
            let message =
                "no persistent volumes available for this claim and no storage class is set";
            return wait(claim, NoteType::Normal, "FailedBinding", message.to_owned());
        }
        Class::Missing(name) => format!("storageclass.storage.k8s.io {name:?} not found"),
        Class::Is(class) => match provisioner(class) {
            Ok(provisioner) => return Course::Provision(provisioner.to_owned()),
            Err(why) => why,
        },
    };
    wait(claim, NoteType::Warning, "ProvisioningFailed", why)
}

fn wait_for_consumer(world: &ClaimWorld) -> Course {
    let pods = &world.unscheduled;
    let (reason, message) = match &pods[..] {
        [] => (
            "WaitForFirstConsumer",
            "waiting for first consumer to be created before binding".to_owned(),
        ),
        [pod] => (
            "WaitForPodScheduled",
            format!("waiting for pod {pod} to be scheduled"),
        ),
        _ => (
            "WaitForPodScheduled",
            format!("waiting for pods {} to be scheduled", pods.join(",")),
        ),
    };
    wait(&world.claim, NoteType::Normal, reason, message)
}

/// Who makes volumes of this class; nobody here does.
fn provisioner(class: &StorageClass) -> Result<&str, String> {
    let name = class.provisioner.as_str();
    match driver(name) {
        Some(driver) => Ok(driver),
        None if name.starts_with(IN_TREE) => Err(format!("no volume plugin matched name: {name}")),
        None => Ok(name),
    }
}

fn wait(
    claim: &PersistentVolumeClaim,
    kind: NoteType,
    reason: &'static str,
    message: String,
) -> Course {
    Course::Wait(Note::new(&Reference::to(claim), kind, reason, message))
}

/// Writes into the volume whose it is (upstream: `GetBindVolumeToClaim`).
fn bind_volume(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<Action> {
    let of = &claim.metadata;
    let uid = reference_of(volume).and_then(|reference| reference.uid.as_deref());
    let ours = volume::is_bound_to(volume, claim);
    if ours && uid == of.uid.as_deref() {
        return None;
    }
    let reference = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "namespace": of.namespace, "name": of.name, "uid": of.uid, "resourceVersion": of.resource_version,
    });
    let mut body = json!({ "spec": { "claimRef": reference } });
    if !ours {
        body["metadata"]["annotations"] = json!({ volume::BOUND_BY_CONTROLLER: "yes" });
    }
    let body = of_version(&volume.metadata, body);
    let patch = Action::patch(Reference::to(volume), PatchType::Merge, body);
    Some(patch.because("it is given to the claim"))
}

/// Writes into the claim which volume it has.
fn bind_claim(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Option<Action> {
    let (name, marked) = (meta::name(&volume.metadata), |mark| {
        volume::is_marked(&claim.metadata, mark)
    });
    let names = volume::volume_of(claim) == name;
    if names && marked(volume::BIND_COMPLETED) {
        return None;
    }
    let mut marks = Map::new();
    marks.insert(volume::BIND_COMPLETED.to_owned(), "yes".into());
    if !names && !marked(volume::BOUND_BY_CONTROLLER) {
        marks.insert(volume::BOUND_BY_CONTROLLER.to_owned(), "yes".into());
    }
    let body = json!({ "metadata": { "annotations": marks }, "spec": { "volumeName": name } });
    let body = of_version(&claim.metadata, body);
    let patch = Action::patch(Reference::to(claim), PatchType::Merge, body);
    Some(patch.because("the volume is its own"))
}

/// Tells the provisioner, and whoever looks, that a volume is to be made.
fn provision(claim: &PersistentVolumeClaim, provisioner: &str, plan: &mut Plan) {
    let about = Reference::to(claim);
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system \
         administrator. If volume creation is delayed, please verify that the provisioner is running and correctly \
         registered."
    );
    let says = meta::annotation(&claim.metadata, volume::STORAGE_PROVISIONER);
    if says == Some(provisioner) {
        plan.note(Note::normal(&about, "ExternalProvisioning", message));
        return;
    }
    let marks = json!({
        volume::STORAGE_PROVISIONER: provisioner,
        volume::BETA_STORAGE_PROVISIONER: provisioner,
    });
    let body = of_version(
        &claim.metadata,
        json!({ "metadata": { "annotations": marks } }),
    );
    let patch = Action::patch(about.clone(), PatchType::Merge, body)
        .noting(&about, "ExternalProvisioning", message)
        .warning(&about, "ProvisioningFailed", "Error saving claim");
    plan.then(vec![patch]);
}

/// Says which driver sees to a claim that names a former plugin, and takes back what is no longer so (upstream:
/// `updateMigrationAnnotations`).
fn migrate(claim: &PersistentVolumeClaim) -> Option<Action> {
    let said = |key| meta::annotation(&claim.metadata, key);
    let provisioner =
        said(volume::STORAGE_PROVISIONER).or_else(|| said(volume::BETA_STORAGE_PROVISIONER))?;
    let wanted = driver(provisioner);
    if said(volume::MIGRATED_TO) == wanted {
        return None;
    }
    let marks: Value = json!({ volume::MIGRATED_TO: wanted });
    let body = of_version(
        &claim.metadata,
        json!({ "metadata": { "annotations": marks } }),
    );
    Some(
        Action::patch(Reference::to(claim), PatchType::Merge, body)
            .because("its plugin is a CSI driver"),
    )
}
