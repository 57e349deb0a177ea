//! A real control plane, etcd and kube-apiserver, as child processes of ours.
//!
//! **Promises.** [`ControlPlane::start`] returns when the API server is ready. A second start on
//! the same data folder finds the same objects at the same URL. Nobody but the folder's owner can
//! read etcd or the keys, and only loopback is listened on unless another address is asked for.
//! The children end with us, even if we are killed. The programs are upstream's own, downloaded or
//! built once and cached.
//!
//! **Does not** start controllers, a scheduler or nodes of ours (others do, with the kubeconfig
//! from here), and prints nothing: [`Progress`] and [`Error`] are for the caller to show.
//!
//! **Read** this file, then [`assets`] (where programs come from), [`process`] (how children are
//! tied to us), `apiserver.rs` and `etcd.rs` (the flags). [`upstream`] starts upstream's
//! controllers and kwok, which tests compare with. The flags' meaning: upstream's
//! `cmd/kube-apiserver/app/options` and kubeadm's `phases/controlplane/manifests.go`.

pub mod apiserver;
pub mod assets;
mod data_dir;
pub mod error;
mod etcd;
mod http;
pub mod kubeconfig;
pub mod pki;
pub mod process;
pub mod progress;
pub mod upstream;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use assets::{AssetOptions, Assets, From, Sites, Tool};
pub use error::Error;
pub use pki::{Identity, Pki};
pub use process::Process;
pub use progress::{Event, Progress, Report};

use data_dir::DataDir;

/// How a control plane is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where etcd's data, keys, logs and the kubeconfig are; made if absent.
    pub data_dir: PathBuf,
    /// The API server's port; by default that of the last start on this folder, or a free one
    /// between 20000 and 30000.
    pub port: Option<u16>,
    /// Where the API server listens; 127.0.0.1 by default. Real containers need one that they can
    /// reach, such as a bridge's.
    pub address: IpAddr,
    /// How etcd and kube-apiserver are found or got.
    pub assets: AssetOptions,
    /// Who is told what is going on.
    pub progress: Progress,
    /// etcd without fsync: faster, and its data may be lost when the machine crashes. For tests.
    pub unsafe_no_fsync: bool,
    /// The children live on when this process ends; [`stop`] ends them.
    pub detached: bool,
    /// More flags for kube-apiserver, after ours.
    pub apiserver_flags: Vec<OsString>,
}

impl Options {
    /// The defaults, on `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            port: None,
            address: Ipv4Addr::LOCALHOST.into(),
            assets: AssetOptions::default(),
            progress: Progress::default(),
            unsafe_no_fsync: false,
            detached: false,
            apiserver_flags: Vec::new(),
        }
    }
}

/// A running etcd and kube-apiserver. Dropping it kills both (unless detached); [`Self::stop`] ends
/// them in order.
#[derive(Debug)]
pub struct ControlPlane {
    apiserver: Process,
    etcd: Process,
    pki: Pki,
    url: String,
    kubeconfig: String,
    config: kube::Config,
    // Last: the folder is free for others only when the children are gone.
    data: DataDir,
}

impl ControlPlane {
    /// Finds the programs (getting them may take minutes) and starts them; about three seconds
    /// when they are there.
    pub async fn start(options: Options) -> Result<Self, Error> {
        // The folder before the programs: who cannot have it should not wait for a build.
        let data = DataDir::open(&options.data_dir)?;
        let tools = Tool::CONTROL_PLANE;
        let assets = Assets::locate(&options.assets, &tools, &options.progress).await?;
        let dir = data.path.clone();
        end_leftovers(&dir).await;
        let pki = Pki::open(&dir.join("pki"), options.address)?;
        // With this one the API server asks kubelets for logs and exec.
        pki.client_cert("corten-apiserver", Some(ADMINS))?;
        let admin = pki.client_cert("corten-admin", Some(ADMINS))?;
        let port = data.port(options.address, options.port)?;
        let url = apiserver::url(options.address, port);
        let text = kubeconfig::text(&url, pki.ca_certificate(), "corten-admin", &admin);
        let file = dir.join(KUBECONFIG);
        let config = kubeconfig::config(&text, &file).await?;

        let step = options.progress.step(
            "start".into(),
            "starting etcd and kube-apiserver".into(),
            Some(Duration::from_secs(4)),
        );
        etcd::clear(&dir);
        let mut etcd = Process::start(&etcd::spec(
            assets.need(Tool::Etcd)?,
            &dir,
            options.unsafe_no_fsync,
            options.detached,
        ))?;
        etcd::ready(&mut etcd, &dir).await?;
        let choice = apiserver::Choice {
            listen: SocketAddr::new(options.address, port),
            detached: options.detached,
            extra: &options.apiserver_flags,
        };
        let program = assets.need(Tool::KubeApiserver)?;
        let mut apiserver = Process::start(&apiserver::spec(program, &dir, &pki, &choice)?)?;
        apiserver::ready(&mut apiserver, &mut etcd, &config).await?;
        kubeconfig::write(&file, &text)?;
        step.finish();
        Ok(Self {
            apiserver,
            etcd,
            pki,
            url,
            kubeconfig: text,
            config,
            data,
        })
    }

    /// The administrator's kubeconfig in the data folder (mode 0600).
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.data.path.join(KUBECONFIG)
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// A client configuration for the administrator (`system:masters`).
    pub fn admin_config(&self) -> kube::Config {
        self.config.clone()
    }

    /// Writes the kubeconfig of another user, `<name>.kubeconfig` in the data folder: `user` and
    /// `group` are what RBAC sees.
    pub fn kubeconfig_for(
        &self,
        name: &str,
        user: &str,
        group: Option<&str>,
    ) -> Result<PathBuf, Error> {
        let identity = self.pki.client_cert(user, group)?;
        let path = self.data.path.join(format!("{name}.kubeconfig"));
        let text = kubeconfig::text(&self.url, self.pki.ca_certificate(), user, &identity);
        kubeconfig::write(&path, &text)?;
        Ok(path)
    }

    /// The API server's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The data folder: an absolute path.
    pub fn data_dir(&self) -> &Path {
        &self.data.path
    }

    /// Keys and certificates of this cluster.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The process ids of etcd and kube-apiserver.
    pub fn pids(&self) -> [u32; 2] {
        [self.etcd.pid(), self.apiserver.pid()]
    }

    /// Waits until one of the two ends by itself, and tells which and why; may be cancelled.
    pub async fn failed(&mut self) -> Error {
        tokio::select! {
            error = self.etcd.ended() => error,
            error = self.apiserver.ended() => error,
        }
    }

    /// Ends both, the API server first; at most a few seconds.
    pub async fn stop(mut self) {
        // It would wait up to a minute for its watchers; what it answered is in etcd already.
        self.apiserver.stop(Duration::from_millis(500)).await;
        self.etcd.stop(Duration::from_secs(5)).await;
    }
}

/// Ends what a detached start left running on `data_dir`; says whether there was anything.
pub async fn stop(data_dir: &Path) -> Result<bool, Error> {
    if !data_dir.is_dir() {
        return Ok(false);
    }
    let data = DataDir::open(data_dir)?;
    Ok(end_leftovers(&data.path).await)
}

const KUBECONFIG: &str = "admin.kubeconfig";
const ADMINS: &str = "system:masters";

/// The API server first: without etcd it would only log errors.
async fn end_leftovers(dir: &Path) -> bool {
    let apiserver = process::end_leftover("kube-apiserver", dir).await;
    let etcd = process::end_leftover("etcd", dir).await;
    apiserver || etcd
}
