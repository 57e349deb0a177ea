//! Which objects a quota with scopes is about (upstream: `podMatchesScopeFunc`, `pvcMatchesScopeFunc`).

use super::{pods, volumes};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, Pod, PodAffinityTerm, ResourceQuota, ResourceRequirements,
};
use objects::Quantity;

const OF_VOLUMES: &str = "VolumeAttributesClass";

/// One scope of a quota.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requirement<'a> {
    pub(crate) scope: &'a str,
    operator: &'a str,
    values: &'a [String],
}

impl<'a> Requirement<'a> {
    /// All scopes of a quota: an object has to be in each of them.
    pub(crate) fn all(quota: &'a ResourceQuota) -> Vec<Self> {
        let Some(spec) = &quota.spec else {
            return Vec::new();
        };
        let plain = spec.scopes.iter().flatten().map(|scope| Self {
            scope,
            operator: "Exists",
            values: &[],
        });
        let selector = spec.scope_selector.as_ref();
        let selected = selector.and_then(|s| s.match_expressions.as_deref());
        let selected = selected.unwrap_or_default().iter().map(|one| Self {
            scope: &one.scope_name,
            operator: &one.operator,
            values: one.values.as_deref().unwrap_or_default(),
        });
        plain.chain(selected).collect()
    }

    /// Whether anything that this resource counts can be in the scope.
    pub(crate) fn goes_with(&self, name: &str) -> bool {
        match self.scope {
            OF_VOLUMES => volumes::counts(name),
            _ => pods::counts(name),
        }
    }

    /// Whether a pod is in the scope.
    pub(crate) fn has_pod(&self, pod: &Pod) -> bool {
        let spec = pod.spec.as_ref();
        match self.scope {
            "Terminating" => is_terminating(pod),
            "NotTerminating" => !is_terminating(pod),
            "BestEffort" => is_best_effort(pod),
            "NotBestEffort" => !is_best_effort(pod),
            "PriorityClass" => {
                let class = spec.and_then(|s| s.priority_class_name.as_deref());
                self.selects(class.filter(|class| !class.is_empty()))
            }
            "CrossNamespacePodAffinity" => looks_elsewhere(pod),
            _ => false,
        }
    }

    /// Whether a claim is in the scope: one of its classes has to be.
    pub(crate) fn has_volume(&self, claim: &PersistentVolumeClaim) -> bool {
        if self.scope != OF_VOLUMES {
            return false;
        }
        let classes = volumes::attributes(claim);
        match classes.is_empty() {
            true => self.selects(None),
            false => classes.iter().any(|class| self.selects(Some(class))),
        }
    }

    fn selects(&self, value: Option<&str>) -> bool {
        let is_named = || value.is_some_and(|value| self.values.iter().any(|v| v == value));
        match self.operator {
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "In" => is_named(),
            "NotIn" => !is_named(),
            _ => false,
        }
    }
}

/// Whether its end is set when it begins (upstream: `IsTerminating`; deletion has nothing to do with it).
fn is_terminating(pod: &Pod) -> bool {
    let deadline = pod.spec.as_ref().and_then(|s| s.active_deadline_seconds);
    deadline.is_some_and(|seconds| seconds >= 0)
}

/// Whether the pod asks for no CPU and no memory (upstream: `pkg/apis/core/v1/helper/qos`).
fn is_best_effort(pod: &Pod) -> bool {
    let class = pod.status.as_ref().and_then(|s| s.qos_class.as_deref());
    if let Some(class) = class.filter(|class| !class.is_empty()) {
        return class == "BestEffort";
    }
    let Some(spec) = &pod.spec else {
        return true;
    };
    if let Some(resources) = &spec.resources {
        return !asks(resources);
    }
    let containers = spec.containers.iter();
    let mut all = containers.chain(spec.init_containers.iter().flatten());
    !all.any(|container| container.resources.as_ref().is_some_and(asks))
}

fn asks(resources: &ResourceRequirements) -> bool {
    let lists = [&resources.requests, &resources.limits];
    let mut amounts = lists.into_iter().flatten().flatten();
    amounts.any(|(name, quantity)| {
        let positive = || Quantity::try_from(quantity).is_ok_and(|q| q > Quantity::ZERO);
        matches!(name.as_str(), "cpu" | "memory") && positive()
    })
}

/// Whether its affinity names pods of other namespaces.
fn looks_elsewhere(pod: &Pod) -> bool {
    let affinity = pod.spec.as_ref().and_then(|s| s.affinity.as_ref());
    let elsewhere = |term: &PodAffinityTerm| {
        term.namespaces.as_ref().is_some_and(|n| !n.is_empty()) || term.namespace_selector.is_some()
    };
    affinity.is_some_and(|affinity| {
        let near = affinity.pod_affinity.as_ref();
        let far = affinity.pod_anti_affinity.as_ref();
        let near_must = near.and_then(|a| {
            a.required_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let far_must = far.and_then(|a| {
            a.required_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let near_may = near.and_then(|a| {
            a.preferred_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let far_may = far.and_then(|a| {
            a.preferred_during_scheduling_ignored_during_execution
                .as_ref()
        });
        let must = [near_must, far_must].into_iter().flatten().flatten();
        let may = [near_may, far_may].into_iter().flatten().flatten();
        must.chain(may.map(|term| &term.pod_affinity_term))
            .any(elsewhere)
    })
}
