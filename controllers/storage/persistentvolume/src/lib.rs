//! The persistent volume binder: gives claims their volumes, and sees to volumes whose claims are gone.
//!
//! Two loops, one over claims and one over volumes. A binding is written into the volume first (`spec.claimRef` with the
//! claim's UID), then into the claim (`spec.volumeName`, `pv.kubernetes.io/bind-completed`); each phase follows from
//! these two. Whatever dies between, the next turn of either side finds half of a binding and finishes it.
//!
//! **Promises.**
//! 1. A volume is given to one claim only: every write of a binding is of the version that was looked at.
//! 2. A volume that a user, a provisioner or the scheduler reserved for a claim goes to it; otherwise the one with the
//!    fewest further access modes, and of those the smallest that is enough. A claim whose class waits for its first
//!    consumer is left to the scheduler.
//! 3. A claim without a class gets the default class as soon as there is one, if no volume without a class fits.
//! 4. Who makes a volume is told by annotation; volumes themselves are made and destroyed by others
//!    (`volume.kubernetes.io/storage-provisioner`). Former in-tree provisioners are known by their CSI drivers' names.
//! 5. Nothing is said to be gone on a cache's word: before a claim is `Lost` or a volume `Released`, the API server is
//!    asked.
//!
//! **Never.** It never touches data. A volume is deleted here only if it is a `hostPath` under `/tmp` (as upstream, for
//! tests), and only while its claim is known to be gone. `Recycle`, deprecated since 1.15, fails with an event.
//!
//! **Better than upstream, on purpose.**
//! - A claim whose volume the cache does not show yet is not called `Lost` for a moment, which upstream does when both
//!   were restored from a backup just now, with an event that says that its data are lost.
//! - A reserved volume is found before any other; upstream may prefer one with fewer access modes, and then the reserved
//!   one waits for ever.
//! - A claim that is being deleted gets no volume any more: it would be `Released` at once, and with `Retain` be of no
//!   use to anybody.
//! - Nothing is looked at every 15 s: a volume, class, pod or claim that changes wakes those that it matters to.
//!
//! Semantics: upstream `pkg/controller/volume/persistentvolume/pv_controller.go`. Start reading at [`plan`].
#![forbid(unsafe_code)]

mod claims;
mod metrics;
mod migration;
pub mod plan;
pub mod status;
#[cfg(test)]
mod tests;
mod volumes;

pub use claims::{ClaimBinder, ClaimWorld, Class, Named};
pub use volumes::{Claimed, VolumeBinder, VolumeWorld};

use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume};
use runtime::Runtime;

/// Upstream's name of the controller.
const NAME: &str = "persistentvolume-binder-controller";
/// The component of its events.
const SOURCE: &str = "persistentvolume-controller";

/// The index of volumes by the claim that they are for, `namespace/name`.
const BY_REFERENCE: &str = "spec.claimRef";
/// The index of volumes that are nobody's, by class.
const FREE: &str = "free of class";

/// Runs both loops.
pub fn run(runtime: &Runtime, workers: usize) {
    runtime.run(ClaimBinder::new(runtime.reads()), workers);
    runtime.run(VolumeBinder::new(runtime.reads()), workers);
}

fn reference_of(volume: &PersistentVolume) -> Option<&ObjectReference> {
    volume.spec.as_ref()?.claim_ref.as_ref()
}

/// The claim that a volume is for, as `namespace/name`.
fn reference_key(volume: &PersistentVolume) -> Option<String> {
    let reference = reference_of(volume)?;
    let namespace = reference.namespace.as_deref().unwrap_or_default();
    Some(format!("{namespace}/{}", reference.name.as_deref()?))
}
