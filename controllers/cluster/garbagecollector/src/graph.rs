//! Who owns whom, as far as the watches have shown. It says what is worth a look; what is done is decided on what the
//! API server says itself.
//!
//! An owner that is referred to and has not been seen is no node: it is only in the map from owners to dependents.
//! (Upstream, graph_builder.go, has a "virtual" node for it, with the coordinates of one of the references.)

use crate::uid::Uid;
use ahash::{AHashMap, AHashSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use plan::{Kind, Reference};
use runtime::meta::Meta;
use std::sync::Arc;

/// The finalizer of an object whose dependents are to stay.
pub const ORPHAN: &str = "orphan";
/// The finalizer of an object that goes after its dependents.
pub const FOREGROUND: &str = "foregroundDeletion";

/// What a watch shows of an object.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    uid: &'a str,
    namespace: &'a str,
    name: &'a str,
    version: &'a str,
    deleting: bool,
    finalizers: &'a [String],
    owners: &'a [OwnerReference],
}

impl<'a> From<&'a Meta> for Seen<'a> {
    fn from(meta: &'a Meta) -> Self {
        Self {
            uid: &meta.uid,
            namespace: &meta.namespace,
            name: &meta.name,
            version: &meta.resource_version,
            deleting: meta.deletion_timestamp.is_some(),
            finalizers: &meta.finalizers,
            owners: &meta.owner_references,
        }
    }
}

impl<'a> From<&'a ObjectMeta> for Seen<'a> {
    fn from(meta: &'a ObjectMeta) -> Self {
        Self {
            uid: meta.uid.as_deref().unwrap_or_default(),
            namespace: meta.namespace.as_deref().unwrap_or_default(),
            name: meta.name.as_deref().unwrap_or_default(),
            version: meta.resource_version.as_deref().unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            finalizers: meta.finalizers.as_deref().unwrap_or_default(),
            owners: meta.owner_references.as_deref().unwrap_or_default(),
        }
    }
}

/// Where an object is in its life, and what becomes of its dependents when it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// It is being deleted.
    pub deleting: bool,
    /// It has the finalizer [`ORPHAN`].
    pub orphan: bool,
    /// It has the finalizer [`FOREGROUND`].
    pub foreground: bool,
}

impl Life {
    fn of(seen: &Seen<'_>) -> Self {
        let has = |wanted: &str| seen.finalizers.iter().any(|f| f == wanted);
        Self {
            deleting: seen.deleting,
            orphan: has(ORPHAN),
            foreground: has(FOREGROUND),
        }
    }

    /// The same, of metadata that was asked for.
    pub fn of_meta(meta: &Meta) -> Self {
        Self::of(&meta.into())
    }

    /// It is being deleted and waits for its dependents to be let go.
    pub fn is_orphaning(self) -> bool {
        self.deleting && self.orphan
    }

    /// It is being deleted and waits for its dependents to be gone.
    pub fn is_waiting(self) -> bool {
        self.deleting && self.foreground
    }

    fn concerns_dependents(self) -> bool {
        self.is_orphaning() || self.is_waiting()
    }
}

/// A reference to an owner, and how it calls it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// `apps/v1`
    pub api_version: Arc<str>,
    /// `ReplicaSet`
    pub kind: Arc<str>,
    /// The owner's name.
    pub name: Arc<str>,
    /// The owner's incarnation.
    pub uid: Uid,
    /// Whether the owner, if it goes after its dependents, waits for this one.
    pub blocks: bool,
}

impl Claim {
    fn is(&self, reference: &OwnerReference) -> bool {
        *self.api_version == *reference.api_version
            && *self.kind == *reference.kind
            && *self.name == *reference.name
            && self.blocks == blocks(reference)
            && self.uid == Uid::of(&reference.uid)
    }
}

/// An object with owners or dependents, or one that may have some yet.
#[derive(Clone, Debug)]
struct Node {
    kind: u16,
    life: Life,
    version: u64,
    namespace: Arc<str>,
    name: Box<str>,
    /// Shared by all pods of a set.
    owners: Arc<[Claim]>,
}

/// What there is to know of an object when something is to be decided about it.
#[derive(Clone, Debug)]
pub struct Item {
    /// Which object.
    pub on: Reference,
    /// Its version.
    pub version: String,
    /// Whether it is going, and how.
    pub life: Life,
    /// Its owners.
    pub owners: Arc<[Claim]>,
    /// How many dependents it has.
    pub dependents: usize,
    /// How many of them it waits for if it goes after them.
    pub blocking: usize,
    /// Whether one of its dependents waits for its own dependents: perhaps for this one.
    pub dependent_waits: bool,
}

impl Item {
    /// The same object as the API server has it now.
    #[must_use]
    pub fn at(mut self, live: &Meta) -> Self {
        self.version.clone_from(&live.resource_version);
        self.on.uid.clone_from(&live.uid);
        self.life = Life::of_meta(live);
        self.owners = live.owner_references.iter().map(claim).collect();
        self
    }
}

