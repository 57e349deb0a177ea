//! A volume: give it back where its claim took another one, and see to it when its claim is gone.

use super::of_version;
use crate::migration::{IN_TREE, driver};
use crate::reference_of;
use crate::volumes::{Claimed, VolumeWorld};
use ::plan::{Action, Confirm, Kind, Note, PatchType, Plan, Reference};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use objects::{meta, volume};
use serde_json::json;
use std::time::Duration;

/// How soon the API server is asked again for what a cache does not show.
const SOON: Duration = Duration::from_secs(1);
/// Keeps a volume that an in-tree plugin made until its data are gone.
const IN_TREE_FINALIZER: &str = "kubernetes.io/pv-controller";
/// The same of external provisioners.
const EXTERNAL_FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";

/// What becomes of a volume.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It is nobody's.
    Available,
    /// It is its claim's.
    Bound,
    /// Its claim takes another one: it becomes nobody's again, or goes on waiting for the claim it is reserved for.
    Unbind,
    /// The claim and it do not go together: the events about both.
    Mismatch([Note; 2]),
    /// Its claim is gone.
    Released,
    /// Its claim is gone, and it goes too.
    Delete,
    /// Its claim is gone, and what is to follow cannot be done.
    Failed(Note),
    /// Its claim has half of the binding; the other loop finishes it.
    Wait,
    /// Nothing can be said yet.
    Ask,
}

/// Decides.
pub fn plan(world: &VolumeWorld) -> Plan {
    let mut plan = Plan::none();
    let of = &*world.volume;
    if let Some(patch) = migrate(of) {
        plan.then(vec![patch]);
        return plan;
    }
    match Fate::of(world) {
        Fate::Unbind => {
            plan.then(vec![unbind(of)]);
        }
        Fate::Mismatch(notes) => {
            for note in notes {
                plan.note(note);
            }
        }
        Fate::Delete if !meta::is_deleting(&of.metadata) => {
            let mut delete = Action::delete(of).because("its claim is gone");
            let gone = matches!(world.claimed, Claimed::ByNobody);
            if let Some(claim) = claim_of(of).filter(|_| gone) {
                delete = delete.confirming(Confirm::Gone(claim));
            }
            plan.then(vec![delete]);
        }
        Fate::Delete => {
            // Nobody else takes it away: the plugin that made the volume was part of upstream's controller.
            plan.then(without(of, &[IN_TREE_FINALIZER]).into_iter().collect());
        }
        Fate::Ask => {
            plan.again(SOON);
        }
        Fate::Available | Fate::Bound | Fate::Released | Fate::Failed(_) | Fate::Wait => {}
    }
    plan
}

impl Fate {
    pub(crate) fn of(world: &VolumeWorld) -> Self {
        let of = &*world.volume;
        let claim = match &world.claimed {
            Claimed::Not => return Self::Available,
            Claimed::Unknown => return Self::Ask,
            Claimed::ByNobody => return reclaim(of),
            Claimed::By(claim) => claim,
        };
        let named = volume::volume_of(claim);
        if named == meta::name(&of.metadata) {
            return Self::Bound;
        }
        if named.is_empty() {
            return match volume::mode_differs(claim, of) {
                true => Self::Mismatch(mismatch(of, claim)),
                false => Self::Wait,
            };
        }
        let made_for_it = volume::is_marked(&of.metadata, volume::PROVISIONED_BY);
        if made_for_it && policy(of) == "Delete" {
            return reclaim(of);
        }
        Self::Unbind
    }
}

/// What is to be done by the volume's reclaim policy. It is told as `Released` before anything else.
fn reclaim(of: &PersistentVolume) -> Fate {
    if !matches!(volume::volume_phase(of), "Released" | "Failed") {
        return Fate::Released;
    }
    if volume::is_marked(&of.metadata, volume::MIGRATED_TO) {
        return Fate::Released;
    }
    let failed =
        |reason, message: String| Fate::Failed(Note::warning(&Reference::to(of), reason, message));
    match policy(of) {
        "Retain" => Fate::Released,
        "Recycle" => failed(
            "VolumeFailedRecycle",
            "No recycler plugin found for the volume!".to_owned(),
        ),
        "Delete" => match deleter(of) {
            Ok(true) => Fate::Delete,
            Ok(false) => Fate::Released,
            Err(why) => failed("VolumeFailedDelete", why),
        },
        _ => failed(
            "VolumeUnknownReclaimPolicy",
            "Volume has unrecognized PersistentVolumeReclaimPolicy".to_owned(),
        ),
    }
}

