//! Pods as decisions see them.
//!
//! A cluster has more pods than all else, and most of a pod is the same as of its siblings: what pods have in common
//! ([`Look`]) exists once, however many there are of them.

use crate::cohorts;
use crate::plugins::disks;
use crate::signature::{self, Signature};
use crate::terms::Terms;
use ahash::AHashMap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodSpec, PodStatus, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use objects::volume::{self, Used};
use objects::{Resources, meta, pod, resources};
use plan::{Kind, Reference};
use std::ops::Deref;
use std::sync::{Arc, LazyLock, OnceLock, Weak};

/// A pod with all that decisions ask of it, computed once. What it has in common with others is [`Look`]'s.
#[derive(Clone, Debug)]
pub struct PodInfo {
    /// Its name.
    pub name: Box<str>,
    /// Which incarnation it is.
    pub uid: Arc<str>,
    /// Whether it is being deleted.
    pub leaving: bool,
    /// When it began to run.
    pub started: Option<Timestamp>,
    /// The object as it was last seen, where extenders are shown pods.
    pub whole: Option<Arc<Pod>>,
    look: Arc<Look>,
    generation: Option<i64>,
    node: Option<Box<str>>,
    /// What was told of it, or asked for it: most pods on nodes have nothing of that.
    told: Option<Box<Told>>,
}

/// What the status of a pod says to a scheduler.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    nominated: Option<String>,
    /// `PodScheduled` that is not true, `DisruptionTarget`.
    conditions: Vec<PodCondition>,
}

/// What pods of one template have in common.
#[derive(Clone, Debug)]
pub struct Look {
    /// A pod like them, which has nothing that one of them has for itself: no name, no node, no status, and no volumes
    /// that only carry data. Of its metadata, the namespace, the labels, the annotations and the controller are there.
    pub like: Pod,
    /// `spec.priority`, 0 without one.
    pub priority: i32,
    /// What each reserves on its node.
    pub requests: Resources,
    /// CPU and memory that it counts with in scores, where a container without a request has a default.
    pub nonzero: CpuMemory,
    /// The host ports that it takes.
    pub ports: Vec<HostPort>,
    /// The claims that it uses.
    pub claims: Box<[Used]>,
    /// What it wishes about other pods; none for most pods.
    pub terms: Option<Terms>,
    /// The same number as that of pods that look the same to others.
    pub(crate) alike: u64,
    /// Computed when somebody asks.
    signature: OnceLock<Option<Signature>>,
}

/// CPU in thousandths of a core and memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuMemory {
    /// Thousandths of a core.
    pub milli_cpu: i64,
    /// Bytes.
    pub memory: i64,
}

/// A port of a node that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The node's address; `0.0.0.0` for all.
    pub ip: Box<str>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Box<str>,
    /// The port's number.
    pub port: i32,
}

/// The most that a pod counts with of anything, whatever it asks for: no node has so much, and the sum over the pods of a
/// node stays a number that can be subtracted from again.
const MOST: i64 = 1 << 50;

static EMPTY: LazyLock<PodSpec> = LazyLock::new(PodSpec::default);

impl HostPort {
    /// Whether two pods cannot have these ports on one node.
    pub fn conflicts(&self, other: &Self) -> bool {
        pod::host_port_conflicts(self.parts(), other.parts())
    }

    fn parts(&self) -> (&str, &str, i32) {
        (&self.ip, &self.protocol, self.port)
    }
}

impl Look {
    fn of(pod: &Pod) -> Self {
        let spec = pod.spec.as_ref().unwrap_or(&EMPTY);
        let nonzero = resources::counted(pod).within(0..=MOST);
        let ports = pod::host_ports(pod).into_iter();
        let ports = ports.map(|(ip, protocol, port)| HostPort {
            ip: ip.into(),
            protocol: protocol.into(),
            port,
        });
        Self {
            like: like(pod),
            priority: spec.priority.unwrap_or(0),
            requests: resources::reserved(pod).within(0..=MOST),
            nonzero: CpuMemory {
                milli_cpu: nonzero.milli_cpu,
                memory: nonzero.memory,
            },
            ports: ports.collect(),
            claims: volume::claims_of(pod).collect(),
            terms: Terms::of(pod),
            alike: cohorts::hash_of(pod),
            signature: OnceLock::new(),
        }
    }

    /// Whether the rest is the same too, which is computed from these.
    fn is(&self, other: &Self) -> bool {
        self.alike == other.alike
            && self.requests == other.requests
            && self.nonzero == other.nonzero
            && self.claims == other.claims
            && self.like == other.like
    }

