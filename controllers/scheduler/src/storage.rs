//! Claims, volumes and classes as decisions see them: what the watches show, and what was promised to pods and is not
//! stored yet.
//!
//! Upstream: `framework/plugins/volumebinding/{binder,passive_assume_cache}.go`.

use crate::node::Node;
use crate::pods::PodInfo;
use ahash::AHashMap;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, TopologySelectorTerm};
use k8s_openapi::api::storage::v1::{CSINode, StorageClass, VolumeAttachment};
use objects::meta;
use objects::volume::{self, Used, Wish};
use std::collections::BTreeMap;
use std::sync::Arc;

mod space;

use space::Space;

/// All of them. Read only for decisions; the cycle changes it.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    claims: AHashMap<String, Arc<PersistentVolumeClaim>>,
    volumes: AHashMap<String, Arc<PersistentVolume>>,
    /// By class, the volumes that are nobody's.
    free: AHashMap<String, BTreeMap<String, Arc<PersistentVolume>>>,
    classes: AHashMap<String, Arc<StorageClass>>,
    /// By volume, the UID of the claim that it was promised to.
    promised: AHashMap<String, String>,
    /// By claim, the node that was chosen for it.
    chosen: AHashMap<String, Arc<str>>,
    /// By node and driver, how many volumes can be attached.
    limits: AHashMap<String, AHashMap<String, usize>>,
    /// By node and name.
    attachments: AHashMap<String, BTreeMap<String, Arc<VolumeAttachment>>>,
    space: Space,
}

/// A volume as its driver knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attached {
    /// The CSI driver.
    pub driver: String,
    /// What the driver calls it; for one that is yet to be made, a name that no other has.
    handle: String,
}

/// The claims of a pod, and where they stand.
#[derive(Debug)]
pub struct Claims<'a> {
    /// The volumes of those that are bound; nothing where the volume is not there.
    pub volumes: Vec<Option<&'a Arc<PersistentVolume>>>,
    /// Those that wait for a node to be chosen, the smallest first.
    pub waiting: Vec<&'a Arc<PersistentVolumeClaim>>,
}

/// Why a claim that waits can have no volume on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// There is none, and nobody makes one there.
    NoVolume,
    /// One would be made there, but for the space.
    NoSpace,
}

/// What has to be written before a pod can be bound to its node.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Volumes that go to claims.
    pub give: Vec<(Arc<PersistentVolume>, Arc<PersistentVolumeClaim>)>,
    /// Claims for which volumes are to be made near the node.
    pub make: Vec<Arc<PersistentVolumeClaim>>,
}

impl Work {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.give.is_empty() && self.make.is_empty()
    }
}

fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

fn key_of(claim: &PersistentVolumeClaim) -> String {
    key(
        meta::namespace(&claim.metadata),
        meta::name(&claim.metadata),
    )
}

fn is_free(of: &PersistentVolume) -> bool {
    of.spec
        .as_ref()
        .is_some_and(|spec| spec.claim_ref.is_none())
}

impl Storage {
    /// A claim as the watch shows it.
    pub fn put_claim(&mut self, claim: Arc<PersistentVolumeClaim>) {
        let key = key_of(&claim);
        if volume::is_marked(&claim.metadata, volume::SELECTED_NODE) {
            self.chosen.remove(&key);
        }
        self.claims.insert(key, claim);
    }

    /// A claim that is gone.
    pub fn remove_claim(&mut self, claim: &PersistentVolumeClaim) {
        let key = key_of(claim);
        self.chosen.remove(&key);
        self.claims.remove(&key);
    }

    /// A volume as the watch shows it.
    pub fn put_volume(&mut self, of: Arc<PersistentVolume>) {
        let name = meta::name(&of.metadata).to_owned();
        self.unlist(&name);
        if is_free(&of) {
            let class = volume::class_of_volume(&of).to_owned();
            self.free
                .entry(class)
                .or_default()
                .insert(name.clone(), of.clone());
        } else {
            self.promised.remove(&name);
        }
        self.volumes.insert(name, of);
    }

    /// A volume that is gone.
    pub fn remove_volume(&mut self, name: &str) {
        self.unlist(name);
        self.promised.remove(name);
        self.volumes.remove(name);
    }

    fn unlist(&mut self, name: &str) {
        let Some(old) = self.volumes.get(name).filter(|old| is_free(old)) else {
            return;
        };
        let class = volume::class_of_volume(old);
        if let Some(free) = self.free.get_mut(class) {
            free.remove(name);
            if free.is_empty() {
                self.free.remove(class);
            }
        }
    }

