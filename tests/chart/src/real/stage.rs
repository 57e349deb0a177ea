//! Two machines with real containers, the stock controllers and scheduler, and Helm.

use anyhow::{Context, Result, ensure};
use chart::helm::ok;
use cluster::{Audit, within};
use controlplane::upstream::Upstream;
use controlplane::{AssetOptions, Assets, ControlPlane, Options, Process, Progress, Tool};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use machine::{Image, Machine, Network};
use serde_json::json;
use std::time::Duration;

/// Where the chart is installed.
pub(crate) const HOME: &str = "corten-system";

/// What containers need is waited for longer than what hollow ones need.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) audit: Audit,
    stock: Vec<Process>,
    machines: Vec<Machine>,
    assets: Assets,
    plane: ControlPlane,
    // Last, as all the others stand on it.
    network: Network,
}

impl Stage {
    /// Starts all but the chart; returns when the nodes are ready.
    pub(crate) async fn begin(image: &Image) -> Result<Self> {
        let network = Network::new()?;
        let audit = Audit::new(network.folder());
        let mut options = Options::new(network.folder().join("cluster"));
        options.address = network.address().into();
        options.unsafe_no_fsync = true;
        options.apiserver_flags = audit.flags()?;
        let plane = ControlPlane::start(options).await?;
        let tools = [Tool::KubeControllerManager, Tool::KubeScheduler];
        let from = AssetOptions::default();
        let mut stage = Self {
            client: Client::try_from(plane.admin_config())?,
            audit,
            stock: Vec::new(),
            machines: Vec::new(),
            assets: Assets::locate(&from, &tools, &Progress::default()).await?,
            plane,
            network,
        };
        stage.stock(&["*"])?;
        for number in [1, 2] {
            let images = std::slice::from_ref(image);
            let machine = Machine::start(&stage.plane, &stage.network, number, images).await?;
            stage.machines.push(machine);
        }
        let nodes: Api<Node> = Api::all(stage.client.clone());
        until("both nodes are ready", async || {
            let all = nodes.list(&ListParams::default()).await?;
            let ready = all.iter().filter(|node| is_ready(node)).count();
            ensure!(ready == 2, "{ready} nodes are ready");
            Ok(())
        })
        .await?;
        // The level that the chart promises to keep.
        stage
            .namespace(
                HOME,
                json!({ "pod-security.kubernetes.io/enforce": "restricted" }),
            )
            .await?;
        Ok(stage)
    }

    pub(crate) async fn namespace(&self, name: &str, labels: serde_json::Value) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let object = json!({ "metadata": { "name": name, "labels": labels } });
        let object = serde_json::from_value(object)?;
        namespaces.create(&PostParams::default(), &object).await?;
        Ok(())
    }

    /// Starts kube-controller-manager with these controllers, and kube-scheduler, in the place of those that run.
    pub(crate) fn stock(&mut self, controllers: &[&str]) -> Result<()> {
        self.stock.clear();
        let kubeconfig = self.plane.kubeconfig_path();
        let upstream = Upstream::new(&self.assets, &kubeconfig, self.plane.data_dir());
        let manager = upstream.controller_manager(controllers, Some(self.plane.pki()))?;
        self.stock = vec![manager, upstream.scheduler()?];
        Ok(())
    }

    /// The same without kube-scheduler.
    pub(crate) fn stock_controllers(&mut self, controllers: &[&str]) -> Result<()> {
        self.stock(controllers)?;
        self.stock.truncate(1);
        Ok(())
    }

    /// Kills whatever of the stock ones runs.
    pub(crate) fn no_stock(&mut self) {
        self.stock.clear();
    }

    /// Whether all that was started runs.
    pub(crate) fn check(&mut self) -> Result<()> {
        for stock in &mut self.stock {
            stock.check()?;
        }
        for machine in &mut self.machines {
            machine.check()?;
        }
        Ok(())
    }

    /// Runs Helm on this cluster and in the chart's namespace. Blocks.
    pub(crate) fn helm(&self, words: &[&str]) -> Result<String> {
        let access = format!("--kubeconfig={}", self.plane.kubeconfig_path().display());
        let at = format!("--namespace={HOME}");
        ok(&[words, &[&access, &at]].concat())
    }

    /// The pod that holds the lease of this name.
    pub(crate) async fn leader(&self, lease: &str) -> Result<Pod> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), HOME);
        let lease = leases.get(lease).await?.spec.unwrap_or_default();
        let holder = lease.holder_identity.unwrap_or_default();
        let (pod, _) = holder.split_once('_').context("nobody leads")?;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), HOME);
        Ok(pods.get(pod).await?)
    }

    /// Kills the process of a pod's container; gives the pod's name.
    pub(crate) fn kill(&self, pod: &Pod) -> Result<String> {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let machine = self
            .machines
            .iter()
            .find(|machine| Some(machine.name()) == node);
        let statuses = pod
            .status
            .as_ref()
            .and_then(|status| status.container_statuses.as_ref());
        let status = statuses
            .and_then(|all| all.first())
            .context("no container")?;
        let container = status
            .container_id
            .as_deref()
            .context("it has no container")?;
        machine.context("it is nowhere")?.kill(container)?;
        Ok(pod.name_any())
    }
}

/// Asks `look` until it gives a value; after two minutes it fails, with what was seen last.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    within(PATIENCE, what, look).await
}

fn is_ready(node: &Node) -> bool {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    let ready =
        |c: &k8s_openapi::api::core::v1::NodeCondition| c.type_ == "Ready" && c.status == "True";
    conditions.is_some_and(|all| all.iter().any(ready)) && taints.is_none_or(Vec::is_empty)
}

/// How often the containers of a pod were started again.
pub(crate) fn restarts(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    statuses.map_or(0, |all| all.iter().map(|status| status.restart_count).sum())
}

/// Whether a pod runs, is ready and is not about to go.
pub(crate) fn is_up(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let ready =
        conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
    ready && pod.metadata.deletion_timestamp.is_none()
}