    /// Their namespace.
    pub fn namespace(&self) -> &str {
        meta::namespace(&self.like.metadata)
    }

    /// Their spec.
    pub fn spec(&self) -> &PodSpec {
        self.like.spec.as_ref().unwrap_or(&EMPTY)
    }
}

/// What a pod has in common with its siblings.
fn like(of: &Pod) -> Pod {
    let meta = &of.metadata;
    let mut spec = of.spec.clone();
    if let Some(spec) = &mut spec {
        let has_node = spec.node_name.take().is_some();
        spec.hostname = None;
        if let Some(volumes) = spec.volumes.take() {
            let says_more = |volume: &Volume| {
                let bare = Volume {
                    name: volume.name.clone(),
                    ..Volume::default()
                };
                *volume != bare && volume.projected.is_none()
            };
            let volumes: Vec<Volume> = volumes.into_iter().filter(says_more).collect();
            spec.volumes = (!volumes.is_empty()).then_some(volumes);
        }
        if has_node {
            // Gates are for those without a node.
            spec.scheduling_gates = None;
        }
    }
    let owner = meta::controller_of(meta).cloned();
    // On a node, annotations say what networks and others did for this pod.
    let annotations = match pod::node_name(of) {
        None => meta.annotations.clone(),
        Some(_) => None,
    };
    Pod {
        metadata: ObjectMeta {
            namespace: meta.namespace.clone(),
            labels: meta.labels.clone(),
            annotations,
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    }
}

impl Told {
    fn of(status: &PodStatus) -> Option<Box<Self>> {
        let speaks = |condition: &&PodCondition| match &*condition.type_ {
            "PodScheduled" => condition.status != "True",
            kind => kind == crate::preempt::CONDITION,
        };
        let conditions = status.conditions.iter().flatten().filter(speaks);
        let nominated = status.nominated_node_name.clone();
        let told = Self {
            nominated: nominated.filter(|name| !name.is_empty()),
            conditions: conditions.cloned().collect(),
        };
        (told != Self::default()).then(|| Box::new(told))
    }
}

impl PodInfo {
    /// Computes what decisions ask of a pod.
    pub fn of(pod: &Pod) -> Self {
        Self::with(pod, Arc::new(Look::of(pod)))
    }

    fn with(pod: &Pod, look: Arc<Look>) -> Self {
        let status = pod.status.as_ref();
        Self {
            name: meta::name(&pod.metadata).into(),
            uid: meta::uid(&pod.metadata).into(),
            leaving: meta::is_deleting(&pod.metadata),
            started: started(pod),
            whole: None,
            look,
            generation: pod.metadata.generation,
            node: pod::node_name(pod).map(Into::into),
            told: status.and_then(Told::of),
        }
    }

    /// Whether a pod says nothing else to decisions than this one: the watch shows many changes of status, and few of
    /// what matters.
    pub(crate) fn decides_like(&self, pod: &Pod) -> bool {
        let of = &pod.metadata;
        of.generation.is_some()
            && self.generation == of.generation
            && self.like.metadata.labels == of.labels
            && self.leaving == meta::is_deleting(of)
    }

    /// The same with what the status of the pod says now; none if that is nothing new.
    pub(crate) fn renewed(&self, pod: &Arc<Pod>) -> Option<Self> {
        let (started, told) = (started(pod), pod.status.as_ref().and_then(Told::of));
        let same = self.started == started && self.told == told && self.whole.is_none();
        (!same).then(|| Self {
            started,
            told,
            whole: self.whole.as_ref().map(|_| pod.clone()),
            ..self.clone()
        })
    }

    /// What it has in common with those for which the same would be decided; none for one that is decided about by
    /// itself.
    pub fn signature(&self) -> Option<Signature> {
        if self.node.is_some() {
            return None;
        }
        *self.look.signature.get_or_init(|| Signature::of(self))
    }

    /// Whether two share what they have in common with others.
    pub(crate) fn shares_look(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.look, &other.look)
    }

    /// Whether two share it, or could.
    pub(crate) fn looks_like(&self, other: &Self) -> bool {
        self.shares_look(other) || self.look.is(&other.look)
    }

    /// Whether it has volumes of kinds that the API servers of old attached themselves.
    pub(crate) fn has_disks(&self) -> bool {
        disks(self).next().is_some()
    }

    /// Looks the same to decisions, and is no pod that there is. If nobody looks at what tells it from others of its
    /// controller, it has nothing of that.
    pub(crate) fn nobody(&self, is_personal: bool) -> Self {
        let mut nobody = Self {
            uid: "".into(),
            ..self.clone()
        };
        if !is_personal {
            let look = Arc::make_mut(&mut nobody.look);
            if let Some(labels) = &mut look.like.metadata.labels {
                signature::impersonal(labels);
            }
        }
        nobody
    }

    /// The node that it is bound to.
    pub fn node_name(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// `metadata.generation`.
    pub fn generation(&self) -> Option<i64> {
        self.generation
    }

    /// The node on which others make room for it, by its status.
    pub fn nominated(&self) -> Option<&str> {
        self.told.as_ref()?.nominated.as_deref()
    }

    /// Its condition of this type, of those that concern schedulers: `PodScheduled` that is not true, and
    /// `DisruptionTarget`.
    pub fn condition(&self, type_: &str) -> Option<&PodCondition> {
        let mut all = self.told.as_ref()?.conditions.iter();
        all.find(|condition| condition.type_ == type_)
    }

    /// What of its metadata says which it is.
    pub(crate) fn meta(&self) -> ObjectMeta {
        ObjectMeta {
            namespace: self.like.metadata.namespace.clone(),
            name: Some(self.name.to_string()),
            uid: Some(self.uid.to_string()),
            ..ObjectMeta::default()
        }
    }

    /// Names it, for whoever writes.
    pub fn reference(&self) -> Reference {
        Reference {
            kind: Kind::of::<Pod>(),
            namespace: self.namespace().to_owned(),
            name: self.name.to_string(),
            uid: self.uid.to_string(),
        }
    }

    /// The object, with all that is known of it here.
    pub fn object(&self) -> Pod {
        if let Some(whole) = &self.whole {
            return (**whole).clone();
        }
        let mut pod = self.like.clone();
        pod.metadata.name = Some(self.name.to_string());
        pod.metadata.uid = Some(self.uid.to_string());
        pod.metadata.generation = self.generation;
        if let (Some(spec), Some(node)) = (&mut pod.spec, &self.node) {
            spec.node_name = Some(node.to_string());
        }
        let told = self.told.as_deref().cloned().unwrap_or_default();
        pod.status = Some(PodStatus {
            start_time: self.started.map(Time),
            nominated_node_name: told.nominated,
            conditions: (!told.conditions.is_empty()).then_some(told.conditions),
            ..PodStatus::default()
        });
        pod
    }
}

fn started(pod: &Pod) -> Option<Timestamp> {
    let time = pod.status.as_ref()?.start_time.as_ref()?;
    Some(time.0)
}

impl Deref for PodInfo {
    type Target = Look;

    fn deref(&self) -> &Look {
        &self.look
    }
}

/// The looks of the pods that there are, so that each exists once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Looks {
    known: AHashMap<u64, Vec<Weak<Look>>>,
    count: usize,
    /// Those that nobody has any more are looked for when there are so many.
    full: usize,
    /// Keep the objects too.
    pub(crate) whole: bool,
}

