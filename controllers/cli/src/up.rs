//! `corten up`: a cluster from nothing.

use crate::apply;
use crate::commands::{ManagerArgs, Up};
use crate::progress::{self, words};
use crate::state::{State, start_time};
use crate::view::View;
use anyhow::{Context, anyhow, bail};
use controlplane::apiserver::SERVICE_RANGE;
use controlplane::{Assets, ControlPlane, Tool};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use registry::Settings;
use registry::whole::{Whole, run_metrics};
use runtime::Runtime;
use runtime::args::{self, ClientArgs};
use runtime::guard::{self, Duties};
use runtime::manifests::Manifest;
use runtime::serve::{Misuse, told_to_end};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// How long workers may take to finish what they are at when the cluster ends.
const LAST: Duration = Duration::from_secs(5);
const LOG: &str = "corten.log";

/// Starts everything, shows it, and ends it in order.
pub(crate) async fn run(up: Up) -> anyhow::Result<ExitCode> {
    // What is wrong with the manifests is told before minutes are spent on a cluster.
    let manifests = apply::read(&up.filename).map_err(|error| Misuse(format!("{error:#}")))?;
    registry::select(&up.controllers.controllers)?;
    match external(&up) {
        Some(client) => against(&up, &client, &manifests).await,
        None if up.detach => detach(&up).await,
        None => embedded(&up, &manifests).await,
    }
}

/// The API server that the user has, if there is one: not the one of an earlier `up` on our own folder,
/// whose kubeconfig the user's shell still names.
fn external(up: &Up) -> Option<ClientArgs> {
    let ours = |path: &Path| path.starts_with(up.data.path());
    let named = up.client.kubeconfig.is_some() || up.client.master.is_some();
    let exported =
        std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty() && !ours(Path::new(value)));
    (named || exported.is_some()).then(|| up.client.clone())
}

/// Our own API server, then the parts.
async fn embedded(up: &Up, manifests: &[Manifest]) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let dir = up.data.path();
    init_log(up)?;
    if up.kubectl {
        Assets::locate(&up.assets.options(), &[Tool::Kubectl], &progress::show()).await?;
    }
    let mut options = controlplane::Options::new(&dir);
    options.port = up.port;
    options.assets = up.assets.options();
    options.progress = progress::show();
    let mut plane = ControlPlane::start(options).await?;
    let state = State {
        pid: std::process::id() as i32,
        started: start_time(std::process::id() as i32).unwrap_or_default(),
        url: plane.url().to_owned(),
        kubeconfig: plane.kubeconfig_path(),
        children: plane.pids().to_vec(),
    };
    let settings =
        Settings::of_own(plane.pki().dir(), SERVICE_RANGE).map_err(|said| anyhow!(said))?;
    let cluster = Cluster::begin(&plane.admin_config(), up, settings).await?;
    run_metrics(&cluster.runtime, up.hollow.options(up.nodes)?);
    let outcome = async {
        cluster.ready().await?;
        let storage = cluster.whole.offer_storage(&cluster.runtime).await;
        storage.map_err(|said| anyhow!(said))?;
        cluster.apply(manifests).await?;
        state.write(&dir)?;
        eprintln!(
            "✓ {} nodes ready {} after the start",
            up.nodes,
            words(begun.elapsed())
        );
        println!("export KUBECONFIG={}", state.kubeconfig.display());
        cluster.show(up).await
    };
    let outcome = tokio::select! {
        outcome = outcome => outcome,
        () = told_to_end() => Ok(()),
        error = plane.failed() => Err(error.into()),
    };
    eprintln!("ending");
    State::remove(&dir);
    cluster.runtime.stop(LAST).await;
    plane.stop().await;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// The parts against an API server that the user has.
