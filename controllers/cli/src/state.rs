//! What a running `up` leaves in its data folder for `status`, `down` and `kubectl`.

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::ListParams;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const FILE: &str = "corten.json";
/// How long an orderly end may take before it is no longer waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster that runs, or ran.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// The process that runs the parts.
    pub(crate) pid: i32,
    /// When that process began, in the kernel's clock ticks: another process of the same number is not it.
    pub(crate) started: u64,
    /// The API server.
    pub(crate) url: String,
    /// For kubectl.
    pub(crate) kubeconfig: PathBuf,
    /// The processes of etcd and kube-apiserver.
    pub(crate) children: Vec<u32>,
}

impl State {
    /// What stands in a data folder; `None` if there never was a cluster in it.
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Option<Self>> {
        let file = dir.join(FILE);
        match std::fs::read(&file) {
            Ok(bytes) => Ok(Some(
                serde_json::from_slice(&bytes).with_context(|| file.display().to_string())?,
            )),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| file.display().to_string()),
        }
    }

    /// Says that this process runs the cluster.
    pub(crate) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let file = dir.join(FILE);
        let temporary = dir.join(format!(".{FILE}.new"));
        std::fs::write(&temporary, serde_json::to_vec_pretty(self)?)
            .and_then(|()| std::fs::rename(&temporary, &file))
            .with_context(|| file.display().to_string())
    }

    /// Says that nothing runs any more.
    pub(crate) fn remove(dir: &Path) {
        // If it stays, the number in it is that of no process.
        let _ = std::fs::remove_file(dir.join(FILE));
    }

    /// True while the process that wrote it lives.
    pub(crate) fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.started)
    }
}

/// When a process began, in clock ticks since boot; `None` if there is none, or only its exit code is left.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may have blanks in it; after it come the state and, as the 20th, the start.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (!["Z", "X"].contains(&state)).then(|| fields.nth(18)?.parse().ok())?
}

/// `corten down`
pub(crate) async fn down(dir: &Path) -> anyhow::Result<ExitCode> {
    let state = State::read(dir)?;
    if let Some(state) = state.filter(State::is_alive) {
        let pid = Pid::from_raw(state.pid).context("corten.json has no process in it")?;
        kill_process(pid, Signal::TERM)
            .context("the process that runs the cluster cannot be ended")?;
        let begun = Instant::now();
        while state.is_alive() && test_kill_process(pid).is_ok() {
            if begun.elapsed() > PATIENCE {
                bail!(
                    "process {} has not ended within {} s; end it with: kill -9 {0}",
                    state.pid,
                    PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        State::remove(dir);
        println!("ended; the data stay in {}", dir.display());
        return Ok(ExitCode::SUCCESS);
    }
    State::remove(dir);
    let left = controlplane::stop(dir).await?;
    match left {
        true => println!(
            "ended what was left over; the data stay in {}",
            dir.display()
        ),
        false => println!("nothing runs in {}", dir.display()),
    }
    Ok(ExitCode::SUCCESS)
}

/// `corten status`: exit code 0 if a cluster runs, 3 if not.
pub(crate) async fn status(dir: &Path) -> anyhow::Result<ExitCode> {
    let Some(state) = State::read(dir)?.filter(State::is_alive) else {
        println!(
            "nothing runs in {}; start it with: corten up",
            dir.display()
        );
        return Ok(ExitCode::from(3));
    };
    println!("data        {}", dir.display());
    println!("API server  {}", state.url);
    println!("kubeconfig  {}", state.kubeconfig.display());
    let children: Vec<_> = state.children.iter().map(u32::to_string).collect();
    println!(
        "processes   {} (corten), {} (etcd, kube-apiserver)",
        state.pid,
        children.join(", ")
    );
    let counts = tokio::time::timeout(Duration::from_secs(5), counts(&state.kubeconfig)).await;
    match counts {
        Ok(Ok((nodes, ready, pods, running))) => {
            println!("nodes       {ready} of {nodes} ready");
            println!("pods        {running} of {pods} running");
            Ok(ExitCode::SUCCESS)
        }
        Ok(Err(error)) => Err(error.context("the API server does not answer")),
        Err(_) => bail!("the API server has not answered within 5 s"),
    }
}

async fn counts(kubeconfig: &Path) -> anyhow::Result<(usize, usize, usize, usize)> {
    let client = crate::up::client_of(kubeconfig).await?;
    let all = ListParams::default();
    let nodes = Api::<Node>::all(client.clone()).list(&all).await?.items;
    let pods = Api::<Pod>::all(client).list(&all).await?.items;
    let ready = nodes
        .iter()
        .filter(|node| objects::node::is_ready(node))
        .count();
    let running = pods
        .iter()
        .filter(|pod| objects::pod::phase(pod) == "Running")
        .count();
    Ok((nodes.len(), ready, pods.len(), running))
}
