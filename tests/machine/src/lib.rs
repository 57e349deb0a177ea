//! Machines for tests, with real containers: containerd, runc and a CNI bridge, upstream's kubelet and kube-proxy, joined to
//! a control plane of [`controlplane`].
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let network = machine::Network::new()?;
//! let mut options = controlplane::Options::new(network.folder().join("cluster"));
//! options.address = network.address().into();
//! let plane = controlplane::ControlPlane::start(options).await?;
//! let machine = machine::Machine::start(&plane, &network, 1, &[]).await?;
//! machine.run(&["ip", "address"])?;
//! # Ok(())
//! # }
//! ```
//!
//! A machine is a set of namespaces (pids, mounts, network, host name) on this one, so several fit beside each other, and
//! beside whatever containers the host runs itself: it uses nothing of the host's containerd but the program. When a test
//! ends or is killed, its first process goes, and the kernel takes all that was in it.
//!
//! It needs root. Packages that are missing are installed by apt-get where there is one; where something cannot be had, the
//! error says what, and the test fails. `KEEP=1` leaves logs and configuration behind.
//!
//! Start reading at [`Machine::start`], then `machine.sh`, then `files.rs`.
#![forbid(unsafe_code)]

mod cgroups;
mod command;
mod files;
pub mod images;
mod network;
mod packages;

pub use images::Image;
pub use network::Network;

use anyhow::{Context, Result};
use command::output;
use controlplane::process::Spec;
use controlplane::{AssetOptions, Assets, ControlPlane, Process, Progress, Tool};
use files::Facts;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a part of a machine may take to be there.
const PATIENCE: Duration = Duration::from_secs(30);

/// A machine that runs. Dropping it ends all that runs on it.
#[derive(Debug)]
pub struct Machine {
    name: String,
    folder: PathBuf,
    /// The first process, as the host knows it.
    pid: u32,
    // In the order in which they are dropped.
    programs: Vec<Process>,
    init: Process,
}

impl Machine {
    /// Starts the machine `node-NUMBER` (1 to 200) with these images besides those it always has; returns when containers
    /// can run there and its kubelet has been started: the Node is ready some seconds later. Blocks for minutes where
    /// kubelet and kube-proxy must be built first.
    ///
    /// # Errors
    /// It cannot be had here, and why.
    pub async fn start(
        plane: &ControlPlane,
        network: &Network,
        number: u8,
        images: &[Image],
    ) -> Result<Self> {
        let tools = [Tool::Kubelet, Tool::KubeProxy];
        let assets = Assets::locate(&AssetOptions::default(), &tools, &Progress::default()).await?;
        let name = format!("node-{number}");
        let folder = network.folder().join(&name);
        for inner in ["", "cni", "containerd"] {
            std::fs::create_dir_all(folder.join(inner))?;
        }
        let address = network.machine(number).to_string();
        let facts = Facts {
            folder: &folder,
            address: address.clone(),
            pods: network.pods(number),
            plugins: network.plugins(),
            cgroup: cgroups::make(&[network.name(), &name])?,
            authority: &plane.pki().file("ca.crt"),
            snapshotter: snapshotter(&folder)?,
            may_score: may_score()?,
        };
        let proxy = plane.kubeconfig_for("kube-proxy", "system:kube-proxy", None)?;
        let write = |file: &str, text: String| {
            let path = folder.join(file);
            std::fs::write(&path, text).map(|()| path)
        };
        let containerd = write("containerd.toml", files::containerd(&facts))?;
        write("cni/pods.conflist", files::cni(&facts))?;
        let kubelet = write("kubelet.yaml", files::kubelet(&facts))?;
        let proxy = write("kube-proxy.yaml", files::proxy(&facts, &name, &proxy))?;

        let mut machine = Self::boot(network, number, &name, folder.clone()).await?;
        let flag = |file: PathBuf| format!("--config={}", file.display());
        let program = packages::find("containerd").context("containerd")?;
        machine.spawn("containerd", &program, &[flag(containerd)])?;
        machine
            .until("containerd answers", |machine| {
                machine.ctr(&["version"]).map(drop)
            })
            .await?;
        for image in images::shells()?.iter().chain(images) {
            machine.import(image)?;
        }
        let program = assets.path(Tool::KubeProxy).context("kube-proxy")?;
        machine.spawn("kube-proxy", program, &[flag(proxy)])?;
        let user = format!("system:node:{name}");
        let kubeconfig = plane.kubeconfig_for(&name, &user, Some("system:nodes"))?;
        let flags = [
            flag(kubelet),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--root-dir={}", folder.join("kubelet").display()),
            format!("--cert-dir={}", folder.join("kubelet/pki").display()),
            format!("--hostname-override={name}"),
            format!("--node-ip={address}"),
        ];
        let program = assets.path(Tool::Kubelet).context("kubelet")?;
        machine.spawn("kubelet", program, &flags)?;
        Ok(machine)
    }

