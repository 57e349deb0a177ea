//! Which claims a pod lacks. Pure.

use crate::World;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::{meta, pod, volume};
use plan::{Action, Note, Plan, Reference};

const FAILED: &str = "FailedBinding";

/// Makes the claims that are missing, and tells of those that are somebody else's.
pub(crate) fn plan(world: &World) -> Plan {
    let mut plan = Plan::none();
    let of = &*world.pod;
    if !pod::is_active(of) {
        return plan;
    }
    let about = Reference::to(of);
    let mut missing = Vec::new();
    for source in of
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten())
    {
        let Some(wanted) = claim(of, source) else {
            continue;
        };
        let name = meta::name(&wanted.metadata);
        let found = world
            .claims
            .iter()
            .find(|claim| meta::name(&claim.metadata) == name);
        let told = format!("ephemeral volume {}", source.name);
        match found.map(|claim| volume::is_for(&of.metadata, claim)) {
            Some(Ok(())) => {}
            Some(Err(why)) => {
                plan.note(Note::warning(&about, FAILED, format!("{told}: {why}")));
            }
            None => {
                let message = format!("{told}: create PVC {name}");
                missing.push(Action::create(wanted).warning(&about, FAILED, message));
            }
        }
    }
    plan.then(missing);
    plan
}

/// The claim of an ephemeral volume.
fn claim(of: &Pod, source: &Volume) -> Option<PersistentVolumeClaim> {
    if source.persistent_volume_claim.is_some() {
        return None;
    }
    let template = source.ephemeral.as_ref()?.volume_claim_template.as_ref()?;
    let said = template.metadata.clone().unwrap_or_default();
    Some(PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(volume::ephemeral_claim(of, &source.name)),
            namespace: of.metadata.namespace.clone(),
            labels: said.labels,
            annotations: said.annotations,
            owner_references: Some(vec![meta::owner_reference("v1", "Pod", &of.metadata)]),
            ..ObjectMeta::default()
        },
        spec: Some(template.spec.clone()),
        status: None,
    })
}

#[cfg(test)]
mod tests;
