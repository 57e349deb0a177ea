//! A cluster for tests: a real etcd and kube-apiserver, hollow nodes, and the loops under test.
//!
//! ```no_run
//! # use k8s_openapi::api::apps::v1::Deployment;
//! # use serde_json::json;
//! cluster::with_namespace("rolls-out", async |ns| {
//!     ns.create::<Deployment>(json!({ "metadata": { "name": "web" } })).await?;
//!     let is_new = |web: &Deployment| web.metadata.generation == Some(1);
//!     ns.until("web", "is as made", is_new).await?;
//!     Ok(())
//! })
//! # .expect("an example");
//! ```
//!
//! Environment: `ACTOR=upstream` runs the tests against kube-controller-manager and kube-scheduler in
//! place of our loops, `ACTOR=apart` ours with each controller under an account and a role of its own (a test that these fail is a wrong test, unless it is for one of their named
//! bugs); `KEEP=1` leaves namespaces and etcd's data behind; `RUST_LOG` shows the log of our loops.
//!
//! Start reading at [`Cluster`], then [`Namespace`]. Who acts is in [`actor`]; what makes their caches old, in `door`.
#![forbid(unsafe_code)]

pub mod actor;
mod audit;
mod door;
mod eventually;
mod failure;
mod groups;
mod namespace;
mod program;
mod rights;
mod second;
mod shown;
mod static_pods;

pub use actor::{Actor, actor};
pub use audit::{Audit, Use, Write, Writer, summary};
pub use eventually::{PATIENCE, eventually, within};
pub use failure::{Failure, Outcome, upstream_fails};
pub use namespace::{Kind, Namespace, alone, with_namespace};
pub use program::{program, programs, standalone};
pub use rights::Rights;
pub use second::Second;
pub use shown::{free_port, page, scrape};
pub use static_pods::StaticPods;

use anyhow::{Context, Result, anyhow};
use controlplane::{ControlPlane, Options};
use corten_test::folder::Folder;
use door::{Shut, Way};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::{Api, Client, Config};
use std::path::PathBuf;
use std::sync::{OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Hollow nodes of a shared cluster.
pub const NODES: usize = 3;

/// A running cluster, on a thread of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Cluster {
    config: Config,
    kubeconfig: PathBuf,
    audit: Audit,
    shown: shown::Shown,
    door: Shut,
    // It ends when this is dropped.
    words: Option<UnboundedSender<HandOver>>,
    thread: Option<JoinHandle<()>>,
    // Last: it is removed when nobody writes to it any more.
    folder: Folder,
}

