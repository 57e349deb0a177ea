//! A whole cluster in one process: everything but the API server, on shared caches. What `corten up` runs, and
//! what tests run, on a real API server or on one in memory.

use crate::{HOSTPATH, NODE_IPAM, Settings, select_in};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kubelet::metrics::serve::Server;
use plan::{Action, Cause};
use runtime::Runtime;
use runtime::groups::Family;
use runtime::serve::{Misuse, WORKERS};
use serviceaccount::Issuer;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Ranges of nodes in a cluster of our own: room for 32768 of them, and no address of a Service.
pub const POD_RANGE: &str = "10.128.0.0/9";
/// A cluster that is not ready after this long has something wrong with it.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Which controllers, as `--controllers` names them.
    pub controllers: Vec<String>,
    /// What they have to know.
    pub settings: Settings,
    /// The hollow nodes.
    pub nodes: kubelet::Options,
}

impl Whole {
    /// Lets controllers, scheduler and nodes run in a process that has not been started yet.
    ///
    /// # Errors
    /// A name that is not one of a controller.
    pub fn run(&self, runtime: &Runtime) -> Result<(), Misuse> {
        run_controllers(runtime, Family::Builtin, &self.controllers, &self.settings)?;
        run_scheduler(runtime);
        let gives_ranges = self.has(NODE_IPAM)? && self.settings.node_ranges.is_some();
        let nodes = kubelet::Options {
            own_ranges: !gives_ranges,
            ..self.nodes.clone()
        };
        run_nodes(runtime, nodes);
        Ok(())
    }

    /// Waits until the nodes are ready, and pods can be made in the namespace `default`.
    ///
    /// # Errors
    /// A sentence that says what is missing after a minute.
    pub async fn ready(&self, runtime: &Runtime) -> Result<(), String> {
        let begun = Instant::now();
        let nodes = runtime.caches().of::<Node>();
        let accounts = runtime.caches().of::<ServiceAccount>();
        let wanted = self.nodes.count;
        // Without its controller nobody makes the account, and nobody needs it.
        let alone = !self.has("serviceaccount-controller").unwrap_or_default();
        loop {
            let nodes = nodes.all();
            let ready = nodes.iter().filter(|node| objects::node::is_ready(node));
            let ready = ready.count();
            let missing = if ready < wanted {
                format!("only {ready} of {wanted} nodes are ready")
            } else if !alone && accounts.get("default", "default").is_none() {
                "nobody has made the ServiceAccount default, without which there are no pods"
                    .to_owned()
            } else {
                return Ok(());
            };
            if begun.elapsed() > PATIENCE {
                let after = PATIENCE.as_secs();
                return Err(format!(
                    "{missing} after {after} s; the log says more with --v=2"
                ));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Makes the class `standard`, the default one, if nothing of that name is there and its provisioner runs. It waits
    /// for the first consumer, as kind's of the same name does: a directory is on one node.
    ///
    /// # Errors
    /// A sentence that says why there is none.
    pub async fn offer_storage(&self, runtime: &Runtime) -> Result<(), String> {
        if !self.has(HOSTPATH).map_err(|wrong| wrong.0)? {
            return Ok(());
        }
        let executor = runtime.executor("corten");
        match executor.run(&Action::create(standard())).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.cause == Cause::AlreadyExists => Ok(()),
            Err(failure) => Err(format!("the storage class standard: {}", failure.message)),
        }
    }

    fn has(&self, name: &str) -> Result<bool, Misuse> {
        let chosen = crate::select(&self.controllers)?;
        Ok(chosen.iter().any(|entry| entry.name == name))
    }
}

impl Settings {
    /// What controllers know that have nothing to sign with and no ranges to give.
    pub fn bare() -> Self {
        Self {
            workers: WORKERS,
            root_ca: None,
            node_ranges: None,
            authorities: None,
            issuer: None,
            unused_tokens: SignedDuration::from_hours(8760),
            ended_pods: podgc::THRESHOLD,
        }
    }

    /// What controllers of a cluster of our own know: they sign with the keys of `pki` (`ca.crt`, `ca.key`, `sa.key`)
    /// and give nodes their ranges out of [`POD_RANGE`]; `services` is the range of Services.
    ///
    /// # Errors
    /// A sentence that names what of it cannot be read.
    pub fn of_own(pki: &Path, services: &str) -> Result<Self, String> {
        let ranges = nodeipam::Flags {
            cluster_cidr: Some(POD_RANGE.to_owned()),
            service_cluster_ip_range: Some(services.to_owned()),
            ..nodeipam::Flags::default()
        };
        let (certificate, key) = (pki.join("ca.crt"), pki.join("ca.key"));
        // The whole file, as kube-controller-manager reads it: neither changes what the other has published.
        let root_ca = std::fs::read_to_string(&certificate)
            .map_err(|error| format!("{}: {error}", certificate.display()))?;
        let signing = certificates::Flags {
            cluster_signing_cert_file: Some(certificate),
            cluster_signing_key_file: Some(key),
            ..certificates::Flags::default()
        };
        Ok(Self {
            root_ca: Some(root_ca),
            node_ranges: Some(ranges.options()?),
            authorities: signing.authorities()?,
            issuer: Some(Issuer::open(&pki.join("sa.key"))?),
            ..Self::bare()
        })
    }
}

/// Runs the controllers that `names` choose.
///
/// # Errors
/// A name that is not one of a controller.
pub fn run_controllers(
    runtime: &Runtime,
    family: Family,
    names: &[String],
    settings: &Settings,
) -> Result<(), Misuse> {
    for entry in select_in(family, names)? {
        runtime
            .metrics()
            .running("kube-controller-manager", entry.name, true);
        (entry.run)(runtime, settings);
    }
    Ok(())
}

/// Runs the scheduler for pods that name none.
pub fn run_scheduler(runtime: &Runtime) {
    let scheduler = scheduler::Scheduler::new(runtime, scheduler::Options::default());
    scheduler.expect("there are no extenders").run();
}

/// Serves what hollow nodes and their pods use, behind an API server on this machine.
pub fn run_metrics(runtime: &Runtime, options: kubelet::Options) {
    let server = Server::new(runtime, options.profiles);
    runtime.spawn("metrics", server.run());
}

/// Runs hollow nodes, if there can be any: their agent has the caches hold whole pods, which nobody else needs.
pub fn run_nodes(runtime: &Runtime, options: kubelet::Options) {
    if options.count == 0 && !options.manage_kwok_nodes {
        return;
    }
    let agent = kubelet::Agent::new(runtime, options);
    runtime.spawn("nodes", agent.run());
}

fn standard() -> StorageClass {
    let default = "storageclass.kubernetes.io/is-default-class";
    StorageClass {
        metadata: ObjectMeta {
            name: Some("standard".to_owned()),
            annotations: Some([(default.to_owned(), "true".to_owned())].into()),
            ..ObjectMeta::default()
        },
        provisioner: hostpath::PROVISIONER.to_owned(),
        reclaim_policy: Some("Delete".to_owned()),
        volume_binding_mode: Some("WaitForFirstConsumer".to_owned()),
        ..StorageClass::default()
    }
}
