//! What is around the controllers, imitated: scheduler, kubelet, garbage collector.

use crate::scenario::Surroundings;
use ::objects::{meta, pod as pods};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use sim::Sim;
use std::collections::HashMap;

/// A bound pod is ready, and a deleted one gone, after this time.
const TAKES: SignedDuration = SignedDuration::from_secs(1);
/// Pods with this image never become ready.
pub const BAD_IMAGE: &str = "bad";

/// The imitation. It looks at the server only when something changed there or is due.
#[derive(Debug)]
pub struct Around {
    does: Surroundings,
    seen: u64,
    begun: HashMap<(String, bool), Timestamp>,
    due: Option<Timestamp>,
    addresses: u32,
}

impl Around {
    /// Does what it is told, and nothing else.
    pub fn new(does: Surroundings) -> Self {
        Self {
            does,
            seen: u64::MAX,
            begun: HashMap::new(),
            due: None,
            addresses: 0,
        }
    }

    /// One look at the server.
    pub fn step(&mut self, sim: &Sim) {
        let now = sim.now();
        if self.seen == sim.revision() && self.due.is_none_or(|due| due > now) {
            return;
        }
        sim.garbage_collect();
        self.due = None;
        for pod in sim.read(|state| state.list::<Pod>(None)) {
            self.keep(sim, &pod, now);
        }
        self.seen = sim.revision();
    }

    fn keep(&mut self, sim: &Sim, pod: &Pod, now: Timestamp) {
        let (namespace, name) = (meta::namespace(&pod.metadata), meta::name(&pod.metadata));
        let bound = pods::node_name(pod).is_some();
        if self.does.runs && meta::is_deleting(&pod.metadata) {
            if self.is_over(pod, true, now) {
                let at_once = json!({ "gracePeriodSeconds": 0 });
                sim.delete_with::<Pod>(namespace, name, &at_once);
            }
            return;
        }
        if self.does.binds && !bound {
            sim.bind(namespace, name, "node-1");
        }
        let image = pod
            .spec
            .as_ref()
            .and_then(|s| s.containers.first()?.image.as_deref());
        let waits = !pods::is_ready(pod) && !pods::is_terminal(pod) && image != Some(BAD_IMAGE);
        if self.does.runs && (bound || self.does.binds) && waits && self.is_over(pod, false, now) {
            let address = self.address(name);
            sim.update_with::<Pod>(namespace, name, |pod| {
                pod.status = Some(ready(address, now));
            });
        }
    }

    /// Whether the pod's start or end, which begins when it is first asked for, is over.
    fn is_over(&mut self, pod: &Pod, end: bool, now: Timestamp) -> bool {
        let key = (meta::uid(&pod.metadata).to_owned(), end);
        let over = *self.begun.entry(key).or_insert(now) + TAKES;
        if over > now {
            self.due = Some(self.due.map_or(over, |due| due.min(over)));
        }
        over <= now
    }

    /// Pods whose names end in a number have the address of that number, in all runs.
    fn address(&mut self, name: &str) -> String {
        let number = name.rsplit('-').next().and_then(|n| n.parse::<u32>().ok());
        let number = number.unwrap_or_else(|| {
            self.addresses += 1;
            10_000 + self.addresses
        });
        format!("10.1.{}.{}", number >> 8, number & 255)
    }
}

fn ready(address: String, now: Timestamp) -> PodStatus {
    let condition = |kind: &str| PodCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        last_transition_time: Some(Time(now)),
        ..PodCondition::default()
    };
    PodStatus {
        phase: Some("Running".to_owned()),
        conditions: Some(vec![condition("Ready"), condition("ContainersReady")]),
        pod_ip: Some(address.clone()),
        pod_ips: Some(vec![PodIP { ip: address }]),
        ..PodStatus::default()
    }
}
