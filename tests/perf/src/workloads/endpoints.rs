//! A Service whose Deployment is restarted, until its EndpointSlices are right: all new pods are in them, each
//! once and ready, and no other.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::{About, Times, Workload};
use crate::hand::Hand;
use crate::manifests::{ALL, APP, DEPLOYMENTS, PODS, SERVICES, SLICES, deployment, service};
use crate::watch::{Change, Conditions, Metadata, Progress, Seen, Slim, Watch};

const NAME: &str = "perf";
/// What `kubectl rollout restart` writes into the template.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";
const OF_SERVICE: &str = "kubernetes.io/service-name=perf";

pub(crate) struct Endpoints {
    pub(crate) pods: usize,
}

impl Workload for Endpoints {
    fn about(&self) -> About {
        let controllers = &["endpointslice-controller", "endpoints-controller"];
        About::new("endpoint", self.pods, controllers)
    }

    fn prepare<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<()>> {
        async {
            let view = View::begin(hand).await?;
            hand.create(SERVICES, &service(NAME)).await?;
            let deployment = deployment(NAME, APP, self.pods);
            hand.create(DEPLOYMENTS, &deployment).await?;
            view.right(self.pods, false).await
        }
        .boxed()
    }

    fn run<'a>(&'a self, hand: &'a Hand) -> BoxFuture<'a, Result<Times>> {
        async {
            let view = View::begin(hand).await?;
            let begun = Instant::now();
            // A task of its own: nothing that the harness does is to delay what it sees.
            let right = tokio::spawn(view.right(self.pods, true));
            let restarted = json!({RESTARTED: "2026-01-01T00:00:00Z"});
            let patch = json!({"spec": {"template": {"metadata": {"annotations": restarted}}}});
            hand.merge(&format!("{DEPLOYMENTS}/{NAME}"), &patch).await?;
            right.await??;
            Ok(Times {
                done: begun.elapsed(),
                told: None,
            })
        }
        .boxed()
    }
}

/// As much of an EndpointSlice as is looked at.
#[derive(Debug, Clone, Deserialize)]
struct Slice {
    metadata: Metadata,
    endpoints: Option<Vec<Endpoint>>,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Endpoint {
    conditions: Serving,
    target_ref: Target,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default)]
struct Serving {
    ready: bool,
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default)]
struct Target {
    uid: String,
}

impl Seen for Slice {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

type Pod = Slim<Conditions>;

/// What the watcher has seen of pods and slices.
struct View {
    seen: Picture,
    new_pods: Watch<Pod>,
    new_slices: Watch<Slice>,
}

#[derive(Default)]
struct Picture {
    /// Pods by UID.
    pods: HashMap<String, Pod>,
    /// Slices by name.
    slices: HashMap<String, Vec<Endpoint>>,
}

impl View {
    async fn begin(hand: &Hand) -> Result<Self> {
        let (pods, new_pods) = Watch::<Pod>::with_all(hand, PODS, ALL).await?;
        let (slices, new_slices) = Watch::<Slice>::with_all(hand, SLICES, OF_SERVICE).await?;
        let mut seen = Picture::default();
        for pod in pods {
            seen.pod(Change::Is(pod));
        }
        for slice in slices {
            seen.slice(Change::Is(slice));
        }
        Ok(Self {
            seen,
            new_pods,
            new_slices,
        })
    }

    /// Waits until all is right.
    async fn right(mut self, pods: usize, restarted: bool) -> Result<()> {
        let mut progress = Progress::new(pods, "endpoints right");
        while !self.seen.is_right(pods, restarted) {
            tokio::select! {
                pod = self.new_pods.next() => self.seen.pod(pod?),
                slice = self.new_slices.next() => {
                    self.seen.slice(slice?);
                    progress.at(self.seen.right(restarted));
                }
            }
        }
        Ok(())
    }
}

impl Picture {
    fn pod(&mut self, change: Change<Pod>) {
        match change {
            Change::Is(pod) => self.pods.insert(pod.metadata.uid.clone(), pod),
            Change::Gone(pod) => self.pods.remove(&pod.metadata.uid),
        };
    }

    fn slice(&mut self, change: Change<Slice>) {
        match change {
            Change::Is(slice) => self.slices.insert(
                slice.metadata.name.clone(),
                slice.endpoints.unwrap_or_default(),
            ),
            Change::Gone(slice) => self.slices.remove(&slice.metadata.name),
        };
    }

    /// How many endpoints are as they are to be.
    fn right(&self, restarted: bool) -> usize {
        let right = |endpoint: &&Endpoint| {
            let pod = self.pods.get(&endpoint.target_ref.uid);
            endpoint.conditions.ready
                && pod.is_some_and(|pod| pod.is("Ready") && is_new(pod) == restarted)
        };
        self.slices.values().flatten().filter(right).count()
    }

    fn is_right(&self, wanted: usize, restarted: bool) -> bool {
        // What is cheap to know first.
        let endpoints: usize = self.slices.values().map(Vec::len).sum();
        if self.pods.len() != wanted || endpoints != wanted || self.right(restarted) != wanted {
            return false;
        }
        let all = self.slices.values().flatten();
        let each: std::collections::HashSet<_> = all.map(|e| &e.target_ref.uid).collect();
        each.len() == wanted
    }
}

fn is_new(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    annotations.is_some_and(|all| all.contains_key(RESTARTED))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Picture, Pod, RESTARTED, Slice};
    use crate::watch::Change;
    use serde_json::json;

    fn pod(uid: &str, annotation: &str) -> Change<Pod> {
        let pod = json!({
            "metadata": {"name": uid, "uid": uid, "resourceVersion": "1", "annotations": {annotation: "x"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        Change::Is(serde_json::from_value(pod).unwrap())
    }

    fn slice(name: &str, uids: &[&str]) -> Change<Slice> {
        let endpoints = uids
            .iter()
            .map(|uid| json!({"conditions": {"ready": true}, "targetRef": {"uid": uid}}));
        let slice = json!({
            "metadata": {"name": name, "resourceVersion": "1"},
            "endpoints": endpoints.collect::<Vec<_>>(),
        });
        Change::Is(serde_json::from_value(slice).unwrap())
    }

    #[test]
    fn slices_are_right_when_they_hold_each_new_pod_once() {
        let mut seen = Picture::default();
        seen.pod(pod("a", RESTARTED));
        seen.pod(pod("b", "other"));
        seen.slice(slice("s", &["a", "b"]));
        assert!(!seen.is_right(2, true), "an old pod is there");
        seen.pod(Change::Gone(match pod("b", "other") {
            Change::Is(pod) | Change::Gone(pod) => pod,
        }));
        seen.pod(pod("c", RESTARTED));
        seen.slice(slice("s", &["a", "a"]));
        assert!(!seen.is_right(2, true), "one is there twice");
        seen.slice(slice("s", &["a"]));
        assert!(!seen.is_right(2, true), "one is missing");
        seen.slice(slice("t", &["c"]));
        assert!(seen.is_right(2, true));
    }
}
