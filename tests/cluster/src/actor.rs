//! Who turns objects into other objects: our loops, or upstream's programs.

use anyhow::Result;
use controlplane::upstream::Upstream;
use controlplane::{AssetOptions, Assets, ControlPlane, Process, Progress, Tool};
use cronjob::CronJobController;
use daemonset::DaemonSetController;
use deployment::DeploymentController;
use disruption::{DisruptionController, StaleDisruptionController};
use endpoints::EndpointsController;
use endpointslice::EndpointSliceController;
use endpointslicemirroring::MirroringController;
use hpa::HorizontalPodAutoscalerController;
use job::JobController;
use kube::Client;
use kubelet::metrics::serve::Server;
use namespace::NamespaceController;
use replicaset::{ReplicaSetController, ReplicationManager};
use runtime::Runtime;
use serviceaccount::{RootCaPublisher, ServiceAccountController};
use statefulset::StatefulSetController;
use std::time::Duration;
use ttlafterfinished::TtlAfterFinishedController;

/// Objects that each controller works on at once.
const WORKERS: usize = 16;
/// Upstream's names of the controllers that we have too; no others, or the tests would compare apples
/// with pears.
const CONTROLLERS: &[&str] = &[
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
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
];

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

/// What acts, while it acts.
pub(crate) struct Acting {
    runtime: Runtime,
    // They die when dropped.
    _children: Vec<Process>,
}

impl Actor {
    /// Starts the loops and the nodes on `plane`.
    pub(crate) async fn act(self, plane: &ControlPlane, nodes: usize) -> Result<Acting> {
        let client = Client::try_from(plane.admin_config())?;
        let runtime = Runtime::new(client, runtime::Options::default());
        let mut children = Vec::new();
        match self {
            Self::Corten => {
                let root_ca = plane.pki().ca_certificate().to_owned();
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
                runtime.run(ServiceAccountController, WORKERS);
                runtime.run(RootCaPublisher::new(root_ca), WORKERS);
                scheduler::Scheduler::new(&runtime, scheduler::Options::default()).run();
            }
            Self::Upstream => {
                let tools = [Tool::KubeControllerManager, Tool::KubeScheduler];
                let from = AssetOptions::default();
                let assets = Assets::locate(&from, &tools, &Progress::default()).await?;
                let kubeconfig = plane.kubeconfig_path();
                let upstream = Upstream::new(&assets, &kubeconfig, plane.data_dir());
                children.push(upstream.controller_manager(CONTROLLERS, Some(plane.pki()))?);
                children.push(upstream.scheduler()?);
            }
        }
        let options = kubelet::Options {
            count: nodes,
            ..kubelet::Options::default()
        };
        let metrics = Server::new(&runtime, options.profiles.clone());
        runtime.spawn("metrics", metrics.run());
        runtime.spawn("nodes", kubelet::Agent::new(&runtime, options).run());
        runtime.start().await;
        Ok(Acting {
            runtime,
            _children: children,
        })
    }
}

impl Acting {
    /// Ends in order.
    pub(crate) async fn stop(self) {
        self.runtime.stop(Duration::from_secs(2)).await;
    }
}