/// Pods that have only their labels in common are compared with so many.
const NEAR: usize = 8;
/// Looks that there may be before any is searched for that is not needed any more.
const FEW: usize = 1 << 10;

impl Looks {
    /// Computes what decisions ask of a pod, as far as that is not known from another one.
    pub(crate) fn info(&mut self, pod: &Arc<Pod>) -> PodInfo {
        let look = self.share(Look::of(pod));
        PodInfo {
            whole: self.whole.then(|| pod.clone()),
            ..PodInfo::with(pod, look)
        }
    }

    fn share(&mut self, look: Look) -> Arc<Look> {
        if self.count >= self.full.max(FEW) {
            self.sweep();
        }
        let near = self.known.entry(look.alike).or_default();
        let mut there = near.iter().filter_map(Weak::upgrade);
        if let Some(same) = there.find(|known| known.is(&look)) {
            return same;
        }
        let look = Arc::new(look);
        if near.len() < NEAR {
            near.push(Arc::downgrade(&look));
            self.count += 1;
        } else if let Some(gone) = near.iter_mut().find(|known| known.strong_count() == 0) {
            *gone = Arc::downgrade(&look);
        }
        look
    }

    fn sweep(&mut self) {
        self.known.retain(|_, near| {
            near.retain(|known| known.strong_count() > 0);
            !near.is_empty()
        });
        self.count = self.known.values().map(Vec::len).sum();
        self.full = self.count * 2;
    }
}

#[cfg(test)]
mod tests;
