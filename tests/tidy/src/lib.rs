//! The rules of the workspace that can be failing tests. What cannot is a sentence in ARCHITECTURE.md.
//!
//! No dependencies, milliseconds. Each rule says which files it is about, what must not stand in them and
//! why; an exception is a line in its list with a reason.
#![forbid(unsafe_code)]

#[cfg(test)]
mod rules;
#[cfg(test)]
mod tree;
