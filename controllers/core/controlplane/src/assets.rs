//! The programs a cluster needs, and where they are found or got from.
//!
//! Looked for, in this order: the folder given by hand (which must have them all), the folder in
//! `$KUBEBUILDER_ASSETS` (envtest's), the cache. What is still missing is got into the cache: from
//! the official release, or built by `go build` from the Go modules pinned under `tools/`.

mod cache;
mod go;
mod release;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::progress::Progress;

pub use release::Sites;

/// Kubernetes' version: the one whose API Corten speaks and whose behaviour it has.
pub const KUBERNETES: &str = "v1.36.3";
/// etcd's version: the one that this Kubernetes pins.
pub const ETCD: &str = "v3.6.8";
/// kwok's version, for comparisons.
pub const KWOK: &str = "v0.8.0";

/// helm's version, with which the chart is tested.
pub const HELM: &str = "v3.22.0";

/// A program of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tool {
    /// `etcd`
    Etcd,
    /// `kube-apiserver`
    KubeApiserver,
    /// `kubectl`
    Kubectl,
    /// `kube-controller-manager`, to compare with.
    KubeControllerManager,
    /// `kube-scheduler`, to compare with.
    KubeScheduler,
    /// `kubelet`, for nodes with real containers.
    Kubelet,
    /// `kube-proxy`, beside it.
    KubeProxy,
    /// `kwok`, fake nodes to compare with.
    Kwok,
    /// `e2e.test`, upstream's end-to-end and conformance suite.
    E2e,
    /// `agnhost`, the test server that the suite's pods run.
    Agnhost,
    /// `helm`, which installs the chart.
    Helm,
}

/// How a tool is released, built and called.
struct Recipe {
    name: &'static str,
    version: &'static str,
    release: Option<release::Release>,
    module: go::Module,
    package: &'static str,
    /// What `go build` of it takes on two cores with nothing cached, in seconds.
    build_seconds: u64,
}

impl Tool {
    /// The two that a control plane is.
    pub const CONTROL_PLANE: [Tool; 2] = [Tool::Etcd, Tool::KubeApiserver];

