//! What pretended containers use. Pure.
//!
//! `hollow.corten.dev/cpu` and `memory` (quantities; of one container: `cpu.<container>`), or the same words in
//! a profile, are what a container uses. `cpu-shared` (`cpuShared` in a profile) is load from outside: all
//! running pods of the pod's controller carry it together, so that more of them carry less each.

use super::Profiles;
use k8s_openapi::api::core::v1::{Container, Pod};
use objects::Quantity;

/// A tenth of what scores take for a container without requests.
const CPU: Quantity = Quantity::from_milli(10);
const MEMORY: Quantity = Quantity::from_bytes(16 * 1024 * 1024);

/// What a container uses at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Cores.
    pub cpu: Quantity,
    /// Bytes.
    pub memory: Quantity,
}

impl Profiles {
    /// What a container of a running pod uses; `peers` is how many running pods its controller has, this one
    /// among them. `init` says that it is a sidecar.
    pub fn usage(&self, pod: &Pod, container: &Container, init: bool, peers: usize) -> Usage {
        let say = super::Said {
            by_name_only: init,
            ..self.said(pod, Some(&container.name))
        };
        let said = |key, field: fn(&super::Profile) -> Option<String>| {
            let text = say.value(key, field, |text| Some(text.to_owned()))?;
            let quantity = text.parse::<Quantity>().ok();
            quantity.filter(|quantity| quantity.nanos() >= 0)
        };
        let containers = pod.spec.as_ref().map_or(1, |spec| spec.containers.len());
        let carriers = (peers.max(1) * containers.max(1)) as i128;
        let share = said("cpu-shared", |p| p.cpu_shared.clone())
            .map(|load| Quantity::from_nanos(load.nanos() / carriers));
        let own = said("cpu", |p| p.cpu.clone());
        Usage {
            cpu: match (own, share) {
                (Some(own), Some(share)) => own + share,
                (own, share) => own.or(share).unwrap_or(CPU),
            },
            memory: said("memory", |p| p.memory.clone()).unwrap_or(MEMORY),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Profiles, Usage};
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    /// What the containers of a pod with these annotations use, of which the controller has four.
    fn used(annotations: serde_json::Value, profiles: &str) -> Vec<(String, String)> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "a", "annotations": annotations},
            "spec": {"containers": [{"name": "c"}, {"name": "d"}]},
        }))
        .unwrap();
        let profiles = Profiles::parse(profiles).unwrap();
        let spec = pod.spec.clone().unwrap();
        let usage = spec.containers.iter();
        usage
            .map(|container| profiles.usage(&pod, container, false, 4))
            .map(|Usage { cpu, memory }| (cpu.to_string(), memory.to_string()))
            .collect()
    }

    fn pair(cpu: &str, memory: &str) -> (String, String) {
        (cpu.to_owned(), memory.to_owned())
    }

    #[test]
    fn what_nobody_says_is_little() {
        assert_eq!(
            used(json!({}), "{}"),
            [pair("10m", "16Mi"), pair("10m", "16Mi")]
        );
    }

    #[test]
    fn annotations_are_stronger_than_profiles_and_one_container_than_all() {
        let annotations = json!({
            "hollow.corten.dev/profile": "busy",
            "hollow.corten.dev/cpu.d": "2",
        });
        let profiles = r"{profiles: {busy: {cpu: 500m, memory: 1Gi}}, rules: []}";
        assert_eq!(
            used(annotations, profiles),
            [pair("500m", "1Gi"), pair("2", "1Gi")]
        );
    }

    #[test]
    fn load_from_outside_is_shared_by_all_that_carry_it() {
        let annotations = json!({"hollow.corten.dev/cpu-shared": "4"});
        assert_eq!(used(annotations, "{}")[0], pair("500m", "16Mi"));
    }

    #[test]
    fn what_is_no_amount_counts_as_not_said() {
        let annotations = json!({"hollow.corten.dev/cpu": "-1", "hollow.corten.dev/memory": "NaN"});
        assert_eq!(used(annotations, "{}")[0], pair("10m", "16Mi"));
    }
}
