//! What the workloads do, for people to watch: a tree on a terminal, lines elsewhere.

use crossterm::{cursor, execute, terminal};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use objects::{meta, node, pod};
use runtime::{Caches, Key, Runtime};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Pods of one ReplicaSet that are shown one by one; more are counted.
const PODS: usize = 12;
const EVERY: Duration = Duration::from_millis(200);
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Looks at the caches and prints what it sees when that changes.
pub(crate) struct View {
    caches: Caches,
    live: bool,
}

impl View {
    /// Asks for what it looks at; before the watches begin.
    pub(crate) fn watch(runtime: &Runtime) {
        let caches = runtime.caches();
        caches.of::<Deployment>();
        caches.of::<ReplicaSet>();
        caches.of::<Pod>();
        caches.of::<k8s_openapi::api::core::v1::Node>();
        caches.of::<k8s_openapi::api::core::v1::ServiceAccount>();
    }

    /// A view of the workloads; `plain` for lines in any case.
    pub(crate) fn new(runtime: &Runtime, plain: bool) -> Self {
        Self {
            caches: runtime.caches().clone(),
            live: !plain && io::stdout().is_terminal(),
        }
    }

    /// Shows until it is dropped, or until nobody can be shown anything.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.live {
            self.tree().await
        } else {
            self.lines().await
        }
    }

    async fn tree(&self) -> anyhow::Result<()> {
        let mut shown = String::new();
        loop {
            let rows = terminal::size().map_or(24, |(_, rows)| usize::from(rows));
            let text = self.draw(rows.saturating_sub(1));
            if text != shown {
                let mut out = io::stdout().lock();
                let up = shown.lines().count() as u16;
                if up > 0 {
                    execute!(
                        out,
                        cursor::MoveToPreviousLine(up),
                        terminal::Clear(terminal::ClearType::FromCursorDown)
                    )?;
                }
                out.write_all(text.as_bytes())?;
                out.flush()?;
                shown = text;
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn lines(&self) -> anyhow::Result<()> {
        let mut shown: HashMap<Key, Shown> = HashMap::new();
        for turn in 0_u64.. {
            let mut news = BTreeMap::new();
            for deployment in self.caches.of::<Deployment>().all() {
                let meta = &deployment.metadata;
                let held = shown.entry(Key::of(meta)).or_default();
                held.turn = turn;
                if held.version == meta.resource_version {
                    continue;
                }
                held.version.clone_from(&meta.resource_version);
                let text = summary(&deployment);
                if held.text != text {
                    held.text.clone_from(&text);
                    news.insert(label(&deployment), text);
                }
            }
            for (name, text) in &news {
                println!("{name}: {text}");
            }
            for (key, _) in shown.extract_if(|_, held| held.turn != turn) {
                println!("deployment {key}: gone");
            }
            tokio::time::sleep(EVERY).await;
        }
        Ok(())
    }

    /// The whole tree, at most `rows` lines of it.
    fn draw(&self, rows: usize) -> String {
        let nodes = self.caches.of::<k8s_openapi::api::core::v1::Node>().all();
        let ready = nodes.iter().filter(|n| node::is_ready(n)).count();
        let pods = self.caches.of::<Pod>();
        let mut lines = vec![format!(
            "{ready}/{} nodes ready, {} pods",
            nodes.len(),
            pods.len()
        )];
        for deployment in self.deployments() {
            lines.push(format!("{}  {}", label(&deployment), summary(&deployment)));
            let mut sets = self
                .caches
                .of::<ReplicaSet>()
                .owned_by(meta::uid(&deployment.metadata));
            sets.sort_by_key(|set| std::cmp::Reverse(revision(set)));
            for set in &sets {
                let wanted = set.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
                let mut pods = pods.owned_by(meta::uid(&set.metadata));
                if wanted == 0 && pods.is_empty() {
                    continue;
                }
                lines.push(format!(
                    "├ rev {} {}  {} of {wanted} pods",
                    revision(set),
                    meta::name(&set.metadata),
                    pods.len()
                ));
                pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
                for pod in pods.iter().take(PODS) {
                    let node = pod::node_name(pod).unwrap_or("-");
                    lines.push(format!(
                        "│  {}  {node}  {}",
                        meta::name(&pod.metadata),
                        state(pod)
                    ));
                }
                if pods.len() > PODS {
                    lines.push(format!(
                        "│  … and {} more: {}",
                        pods.len() - PODS,
                        tally(&pods[PODS..])
                    ));
                }
            }
        }
        if lines.len() > rows {
            let hidden = lines.len() - rows + 1;
            lines.truncate(rows.saturating_sub(1));
            lines.push(format!("… {hidden} more lines"));
        }
        lines
            .iter()
            .fold(String::new(), |text, line| text + line + "\n")
    }

    fn deployments(&self) -> Vec<std::sync::Arc<Deployment>> {
        let mut all = self.caches.of::<Deployment>().all();
        let name = |d: &Deployment| (d.metadata.namespace.clone(), d.metadata.name.clone());
        all.sort_by_cached_key(|d| name(d));
        all
    }
}

/// The line of a Deployment that was printed last.
#[derive(Default)]
struct Shown {
    version: Option<String>,
    text: String,
    /// When it was there last.
    turn: u64,
}

fn label(deployment: &Deployment) -> String {
    format!(
        "deployment {}/{}",
        meta::namespace(&deployment.metadata),
        meta::name(&deployment.metadata)
    )
}

/// `3/10 ready, 2 updated, progressing`
fn summary(deployment: &Deployment) -> String {
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|s| s.replicas)
        .unwrap_or(1);
    let status = deployment.status.as_ref();
    let ready = status.and_then(|s| s.ready_replicas).unwrap_or(0);
    let updated = status.and_then(|s| s.updated_replicas).unwrap_or(0);
    let all = status.and_then(|s| s.replicas).unwrap_or(0);
    let done = ready == wanted && updated == wanted && all == wanted;
    let conditions = status.and_then(|s| s.conditions.as_ref());
    let trouble = conditions.into_iter().flatten().find(|c| {
        (c.type_ == "Progressing" && c.status == "False")
            || (c.type_ == "ReplicaFailure" && c.status == "True")
    });
    let state = match trouble {
        Some(condition) => condition.reason.clone().unwrap_or_default(),
        None if done => "✓".to_owned(),
        None => "progressing".to_owned(),
    };
    format!("{ready}/{wanted} ready, {updated} updated, {state}")
}

fn revision(set: &ReplicaSet) -> u64 {
    meta::annotation(&set.metadata, REVISION)
        .and_then(|r| r.parse().ok())
        .unwrap_or(0)
}

/// As kubectl's column STATUS has it, as far as there is one word for it.
fn state(pod: &Pod) -> &str {
    if meta::is_deleting(&pod.metadata) {
        return "Terminating";
    }
    let status = pod.status.as_ref();
    let mut waiting = status
        .into_iter()
        .flat_map(|s| s.container_statuses.iter().flatten());
    let reason = waiting.find_map(|c| c.state.as_ref()?.waiting.as_ref()?.reason.as_deref());
    match (reason, pod::phase(pod)) {
        (Some(reason), _) => reason,
        (None, "Running") if pod::is_ready(pod) => "Ready",
        (None, phase) => phase,
    }
}

fn tally(pods: &[std::sync::Arc<Pod>]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in pods {
        *counts.entry(state(pod)).or_default() += 1;
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(state, n)| format!("{n} {state}"))
        .collect();
    counts.join(", ")
}