    /// The program's file name.
    pub fn name(self) -> &'static str {
        self.recipe().name
    }

    /// The version that is got, with its `v`.
    pub fn version(self) -> &'static str {
        self.recipe().version
    }

    fn recipe(self) -> Recipe {
        use release::Release::{Etcd, KubernetesBinary, KubernetesTest};
        let kubernetes = |name, package, build_seconds, release| Recipe {
            name,
            version: KUBERNETES,
            release,
            module: go::Module::Kubernetes,
            package,
            build_seconds,
        };
        match self {
            Tool::Etcd => Recipe {
                name: "etcd",
                version: ETCD,
                release: Some(Etcd),
                module: go::Module::Kubernetes,
                package: "./etcd",
                build_seconds: 60,
            },
            Tool::KubeApiserver => kubernetes(
                "kube-apiserver",
                "k8s.io/kubernetes/cmd/kube-apiserver",
                160,
                Some(KubernetesBinary),
            ),
            Tool::Kubectl => kubernetes(
                "kubectl",
                "k8s.io/kubernetes/cmd/kubectl",
                60,
                Some(KubernetesBinary),
            ),
            Tool::KubeControllerManager => kubernetes(
                "kube-controller-manager",
                "k8s.io/kubernetes/cmd/kube-controller-manager",
                45,
                Some(KubernetesBinary),
            ),
            Tool::KubeScheduler => kubernetes(
                "kube-scheduler",
                "k8s.io/kubernetes/cmd/kube-scheduler",
                10,
                Some(KubernetesBinary),
            ),
            Tool::Kubelet => kubernetes(
                "kubelet",
                "k8s.io/kubernetes/cmd/kubelet",
                55,
                Some(KubernetesBinary),
            ),
            Tool::KubeProxy => kubernetes(
                "kube-proxy",
                "k8s.io/kubernetes/cmd/kube-proxy",
                15,
                Some(KubernetesBinary),
            ),
            Tool::E2e => kubernetes(
                "e2e.test",
                "k8s.io/kubernetes/test/e2e",
                200,
                Some(KubernetesTest),
            ),
            Tool::Agnhost => kubernetes(
                "agnhost",
                "k8s.io/kubernetes/test/images/agnhost",
                100,
                None, // published as an image only
            ),
            Tool::Kwok => Recipe {
                name: "kwok",
                version: KWOK,
                release: None, // published without checksums
                module: go::Module::Kwok,
                package: "sigs.k8s.io/kwok/cmd/kwok",
                build_seconds: 115,
            },
            Tool::Helm => Recipe {
                name: "helm",
                version: HELM,
                release: None, // published elsewhere than Kubernetes
                module: go::Module::Helm,
                package: "helm.sh/helm/v3/cmd/helm",
                build_seconds: 70,
            },
        }
    }

    fn build_time(self) -> Duration {
        Duration::from_secs(self.recipe().build_seconds)
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a missing program is got: `--from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum From {
    /// The release if it can be reached, else Go.
    #[default]
    Auto,
    /// The official release only.
    Release,
    /// `go build` of the pinned modules only.
    Go,
}

impl std::str::FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(From::Auto),
            "release" => Ok(From::Release),
            "go" => Ok(From::Go),
            other => Err(format!("`{other}` is none of auto, release, go")),
        }
    }
}

/// Where to look and how to get what is missing.
#[derive(Debug, Clone, Default)]
pub struct AssetOptions {
    /// `--assets`: the only folder looked into, if given.
    pub dir: Option<PathBuf>,
    /// `--from`.
    pub from: From,
    /// The cache; by default `$CORTEN_CACHE`, `$XDG_CACHE_HOME/corten` or `~/.cache/corten`.
    pub cache: Option<PathBuf>,
    /// Where releases are downloaded from.
    pub sites: Sites,
    /// The `go` to build with; by default the one in PATH.
    pub go: Option<PathBuf>,
}

/// Programs that exist on this machine.
#[derive(Debug, Clone, Default)]
pub struct Assets(BTreeMap<Tool, PathBuf>);

impl Assets {
    /// Finds `tools`, getting those that are missing; may take minutes if they have to be built.
    ///
    /// Two processes may ask for the same thing at once: it is got once.
    pub async fn locate(
        options: &AssetOptions,
        tools: &[Tool],
        progress: &Progress,
    ) -> Result<Self, Error> {
        if let Some(dir) = &options.dir {
            return in_dir(dir, tools);
        }
        let envtest = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let cache = options.cache.clone().unwrap_or_else(cache::default_dir);
        let mut found = BTreeMap::new();
        for &tool in tools {
            let place = cache::Place::of(&cache, tool);
            let given = envtest
                .as_ref()
                .map(|dir| dir.join(tool.name()))
                .filter(|file| is_program(file));
            let file = match given {
                Some(file) => file,
                None if is_program(&place.file) => place.file,
                None => get(options, &cache, tool, &place, tools, progress).await?,
            };
            found.insert(tool, file);
        }
        Ok(Self(found))
    }

    /// The program `tool`, if it was among those asked for.
    pub fn path(&self, tool: Tool) -> Option<&Path> {
        self.0.get(&tool).map(PathBuf::as_path)
    }

    /// All of them with their paths.
    pub fn iter(&self) -> impl Iterator<Item = (Tool, &Path)> {
        self.0.iter().map(|(&tool, path)| (tool, path.as_path()))
    }

    /// The program `tool`, or the error that names it as missing.
    pub(crate) fn need(&self, tool: Tool) -> Result<&Path, Error> {
        self.path(tool).ok_or_else(|| Error::Missing {
            dir: PathBuf::from("(programs asked for)"),
            tools: vec![tool],
        })
    }
}

fn in_dir(dir: &Path, tools: &[Tool]) -> Result<Assets, Error> {
    let (found, missing): (Vec<_>, Vec<_>) = tools
        .iter()
        .map(|&tool| (tool, dir.join(tool.name())))
        .partition(|(_, file)| is_program(file));
    if missing.is_empty() {
        // Children run in the data folder, so a relative path would mean something else there.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let found = found.into_iter().map(|(tool, file)| (tool, absolute(file)));
        Ok(Assets(found.collect()))
    } else {
        Err(Error::Missing {
            dir: dir.to_owned(),
            tools: missing.into_iter().map(|(tool, _)| tool).collect(),
        })
    }
}

async fn get(
    options: &AssetOptions,
    cache: &Path,
    tool: Tool,
    place: &cache::Place,
    tools: &[Tool],
    progress: &Progress,
) -> Result<PathBuf, Error> {
    let _lock = place.lock(tool, progress).await?;
    if is_program(&place.file) {
        return Ok(place.file.clone()); // whoever held the lock has got it
    }
    match options.from {
        From::Release => release::get(&options.sites, tool, place, progress).await?,
        From::Go => go::get(options.go.as_deref(), cache, tool, place, progress).await?,
        From::Auto => match release::get(&options.sites, tool, place, progress).await {
            Ok(()) => {}
            Err(
                error @ (Error::Unreachable { .. }
                | Error::NotPublished { .. }
                | Error::NoRelease { .. }),
            ) => match go::get(options.go.as_deref(), cache, tool, place, progress).await {
                Err(Error::NoGo) => {
                    return Err(Error::NoWay {
                        tools: tools.to_vec(),
                        release: release::why(&error),
                    });
                }
                built => built?,
            },
            Err(error) => return Err(error),
        },
    }
    Ok(place.file.clone())
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests;