    /// A class as the watch shows it.
    pub fn put_class(&mut self, class: Arc<StorageClass>) {
        self.classes
            .insert(meta::name(&class.metadata).to_owned(), class);
    }

    /// A class that is gone.
    pub fn remove_class(&mut self, name: &str) {
        self.classes.remove(name);
    }

    /// What a node's drivers say of it, as the watch shows it.
    pub fn put_csi_node(&mut self, node: &CSINode) {
        let drivers = node.spec.drivers.iter();
        let limits: AHashMap<String, usize> = drivers
            .filter_map(|driver| {
                let count = driver.allocatable.as_ref()?.count?;
                Some((driver.name.clone(), usize::try_from(count).unwrap_or(0)))
            })
            .collect();
        let name = meta::name(&node.metadata);
        if limits.is_empty() {
            self.limits.remove(name);
        } else {
            self.limits.insert(name.to_owned(), limits);
        }
    }

    /// A node's drivers are gone.
    pub fn remove_csi_node(&mut self, name: &str) {
        self.limits.remove(name);
    }

    /// Whether any driver has a limit on any node.
    pub fn has_limits(&self) -> bool {
        !self.limits.is_empty()
    }

    /// By driver, how many volumes can be attached to a node.
    pub fn limits(&self, node: &str) -> Option<&AHashMap<String, usize>> {
        self.limits.get(node)
    }

    /// An attachment as the watch shows it.
    pub fn put_attachment(&mut self, attachment: Arc<VolumeAttachment>) {
        let node = attachment.spec.node_name.clone();
        let name = meta::name(&attachment.metadata).to_owned();
        self.attachments
            .entry(node)
            .or_default()
            .insert(name, attachment);
    }

    /// An attachment that is gone.
    pub fn remove_attachment(&mut self, attachment: &VolumeAttachment) {
        let node = &attachment.spec.node_name;
        if let Some(there) = self.attachments.get_mut(node) {
            there.remove(meta::name(&attachment.metadata));
            if there.is_empty() {
                self.attachments.remove(node);
            }
        }
    }

    /// The volumes of CSI drivers that are attached to a node, or are going to be.
    pub fn attachments(&self, node: &str) -> impl Iterator<Item = Attached> {
        let there = self.attachments.get(node).into_iter().flatten();
        there.filter_map(|(_, attachment)| {
            let of = attachment.spec.source.persistent_volume_name.as_deref()?;
            let spec = self.volumes.get(of)?.spec.as_ref()?;
            Some(Attached {
                driver: attachment.spec.attacher.clone(),
                handle: spec.csi.as_ref()?.volume_handle.clone(),
            })
        })
    }

    /// What a CSI driver has to attach for a claim; none if that is no driver's matter.
    pub fn attached(&self, namespace: &str, name: &str) -> Option<Attached> {
        let claim = self.claim(namespace, name)?;
        match self.volumes.get(volume::volume_of(claim)) {
            Some(volume) => {
                let csi = volume.spec.as_ref()?.csi.as_ref()?;
                Some(Attached {
                    driver: csi.driver.clone(),
                    handle: csi.volume_handle.clone(),
                })
            }
            None => {
                let class = self.classes.get(volume::class_of_claim(claim))?;
                Some(Attached {
                    driver: class.provisioner.clone(),
                    // No handle of a driver's looks like that.
                    handle: format!("\0{namespace}/{name}"),
                })
            }
        }
    }

    /// The claim of this name.
    pub fn claim(&self, namespace: &str, name: &str) -> Option<&Arc<PersistentVolumeClaim>> {
        self.claims.get(&key(namespace, name))
    }

    /// The volume of this name.
    pub fn volume(&self, name: &str) -> Option<&Arc<PersistentVolume>> {
        self.volumes.get(name)
    }

