//! Which pods go and where new ones come, and how that is written.

use crate::place;
use crate::world::{Settings, TEMPLATE_GENERATION_LABEL, World};
use ::plan::{Action, Note, Plan};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::history::CONTROLLER_REVISION_HASH;
use objects::{meta, names, template};
use std::collections::HashSet;

/// At most this many pods are created, and as many deleted, in one plan: what is decided later knows more.
const BURST: usize = 500;

/// What is to be done about pods.
#[derive(Default)]
pub(super) struct Changes<'a> {
    /// Pods to delete.
    pub(super) delete: Vec<&'a Pod>,
    /// Pods to delete because they are not available, unless they have changed since they were seen: a cache that lags
    /// would otherwise take down all that have become available meanwhile.
    pub(super) replace: Vec<&'a Pod>,
    /// Nodes that get a pod.
    pub(super) create: Vec<&'a str>,
    /// What is to be told besides.
    pub(super) notes: Vec<Note>,
}

impl Changes<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.delete.is_empty() && self.replace.is_empty() && self.create.is_empty()
    }

    /// Deletions go first: what they give back may be what the creations need.
    pub(super) fn write(&self, world: &World, settings: &Settings, plan: &mut Plan) {
        for note in &self.notes {
            plan.note(note.clone());
        }
        let delete = self.delete.iter().map(|pod| delete_pod(world, pod));
        let replace = self.replace.iter().map(|pod| replace_pod(world, pod));
        plan.then(delete.chain(replace).take(BURST).collect());
        let mut pods = Maker::new(world, settings);
        let create = self.create.iter().take(BURST);
        plan.then_ramp(create.map(|node| pods.create(node)).collect());
    }
}

fn delete_pod(world: &World, pod: &Pod) -> Action {
    let message = format!("Deleted pod: {}", meta::name(&pod.metadata));
    Action::delete(pod)
        .noting(&world.me, "SuccessfulDelete", message)
        .warning(&world.me, "FailedDelete", "Error deleting")
}

fn replace_pod(world: &World, pod: &Pod) -> Action {
    delete_pod(world, pod)
        .at_version(pod.metadata.resource_version.clone())
        .because("it is not available")
}

/// Makes pods that have names of their own.
struct Maker<'a> {
    world: &'a World,
    settings: &'a Settings,
    base: String,
    taken: HashSet<String>,
}

impl<'a> Maker<'a> {
    fn new(world: &'a World, settings: &'a Settings) -> Self {
        let taken = world
            .pods
            .iter()
            .filter_map(|pod| pod.metadata.name.clone());
        Self {
            world,
            settings,
            base: format!("{}-", world.me.name),
            taken: taken.collect(),
        }
    }

    fn create(&mut self, node: &str) -> Action {
        let me = &self.world.me;
        let name = self.name(node);
        let mut template = place::for_node(&self.settings.template, node);
        let labels = template
            .metadata
            .get_or_insert_with(ObjectMeta::default)
            .labels
            .get_or_insert_default();
        if let Some(generation) = self.settings.template_generation {
            labels.insert(TEMPLATE_GENERATION_LABEL.to_owned(), generation.to_string());
        }
        let hash = self.world.revisions.hash.clone();
        labels.insert(CONTROLLER_REVISION_HASH.to_owned(), hash);
        let owner = &self.world.owner_reference;
        let mut pod = template::pod_from_template(&template, owner, &me.namespace, &name);
        // The name is ours to choose; this says where it comes from, as people and tools know it.
        pod.metadata.generate_name = Some(self.base.clone());
        Action::create(pod)
            .noting(me, "SuccessfulCreate", format!("Created pod: {name}"))
            .warning(me, "FailedCreate", "Error creating")
    }

    /// The same name for whoever sees the same: what stands in for the node, the revision and the pod before it. Where
    /// two nodes come to the same one, the second moves on.
    fn name(&mut self, node: &str) -> String {
        let before = self.world.predecessors.get(node);
        let seed = names::seed(&[
            &self.world.me.uid,
            node,
            &self.world.revisions.hash,
            before.map_or("", String::as_str),
        ]);
        let mut candidates = (0..).map(|n| names::generate(&self.base, seed, n));
        let free = candidates.find(|name| !self.taken.contains(name));
        let name = free.expect("there are more names than pods");
        self.taken.insert(name.clone());
        name
    }
}
