//! Every write and every watch event of every scenario, made to fail, one at a time.
//!
//! A [`Scenario`] is data: which controllers run, what there is at the beginning, what the user does when. The
//! [`harness`] runs it against the API server in memory, with cheap imitations of all that is not under test. First
//! it runs undisturbed and so becomes its own reference; then [`sweep`] lets each write of the controllers fail in
//! each way, and upsets the watches after each of their events. After each such run the [`oracle`] compares and judges.
//!
//! Sieve (OSDI'22) is the model: perturb the view and the writes at the client's boundary, compare with the
//! unperturbed run. The numbers of the oracles (O1 and so on) are those of its report in the test's output.
#![forbid(unsafe_code)]

pub mod canon;
pub mod harness;
pub mod keys;
pub mod kubelet;
pub mod nodes;
pub mod objects;
pub mod oracle;
mod parts;
pub mod scenario;
pub mod scenarios;
pub mod sweep;

pub use scenario::{Act, Part, Scenario, Step, Surroundings};
pub use sweep::sweep;

#[cfg(test)]
mod crowd;
#[cfg(test)]
mod tests;
