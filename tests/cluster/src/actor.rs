//! Who turns objects into other objects: our loops, or upstream's programs.

use crate::audit::Writer;
use crate::door::Way;
use crate::rights;
use crate::shown::{Source, free_port};
use anyhow::{Result, anyhow};
use controlplane::apiserver::SERVICE_RANGE;
use controlplane::upstream::Upstream;
use controlplane::{AssetOptions, Assets, ControlPlane, Process, Progress, Tool};
use kube::{Client, Config};
use kubelet::metrics::serve::Server;
use registry::Settings;
use registry::whole::{POD_RANGE, run_controllers};
use runtime::groups::Family;
use runtime::lease::{ElectionOptions, Elector, Leadership};
use runtime::metrics::Metrics;
use runtime::{Options, Runtime};
use std::time::Duration;

/// What is still under way after this long when loops end is given up.
const LAST: Duration = Duration::from_secs(2);
/// Objects that each controller works on at once.
const WORKERS: usize = 16;

/// Whose loops the tests are run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Ours, in this process: all controllers as one component, and the scheduler.
    Corten,
    /// Ours, each controller a component of its own, with a role of its own.
    Apart,
    /// kube-controller-manager and kube-scheduler; the nodes are our hollow ones.
    Upstream,
}

/// The actor that `ACTOR` names, ours if it names none.
pub fn actor() -> Actor {
    match std::env::var("ACTOR").as_deref() {
        Ok("upstream") => Actor::Upstream,
        Ok("apart") => Actor::Apart,
        _ => Actor::Corten,
    }
}

/// Loops, while they act.
enum Loops {
    Corten(Vec<Part>),
    /// They die when dropped. The metrics of the first are on this port.
    Upstream(Vec<Process>, u16),
}

