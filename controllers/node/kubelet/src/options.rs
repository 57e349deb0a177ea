//! What the agent can be told.

use crate::Profiles;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Settings of the agent; each has a default that works.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many nodes of its own it registers.
    pub count: usize,
    /// Their names are this and a number from 0.
    pub name_prefix: String,
    /// `--node-cpu`: cores of a node, a Kubernetes quantity.
    pub cpu: String,
    /// `--node-memory`: memory of a node, a Kubernetes quantity.
    pub memory: String,
    /// `--node-pods`: how many pods a node takes.
    pub pods: u32,
    /// `--node-ephemeral-storage`: local storage of a node, a Kubernetes quantity.
    pub ephemeral_storage: String,
    /// Further resources of a node by name (`example.com/gpu`), as Kubernetes quantities.
    pub extended: BTreeMap<String, String>,
    /// Nodes are spread over these in turn (`topology.kubernetes.io/zone`); no label when empty.
    pub zones: Vec<String>,
    /// Further labels of the nodes.
    pub labels: BTreeMap<String, String>,
    /// `kubernetes.io/arch`, Go's word for it.
    pub arch: String,
    /// The address of all nodes; each has one of its own out of 172.16.0.0/12 when none.
    pub address: Option<Ipv4Addr>,
    /// What the pretended containers do.
    pub profiles: Profiles,
    /// Take on nodes with the annotation `kwok.x-k8s.io/node: fake`.
    pub manage_kwok_nodes: bool,
    /// Nodes choose the ranges of their pods. Where somebody else gives nodes their ranges, they must not.
    pub own_ranges: bool,
    /// Record the events of normal life too (Pulled, Created, Started, Killing), not only failures.
    pub events: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            count: 1,
            name_prefix: "node-".to_owned(),
            cpu: "32".to_owned(),
            memory: "256Gi".to_owned(),
            pods: 110,
            ephemeral_storage: "1Ti".to_owned(),
            extended: BTreeMap::new(),
            zones: ["zone-a", "zone-b", "zone-c"].map(str::to_owned).to_vec(),
            labels: BTreeMap::new(),
            arch: match std::env::consts::ARCH {
                "x86_64" => "amd64",
                "aarch64" => "arm64",
                other => other,
            }
            .to_owned(),
            address: None,
            profiles: Profiles::default(),
            manage_kwok_nodes: true,
            own_ranges: true,
            events: false,
        }
    }
}

impl Options {
    /// The name of the node of this number.
    pub fn name(&self, index: usize) -> String {
        format!("{}{index}", self.name_prefix)
    }

    /// The number in the name of a node of ours.
    pub fn index(&self, name: &str) -> Option<usize> {
        let number = name.strip_prefix(self.name_prefix.as_str())?;
        let index = number.parse().ok()?;
        (index < self.count && self.name(index) == name).then_some(index)
    }

    /// What a node has, and gives to pods.
    pub fn capacity(&self) -> BTreeMap<String, Quantity> {
        let own = [
            ("cpu", self.cpu.clone()),
            ("ephemeral-storage", self.ephemeral_storage.clone()),
            ("memory", self.memory.clone()),
            ("pods", self.pods.to_string()),
        ];
        let own = own.map(|(name, amount)| (name.to_owned(), amount));
        let extended = self.extended.iter();
        let extended = extended.map(|(name, amount)| (name.clone(), amount.clone()));
        own.into_iter()
            .chain(extended)
            .map(|(name, amount)| (name, Quantity(amount)))
            .collect()
    }
}
