//! What is asked of an actor, one file a workload. A workload is data ([`About`]), what there is before the clock
//! starts, and what is measured.

pub(crate) mod autoscalers;
pub(crate) mod daemonset;
pub(crate) mod deployment;
pub(crate) mod endpoints;
pub(crate) mod garbage;
pub(crate) mod job;
pub(crate) mod namespace;
pub(crate) mod rest;
pub(crate) mod restart;
pub(crate) mod scheduling;
pub(crate) mod statefulset;

use std::time::Duration;

use anyhow::Result;
use futures::future::BoxFuture;

use crate::hand::Hand;

/// What there is to know of a workload before it begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    /// One of the things whose number is the size of the workload: `pod`.
    pub(crate) thing: &'static str,
    /// How many there are.
    pub(crate) count: usize,
    /// The controllers it is about, besides those that are always there.
    pub(crate) controllers: Controllers,
    /// Whether somebody must serve `metrics.k8s.io`.
    pub(crate) metrics: bool,
    /// How long it takes is a figure; otherwise it takes as long as it is told to.
    pub(crate) timed: bool,
    /// The actor begins when all is prepared, and the clock with it.
    pub(crate) late: bool,
}

/// Controllers by upstream's names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Controllers {
    /// These.
    These(&'static [&'static str]),
    /// All that both have.
    All,
    /// None: a scheduler, and nodes that nobody plays.
    OnlyScheduler,
}

/// How long it took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Until all was as it was asked for.
    pub(crate) done: Duration,
    /// Until the statuses of those that were asked said so, where that is something else.
    pub(crate) told: Option<Duration>,
}

/// A workload.
pub(crate) trait Workload {
    fn about(&self) -> About;

    /// What is there before the clock starts. Nothing of it is measured.
    fn prepare<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<()>>;

    /// What is measured, from the request to the end of what it brings about.
    fn run<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<Times>>;
}

impl About {
    /// `count` things and the controllers that they are about.
    const fn new(thing: &'static str, count: usize, controllers: &'static [&'static str]) -> Self {
        Self {
            thing,
            count,
            controllers: Controllers::These(controllers),
            metrics: false,
            timed: true,
            late: false,
        }
    }
}
