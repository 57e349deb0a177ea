//! The node agent, with the `hollow` runtime: one process is thousands of nodes on which nothing runs.
//!
//! To the API server they look as a kubelet's nodes do. They register, renew their Leases, take pods
//! through Pending, Running and Ready, restart what exits with crash-loop back-off, refuse what does not
//! fit, and end pods within their grace period. A container whose command is a shell script of the small
//! grammar in [`script`] does what that says, in virtual time: it sleeps, writes files that live as long as
//! their volume, heeds a trap, ends with its code and its termination message, so that Jobs fail, retry and
//! succeed as written; exec probes look at those files. What else containers do (how long they start and
//! run, their exit codes, which images cannot be pulled) is data: see [`Profiles`].
//!
//! What it deliberately does not do: run processes, mount volumes, open ports, serve logs or exec. What
//! ConfigMaps, Secrets and claims of a real node hold is unknown to it: a script that reads them runs as its
//! profile says. What scripts have written under `hostPath` is gone with the process; what they wrote into
//! the pod's own volumes is had again by repeating their runs.
//!
//! Besides its own nodes it takes on those that others made with the annotation
//! `kwok.x-k8s.io/node: fake`. A node that comes through the API server's admission carries the taint
//! `node.kubernetes.io/not-ready:NoSchedule`; the agent takes it off as soon as it has posted Ready, so that
//! a cluster without a node-lifecycle controller has schedulable nodes (with one, both do the same).
//!
//! A node with the annotation `hollow.corten.dev/silent: "true"` is cut off: neither it nor its pods are written,
//! as if its network were gone, while its containers go on. Without it the node is back, and tells what has become of
//! them.
//!
//! A pod whose claims have no volumes is not started before they have: the scheduler waits for that too, but a pod can be
//! given its node by anybody.
//!
//! It is level-triggered as all loops are: pods that a former process had taken on keep address, restart
//! counts and states, which are read from their statuses.
//!
//! Reading order: [`plan`] (one pod, one decision, pure), [`hollow`] (the pretended containers), [`command`] and
//! [`script`] (what they are told to do), [`status`],
//! [`admit`], [`node`], then [`worker`] (all pods and nodes and one heap of timers) and [`agent`] (wiring).
//!
//! Semantics: `pkg/kubelet/kubelet_pods.go` (`getPhase`), `pkg/kubelet/status`, `pkg/kubelet/lifecycle/predicate.go`,
//! `pkg/kubelet/nodestatus/setters.go`, `component-helpers/apimachinery/lease`.

pub mod admit;
pub mod agent;
pub mod claims;
pub mod command;
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
