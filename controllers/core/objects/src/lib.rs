//! Questions about API objects, and their answers.
//!
//! Every function here takes objects of k8s-openapi (and, where time matters, `now`) and gives a value. Nothing
//! waits, reads a clock, draws a random number or talks to a server; the same question always has the same answer.
//! What two controllers have to agree on (when is a pod available, which node fits, which pod goes first) lives here,
//! so that no controller needs to know another.
//!
//! Not here: what to *do* about an answer. That is a plan.
//!
//! Start with [`pod`] and [`selector`]; [`rank`] and [`template`] hold the two rules with the most history upstream.
//! Each module names the upstream file that defines its semantics.

pub mod affinity;
pub mod cidr;
pub mod conditions;
pub mod endpoint;
mod fnv;
pub mod history;
pub mod int_or_percent;
pub mod meta;
pub mod names;
pub mod node;
pub mod pod;
pub mod quantity;
pub mod rank;
pub mod resources;
pub mod selector;
pub mod taints;
pub mod template;
pub mod volume;

pub use quantity::Quantity;
pub use resources::Resources;
pub use selector::Selector;
