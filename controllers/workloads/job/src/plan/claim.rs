//! Adoption and release, with the finalizer (upstream: `getPodsForJob`, controller_ref_manager.go `AdoptPod`).

use super::finalizers::is_tracked;
use crate::{FINALIZER, World};
use objects::Selector;
use plan::{Action, Claim, Confirm, PatchType, Reference, Verb};
use serde_json::json;

/// What has to be done before anything can be counted.
pub(crate) fn claim(world: &World, selector: &Selector) -> Vec<Action> {
    let mut patches = Vec::new();
    for pod in &world.pods {
        let matches = selector.matches(pod.metadata.labels.as_ref());
        match Claim::of(&world.job.metadata, &pod.metadata, matches) {
            Claim::Adopt => {
                let body = json!({"metadata": {
                    "uid": pod.metadata.uid,
                    "ownerReferences": [world.owner_reference],
                    "finalizers": [FINALIZER],
                }});
                let adopt = Action::patch(Reference::to(&**pod), PatchType::Strategic, body)
                    .confirming(Confirm::Alive(world.owner.clone()))
                    .because("it matches and is nobody's");
                patches.push(adopt);
            }
            Claim::Release => {
                let mut release = Action::release(&**pod, &world.owner.uid);
                if let Verb::Patch(_, body) = &mut release.verb
                    && is_tracked(pod)
                {
                    body["metadata"]["$deleteFromPrimitiveList/finalizers"] = json!([FINALIZER]);
                }
                patches.push(release);
            }
            Claim::Keep | Claim::Ignore => {}
        }
    }
    patches
}
