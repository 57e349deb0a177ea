//! Decisions: data and one call.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kit;
mod manage;
mod records;
mod rolling;
mod status;
