//! What pods ask for and what nodes give.
//!
//! Upstream: `component-helpers/resource/helpers.go` (`PodRequests`), `pkg/scheduler/framework/types.go`,
//! `pkg/scheduler/util/pod_resources.go`.

use std::collections::BTreeMap;
use std::ops::{AddAssign, RangeInclusive, SubAssign};

use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use crate::Quantity;
use crate::pod::is_sidecar;

/// CPU that a container without a request counts with in scores, in thousandths of a core.
pub const DEFAULT_MILLI_CPU: i64 = 100;
/// Memory that a container without a request counts with in scores, in bytes.
pub const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

/// Amounts of the resources that pods are placed by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub milli_cpu: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// Ephemeral storage in bytes.
    pub ephemeral: i64,
    /// Number of pods: 1 for the requests of a pod, the limit for a node.
    pub pods: i64,
    /// Everything else by name: extended resources, huge pages, attachable volumes.
    pub extended: BTreeMap<String, i64>,
}

impl AddAssign<&Resources> for Resources {
    fn add_assign(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }
}

impl SubAssign<&Resources> for Resources {
    fn sub_assign(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }
}

impl Resources {
    /// Each amount, or the end of this range that it is beyond.
    #[must_use]
    pub fn within(self, range: RangeInclusive<i64>) -> Self {
        let within = |amount: i64| amount.clamp(*range.start(), *range.end());
        let extended = self.extended.into_iter();
        Self {
            milli_cpu: within(self.milli_cpu),
            memory: within(self.memory),
            ephemeral: within(self.ephemeral),
            pods: within(self.pods),
            extended: extended
                .map(|(name, amount)| (name, within(amount)))
                .collect(),
        }
    }

    /// The amount of the resource of this name, as requests and capacities name it; 0 if there is none.
    pub fn get(&self, name: &str) -> i64 {
        match name {
            "pods" => self.pods,
            "cpu" => self.milli_cpu,
            "memory" => self.memory,
            "ephemeral-storage" => self.ephemeral,
            name => self.extended.get(name).copied().unwrap_or(0),
        }
    }

    /// Sets the amount of the resource of this name, in the unit that [`Self::get`] gives it in.
    pub fn set(&mut self, name: &str, amount: i64) {
        match name {
            "pods" => self.pods = amount,
            "cpu" => self.milli_cpu = amount,
            "memory" => self.memory = amount,
            "ephemeral-storage" => self.ephemeral = amount,
            name => {
                self.extended.insert(name.to_owned(), amount);
            }
        }
    }

    /// All amounts with the names that [`Self::get`] knows them by.
    pub fn each(&self) -> impl Iterator<Item = (&str, i64)> {
        let usual = ["pods", "cpu", "memory", "ephemeral-storage"];
        let usual = usual.map(|name| (name, self.get(name)));
        let extended = self.extended.iter();
        usual
            .into_iter()
            .chain(extended.map(|(name, amount)| (&**name, *amount)))
    }

    fn combine(&mut self, other: &Self, by: impl Fn(i64, i64) -> i64) {
        self.milli_cpu = by(self.milli_cpu, other.milli_cpu);
        self.memory = by(self.memory, other.memory);
        self.ephemeral = by(self.ephemeral, other.ephemeral);
        self.pods = by(self.pods, other.pods);
        for (name, amount) in &other.extended {
            match self.extended.get_mut(name) {
                Some(sum) => *sum = by(*sum, *amount),
                None => {
                    self.extended.insert(name.clone(), by(0, *amount));
                }
            }
        }
    }
}

type List = BTreeMap<String, ApiQuantity>;

/// Exact amounts by name; rounding happens once, at the end.
type Amounts<'a> = BTreeMap<&'a str, Quantity>;

/// What the scheduler and the kubelet reserve for a pod: the sum over containers and sidecars, or the most that any
/// init container needs beside the sidecars started before it, whichever is more; pod-level requests (KEP-2837) take
/// the place of that; overhead comes on top. `pods` is 1.
pub fn pod_requests(spec: &PodSpec) -> Resources {
    Resources {
        pods: 1,
        ..resources(&total(spec, &[], asked))
    }
}

/// The same of a pod that may be in the middle of being resized: each container counts with the most of what is asked
/// for, what is allocated and what is in effect.
pub fn reserved(pod: &Pod) -> Resources {
    match &pod.spec {
        Some(spec) if !is_resized(pod) => pod_requests(spec),
        _ => Resources {
            pods: 1,
            ..resources(&pod_amounts(pod, Side::Requests))
        },
    }
}

