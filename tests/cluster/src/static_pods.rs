//! The part of a kubelet that matters for a control plane: runs what the manifests of a folder say, starts it again when it
//! ends, and exchanges it when its manifest changes.

use anyhow::{Context, Result, anyhow};
use controlplane::process::{Process, Spec};
use controlplane::{AssetOptions, Assets, Progress, Tool};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Between two looks at the folder.
const AGAIN: Duration = Duration::from_millis(200);
/// Before what has ended is started again.
const BACKOFF: Duration = Duration::from_secs(1);
/// A pod's grace period.
const GRACE: Duration = Duration::from_secs(30);

/// Ends, and with it all that it runs, when it is dropped.
#[derive(Debug)]
pub struct StaticPods {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl StaticPods {
    /// Runs what is in `manifests`, logs in `logs`. A command's first word is one of upstream's programs by its name, or a
    /// path. Blocks until these programs are there.
    ///
    /// # Errors
    /// They are not to be had.
    pub fn run(manifests: &Path, logs: &Path) -> Result<Self> {
        let (manifests, logs) = (manifests.to_owned(), logs.to_owned());
        let (stop, stopped) = oneshot::channel();
        let (told, hears) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let run = move || {
            runtime.block_on(async move {
                let tools = [Tool::KubeControllerManager, Tool::KubeScheduler];
                let from = AssetOptions::default();
                let assets = match Assets::locate(&from, &tools, &Progress::default()).await {
                    Ok(assets) => assets,
                    Err(error) => return drop(told.send(Err(anyhow!(error)))),
                };
                drop(told.send(Ok(())));
                let mut pods = Pods {
                    assets,
                    logs,
                    running: BTreeMap::new(),
                };
                tokio::select! {
                    () = pods.keep(&manifests) => {}
                    _ = stopped => {}
                }
                pods.end().await;
            });
        };
        let thread = std::thread::Builder::new()
            .name("static-pods".into())
            .spawn(run)?;
        hears
            .recv()
            .context("the thread of the static pods has ended")??;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for StaticPods {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed.
            drop(thread.join());
        }
    }
}

struct Pods {
    assets: Assets,
    logs: PathBuf,
    /// By file, with the text that it was started from.
    running: BTreeMap<PathBuf, (String, State)>,
}

enum State {
    Runs(Process),
    Ended(Instant),
}

impl Pods {
    async fn keep(&mut self, manifests: &Path) {
        loop {
            let wanted = read(manifests);
            for file in self.running.keys().cloned().collect::<Vec<_>>() {
                let is_same = wanted.get(&file) == self.running.get(&file).map(|(text, _)| text);
                if !is_same && let Some((_, State::Runs(mut process))) = self.running.remove(&file)
                {
                    process.stop(GRACE).await;
                }
            }
            for (file, text) in wanted {
                let next = match self.running.remove(&file) {
                    Some((_, State::Runs(mut process))) => match process.check() {
                        Ok(()) => Some(State::Runs(process)),
                        Err(_) => Some(State::Ended(Instant::now())),
                    },
                    Some((_, State::Ended(at))) if at.elapsed() < BACKOFF => Some(State::Ended(at)),
                    _ => match self.start(&file, &text) {
                        Ok(process) => Some(State::Runs(process)),
                        Err(error) => {
                            eprintln!("{}: {error:#}", file.display());
                            Some(State::Ended(Instant::now()))
                        }
                    },
                };
                self.running.extend(next.map(|state| (file, (text, state))));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn start(&self, file: &Path, text: &str) -> Result<Process> {
        let pod: Value = serde_saphyr::from_str(text)?;
        let container = &pod["spec"]["containers"][0];
        let words = ["command", "args"].map(|list| container[list].as_array());
        let words: Vec<&str> = words
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let (program, arguments) = words.split_first().context("a command")?;
        let tool = self.assets.iter().find(|(tool, _)| tool.name() == *program);
        let program = tool.map_or(Path::new(program), |(_, path)| path);
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let mut spec = Spec::new(&name, program, &self.logs);
        spec.arguments = arguments.iter().map(Into::into).collect();
        Ok(Process::start(&spec)?)
    }

    async fn end(self) {
        for (_, (_, state)) in self.running {
            if let State::Runs(mut process) = state {
                process.stop(Duration::from_secs(2)).await;
            }
        }
    }
}

/// The manifests by their files, as the kubelet finds them: all files but hidden ones.
fn read(manifests: &Path) -> BTreeMap<PathBuf, String> {
    let entries = std::fs::read_dir(manifests).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default();
        path.is_file() && !name.to_string_lossy().starts_with('.')
    });
    files
        .filter_map(|path| Some((std::fs::read_to_string(&path).ok()?, path)))
        .map(|(text, path)| (path, text))
        .collect()
}
