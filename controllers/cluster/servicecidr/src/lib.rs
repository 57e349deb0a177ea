//! The ServiceCIDR controller: ranges out of which Services get their addresses.
//!
//! **Promises.** A ServiceCIDR has the finalizer `networking.k8s.io/service-cidr-finalizer` and the condition
//! `Ready=True`. One that is deleted goes when each address that the API server gave out of it lies in another
//! ServiceCIDR too, and not before ten seconds have passed, in which the API servers learn of it; while it must wait,
//! its condition says `Ready=False` with the reason `Terminating`.
//!
//! **Never.** An IPAddress is never written: the API server makes and deletes them with its Services.
//!
//! **Better than upstream.** Upstream counts a ServiceCIDR that is being deleted too among those that take the
//! addresses over: of two that cover each other and are deleted together each goes on the strength of the other, and
//! the Services stay behind with addresses of no range. Here only one that stays counts. And upstream gives an object
//! up after fifteen failures until it changes again.
//!
//! Semantics: upstream `pkg/controller/servicecidrs`, `pkg/api/servicecidr`. Start reading at [`plan`].
#![forbid(unsafe_code)]

mod plan;

use ::plan::Plan;
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use objects::cidr::Cidr;
use objects::meta;
use runtime::{Caches, Controller, Key, Moment, Queue, Watches};
use std::net::IpAddr;
use std::sync::Arc;

/// The finalizer that keeps a ServiceCIDR until nobody needs it.
pub const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
/// The label of an IPAddress that says who made it, and the API server's name there.
const MANAGED_BY: (&str, &str) = ("ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io");

/// The control loop for ServiceCIDRs.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceCidrController;

/// What it looks at when it decides about one ServiceCIDR.
#[derive(Clone, Debug)]
pub struct World {
    /// The ServiceCIDR as the cache holds it.
    pub cidr: Arc<ServiceCIDR>,
    /// The ranges of the others that are not being deleted. Empty where nobody deletes this one.
    pub others: Vec<Cidr>,
    /// The addresses that the API server has given out of this one's ranges. Empty where nobody deletes it.
    pub addresses: Vec<IpAddr>,
    /// The time of the decision.
    pub now: Timestamp,
}

impl Controller for ServiceCidrController {
    const NAME: &'static str = "service-cidr-controller";
    const QUEUE: &'static str = "ipaddresses";

    type Object = ServiceCIDR;
    type World = World;

    fn watch(watches: &Watches<'_>) {
        // One that comes, or that stays after all, frees those whose addresses it has.
        watches.on::<ServiceCIDR>(|_, queue, caches| wake(queue, caches, |_| true));
        watches.on::<IPAddress>(|change, queue, caches| {
            if let Some(address) = given(change.latest()) {
                let holds = |cidr: &ServiceCIDR| ranges(cidr).any(|range| range.contains(address));
                wake(queue, caches, holds);
            }
        });
    }

    async fn observe(&self, caches: &Caches, cidr: Arc<ServiceCIDR>, moment: Moment) -> World {
        let mut world = World {
            others: Vec::new(),
            addresses: Vec::new(),
            now: moment.now,
            cidr,
        };
        if meta::is_deleting(&world.cidr.metadata) {
            let all = caches.of::<ServiceCIDR>().all();
            let staying = all.iter().filter(|other| {
                !meta::is_deleting(&other.metadata) && other.metadata.uid != world.cidr.metadata.uid
            });
            world.others = staying.flat_map(|other| ranges(other)).collect();
            let all = caches.of::<IPAddress>().all();
            let given = all.iter().filter_map(|address| given(address));
            let ours = |ip: &IpAddr| ranges(&world.cidr).any(|range| range.serves(*ip));
            world.addresses = given.filter(ours).collect();
        }
        world
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }
}

/// Wakes those that wait for their end.
fn wake(queue: &Queue, caches: &Caches, matters: impl Fn(&ServiceCIDR) -> bool) {
    for cidr in caches.of::<ServiceCIDR>().all() {
        if meta::is_deleting(&cidr.metadata) && matters(&cidr) {
            queue.add(Key::of(&cidr.metadata));
        }
    }
}

/// The ranges of a ServiceCIDR.
fn ranges(cidr: &ServiceCIDR) -> impl Iterator<Item = Cidr> {
    let spec = cidr.spec.as_ref().and_then(|spec| spec.cidrs.as_deref());
    spec.into_iter()
        .flatten()
        .filter_map(|text| text.parse().ok())
}

/// The address, if the API server has given it to a Service.
fn given(address: &IPAddress) -> Option<IpAddr> {
    let ours = meta::label(&address.metadata, MANAGED_BY.0) == Some(MANAGED_BY.1);
    meta::name(&address.metadata).parse().ok().filter(|_| ours)
}