/// What a pod counts with in scores, as [`nonzero`] says, also in the middle of being resized.
pub fn counted(pod: &Pod) -> Resources {
    match &pod.spec {
        Some(spec) if is_resized(pod) => {
            nonzero_of(spec, |container| effective(pod, container, Side::Requests))
        }
        Some(spec) => nonzero(spec),
        None => Resources::default(),
    }
}

/// Whether the status says of any container what it has.
fn is_resized(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let regular = status.and_then(|s| s.container_statuses.as_deref());
    let initial = status.and_then(|s| s.init_container_statuses.as_deref());
    let mut all = regular.into_iter().chain(initial).flatten();
    all.any(|status| status.resources.is_some())
}

/// The same for scores, where a container without a request for CPU or memory counts with a default
/// ([`DEFAULT_MILLI_CPU`], [`DEFAULT_MEMORY`]), so that pods without requests spread as well. A pod with pod-level
/// requests needs the default only for what neither it nor any of its containers asks for.
pub fn nonzero(spec: &PodSpec) -> Resources {
    nonzero_of(spec, asked)
}

fn nonzero_of<'a>(spec: &'a PodSpec, of: impl Fn(&'a Container) -> Amounts<'a>) -> Resources {
    let mut defaults = vec![
        ("cpu", Quantity::from_milli(DEFAULT_MILLI_CPU)),
        ("memory", Quantity::from_bytes(DEFAULT_MEMORY)),
    ];
    // framework/types.go getNonMissingContainerRequests
    if pod_level(spec, Side::Requests).next().is_some() {
        let asked = total(spec, &[], asked);
        defaults.retain(|(name, _)| !asked.contains_key(name));
    }
    Resources {
        pods: 1,
        ..resources(&total(spec, &defaults, of))
    }
}

/// What a node offers to pods.
pub fn allocatable(node: &Node) -> Resources {
    let list = node
        .status
        .as_ref()
        .and_then(|status| status.allocatable.as_ref());
    let mut amounts = Amounts::new();
    add(&mut amounts, list);
    // Less than nothing is nothing.
    resources(&amounts).within(0..=i64::MAX)
}

/// The pod-level amounts of what may be asked for there (helpers.go `IsSupportedPodLevelResource`).
fn pod_level(spec: &PodSpec, side: Side) -> impl Iterator<Item = (&String, &ApiQuantity)> {
    let amounts = side.of(spec.resources.as_ref());
    amounts.into_iter().flatten().filter(|(name, _)| {
        matches!(name.as_str(), "cpu" | "memory") || name.starts_with("hugepages-")
    })
}

/// What a container asks for.
fn asked(container: &Container) -> Amounts<'_> {
    let mut amounts = Amounts::new();
    add(
        &mut amounts,
        Side::Requests.of(container.resources.as_ref()),
    );
    amounts
}

fn total<'a>(
    spec: &'a PodSpec,
    defaults: &[(&'static str, Quantity)],
    of: impl Fn(&'a Container) -> Amounts<'a>,
) -> Amounts<'a> {
    let of = |container: &'a Container| {
        let mut amounts = of(container);
        for (name, quantity) in defaults {
            amounts.entry(name).or_insert(*quantity);
        }
        amounts
    };
    let mut amounts = aggregate(spec, of);
    for (name, quantity) in pod_level(spec, Side::Requests) {
        if let Ok(quantity) = Quantity::try_from(quantity) {
            amounts.insert(name, quantity);
        }
    }
    add(&mut amounts, spec.overhead.as_ref());
    amounts
}

/// Requests or limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is reserved.
    Requests,
    /// What must not be exceeded.
    Limits,
}

impl Side {
    fn of(self, resources: Option<&ResourceRequirements>) -> Option<&List> {
        match self {
            Self::Requests => resources?.requests.as_ref(),
            Self::Limits => resources?.limits.as_ref(),
        }
    }
}