    /// Where the claims of a pod stand.
    ///
    /// # Errors
    /// The pod can be nowhere, for this reason in upstream's words.
    pub fn claims_of(&self, pod: &PodInfo) -> Result<Claims<'_>, String> {
        let namespace = pod.namespace();
        let (mut volumes, mut waiting, mut late) = (Vec::new(), Vec::new(), false);
        for Used {
            claim: name,
            ephemeral,
            ..
        } in &pod.claims
        {
            let Some(claim) = self.claim(namespace, name) else {
                return Err(if *ephemeral {
                    format!(
                        "waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}"
                    )
                } else {
                    format!("persistentvolumeclaim {name:?} not found")
                });
            };
            let named = volume::volume_of(claim);
            if volume::claim_phase(claim) == "Lost" {
                return Err(format!(
                    "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {named:?}"
                ));
            }
            if meta::is_deleting(&claim.metadata) {
                return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
            }
            if *ephemeral {
                volume::is_for(&pod.meta(), claim)?;
            }
            let class = self.classes.get(volume::class_of_claim(claim));
            let delayed = class.is_some_and(|class| volume::waits_for_consumer(class));
            if volume::is_fully_bound(claim) {
                volumes.push(self.volumes.get(named));
            } else if delayed && named.is_empty() {
                waiting.push(claim);
            } else {
                late = true;
            }
        }
        if late {
            return Err("pod has unbound immediate PersistentVolumeClaims".to_owned());
        }
        waiting.sort_by_key(|claim| volume::request(claim));
        Ok(Claims { volumes, waiting })
    }

    /// What has to be done so that the claims that wait can be used on this node.
    ///
    /// # Errors
    /// They cannot be.
    pub fn place(
        &self,
        waiting: &[&Arc<PersistentVolumeClaim>],
        node: &Node,
    ) -> Result<Work, Misfit> {
        let mut work = Work::default();
        for claim in waiting {
            let here = meta::name(&node.metadata);
            let selected = meta::annotation(&claim.metadata, volume::SELECTED_NODE);
            let selected = selected.or_else(|| self.chosen.get(&key_of(claim)).map(|node| &**node));
            match selected {
                Some(node) if node != here => return Err(Misfit::NoVolume),
                Some(_) => {}
                None => {
                    if let Some(found) = self.find(claim, node, &work) {
                        work.give.push((found.clone(), (*claim).clone()));
                        continue;
                    }
                }
            }
            self.can_make(claim, node)?;
            work.make.push((*claim).clone());
        }
        Ok(work)
    }

    fn find(
        &self,
        claim: &PersistentVolumeClaim,
        node: &Node,
        work: &Work,
    ) -> Option<&Arc<PersistentVolume>> {
        let free = self.free.get(volume::class_of_claim(claim))?;
        let uid = meta::uid(&claim.metadata);
        let taken = |of: &PersistentVolume| {
            let name = meta::name(&of.metadata);
            let given = work
                .give
                .iter()
                .any(|(other, _)| meta::name(&other.metadata) == name);
            given || self.promised.get(name).is_some_and(|to| to != uid)
        };
        Wish::of(claim)
            .ok()?
            .best_on(free.values(), &node.metadata, taken)
    }

    /// Whether somebody makes volumes of the claim's class for this node.
    fn can_make(&self, claim: &PersistentVolumeClaim, node: &Node) -> Result<(), Misfit> {
        let class = self.classes.get(volume::class_of_claim(claim));
        let class = class.filter(|class| {
            let makes = !matches!(class.provisioner.as_str(), "" | volume::NO_PROVISIONER);
            let near = class.allowed_topologies.as_deref().unwrap_or_default();
            makes && is_allowed(near, node)
        });
        let class = class.ok_or(Misfit::NoVolume)?;
        match self.space.suffices(claim, class, node) {
            true => Ok(()),
            false => Err(Misfit::NoSpace),
        }
    }

    /// The space that drivers tell of, to be changed.
    pub fn space_mut(&mut self) -> &mut Space {
        &mut self.space
    }

    /// Takes note that this is going to be done.
    pub fn promise(&mut self, work: &Work, node: &Arc<str>) {
        for (of, claim) in &work.give {
            let uid = meta::uid(&claim.metadata).to_owned();
            self.promised
                .insert(meta::name(&of.metadata).to_owned(), uid);
        }
        for claim in &work.make {
            if !volume::is_marked(&claim.metadata, volume::SELECTED_NODE) {
                self.chosen.insert(key_of(claim), node.clone());
            }
        }
    }

    /// Takes a promise back. What a watch has shown in the meantime stays.
    pub fn take_back(&mut self, work: &Work) {
        for (of, claim) in &work.give {
            let name = meta::name(&of.metadata);
            if self.promised.get(name).map(String::as_str) == Some(meta::uid(&claim.metadata)) {
                self.promised.remove(name);
            }
        }
        for claim in &work.make {
            self.chosen.remove(&key_of(claim));
        }
    }
}

/// Whether a class may have volumes near this node (upstream: `MatchTopologySelectorTerms`).
fn is_allowed(terms: &[TopologySelectorTerm], node: &Node) -> bool {
    let matches = |term: &TopologySelectorTerm| {
        let mut expressions = term.match_label_expressions.iter().flatten();
        expressions.all(|expression| {
            let value = meta::label(&node.metadata, &expression.key);
            value.is_some_and(|value| expression.values.iter().any(|allowed| allowed == value))
        })
    };
    terms.is_empty() || terms.iter().any(matches)
}

#[cfg(test)]
mod tests;