async fn against(up: &Up, client: &ClientArgs, manifests: &[Manifest]) -> anyhow::Result<ExitCode> {
    if up.detach {
        return Err(Misuse("--detach is for a cluster of our own; run `corten controllers`, `scheduler` and `nodes` as services instead".into()).into());
    }
    init_log(up)?;
    let config = args::config(client, "corten").await?;
    eprintln!("• running against {}", config.cluster_url);
    let settings = ManagerArgs::default().settings(args::root_ca(&config))?;
    free(&config, up).await?;
    let cluster = Cluster::begin(&config, up, settings).await?;
    let outcome = async {
        cluster.ready().await?;
        cluster.apply(manifests).await?;
        eprintln!("✓ {} nodes ready", up.nodes);
        cluster.show(up).await
    };
    let outcome = tokio::select! {
        outcome = outcome => outcome,
        () = told_to_end() => Ok(()),
    };
    cluster.runtime.stop(LAST).await;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Sees that nobody else does on this API server what is about to begin.
async fn free(config: &Config, up: &Up) -> anyhow::Result<()> {
    let client = args::connect(config, &runtime::metrics::Metrics::default())?;
    args::check_server(&client).await?;
    let chosen = registry::select(&up.controllers.controllers)?;
    let names = chosen.iter().map(|entry| entry.name.to_owned()).collect();
    let pods = scheduler::Options::default().names();
    for duties in [Duties::Controllers(names), Duties::Pods(pods)] {
        let (client, clock) = (client.clone(), runtime::Clock::system());
        let checked = guard::check(client, clock, duties, up.if_stock_runs);
        checked.await.map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

/// Everything but the API server, in this process, on shared caches.
struct Cluster {
    whole: Whole,
    runtime: Runtime,
    client: Client,
}

impl Cluster {
    async fn begin(config: &Config, up: &Up, settings: Settings) -> anyhow::Result<Self> {
        let options = runtime::Options {
            namespace: up.client.namespace.clone(),
            ..runtime::Options::default()
        };
        let client = args::connect(config, &options.metrics)?;
        args::check_server(&client).await?;
        let runtime = Runtime::new(client.clone(), options);
        let whole = Whole {
            controllers: up.controllers.controllers.clone(),
            settings,
            nodes: up.hollow.options(up.nodes)?,
        };
        whole.run(&runtime)?;
        View::watch(&runtime);
        runtime.start().await;
        Ok(Self {
            whole,
            runtime,
            client,
        })
    }

    async fn ready(&self) -> anyhow::Result<()> {
        let ready = self.whole.ready(&self.runtime).await;
        ready.map_err(|said| anyhow!(said))
    }

    async fn apply(&self, manifests: &[Manifest]) -> anyhow::Result<()> {
        for manifest in manifests {
            manifest.apply(&self.client, "corten", "default").await?;
            eprintln!("✓ {} applied", manifest.name());
        }
        Ok(())
    }

    async fn show(&self, up: &Up) -> anyhow::Result<()> {
        View::new(&self.runtime, up.plain || up.serve).run().await
    }
}

/// Leaves a process behind that runs the cluster, and returns when that is ready.
async fn detach(up: &Up) -> anyhow::Result<ExitCode> {
    let dir = up.data.path();
    let tools: &[Tool] = if up.kubectl {
        &[Tool::Etcd, Tool::KubeApiserver, Tool::Kubectl]
    } else {
        &Tool::CONTROL_PLANE
    };
    // Here, where somebody sees the progress.
    Assets::locate(&up.assets.options(), tools, &progress::show()).await?;
    if let Some(state) = State::read(&dir)?.filter(State::is_alive) {
        bail!(
            "a cluster runs on {} already (process {}); use it, or end it with: corten down",
            dir.display(),
            state.pid
        );
    }
    State::remove(&dir);
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let path = dir.join(LOG);
    let log = std::fs::File::create(&path).with_context(|| path.display().to_string())?;
    let program = std::env::current_exe().context("where this program is")?;
    let arguments = std::env::args_os()
        .skip(1)
        .filter(|argument| argument != "--detach");
    let mut command = Command::new(program);
    command.args(arguments).arg("--serve");
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    // A group of its own: Ctrl-C in this terminal is not meant for it.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command
        .spawn()
        .context("the process to be left behind could not be started")?;
    let begun = Instant::now();
    loop {
        if let Some(state) = State::read(&dir)?.filter(State::is_alive) {
            eprintln!(
                "✓ ready {} after the start; end it with: corten down",
                words(begun.elapsed())
            );
            eprintln!("export KUBECONFIG={}", state.kubeconfig.display());
            println!("{}", state.kubeconfig.display());
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(status) = child.try_wait()? {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let ours = text
                .lines()
                .rev()
                .find_map(|line| line.strip_prefix("corten: "));
            let last = ours
                .or(text.lines().last())
                .unwrap_or("it ended without a word");
            if status.code() == Some(2) {
                return Err(Misuse(last.to_owned()).into());
            }
            bail!("{last} (all of it in {})", path.display());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A client for a kubeconfig file.
pub(crate) async fn client_of(kubeconfig: &Path) -> anyhow::Result<Client> {
    let text = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(text, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn init_log(up: &Up) -> anyhow::Result<()> {
    up.log.init().map_err(|sentence| Misuse(sentence).into())
}