/// The objects of the cluster and their owners.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: AHashMap<Uid, Node>,
    dependents: AHashMap<Uid, AHashSet<Uid>>,
    /// A group and plural each; the version is the one that it was watched in last.
    kinds: Vec<Kind>,
    texts: AHashSet<Arc<str>>,
    lists: AHashSet<Arc<[Claim]>>,
    /// How many texts and lists there were when those that nobody uses were forgotten last.
    swept: usize,
}

impl Graph {
    /// An object as it is now. Gives what is worth a look.
    pub fn put<'a>(&mut self, kind: Kind, seen: impl Into<Seen<'a>>) -> Vec<Uid> {
        let seen = seen.into();
        let mut woken = Vec::new();
        // What has no UID is in no etcd: an API made up by a server behind the API server.
        if seen.uid.is_empty() {
            return woken;
        }
        let uid = Uid::of(seen.uid);
        let life = Life::of(&seen);
        let version = seen.version.parse().unwrap_or_default();
        let kind = self.kind_id(kind);
        let before = match self.nodes.get_mut(&uid) {
            Some(node) if node.life == life && same(&node.owners, seen.owners) => {
                (node.version, node.kind) = (version, kind);
                if life.concerns_dependents() {
                    woken.push(uid);
                }
                return woken;
            }
            before => before.cloned(),
        };
        let node = Node {
            kind,
            life,
            version,
            namespace: self.text(seen.namespace),
            name: seen.name.into(),
            owners: self.list(seen.owners),
        };
        self.link(uid, &node, before.as_ref(), &mut woken);
        let first = before.is_none();
        let was = before.map(|node| node.life).unwrap_or_default();
        let turned = life.concerns_dependents()
            && (was.is_orphaning(), was.is_waiting()) != (life.is_orphaning(), life.is_waiting());
        if life.concerns_dependents() {
            woken.push(uid);
        }
        if first || turned {
            for dependent in self.dependents_of(uid) {
                let misnamed = || {
                    let item = self.nodes.get(&dependent);
                    item.is_some_and(|item| {
                        let mut claims = item.owners.iter().filter(|claim| claim.uid == uid);
                        claims.any(|claim| !self.is(&node, claim, &item.namespace))
                    })
                };
                if turned || misnamed() {
                    woken.push(dependent);
                }
            }
        }
        self.nodes.insert(uid, node);
        self.sweep();
        woken
    }

    /// An object that is gone. Gives what is worth a look.
    pub fn gone(&mut self, uid: &str) -> Vec<Uid> {
        self.remove(Uid::of(uid))
    }

    /// All objects of a kind; what is not among them is gone. Gives what is worth a look.
    pub fn all(&mut self, kind: Kind, listed: &[Meta]) -> Vec<Uid> {
        let present: AHashSet<Uid> = listed.iter().map(|meta| Uid::of(&meta.uid)).collect();
        let mut woken = self.keep(kind, &present);
        for meta in listed {
            woken.extend(self.put(kind, meta));
        }
        woken
    }

    /// A kind that is not served any more.
    pub fn forget(&mut self, kind: Kind) -> Vec<Uid> {
        self.keep(kind, &AHashSet::new())
    }

    /// The object with this UID, if it has been seen.
    pub fn item(&self, uid: Uid) -> Option<Item> {
        let node = self.nodes.get(&uid)?;
        let mut item = Item {
            on: self.reference(uid, node),
            version: node.version.to_string(),
            life: node.life,
            owners: node.owners.clone(),
            dependents: 0,
            blocking: 0,
            dependent_waits: false,
        };
        for dependent in self.dependents_of(uid) {
            item.dependents += 1;
            if let Some(dependent) = self.nodes.get(&dependent) {
                item.blocking += usize::from(dependent.blocks(uid));
                item.dependent_waits |= dependent.life.is_waiting();
            }
        }
        Some(item)
    }

    /// How the dependents of an owner call it, and from which namespace; who calls it so.
    pub fn claims_on(&self, owner: Uid) -> AHashMap<(Arc<str>, Claim), Vec<Uid>> {
        let mut claims: AHashMap<_, Vec<Uid>> = AHashMap::new();
        for uid in self.dependents_of(owner) {
            if let Some(node) = self.nodes.get(&uid) {
                for claim in node.owners.iter().filter(|claim| claim.uid == owner) {
                    let mut claim = claim.clone();
                    claim.blocks = false;
                    let key = (node.namespace.clone(), claim);
                    claims.entry(key).or_default().push(uid);
                }
            }
        }
        claims
    }

    /// The dependents of an object that nobody deletes yet.
    pub fn staying(&self, owner: Uid) -> Vec<Uid> {
        let stays = |uid: &Uid| self.nodes.get(uid).is_some_and(|node| !node.life.deleting);
        self.dependents_of(owner).filter(stays).collect()
    }

    /// Where the owner that `claim` names was seen, if it was, and whether it waits to let its dependents go.
    pub fn owner(&self, claim: &Claim) -> Option<(&str, Life)> {
        let node = self.nodes.get(&claim.uid)?;
        Some((&node.namespace, node.life))
    }

    fn remove(&mut self, uid: Uid) -> Vec<Uid> {
        let Some(node) = self.nodes.remove(&uid) else {
            return Vec::new();
        };
        let mut woken: Vec<Uid> = self.dependents_of(uid).collect();
        for claim in node.owners.iter() {
            self.unlink(claim.uid, uid, &mut woken);
        }
        woken
    }

    fn keep(&mut self, kind: Kind, present: &AHashSet<Uid>) -> Vec<Uid> {
        let kind = self.kind_id(kind);
        let gone = |(uid, node): &(&Uid, &Node)| node.kind == kind && !present.contains(uid);
        let gone: Vec<Uid> = self
            .nodes
            .iter()
            .filter(gone)
            .map(|(uid, _)| *uid)
            .collect();
        gone.into_iter().flat_map(|uid| self.remove(uid)).collect()
    }

    /// Enters a node with its owners, and takes it off those that it had before.
    fn link(&mut self, uid: Uid, node: &Node, before: Option<&Node>, woken: &mut Vec<Uid>) {
        let owners = |node: Option<&Node>| node.map_or_else(Arc::default, |n| n.owners.clone());
        let (old, new) = (owners(before), owners(Some(node)));
        for claim in old.iter() {
            match new.iter().find(|c| c.uid == claim.uid) {
                None => self.unlink(claim.uid, uid, woken),
                Some(now) if claim.blocks && !now.blocks => self.wake_waiting(claim.uid, woken),
                Some(_) => {}
            }
        }
        for claim in new.iter().filter(|claim| !old.contains(claim)) {
            self.dependents.entry(claim.uid).or_default().insert(uid);
            match self.nodes.get(&claim.uid) {
                None => woken.push(claim.uid),
                Some(owner) => {
                    if owner.life.concerns_dependents() || !self.is(owner, claim, &node.namespace) {
                        woken.push(uid);
                    }
                }
            }
        }
    }

    fn unlink(&mut self, owner: Uid, dependent: Uid, woken: &mut Vec<Uid>) {
        if let Some(dependents) = self.dependents.get_mut(&owner) {
            dependents.remove(&dependent);
            if dependents.is_empty() {
                self.dependents.remove(&owner);
            }
        }
        self.wake_waiting(owner, woken);
    }

    fn wake_waiting(&self, owner: Uid, woken: &mut Vec<Uid>) {
        let waits = |node: &Node| node.life.concerns_dependents();
        if self.nodes.get(&owner).is_some_and(waits) {
            woken.push(owner);
        }
    }

    /// Whether `claim`, made in `namespace`, calls the owner what it is.
    fn is(&self, owner: &Node, claim: &Claim, namespace: &str) -> bool {
        let kind = self.kinds[usize::from(owner.kind)];
        *owner.name == *claim.name
            && *claim.kind == *kind.kind
            && *claim.api_version == *kind.api_version()
            && (owner.namespace.is_empty() || *owner.namespace == *namespace)
    }

    fn dependents_of(&self, owner: Uid) -> impl Iterator<Item = Uid> {
        self.dependents.get(&owner).into_iter().flatten().copied()
    }

    fn reference(&self, uid: Uid, node: &Node) -> Reference {
        Reference {
            kind: self.kinds[usize::from(node.kind)],
            namespace: node.namespace.to_string(),
            name: node.name.to_string(),
            uid: uid.to_string(),
        }
    }

    fn kind_id(&mut self, kind: Kind) -> u16 {
        let is_it = |known: &Kind| known.group == kind.group && known.plural == kind.plural;
        let at = self.kinds.iter().position(is_it).unwrap_or_else(|| {
            self.kinds.push(kind);
            self.kinds.len() - 1
        });
        self.kinds[at] = kind;
        at as u16
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.texts.insert(text.clone());
        text
    }

    fn list(&mut self, references: &[OwnerReference]) -> Arc<[Claim]> {
        let list: Arc<[Claim]> = references.iter().map(claim).collect();
        if let Some(known) = self.lists.get(&list) {
            return known.clone();
        }
        self.lists.insert(list.clone());
        list
    }

    /// Forgets texts and lists that nobody uses, whenever there are twice as many as after the last time.
    fn sweep(&mut self) {
        if self.texts.len() + self.lists.len() > 2 * self.swept + 1024 {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            self.lists.retain(|list| Arc::strong_count(list) > 1);
            self.swept = self.texts.len() + self.lists.len();
        }
    }
}

impl Node {
    fn blocks(&self, owner: Uid) -> bool {
        let mut claims = self.owners.iter();
        claims.any(|claim| claim.uid == owner && claim.blocks)
    }
}

fn claim(reference: &OwnerReference) -> Claim {
    Claim {
        api_version: reference.api_version.as_str().into(),
        kind: reference.kind.as_str().into(),
        name: reference.name.as_str().into(),
        uid: Uid::of(&reference.uid),
        blocks: blocks(reference),
    }
}

fn blocks(reference: &OwnerReference) -> bool {
    reference.block_owner_deletion == Some(true)
}

fn same(claims: &[Claim], references: &[OwnerReference]) -> bool {
    claims.len() == references.len() && claims.iter().zip(references).all(|(c, r)| c.is(r))
}

#[cfg(test)]
mod tests;
