//! What each loop promises, on a real API server with hollow nodes.
//!
//! `cargo test -p integration` runs our loops, `ACTOR=upstream cargo test -p integration` upstream's: what
//! these fail is a wrong test. See the crate `cluster` for the other variables.
#![allow(clippy::unwrap_used, clippy::panic)]

mod autoscaler;
mod bad_pods;
mod certificates;
mod check;
mod cronjob;
mod daemonset;
mod deployment;
mod disruption;
mod endpoints;
mod extender;
mod garbagecollector;
mod hostile;
mod housekeeping;
mod job;
mod known;
mod leftovers;
mod lifecycle;
mod looms;
mod manifest;
mod metrics;
mod mirroring;
mod namespaces;
mod nodes;
mod own_nodes;
mod podgc;
mod quota;
mod replicaset;
mod rollout;
mod scales;
mod scheduler;
mod scheduler_constraints;
mod serviceaccount;
mod statefulset;
mod tokens;
mod two_schedulers;
mod volumes;
mod why;
mod witness;