/// What a pod counts with by name, exactly, where what it has been given is looked at too: while a container is being
/// resized, it counts with the most of what is asked for, what is allocated and what is in effect
/// (helpers.go `PodRequests` and `PodLimits` with `UseStatusResources`). Overhead comes on top of requests, and of
/// those limits that there are.
pub fn pod_amounts(pod: &Pod, side: Side) -> BTreeMap<&str, Quantity> {
    let Some(spec) = &pod.spec else {
        return Amounts::new();
    };
    let mut amounts = aggregate(spec, |container| effective(pod, container, side));
    for (name, quantity) in pod_level(spec, side) {
        if let Ok(quantity) = Quantity::try_from(quantity) {
            amounts.insert(name, quantity);
        }
    }
    match side {
        Side::Requests => add(&mut amounts, spec.overhead.as_ref()),
        Side::Limits => {
            for (name, quantity) in spec.overhead.iter().flatten() {
                let limit = amounts.get_mut(name.as_str()).filter(|l| !l.is_zero());
                if let (Some(limit), Ok(quantity)) = (limit, Quantity::try_from(quantity)) {
                    *limit += quantity;
                }
            }
        }
    }
    amounts
}

/// helpers.go `determineEffectiveRequests` and `determineEffectiveLimits`
fn effective<'a>(pod: &'a Pod, container: &'a Container, side: Side) -> Amounts<'a> {
    let mut amounts = Amounts::new();
    let wanted = side.of(container.resources.as_ref());
    let status = pod.status.as_ref();
    let regular = status.and_then(|s| s.container_statuses.as_deref());
    // An init container that ends is not resized.
    let initial = status.filter(|_| is_sidecar(container));
    let initial = initial.and_then(|s| s.init_container_statuses.as_deref());
    let mut statuses = regular.into_iter().chain(initial).flatten();
    let given = statuses.find(|s| s.name == container.name && s.resources.is_some());
    let Some(given) = given else {
        add(&mut amounts, wanted);
        return amounts;
    };
    let infeasible = crate::pod::condition(pod, "PodResizePending")
        .is_some_and(|pending| pending.reason.as_deref() == Some("Infeasible"));
    let allocated = match side {
        Side::Requests => given.allocated_resources.as_ref(),
        Side::Limits => None,
    };
    let wanted = wanted.filter(|_| !infeasible);
    for list in [wanted, side.of(given.resources.as_ref()), allocated] {
        let mut one = Amounts::new();
        add(&mut one, list);
        most(&mut amounts, &one);
    }
    amounts
}

/// helpers.go `AggregateContainerRequests` and `AggregateContainerLimits`
fn aggregate<'a>(spec: &'a PodSpec, of: impl Fn(&'a Container) -> Amounts<'a>) -> Amounts<'a> {
    let mut running = Amounts::new();
    for container in &spec.containers {
        sum(&mut running, &of(container));
    }
    let mut sidecars = Amounts::new();
    let mut starting = Amounts::new();
    for container in spec.init_containers.iter().flatten() {
        let mut now = of(container);
        if is_sidecar(container) {
            sum(&mut running, &now);
            sum(&mut sidecars, &now);
            most(&mut starting, &sidecars);
        } else {
            sum(&mut now, &sidecars);
            most(&mut starting, &now);
        }
    }
    most(&mut running, &starting);
    running
}

fn add<'a>(amounts: &mut Amounts<'a>, list: Option<&'a List>) {
    for (name, quantity) in list.into_iter().flatten() {
        // The API server admits no other than valid quantities.
        if let Ok(quantity) = Quantity::try_from(quantity) {
            *amounts.entry(name).or_default() += quantity;
        }
    }
}

fn sum<'a>(amounts: &mut Amounts<'a>, other: &Amounts<'a>) {
    for (name, quantity) in other {
        *amounts.entry(name).or_default() += *quantity;
    }
}

fn most<'a>(amounts: &mut Amounts<'a>, other: &Amounts<'a>) {
    for (name, quantity) in other {
        let most = amounts.entry(name).or_insert(*quantity);
        *most = (*most).max(*quantity);
    }
}

fn resources(amounts: &Amounts<'_>) -> Resources {
    let mut resources = Resources::default();
    for (name, quantity) in amounts {
        match *name {
            "cpu" => resources.milli_cpu = quantity.milli_value(),
            "memory" => resources.memory = quantity.value(),
            "ephemeral-storage" => resources.ephemeral = quantity.value(),
            "pods" => resources.pods = quantity.value(),
            // helpers.go IsScalarResourceName; other unqualified names are not counted by anyone.
            name if name.contains('/')
                || name.starts_with("hugepages-")
                || name.starts_with("attachable-volumes-") =>
            {
                resources.extended.insert(name.to_owned(), quantity.value());
            }
            _ => {}
        }
    }
    resources
}

#[cfg(test)]
mod tests;
