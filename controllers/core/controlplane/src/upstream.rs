//! Upstream's controllers, scheduler and fake nodes beside a control plane: what tests and
//! measurements compare with. Client limits are raised far above the defaults, which would be what
//! is measured otherwise.

use std::path::{Path, PathBuf};

use crate::assets::{Assets, Tool};
use crate::error::Error;
use crate::pki::{self, Pki};
use crate::process::{Process, Spec};

const QPS: &str = "5000";

/// Where upstream's programs run, and against what.
#[derive(Debug, Clone)]
pub struct Upstream<'a> {
    /// The programs; those that are started must be among them.
    pub assets: &'a Assets,
    /// The kubeconfig they use.
    pub kubeconfig: &'a Path,
    /// An existing folder for their configuration, logs and pid files.
    pub dir: &'a Path,
    /// The port for `/metrics` and `/healthz` (HTTPS); none by default.
    pub secure_port: Option<u16>,
    /// More flags, after ours.
    pub flags: &'a [&'a str],
}

impl<'a> Upstream<'a> {
    /// Programs of `assets`, with `kubeconfig`, in `dir`.
    pub fn new(assets: &'a Assets, kubeconfig: &'a Path, dir: &'a Path) -> Self {
        Self {
            assets,
            kubeconfig,
            dir,
            secure_port: None,
            flags: &[],
        }
    }

    /// Starts kube-controller-manager with `controllers` (`*` are all; upstream's names:
    /// `deployment-controller`). `pki`, if given, lets it make tokens and sign certificates.
    pub fn controller_manager(
        &self,
        controllers: &[&str],
        pki: Option<&Pki>,
    ) -> Result<Process, Error> {
        let mut spec = self
            .spec(Tool::KubeControllerManager)?
            .flag("kubeconfig", self.kubeconfig)
            .flag("leader-elect", "false")
            .flag("controllers", controllers.join(","))
            .flag("kube-api-qps", QPS)
            .flag("kube-api-burst", QPS)
            .flag("secure-port", self.secure_port.unwrap_or(0).to_string())
            .flag(
                "authorization-always-allow-paths",
                "/healthz,/metrics,/metrics/slis",
            )
            .flag("authentication-skip-lookup", "true");
        for kind in [
            "deployment",
            "replicaset",
            "statefulset",
            "job",
            "service-endpoint",
            "endpoint",
            "gc",
            "horizontal-pod-autoscaler",
        ] {
            spec = spec.flag(&format!("concurrent-{kind}-syncs"), "50");
        }
        spec = spec.flag("concurrent-daemonset-syncs", "20");
        if let Some(pki) = pki {
            spec = spec
                .flag("service-account-private-key-file", pki.file("sa.key"))
                .flag("root-ca-file", pki.file("ca.crt"))
                .flag("cluster-signing-cert-file", pki.file("ca.crt"))
                .flag("cluster-signing-key-file", pki.file("ca.key"));
        }
        self.start(spec)
    }

    /// Starts kube-scheduler.
    pub fn scheduler(&self) -> Result<Process, Error> {
        let config = self.dir.join("kube-scheduler.yaml");
        let text = format!(
            "\
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection:
  leaderElect: false
clientConnection:
  kubeconfig: '{}'
  qps: {QPS}
  burst: {QPS}
",
            self.kubeconfig.display()
        );
        pki::write(&config, &text)?;
        let spec = self
            .spec(Tool::KubeScheduler)?
            .flag("config", config)
            .flag("secure-port", self.secure_port.unwrap_or(0).to_string())
            .flag(
                "authorization-always-allow-paths",
                "/healthz,/metrics,/metrics/slis",
            )
            .flag("authentication-skip-lookup", "true");
        self.start(spec)
    }

    /// Starts kwok, which makes every Node object of the cluster a node whose pods run at once.
    pub fn kwok(&self) -> Result<Process, Error> {
        let config = self.dir.join("kwok.yaml");
        // Without stages it exits: "no stages found".
        pki::write(&config, include_str!("upstream/kwok.yaml"))?;
        let spec = self
            .spec(Tool::Kwok)?
            .flag("kubeconfig", self.kubeconfig)
            .flag("config", config)
            .flag("manage-all-nodes", "true")
            .flag("node-ip", "10.0.0.1")
            .flag("node-lease-duration-seconds", "40");
        self.start(spec)
    }

    fn spec(&self, tool: Tool) -> Result<Spec, Error> {
        let dir: PathBuf = std::path::absolute(self.dir).unwrap_or_else(|_| self.dir.to_owned());
        Ok(Spec::new(tool.name(), self.assets.need(tool)?, &dir))
    }

    fn start(&self, mut spec: Spec) -> Result<Process, Error> {
        spec.arguments.extend(self.flags.iter().map(Into::into));
        Process::start(&spec)
    }
}
