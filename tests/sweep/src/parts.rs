//! The controllers under test, by the names that scenarios have for them.

use crate::keys;
use crate::scenario::Part;
use bootstrap::{BootstrapSigner, TokenCleaner};
use certificates::{CsrApprover, CsrCleaner, CsrSigner};
use clusterroleaggregation::AggregationController;
use cronjob::CronJobController;
use daemonset::DaemonSetController;
use deployment::DeploymentController;
use disruption::{DisruptionController, StaleDisruptionController};
use endpoints::EndpointsController;
use endpointslice::EndpointSliceController;
use endpointslicemirroring::MirroringController;
use ephemeralvolume::EphemeralVolumeController;
use hpa::HorizontalPodAutoscalerController;
use job::JobController;
use namespace::NamespaceController;
use nodeipam::NodeIpamController;
use nodelifecycle::NodeLifecycleController;
use protection::{ClaimProtection, VolumeProtection};
use replicaset::{ReplicaSetController, ReplicationManager};
use resourcequota::ResourceQuotaController;
use runtime::Runtime;
use serviceaccount::{RootCaPublisher, ServiceAccountController, TokenController};
use servicecidr::ServiceCidrController;
use statefulset::StatefulSetController;
use tainteviction::TaintEvictionController;
use ttl::TtlController;
use ttlafterfinished::TtlAfterFinishedController;

/// Objects that each controller works on at once.
const WORKERS: usize = 2;

/// Lets a controller run in a process.
pub(crate) fn run(runtime: &Runtime, part: Part) {
    match part {
        Part::ReplicaSet => runtime.run(ReplicaSetController, WORKERS),
        Part::Replication => runtime.run(ReplicationManager, WORKERS),
        Part::Deployment => runtime.run(DeploymentController, WORKERS),
        Part::DaemonSet => runtime.run(DaemonSetController::default(), WORKERS),
        Part::StatefulSet => runtime.run(StatefulSetController, WORKERS),
        Part::Job => runtime.run(JobController::default(), WORKERS),
        Part::CronJob => runtime.run(CronJobController::new(runtime.reads()), WORKERS),
        Part::TtlAfterFinished => runtime.run(TtlAfterFinishedController, WORKERS),
        Part::Autoscaler => {
            runtime.run(HorizontalPodAutoscalerController::new(runtime), WORKERS);
        }
        Part::Disruption => {
            runtime.run(DisruptionController::new(runtime.scales()), WORKERS);
            runtime.run(StaleDisruptionController, WORKERS);
        }
        Part::EndpointSlice => runtime.run(EndpointSliceController::default(), WORKERS),
        Part::Endpoints => runtime.run(EndpointsController::default(), WORKERS),
        Part::Mirroring => runtime.run(MirroringController::default(), WORKERS),
        Part::GarbageCollector => garbagecollector::run(runtime, WORKERS),
        Part::Namespace => runtime.run(NamespaceController::new(runtime), WORKERS),
        Part::NodeLifecycle => runtime.run(NodeLifecycleController::new(runtime), WORKERS),
        Part::TaintEviction => runtime.run(TaintEvictionController::new(runtime), WORKERS),
        Part::ResourceQuota => runtime.run(ResourceQuotaController::new(runtime), WORKERS),
        Part::PodGc => podgc::run(runtime, 3, WORKERS),
        Part::Volumes => {
            persistentvolume::run(runtime, WORKERS);
            runtime.run(ClaimProtection::new(runtime.reads()), WORKERS);
            runtime.run(VolumeProtection, WORKERS);
            runtime.run(EphemeralVolumeController, WORKERS);
            hostpath::run(runtime, WORKERS);
        }
        Part::ServiceAccount => runtime.run(ServiceAccountController, WORKERS),
        Part::RootCa => runtime.run(RootCaPublisher::new("PEM".to_owned()), WORKERS),
        Part::Ranges => {
            runtime.run(NodeIpamController::new(keys::ranges()), WORKERS);
            runtime.run(TtlController::default(), WORKERS);
        }
        Part::ServiceRanges => runtime.run(ServiceCidrController, WORKERS),
        Part::Roles => runtime.run(AggregationController, WORKERS),
        Part::Tokens => {
            let ca = Some("PEM".to_owned());
            let tokens = TokenController::new(keys::issuer(), ca, runtime.reads());
            runtime.run(tokens, WORKERS);
        }
        Part::Certificates => {
            runtime.run(CsrApprover::new(runtime.reads()), WORKERS);
            runtime.run(CsrSigner::new(keys::authorities()), WORKERS);
            runtime.run(CsrCleaner, WORKERS);
        }
        Part::Bootstrap => {
            runtime.run(BootstrapSigner, WORKERS);
            runtime.run(TokenCleaner, WORKERS);
        }
        Part::Scheduler => {
            let scheduler = scheduler::Scheduler::new(runtime, scheduler::Options::default());
            scheduler.expect("there are no extenders").run();
        }
        Part::Kubelet => {
            let agent = kubelet::Agent::new(runtime, kubelet::Options::default());
            runtime.spawn("kubelet", agent.run());
        }
    }
}