/// Whether it is deleted here, or by whoever made it (upstream: `findDeletablePlugin`; `pkg/volume/hostpath`).
fn deleter(of: &PersistentVolume) -> Result<bool, String> {
    let made_by = meta::annotation(&of.metadata, volume::PROVISIONED_BY).unwrap_or_default();
    let spec = of.spec.as_ref();
    if !made_by.is_empty() && !made_by.starts_with(IN_TREE)
        || spec.is_some_and(|spec| spec.csi.is_some())
    {
        return Ok(false);
    }
    let name = meta::name(&of.metadata);
    let Some(path) = spec.and_then(|spec| spec.host_path.as_ref()) else {
        return Err(format!(
            "error getting deleter volume plugin for volume {name:?}: no deletable volume plugin matched"
        ));
    };
    let below = path
        .path
        .strip_prefix("/tmp/")
        .is_some_and(|rest| !rest.is_empty());
    let unsure = path.path.split('/').any(|part| part == "..");
    if below && !unsure {
        return Ok(true);
    }
    let path = &path.path;
    Err(format!(
        "host_path deleter only supports /tmp/.+ but received provided {path}"
    ))
}

fn policy(of: &PersistentVolume) -> &str {
    let policy = of
        .spec
        .as_ref()
        .and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    // The API server's default.
    policy.unwrap_or("Retain")
}

fn mismatch(of: &PersistentVolume, claim: &PersistentVolumeClaim) -> [Note; 2] {
    const WHY: &str = "due to incompatible volumeMode.";
    let (name, claim_name) = (meta::name(&of.metadata), meta::name(&claim.metadata));
    let of_volume = format!(
        "Cannot bind PersistentVolume to requested PersistentVolumeClaim {claim_name:?} {WHY}"
    );
    let of_claim =
        format!("Cannot bind PersistentVolume {name:?} to requested PersistentVolumeClaim {WHY}");
    [
        Note::warning(&Reference::to(of), "VolumeMismatch", of_volume),
        Note::warning(&Reference::to(claim), "VolumeMismatch", of_claim),
    ]
}

/// Takes the claim off it: wholly if the controller put it there, otherwise back to what the user said.
fn unbind(of: &PersistentVolume) -> Action {
    let body = if volume::is_marked(&of.metadata, volume::BOUND_BY_CONTROLLER) {
        json!({
            "metadata": { "annotations": { volume::BOUND_BY_CONTROLLER: null } },
            "spec": { "claimRef": null },
        })
    } else {
        json!({ "spec": { "claimRef": { "uid": null } } })
    };
    let body = of_version(&of.metadata, body);
    Action::patch(Reference::to(of), PatchType::Merge, body).because("its claim has another volume")
}

/// The claim that it was bound to.
fn claim_of(of: &PersistentVolume) -> Option<Reference> {
    let reference = reference_of(of)?;
    Some(Reference {
        kind: Kind::of::<PersistentVolumeClaim>(),
        namespace: reference.namespace.clone().unwrap_or_default(),
        name: reference.name.clone()?,
        uid: reference.uid.clone()?,
    })
}

/// Says which driver sees to a volume of a former plugin, and who keeps it until its data are gone (upstream:
/// `updateMigrationAnnotations`, `modifyDeletionFinalizers`).
fn migrate(of: &PersistentVolume) -> Option<Action> {
    let made_by = meta::annotation(&of.metadata, volume::PROVISIONED_BY)?;
    let wanted = driver(made_by);
    if meta::annotation(&of.metadata, volume::MIGRATED_TO) != wanted {
        let body = json!({ "metadata": { "annotations": { volume::MIGRATED_TO: wanted } } });
        let body = of_version(&of.metadata, body);
        let patch = Action::patch(Reference::to(of), PatchType::Merge, body);
        return Some(patch.because("its plugin is a CSI driver"));
    }
    if wanted.is_some() {
        return without(of, &[IN_TREE_FINALIZER]);
    }
    if !made_by.starts_with(IN_TREE) {
        return None;
    }
    let has = |finalizer: &str| {
        let finalizers = of.metadata.finalizers.as_deref();
        finalizers
            .unwrap_or_default()
            .iter()
            .any(|held| held == finalizer)
    };
    if policy(of) != "Delete" {
        return without(of, &[IN_TREE_FINALIZER, EXTERNAL_FINALIZER]);
    }
    // What is being deleted takes no further finalizers.
    if has(IN_TREE_FINALIZER) || meta::is_deleting(&of.metadata) {
        return without(of, &[EXTERNAL_FINALIZER]);
    }
    let mut finalizers = of.metadata.finalizers.clone().unwrap_or_default();
    finalizers.push(IN_TREE_FINALIZER.to_owned());
    Some(finalize(of, &finalizers))
}

/// Takes these finalizers off it, if there are some of them.
fn without(of: &PersistentVolume, which: &[&str]) -> Option<Action> {
    let finalizers = of.metadata.finalizers.as_deref().unwrap_or_default();
    let kept: Vec<String> = finalizers
        .iter()
        .filter(|held| !which.contains(&held.as_str()))
        .cloned()
        .collect();
    (kept.len() < finalizers.len()).then(|| finalize(of, &kept))
}

fn finalize(of: &PersistentVolume, finalizers: &[String]) -> Action {
    let body = of_version(
        &of.metadata,
        json!({ "metadata": { "finalizers": finalizers } }),
    );
    Action::patch(Reference::to(of), PatchType::Merge, body).because("who keeps it has changed")
}
