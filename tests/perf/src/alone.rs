//! A scheduler alone on a cluster, or the measure of what the API server can take: somebody who decides nothing and
//! binds each pod to the next node in turn.

use std::collections::HashSet;

use anyhow::Result;
use controlplane::Process;
use controlplane::process::Spec;
use controlplane::upstream::Upstream;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};

use crate::hand::Hand;
use crate::manifests::{NODES, PODS};
use crate::watch::{Conditions, Slim, Watch};

/// So many bindings are under way at once, as of upstream's scheduler when it has time.
const AT_ONCE: usize = 64;

/// Starts kube-scheduler with this port for its metrics; gives where these are.
pub(crate) fn theirs(upstream: &Upstream<'_>, port: u16) -> Result<(Process, String)> {
    let upstream = Upstream {
        secure_port: Some(port),
        ..upstream.clone()
    };
    Ok((upstream.scheduler()?, format!("https://127.0.0.1:{port}")))
}

/// The same with ours.
pub(crate) fn ours(spec: Spec, port: u16) -> Result<(Process, String)> {
    let spec = spec
        .flag("leader-elect", "false")
        .flag("secure-port", port.to_string())
        .flag("bind-address", "127.0.0.1");
    let process = Process::start(&spec)?;
    Ok((process, format!("http://127.0.0.1:{port}")))
}

/// What a scheduler has taken for its decisions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Decisions {
    pub(crate) count: f64,
    pub(crate) seconds: f64,
}

impl Decisions {
    /// Reads them off the metrics at this address.
    pub(crate) async fn read(address: &str) -> Result<Self> {
        Ok(Self::parse(&cluster::scrape(address).await?))
    }

    fn parse(text: &str) -> Self {
        let value = |suffix: &str| {
            let name = format!("scheduler_scheduling_algorithm_duration_seconds_{suffix}");
            let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
            let found = lines.find(|(series, _)| series.split('{').next() == Some(&name));
            found
                .and_then(|(_, value)| value.parse().ok())
                .unwrap_or(0.0)
        };
        Self {
            count: value("count"),
            seconds: value("sum"),
        }
    }

    /// Microseconds a decision since `before`; none if there was none.
    pub(crate) fn each_since(self, before: Self) -> Option<f64> {
        let (count, seconds) = (self.count - before.count, self.seconds - before.seconds);
        (count > 0.0).then(|| seconds / count * 1e6)
    }
}

/// Binds every pod that there is and that comes, to the nodes in turn, for ever.
pub(crate) async fn bind_all(hand: Hand) -> Result<()> {
    let (there, mut pods) = Watch::<Slim<Conditions>>::with_all(&hand, PODS, "").await?;
    anyhow::ensure!(there.is_empty(), "there are pods already");
    let (mut nodes, mut seen) = (Vec::new(), HashSet::new());
    let mut flying = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(bound) = flying.next(), if !flying.is_empty() => {
                let _: () = bound?;
            }
            pod = pods.next(), if flying.len() < AT_ONCE => {
                let crate::watch::Change::Is(pod) = pod? else { continue };
                if pod.is("PodScheduled") || !seen.insert(pod.metadata.uid.clone()) {
                    continue;
                }
                if nodes.is_empty() {
                    nodes = names(&hand.get(NODES).await?.unwrap_or_default());
                }
                let node = &nodes[seen.len() % nodes.len().max(1)];
                let (hand, name) = (hand.clone(), pod.metadata.name);
                let binding = json!({
                    "metadata": {"name": name}, "target": {"kind": "Node", "name": node},
                });
                flying.push(async move {
                    let path = format!("{PODS}/{name}/binding");
                    match hand.create(&path, &binding).await {
                        // It has gone meanwhile, where pods come and go.
                        Err(error) if is_gone(&error) => Ok(()),
                        bound => bound.map(drop),
                    }
                });
            }
        }
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<kube::Error>();
    matches!(error, Some(kube::Error::Api(status)) if status.code == 404)
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().into_iter().flatten();
    let names = items.filter_map(|node| node["metadata"]["name"].as_str());
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::Decisions;

    #[test]
    fn the_time_of_a_decision_is_read_off_the_metrics() {
        let text = "# TYPE x histogram\n\
            scheduler_scheduling_algorithm_duration_seconds_bucket{le=\"0.001\"} 3\n\
            scheduler_scheduling_algorithm_duration_seconds_sum 0.5\n\
            scheduler_scheduling_algorithm_duration_seconds_count 10\n";
        let now = Decisions::parse(text);
        let before = Decisions {
            count: 5.0,
            seconds: 0.25,
        };
        assert_eq!(now.each_since(before), Some(50_000.0));
        assert_eq!(now.each_since(now), None);
    }
}
