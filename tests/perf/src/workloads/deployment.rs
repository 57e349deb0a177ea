//! Deployments, until all of their pods are Ready.

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{About, Times, Workload};
use crate::hand::Hand;
use crate::manifests::{APP, DEPLOYMENTS, SERVICES, deployment, service};
use crate::ready;

pub(crate) struct Deployments {
    pub(crate) pods: usize,
    /// The pods are spread over so many.
    pub(crate) deployments: usize,
    /// Each has a Service, so that the endpoint controllers have work too.
    pub(crate) services: bool,
}

impl Workload for Deployments {
    fn about(&self) -> About {
        let controllers = &["endpointslice-controller", "endpoints-controller"];
        About::new("pod", self.pods, controllers)
    }

    fn prepare<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<()>> {
        async {
            let services = 0..if self.services { self.deployments } else { 0 };
            let services = services.map(|number| service(&name(number)));
            hand.create_all(SERVICES, services).await
        }
        .boxed()
    }

    fn run<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<Times>> {
        async {
            let deployments: Vec<_> = (0..self.deployments)
                .map(|number| {
                    let rest = usize::from(number < self.pods % self.deployments);
                    let replicas = self.pods / self.deployments + rest;
                    deployment(&name(number), APP, replicas)
                })
                .collect();
            ready::run(hand, DEPLOYMENTS, &deployments, self.pods).await
        }
        .boxed()
    }
}

fn name(number: usize) -> String {
    format!("perf-{number}")
}
