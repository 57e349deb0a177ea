//! Who turns objects into other objects: our loops, or upstream's programs.

use crate::audit::Writer;
use crate::door::Way;
use crate::shown::{Source, free_port};
use anyhow::{Result, anyhow};
use bootstrap::{BootstrapSigner, TokenCleaner};
use certificates::{CsrApprover, CsrCleaner, CsrSigner};
use clusterroleaggregation::AggregationController;
use controlplane::apiserver::SERVICE_RANGE;
use controlplane::upstream::Upstream;
use controlplane::{AssetOptions, Assets, ControlPlane, Process, Progress, Tool};
use cronjob::CronJobController;
use daemonset::DaemonSetController;
use deployment::DeploymentController;
use disruption::{DisruptionController, StaleDisruptionController};
use endpoints::EndpointsController;
use endpointslice::EndpointSliceController;
use endpointslicemirroring::MirroringController;
use ephemeralvolume::EphemeralVolumeController;
use hpa::HorizontalPodAutoscalerController;
use jiff::SignedDuration;
use job::JobController;
use kube::{Client, Config};
use kubelet::metrics::serve::Server;
use namespace::NamespaceController;
use nodeipam::NodeIpamController;
use nodelifecycle::NodeLifecycleController;
use protection::{AttributesClassProtection, ClaimProtection, VolumeProtection};
use replicaset::{ReplicaSetController, ReplicationManager};
use resourcequota::ResourceQuotaController;
use runtime::Runtime;
use serviceaccount::{
    Issuer, LegacyTokenCleaner, RootCaPublisher, ServiceAccountController, TokenController,
};
use servicecidr::ServiceCidrController;
use statefulset::StatefulSetController;
use std::time::Duration;
use tainteviction::TaintEvictionController;
use ttl::TtlController;
use ttlafterfinished::TtlAfterFinishedController;

/// What is still under way after this long when loops end is given up.
const LAST: Duration = Duration::from_secs(2);
/// Objects that each controller works on at once.
const WORKERS: usize = 16;
/// Upstream's names of the controllers that we have too; no others, or the tests would compare apples
/// with pears.
pub const CONTROLLERS: &[&str] = &[
    "deployment-controller",
    "daemonset-controller",
    "disruption-controller",
    "horizontal-pod-autoscaler-controller",
    "statefulset-controller",
    "replicaset-controller",
    "job-controller",
    "cronjob-controller",
    "ttl-after-finished-controller",
    "replicationcontroller-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "endpoints-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "pod-garbage-collector-controller",
    "resourcequota-controller",
    "node-lifecycle-controller",
    "taint-eviction-controller",
    "persistentvolume-binder-controller",
    "persistentvolumeclaim-protection-controller",
    "persistentvolume-protection-controller",
    "volumeattributesclass-protection-controller",
    "ephemeral-volume-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-token-controller",
    "legacy-serviceaccount-token-cleaner-controller",
    "bootstrap-signer-controller",
    "token-cleaner-controller",
    "certificatesigningrequest-approving-controller",
    "certificatesigningrequest-signing-controller",
    "certificatesigningrequest-cleaner-controller",
    "clusterrole-aggregation-controller",
    "service-cidr-controller",
    "node-ipam-controller",
    "ttl-controller",
];

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
                // The whole file, as kube-controller-manager reads it: neither changes what the other has published.
                let root_ca = std::fs::read_to_string(plane.pki().file("ca.crt"))?;
                runtime.run(DeploymentController, WORKERS);
                runtime.run(DaemonSetController::default(), WORKERS);
                runtime.run(DisruptionController::new(runtime.scales()), WORKERS);
                runtime.run(HorizontalPodAutoscalerController::new(&runtime), WORKERS);
                runtime.run(StaleDisruptionController, WORKERS);
                runtime.run(StatefulSetController, WORKERS);
                runtime.run(ReplicaSetController, WORKERS);
                runtime.run(JobController::default(), WORKERS);
                runtime.run(CronJobController::new(runtime.reads()), WORKERS);
                runtime.run(TtlAfterFinishedController, WORKERS);
                runtime.run(ReplicationManager, WORKERS);
                runtime.run(EndpointSliceController::default(), WORKERS);
                runtime.run(EndpointsController::default(), WORKERS);
                runtime.run(MirroringController::default(), WORKERS);
                garbagecollector::run(&runtime, WORKERS);
                runtime.run(NamespaceController::new(&runtime), WORKERS);
                podgc::run(&runtime, podgc::THRESHOLD, WORKERS);
                runtime.run(ResourceQuotaController::new(&runtime), WORKERS);
                runtime.run(NodeLifecycleController::new(&runtime), WORKERS);
                runtime.run(TaintEvictionController::new(&runtime), WORKERS);
                persistentvolume::run(&runtime, WORKERS);
                runtime.run(ClaimProtection::new(runtime.reads()), WORKERS);
                runtime.run(VolumeProtection, WORKERS);
                runtime.run(AttributesClassProtection, WORKERS);
                runtime.run(EphemeralVolumeController, WORKERS);
                runtime.run(ServiceAccountController, WORKERS);
                run_small(&runtime, plane, &root_ca)?;
                runtime.run(RootCaPublisher::new(root_ca), WORKERS);
                scheduler::Scheduler::new(&runtime, scheduler::Options::default()).run();
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
                let manager = manager.controller_manager(CONTROLLERS, Some(plane.pki()))?;
                Ok(Loops::Upstream(vec![manager, upstream.scheduler()?], port))
            }
        }
    }
}

/// Those that look after what the others stand on.
fn run_small(runtime: &Runtime, plane: &ControlPlane, root_ca: &str) -> Result<()> {
    let pki = plane.pki();
    let ranges = nodeipam::Flags {
        cluster_cidr: Some(CLUSTER_CIDR.to_owned()),
        service_cluster_ip_range: Some(SERVICE_RANGE.to_owned()),
        ..nodeipam::Flags::default()
    };
    let ranges = ranges.options().map_err(|error| anyhow!(error))?;
    runtime.run(NodeIpamController::new(ranges), WORKERS);
    runtime.run(TtlController::default(), WORKERS);
    let signing = certificates::Flags {
        cluster_signing_cert_file: Some(pki.file("ca.crt")),
        cluster_signing_key_file: Some(pki.file("ca.key")),
        ..certificates::Flags::default()
    };
    let authorities = signing.authorities().map_err(|error| anyhow!(error))?;
    runtime.run(CsrSigner::new(authorities.unwrap_or_default()), WORKERS);
    runtime.run(CsrApprover::new(runtime.reads()), WORKERS);
    runtime.run(CsrCleaner, WORKERS);
    let issuer = Issuer::open(&pki.file("sa.key")).map_err(|error| anyhow!(error))?;
    let ca = Some(root_ca.to_owned());
    runtime.run(TokenController::new(issuer, ca, runtime.reads()), WORKERS);
    let year = SignedDuration::from_hours(8760);
    runtime.run(LegacyTokenCleaner::new(year), WORKERS);
    runtime.run(BootstrapSigner, WORKERS);
    runtime.run(TokenCleaner, WORKERS);
    runtime.run(AggregationController, WORKERS);
    runtime.run(ServiceCidrController, WORKERS);
    Ok(())
}

/// A process of ours with this access.
fn process(access: &Config, writer: Writer) -> Result<Runtime> {
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
