//! Protection of what is in use: claims that pods use, volumes that claims have, attribute classes that either names.
//!
//! **Promises.** Each of them carries a finalizer (the API server's admission writes it, here it is written where that
//! was not at work). When it is being deleted the finalizer goes as soon as nobody uses it, and not before: a claim
//! while a pod that uses it is on a node, a volume while it is a claim's, a class while a claim or a volume names it.
//!
//! **Never.** No claim is given up on a cache's word: a pod may have come to its node a moment ago. The pods of the
//! namespace are listed first, once for all of its claims that wait for that.
//!
//! **Better than upstream, on purpose.** A volume that a claim was just given is in use although its phase does not say
//! `Bound` yet; upstream looks at the phase only, and a deletion in between takes the claim's volume away.
//!
//! Semantics: upstream `pkg/controller/volume/{pvc,pv,vac}protection`. Start reading at [`plan`].
#![forbid(unsafe_code)]

mod claim;
mod class;
pub mod plan;
#[cfg(test)]
mod tests;
mod volume;

pub use claim::ClaimProtection;
pub use class::AttributesClassProtection;
pub use volume::VolumeProtection;

/// What is looked at when it is decided about one object of kind `K`.
#[derive(Clone, Debug)]
pub struct World<K> {
    /// The object as the cache holds it.
    pub object: std::sync::Arc<K>,
    /// Whether somebody uses it.
    pub used: Use,
}

/// Whether somebody uses something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Somebody does; his going, or change, wakes.
    Yes,
    /// Nobody does, as the API server says.
    No,
    /// The API server has not answered.
    Unknown,
    /// Nobody deletes it: it does not matter.
    Unasked,
}
