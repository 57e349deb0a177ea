//! The cluster: `corten up` as a child process, as a user starts it.

use anyhow::bail;
use controlplane::Process;
use controlplane::process::Spec;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Building etcd and kube-apiserver takes minutes the first time.
const PATIENCE: Duration = Duration::from_mins(15);
/// `corten up` ends its own children in order.
const LAST: Duration = Duration::from_secs(20);

/// A cluster that runs.
#[derive(Debug)]
pub(crate) struct Corten {
    process: Process,
    kubeconfig: PathBuf,
}

impl Corten {
    /// Starts a cluster on `dir` with `nodes` hollow nodes; returns when they are ready.
    ///
    /// # Errors
    /// It ended or was not ready in time.
    pub(crate) async fn start(program: &Path, dir: &Path, nodes: u32) -> anyhow::Result<Self> {
        let mut spec = Spec::new("up", program, dir);
        spec.arguments.extend(["up".into(), "--plain".into()]);
        // A kubeconfig of the user's names another cluster.
        spec.environment.push(("KUBECONFIG".into(), "".into()));
        let spec = spec
            .flag("data-dir", dir.join("cluster"))
            .flag("nodes", nodes.to_string());
        let mut process = Process::start(&spec)?;
        let begun = Instant::now();
        loop {
            let log = std::fs::read_to_string(process.log()).unwrap_or_default();
            if let Some(kubeconfig) = kubeconfig(&log) {
                return Ok(Self {
                    process,
                    kubeconfig,
                });
            }
            process.check()?;
            if begun.elapsed() > PATIENCE {
                process.stop(LAST).await;
                bail!("corten up was not ready in time; its log:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Waits until it ends by itself, and tells why.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        self.process.ended().await.into()
    }

    /// Ends it in order.
    pub(crate) async fn stop(mut self) {
        self.process.stop(LAST).await;
    }
}

/// What `corten up` prints when it is ready.
fn kubeconfig(log: &str) -> Option<PathBuf> {
    let mut lines = log
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    lines.find_map(|line| {
        let path = line.trim_end().strip_prefix("export KUBECONFIG=")?;
        Some(PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::kubeconfig;
    use std::path::Path;

    #[test]
    fn the_kubeconfig_is_taken_from_a_whole_line() {
        assert_eq!(kubeconfig("• starting\nexport KUBECONFIG=/tmp/a"), None);
        assert_eq!(
            kubeconfig("• starting\nexport KUBECONFIG=/tmp/a/admin.kubeconfig\n").as_deref(),
            Some(Path::new("/tmp/a/admin.kubeconfig"))
        );
    }
}
