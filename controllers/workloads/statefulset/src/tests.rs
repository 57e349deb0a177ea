//! Decisions and statuses as data: a [`kit::Case`] is a set `web` with what is around it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod claims;
mod healing;
mod kit;
mod order;
mod revisions;
mod status;
mod update;
