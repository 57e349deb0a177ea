//! The node agent, with the `hollow` runtime: one process is thousands of nodes on which nothing runs.
//!
//! To the API server they look as a kubelet's nodes do. They register, renew their Leases, take pods
//! through Pending, Running and Ready, restart what exits with crash-loop back-off, refuse what does not
//! fit, and end pods within their grace period. What the pretended containers do (how long they start and
//! run, their exit codes, which images cannot be pulled) is data: see [`Profiles`].
//!
//! What it deliberately does not do: run containers, mount volumes, probe, serve logs or exec.
//!
//! Besides its own nodes it takes on those that others made with the annotation
//! `kwok.x-k8s.io/node: fake`. A node that comes through the API server's admission carries the taint
//! `node.kubernetes.io/not-ready:NoSchedule`; the agent takes it off as soon as it has posted Ready, so that
//! a cluster without a node-lifecycle controller has schedulable nodes (with one, both do the same).
//!
//! It is level-triggered as all loops are: pods that a former process had taken on keep address, restart
//! counts and states, which are read from their statuses.
//!
//! Reading order: [`plan`] (one pod, one decision, pure), [`hollow`] (the pretended containers), [`status`],
//! [`admit`], [`node`], then [`worker`] (all pods and nodes and one heap of timers) and [`agent`] (wiring).
//!
//! Semantics: `pkg/kubelet/kubelet_pods.go` (`getPhase`), `pkg/kubelet/status`, `pkg/kubelet/lifecycle/predicate.go`,
//! `pkg/kubelet/nodestatus/setters.go`, `component-helpers/apimachinery/lease`.

pub mod admit;
pub mod agent;
pub mod hollow;
pub mod image;
pub mod ip;
pub mod metrics;
pub mod node;
mod options;
pub mod plan;
pub mod profile;
pub mod script;
pub mod status;
pub mod worker;

pub use agent::Agent;
pub use options::Options;
pub use profile::Profiles;

/// The component name: event source and field manager.
pub const NAME: &str = "kubelet";

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
