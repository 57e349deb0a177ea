//! A scheduler beside the one that acts in a cluster, with a configuration of its own.

use crate::actor::{Actor, process};
use crate::audit::Writer;
use crate::{Cluster, free_port};
use anyhow::{Result, anyhow};
use controlplane::upstream::Upstream;
use controlplane::{AssetOptions, Assets, Process, Progress, Tool};
use corten_test::folder::Folder;
use runtime::Runtime;

/// It ends when this is dropped, in the middle of whatever it does.
pub struct Second(Running);

enum Running {
    Ours(Runtime),
    Theirs {
        /// Where its metrics are.
        port: u16,
        // They end and go with it.
        _process: Process,
        _folder: Folder,
    },
}

impl Cluster {
    /// Starts one of `actor`; `config` is what a KubeSchedulerConfiguration has after its head. It belongs to the tokio
    /// runtime that it is started in.
    ///
    /// # Errors
    /// It does not start; the configuration is wrong.
    pub async fn second_scheduler(&self, actor: Actor, config: &str) -> Result<Second> {
        let folder = Folder::new()?;
        std::fs::create_dir_all(folder.path())?;
        let kubeconfig = self.kubeconfig();
        let text = format!(
            "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n\
             leaderElection: {{ leaderElect: false }}\n\
             clientConnection: {{ kubeconfig: '{}', qps: 5000, burst: 5000 }}\n{config}",
            kubeconfig.display()
        );
        let file = folder.path().join("second.yaml");
        std::fs::write(&file, text)?;
        let running = match actor {
            Actor::Corten | Actor::Apart => {
                let options = scheduler::Options::from_file(&file).map_err(|said| anyhow!(said))?;
                let mut access = self.config.clone();
                // They say that it is a test that writes.
                access.headers.clear();
                let runtime = process(&access, Writer::Loops)?;
                let scheduler = scheduler::Scheduler::new(&runtime, options);
                scheduler.map_err(|said| anyhow!(said))?.run();
                runtime.start().await;
                Running::Ours(runtime)
            }
            Actor::Upstream => {
                let from = AssetOptions::default();
                let assets =
                    Assets::locate(&from, &[Tool::KubeScheduler], &Progress::default()).await?;
                let (port, flag) = (free_port()?, format!("--config={}", file.display()));
                let upstream = Upstream {
                    secure_port: Some(port),
                    flags: &[&flag],
                    ..Upstream::new(&assets, kubeconfig, folder.path())
                };
                Running::Theirs {
                    port,
                    _process: upstream.scheduler()?,
                    _folder: folder,
                }
            }
        };
        Ok(Second(running))
    }
}

impl Second {
    /// Its metrics, as text.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metrics(&self) -> Result<String> {
        match &self.0 {
            Running::Ours(runtime) => Ok(runtime.metrics().encode()),
            Running::Theirs { port, .. } => {
                crate::scrape(&format!("https://127.0.0.1:{port}")).await
            }
        }
    }
}

impl Second {
    /// What its checks have found, as text, after it was asked how it is.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn checked(&self) -> Result<String> {
        match &self.0 {
            Running::Ours(runtime) => {
                let server = runtime.admin().bind(([127, 0, 0, 1], 0).into()).await?;
                let address = format!("http://{}", server.address());
                runtime.spawn("admin", server.run(runtime.shutdown()));
                crate::shown::checked(&address).await
            }
            Running::Theirs { port, .. } => {
                crate::shown::checked(&format!("https://127.0.0.1:{port}")).await
            }
        }
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        if let Running::Ours(runtime) = &self.0 {
            runtime.kill();
        }
    }
}