impl Actor {
    /// Starts its loops on `plane`, which they reach on this way.
    async fn act(self, plane: &ControlPlane, way: &Way) -> Result<Loops> {
        match self {
            Self::Corten | Self::Apart => {
                let names = registry::upstreams();
                let components: Vec<(&str, Vec<&str>)> = match self {
                    Self::Apart => names.iter().map(|name| (*name, vec![*name])).collect(),
                    _ => vec![("controllers", names)],
                };
                let (settings, metrics) = (settings(plane)?, Metrics::default());
                let mut parts = Vec::new();
                for (component, names) in components {
                    let part = Part::of(plane, &way.config, component, &names, &metrics).await?;
                    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
                    let begun = run_controllers(&part.runtime, Family::Builtin, &names, &settings);
                    begun.map_err(|wrong| anyhow!(wrong.0))?;
                    parts.push(part);
                }
                let name = "scheduler";
                let part = Part::of(plane, &way.config, name, &[name], &metrics).await?;
                let scheduler =
                    scheduler::Scheduler::new(&part.runtime, scheduler::Options::default());
                scheduler.map_err(|wrong| anyhow!(wrong))?.run();
                parts.push(part);
                for part in &parts {
                    part.runtime.start().await;
                }
                Ok(Loops::Corten(parts))
            }
            Self::Upstream => {
                let tools = [Tool::KubeControllerManager, Tool::KubeScheduler];
                let from = AssetOptions::default();
                let assets = Assets::locate(&from, &tools, &Progress::default()).await?;
                let ranges = format!("--cluster-cidr={POD_RANGE}");
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
    let settings = Settings::of_own(plane.pki().dir(), SERVICE_RANGE);
    settings.map_err(|error| anyhow!(error))
}

/// A process of ours with this access, whatever it may do.
pub(crate) fn process(access: &Config, writer: Writer) -> Result<Runtime> {
    let (client, options) = client(access, writer, &Metrics::default())?;
    Ok(Runtime::new(client, options))
}

/// A component of ours, as a process: under its own account, with its own lease.
struct Part {
    runtime: Runtime,
    lead: Leadership,
}

impl Part {
    /// With the roles of `parts`, on the way that `access` is.
    async fn of(
        plane: &ControlPlane,
        access: &Config,
        name: &str,
        parts: &[&str],
        metrics: &Metrics,
    ) -> Result<Self> {
        let config = rights::of(&plane.admin_config(), access, name, parts).await?;
        let writer = match name {
            "nodes" | registry::HOSTPATH => Writer::Nodes,
            _ => Writer::Loops,
        };
        let (client, options) = client(&config, writer, metrics)?;
        let mut election = ElectionOptions::new(name);
        rights::NAMESPACE.clone_into(&mut election.namespace);
        let clock = options.clock.clone();
        let elector = Elector::new(client.clone(), election, clock, metrics.clone());
        Ok(Self {
            lead: elector.acquire().await,
            runtime: Runtime::new(client, options),
        })
    }
}

/// What a process of ours is made of.
fn client(access: &Config, writer: Writer, metrics: &Metrics) -> Result<(Client, Options)> {
    let options = Options {
        metrics: metrics.clone(),
        ..Options::default()
    };
    let client = runtime::args::connect(&writer.signs(access.clone()), metrics);
    Ok((client.map_err(|error| anyhow!("{error}"))?, options))
}

impl Loops {
    /// Ends them in order.
    async fn stop(self) {
        match self {
            Self::Corten(parts) => {
                for part in parts {
                    part.runtime.stop(LAST).await;
                    part.lead.release().await;
                }
            }
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
    nodes: Vec<Part>,
    // What only a cluster on this machine has, as its administrator.
    metrics: Runtime,
    way: Way,
    // Absent after loops that did not begin, and where others than these act.
    loops: Option<Loops>,
    groups: Option<Runtime>,
}

impl Acting {
    /// Starts the loops, if there are to be any, on this way, and the nodes on `plane`.
    pub(crate) async fn start(
        actor: Option<Actor>,
        plane: &ControlPlane,
        way: Way,
        nodes: usize,
    ) -> Result<Self> {
        let loops = match actor {
            Some(actor) => Some(actor.act(plane, &way).await?),
            None => None,
        };
        let options = kubelet::Options {
            count: nodes,
            own_ranges: false,
            ..kubelet::Options::default()
        };
        let (access, counts) = (plane.admin_config(), Metrics::default());
        let (client, theirs) = client(&access, Writer::Nodes, &counts)?;
        let metrics = Runtime::new(client, theirs);
        let server = Server::new(&metrics, options.profiles.clone());
        metrics.spawn("metrics", server.run());
        metrics.start().await;
        let agent = Part::of(plane, &access, "nodes", &["nodes"], &counts).await?;
        let run = kubelet::Agent::new(&agent.runtime, options).run();
        agent.runtime.spawn("nodes", run);
        // Who makes volumes is nobody's own: it works with either actor.
        let name = registry::HOSTPATH;
        let maker = Part::of(plane, &access, name, &[name], &counts).await?;
        hostpath::run(&maker.runtime, WORKERS);
        let nodes = vec![agent, maker];
        for part in &nodes {
            part.runtime.start().await;
        }
        Ok(Self {
            nodes,
            metrics,
            way,
            loops,
            groups: None,
        })
    }

    /// Starts our controllers of Corten's own groups, in a process of their own.
    pub(crate) async fn serve_groups(&mut self, plane: &ControlPlane) -> Result<()> {
        let access = plane.admin_config();
        let (client, options) = client(&access, Writer::Loops, &Metrics::default())?;
        let runtime = Runtime::new(Family::Corten.client(client), options);
        let settings = settings(plane)?;
        let all = registry::select_in(Family::Corten, &["*"]);
        for entry in all.map_err(|wrong| anyhow!(wrong.0))? {
            (entry.run)(&runtime, &settings);
        }
        runtime.start().await;
        self.groups = Some(runtime);
        Ok(())
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
            Loops::Corten(parts) => Source::Ours(parts.first()?.runtime.metrics().clone()),
            Loops::Upstream(_, port) => Source::Theirs(*port),
        })
    }

    /// Ends in order.
    pub(crate) async fn stop(self) {
        if let Some(groups) = self.groups {
            groups.stop(LAST).await;
        }
        if let Some(loops) = self.loops {
            loops.stop().await;
        }
        Loops::Corten(self.nodes).stop().await;
        self.metrics.stop(LAST).await;
    }
}