    /// The namespaces, the first process in them and the cable.
    async fn boot(network: &Network, number: u8, name: &str, folder: PathBuf) -> Result<Self> {
        let script = folder.join("machine.sh");
        std::fs::write(&script, include_str!("machine.sh"))?;
        let unshare = packages::find("unshare").context("unshare")?;
        let mut spec = Spec::new("init", &unshare, &folder);
        let own = [
            "--pid",
            "--fork",
            "--kill-child",
            "--mount",
            "--net",
            "--uts",
            "--ipc",
        ];
        spec.arguments.extend(own.map(Into::into));
        spec.arguments
            .extend(["sh".into(), script.into(), folder.clone().into()]);
        let (own, gateway) = (network.machine(number), network.address());
        let words = [name.to_owned(), format!("{own}/24"), gateway.to_string()];
        spec.arguments.extend(words.map(Into::into));
        let mut machine = Self {
            name: name.to_owned(),
            pid: 0,
            programs: Vec::new(),
            init: Process::start(&spec)?,
            folder,
        };
        let file = machine.folder.join("init");
        let pid = |_: &Self| Ok(std::fs::read_to_string(&file)?.trim().parse()?);
        machine.pid = machine.until("the machine has its namespaces", pid).await?;
        network.connect(number, machine.pid)?;
        let ready = machine.folder.join("ready");
        let is_ready = |_: &Self| Ok(std::fs::metadata(&ready).map(drop)?);
        machine
            .until("the machine has its network", is_ready)
            .await?;
        network.introduce(number, machine.pid)?;
        Ok(machine)
    }

    /// Waits for what `look` gives; a program of the machine that ends meanwhile is an error.
    async fn until<T>(&mut self, what: &str, look: impl Fn(&Self) -> Result<T>) -> Result<T> {
        let since = Instant::now();
        loop {
            self.check()?;
            match look(self) {
                Ok(found) => return Ok(found),
                Err(last) if since.elapsed() > PATIENCE => {
                    let seconds = PATIENCE.as_secs();
                    return Err(last.context(format!("not within {seconds} s: {what}")));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Its name, and that of its Node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its programs' configuration and logs are (`kubelet.log`), and containerd's socket (`containerd.sock`).
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether all its programs run.
    ///
    /// # Errors
    /// One has ended; with the last lines of its log.
    pub fn check(&mut self) -> Result<()> {
        self.init.check()?;
        for program in &mut self.programs {
            program.check()?;
        }
        Ok(())
    }

    /// Starts a program there, which ends with the machine and with us; its log is `NAME.log` in the folder.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&mut self, name: &str, program: &Path, flags: &[String]) -> Result<()> {
        let nsenter = packages::find("nsenter").context("nsenter")?;
        let mut spec = Spec::new(name, &nsenter, &self.folder);
        let enter = self.enter();
        spec.arguments.extend(enter.iter().map(Into::into));
        // nsenter is what we kill.
        spec.arguments
            .extend(["setpriv", "--pdeathsig=KILL"].map(Into::into));
        spec.arguments.push(program.into());
        spec.arguments.extend(flags.iter().map(Into::into));
        self.programs.push(Process::start(&spec)?);
        Ok(())
    }

    /// Runs a command there to its end; gives what it wrote. Blocks.
    ///
    /// # Errors
    /// It did not end well; with what it said.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let enter = self.enter();
        let enter: Vec<&str> = enter.iter().map(String::as_str).collect();
        output(&[&["nsenter"], &enter[..], words].concat())
    }

    /// containerd's own client, on the containers of Kubernetes.
    ///
    /// # Errors
    /// It did not end well; with what it said.
    pub fn ctr(&self, words: &[&str]) -> Result<String> {
        let socket = self.folder.join("containerd.sock");
        let socket = socket.to_string_lossy();
        self.run(
            &[
                &["ctr", "--address", &socket, "--namespace", "k8s.io"],
                words,
            ]
            .concat(),
        )
    }

    /// Gives it an image.
    ///
    /// # Errors
    /// containerd does not take it.
    pub fn import(&self, image: &Image) -> Result<()> {
        let file = self.folder.join("image.tar");
        std::fs::write(&file, &image.archive)?;
        let path = file.to_string_lossy();
        let imported = self.ctr(&["images", "import", "--all-platforms", &path]);
        std::fs::remove_file(&file)?;
        imported.map(drop).with_context(|| image.name.clone())
    }

    /// Kills (SIGKILL) the first process of a container, given as in a pod's status: `containerd://ID`.
    ///
    /// # Errors
    /// It does not run there.
    pub fn kill(&self, container: &str) -> Result<()> {
        let id = container.trim_start_matches("containerd://");
        let tasks = self.ctr(&["tasks", "list"])?;
        // A line begins with the task's name and its pid.
        let pid = tasks.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next()? == id).then(|| words.next())?
        });
        let pid = pid.with_context(|| format!("{container} does not run on {}", self.name))?;
        self.run(&["sh", "-c", &format!("kill -KILL {pid}")])
            .map(drop)
    }

    fn enter(&self) -> Vec<String> {
        let target = format!("--target={}", self.pid);
        let own = ["--pid", "--mount", "--net", "--uts", "--ipc"].map(str::to_owned);
        [target].into_iter().chain(own).collect()
    }
}

/// Whether layers can lie over each other where `folder` is: not over one that is itself such a thing.
fn snapshotter(folder: &Path) -> Result<&'static str> {
    let (kind, folder) = ("--format=%T", folder.to_string_lossy());
    let kind = output(&["stat", "--file-system", kind, &folder])?;
    Ok(match kind.trim() {
        "overlayfs" | "tmpfs" => "native",
        _ => "overlayfs",
    })
}

/// `CAP_SYS_RESOURCE`, without which runc cannot lower a score: "can't get final child's PID from pipe: EOF".
fn may_score() -> Result<bool> {
    const SYS_RESOURCE: u64 = 24;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = u64::from_str_radix(line.unwrap_or_default().trim(), 16).context("CapEff")?;
    Ok(set >> SYS_RESOURCE & 1 == 1)
}

#[cfg(test)]
mod tests;