impl Cluster {
    /// The cluster of this test binary, started by the first test that asks. Blocks for about four
    /// seconds then; for minutes where the programs must be built first.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Cluster, String>> = OnceLock::new();
        let start = || Cluster::start(actor(), NODES).map_err(|error| format!("{error:#}"));
        SHARED
            .get_or_init(start)
            .as_ref()
            .map_err(|error| anyhow!("the cluster for the tests did not start: {error}"))
    }

    /// Starts a cluster with `nodes` hollow nodes; returns when they are ready and pods can be made in
    /// the namespace `default`. Must not be called where blocking is forbidden.
    pub fn start(actor: Actor, nodes: usize) -> Result<Self> {
        Self::launch(Some(Cast {
            actor: Some(actor),
            nodes,
            door: None,
            groups: false,
        }))
    }

    /// A cluster with nodes and without loops; returns when the nodes are there. Their taints are nobody's to remove yet.
    /// Must not be called where blocking is forbidden.
    pub fn without_loops(nodes: usize) -> Result<Self> {
        Self::launch(Some(Cast {
            actor: None,
            nodes,
            door: None,
            groups: false,
        }))
    }

    /// The same, with the CustomResourceDefinitions of Corten's own groups, and our controllers of these beside the loops.
    pub fn with_groups(actor: Actor, nodes: usize) -> Result<Self> {
        Self::launch(Some(Cast {
            actor: Some(actor),
            nodes,
            door: None,
            groups: true,
        }))
    }

    /// The same with a door between the loops and the API server, see [`Cluster::shut`].
    pub fn behind_a_door(actor: Actor, nodes: usize) -> Result<Self> {
        let door = Some(Shut::default());
        Self::launch(Some(Cast {
            actor: Some(actor),
            nodes,
            door,
            groups: false,
        }))
    }

    /// Holds back from now on what the loops' watches of this kind (`leases`) bring, and of no other; with none, lets
    /// all through, also what was held back. Only [`Cluster::behind_a_door`].
    pub fn shut(&self, kind: Option<&'static str>) {
        self.door.send_replace(kind);
    }

    /// Lets other loops act from now on; the nodes go on. Returns when those before have ended and those after have
    /// begun. Must not be called where blocking is forbidden.
    pub fn hand_over(&self, to: Actor) -> Result<()> {
        let (told, hears) = mpsc::channel();
        let words = self.words.as_ref().context("it runs until it is dropped")?;
        let gone = "the thread of the cluster has ended";
        words.send(HandOver { to, told }).context(gone)?;
        hears.recv().context(gone)?
    }

    /// How much has been written until now, for [`Cluster::writes_since`].
    pub fn mark(&self) -> u64 {
        self.audit.mark()
    }

    /// What everybody has written since then, leases apart.
    pub fn writes_since(&self, mark: u64) -> Result<Vec<Write>> {
        self.audit.since(mark, None)
    }

    /// Starts a cluster without loops and nodes: nobody writes but whoever holds a client. Must not be
    /// called where blocking is forbidden.
    pub fn bare() -> Result<Self> {
        Self::launch(None)
    }

    fn launch(cast: Option<Cast>) -> Result<Self> {
        if std::env::var_os("RUST_LOG").is_some() {
            runtime::log::init(0, runtime::log::Format::Text).map_err(|error| anyhow!(error))?;
        }
        let folder = Folder::new()?;
        let mut options = Options::new(folder.path());
        options.unsafe_no_fsync = true;
        let audit = Audit::new(folder.path());
        if cast.is_some() {
            options.apiserver_flags = audit.flags()?;
        }
        let given = cast.as_ref().and_then(|cast| cast.door.clone());
        let door = given.unwrap_or_default();
        let (words, mut word) = unbounded_channel::<HandOver>();
        let shown = shown::Shown::default();
        let shows = shown.clone();
        let (told, hears) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("cluster")
            .enable_all()
            .build()?;
        let run = move || {
            runtime.block_on(async {
                let begun = Box::pin(begin(options, cast)).await;
                let show = |acting: &Option<actor::Acting>| {
                    let mut shown = shows.lock().unwrap_or_else(PoisonError::into_inner);
                    *shown = acting.as_ref().and_then(actor::Acting::shows);
                };
                let (running, answer) = match begun {
                    Ok((running, answer)) => {
                        show(&running.1);
                        (Some(running), Ok(answer))
                    }
                    Err(error) => (None, Err(error)),
                };
                // Whoever asked may be gone; then there is nobody to run for.
                if told.send(answer).is_ok()
                    && let Some((plane, mut acting)) = running
                {
                    while let Some(HandOver { to, told }) = word.recv().await {
                        let outcome = match &mut acting {
                            Some(acting) => acting.hand_over(&plane, to).await,
                            None => Err(anyhow!("nobody acts here")),
                        };
                        show(&acting);
                        // Whoever asked may be gone.
                        drop(told.send(outcome));
                    }
                    if let Some(acting) = acting {
                        acting.stop().await;
                    }
                    plane.stop().await;
                }
            });
        };
        let thread = std::thread::Builder::new()
            .name("cluster".into())
            .spawn(run)?;
        let answer = hears
            .recv()
            .context("the thread of the cluster has ended")?;
        let (config, kubeconfig) = answer?;
        Ok(Self {
            config: Writer::Test.signs(config),
            kubeconfig,
            audit,
            shown,
            door,
            words: Some(words),
            thread: Some(thread),
            folder,
        })
    }

    /// A client for the administrator. It belongs to the tokio runtime that it is made in.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config.clone())?)
    }

    /// A client that is told of each refusal; that of [`Cluster::client`] asks again when it is told to wait.
    pub fn plain_client(&self) -> Result<Client> {
        let mut config = self.config.clone();
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }

    /// The folder of the API server's data and keys (`pki`), gone with the cluster.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> &std::path::Path {
        &self.kubeconfig
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.words = None;
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed.
            drop(thread.join());
        }
        // Of a bare one there is no log.
        drop(rights::gather(&self.audit));
    }
}

/// The word for the cluster's thread: who acts from now on, and where the outcome is told.
struct HandOver {
    to: Actor,
    told: mpsc::Sender<Result<()>>,
}

/// Who acts, on so many nodes, and what is between them and the API server.
struct Cast {
    actor: Option<Actor>,
    nodes: usize,
    door: Option<Shut>,
    groups: bool,
}

type Begun = ((ControlPlane, Option<actor::Acting>), (Config, PathBuf));

async fn begin(options: Options, cast: Option<Cast>) -> Result<Begun> {
    let plane = ControlPlane::start(options).await?;
    let access = (plane.admin_config(), plane.kubeconfig_path());
    let Some(Cast {
        actor,
        nodes,
        door,
        groups,
    }) = cast
    else {
        return Ok(((plane, None), access));
    };
    let (config, kubeconfig) = access.clone();
    let way = match door {
        None => Way { config, kubeconfig },
        Some(shut) => Way::through(config, plane.data_dir(), &shut).await?,
    };
    let mut acting = actor::Acting::start(actor, &plane, way, nodes).await?;
    let client = Client::try_from(access.0.clone())?;
    if groups {
        groups::install(&client).await?;
        acting.serve_groups(&plane).await?;
    }
    eventually("the cluster is ready", async || {
        let all = Api::<Node>::all(client.clone())
            .list(&Default::default())
            .await?;
        if actor.is_none() {
            anyhow::ensure!(
                all.items.len() >= nodes,
                "{} of {nodes} nodes",
                all.items.len()
            );
            return Ok(());
        }
        let ready = all.iter().filter(|node| is_ready(node)).count();
        anyhow::ensure!(ready >= nodes, "{ready} of {nodes} nodes are ready");
        let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
        accounts
            .get("default")
            .await
            .context("serviceaccount default")?;
        Ok(())
    })
    .await?;
    Ok(((plane, Some(acting)), access))
}

/// Ready, and without the taint that new nodes have.
fn is_ready(node: &Node) -> bool {
    let ready =
        |c: &k8s_openapi::api::core::v1::NodeCondition| c.type_ == "Ready" && c.status == "True";
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_ref());
    conditions.is_some_and(|all| all.iter().any(ready)) && taints.is_none_or(Vec::is_empty)
}
