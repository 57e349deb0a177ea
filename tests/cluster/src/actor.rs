//! Who turns objects into other objects: our loops, or upstream's programs.

use crate::audit::Writer;
use crate::door::Way;
use crate::shown::{Source, free_port};
use anyhow::{Result, anyhow};
use controlplane::apiserver::SERVICE_RANGE;
use controlplane::upstream::Upstream;
use controlplane::{AssetOptions, Assets, ControlPlane, Process, Progress, Tool};
use jiff::SignedDuration;
use kube::{Client, Config};
use kubelet::metrics::serve::Server;
use registry::Settings;
use runtime::Runtime;
use serviceaccount::Issuer;
use std::time::Duration;

/// What is still under way after this long when loops end is given up.
const LAST: Duration = Duration::from_secs(2);
/// Objects that each controller works on at once.
const WORKERS: usize = 16;
/// Where nodes get their ranges from.
const CLUSTER_CIDR: &str = "10.128.0.0/9";

/// Whose loops the tests are run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Ours, in this process.
    Corten,
    /// kube-controller-manager and kube-scheduler; the nodes are our hollow ones.
    Upstream,
}

/// The actor that `ACTOR` names, ours if it names none.
pub fn actor() -> Actor {
    match std::env::var("ACTOR").as_deref() {
        Ok("upstream") => Actor::Upstream,
        _ => Actor::Corten,
    }
}

/// Loops, while they act.
enum Loops {
    Corten(Runtime),
    /// They die when dropped. The metrics of the first are on this port.
    Upstream(Vec<Process>, u16),
}

impl Actor {
    /// Starts its loops on `plane`, which they reach on this way.
    async fn act(self, plane: &ControlPlane, way: &Way) -> Result<Loops> {
        match self {
            Self::Corten => {
                let runtime = process(&way.config, Writer::Loops)?;
                let settings = settings(plane)?;
                for entry in
                    registry::select(&registry::upstreams()).map_err(|wrong| anyhow!(wrong.0))?
                {
                    (entry.run)(&runtime, &settings);
                }
                let scheduler = scheduler::Scheduler::new(&runtime, scheduler::Options::default());
                scheduler.map_err(|wrong| anyhow!(wrong))?.run();
                runtime.start().await;
                Ok(Loops::Corten(runtime))
            }
            Self::Upstream => {
                let tools = [Tool::KubeControllerManager, Tool::KubeScheduler];
                let from = AssetOptions::default();
                let assets = Assets::locate(&from, &tools, &Progress::default()).await?;
                let ranges = format!("--cluster-cidr={CLUSTER_CIDR}");
                let services = format!("--service-cluster-ip-range={SERVICE_RANGE}");
                let upstream = Upstream::new(&assets, &way.kubeconfig, plane.data_dir());
                let port = free_port()?;
                let manager = Upstream {
                    secure_port: Some(port),
                    flags: &["--allocate-node-cidrs=true", &ranges, &services],
                    ..upstream.clone()
                };
                let manager =
                    manager.controller_manager(&registry::upstreams(), Some(plane.pki()))?;
                Ok(Loops::Upstream(vec![manager, upstream.scheduler()?], port))
            }
        }
    }
}

/// What controllers have to know, as upstream's are told it by flags.
fn settings(plane: &ControlPlane) -> Result<Settings> {
    let pki = plane.pki();
    let ranges = nodeipam::Flags {
        cluster_cidr: Some(CLUSTER_CIDR.to_owned()),
        service_cluster_ip_range: Some(SERVICE_RANGE.to_owned()),
        ..nodeipam::Flags::default()
    };
    let signing = certificates::Flags {
        cluster_signing_cert_file: Some(pki.file("ca.crt")),
        cluster_signing_key_file: Some(pki.file("ca.key")),
        ..certificates::Flags::default()
    };
    Ok(Settings {
        workers: WORKERS,
        // The whole file, as kube-controller-manager reads it: neither changes what the other has published.
        root_ca: Some(std::fs::read_to_string(pki.file("ca.crt"))?),
        node_ranges: Some(ranges.options().map_err(|error| anyhow!(error))?),
        authorities: signing.authorities().map_err(|error| anyhow!(error))?,
        issuer: Some(Issuer::open(&pki.file("sa.key")).map_err(|error| anyhow!(error))?),
        unused_tokens: SignedDuration::from_hours(8760),
        ended_pods: podgc::THRESHOLD,
    })
}

/// A process of ours with this access.
pub(crate) fn process(access: &Config, writer: Writer) -> Result<Runtime> {
    let client = Client::try_from(writer.signs(access.clone()))?;
    Ok(Runtime::new(client, runtime::Options::default()))
}

impl Loops {
    /// Ends them in order.
    async fn stop(self) {
        match self {
            Self::Corten(runtime) => runtime.stop(LAST).await,
            Self::Upstream(mut children, _) => {
                for child in &mut children {
                    child.stop(LAST).await;
                }
            }
        }
    }
}

/// Hollow nodes, and the loops of one actor.
pub(crate) struct Acting {
    nodes: Runtime,
    way: Way,
    // Absent after loops that did not begin.
    loops: Option<Loops>,
}

impl Acting {
    /// Starts the loops, on this way, and the nodes on `plane`.
    pub(crate) async fn start(
        actor: Actor,
        plane: &ControlPlane,
        way: Way,
        nodes: usize,
    ) -> Result<Self> {
        let loops = Some(actor.act(plane, &way).await?);
        let options = kubelet::Options {
            count: nodes,
            own_ranges: false,
            ..kubelet::Options::default()
        };
        let nodes = process(&plane.admin_config(), Writer::Nodes)?;
        let metrics = Server::new(&nodes, options.profiles.clone());
        nodes.spawn("metrics", metrics.run());
        // Who makes volumes is nobody's own: it works with either actor.
        hostpath::run(&nodes, WORKERS);
        nodes.spawn("nodes", kubelet::Agent::new(&nodes, options).run());
        nodes.start().await;
        Ok(Self { nodes, way, loops })
    }

    /// Ends the loops, and starts those of `actor` in their place.
    pub(crate) async fn hand_over(&mut self, plane: &ControlPlane, actor: Actor) -> Result<()> {
        if let Some(loops) = self.loops.take() {
            loops.stop().await;
        }
        self.loops = Some(actor.act(plane, &self.way).await?);
        Ok(())
    }

    /// Where the metrics of the loops are.
    pub(crate) fn shows(&self) -> Option<Source> {
        Some(match self.loops.as_ref()? {
            Loops::Corten(runtime) => Source::Ours(runtime.metrics().clone()),
            Loops::Upstream(_, port) => Source::Theirs(*port),
        })
    }

    /// Ends in order.
    pub(crate) async fn stop(self) {
        if let Some(loops) = self.loops {
            loops.stop().await;
        }
        self.nodes.stop(LAST).await;
    }
}
