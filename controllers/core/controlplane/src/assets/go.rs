//! Building a program with the ordinary `go build`, from the pinned modules under `tools/`.
//!
//! `go.sum` pins every byte of source; the user's Go settings (proxy, caches) apply.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::cache::{self, Place};
use super::{HELM, KUBERNETES, KWOK, Tool};
use crate::error::Error;
use crate::progress::{Event, Progress};

/// A Go module of this crate; kwok and helm want other dependency versions, so each has its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Module {
    Kubernetes,
    Kwok,
    Helm,
}

impl Module {
    fn folder(self) -> String {
        match self {
            Module::Kubernetes => format!("kubernetes-{KUBERNETES}"),
            Module::Kwok => format!("kwok-{KWOK}"),
            Module::Helm => format!("helm-{HELM}"),
        }
    }

    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Module::Kubernetes => &[
                ("go.mod", include_str!("../../tools/kubernetes/go.mod")),
                ("go.sum", include_str!("../../tools/kubernetes/go.sum")),
                (
                    "etcd/main.go",
                    include_str!("../../tools/kubernetes/etcd/main.go"),
                ),
            ],
            Module::Kwok => &[
                ("go.mod", include_str!("../../tools/kwok/go.mod")),
                ("go.sum", include_str!("../../tools/kwok/go.sum")),
            ],
            Module::Helm => &[
                ("go.mod", include_str!("../../tools/helm/go.mod")),
                ("go.sum", include_str!("../../tools/helm/go.sum")),
            ],
        }
    }

    fn ldflags(self) -> String {
        match self {
            Module::Kubernetes => {
                // Without these `/version` says v0.0.0 and clients complain.
                let mut numbers = KUBERNETES.trim_start_matches('v').split('.');
                let (major, minor) = (numbers.next(), numbers.next());
                format!(
                    "-s -w -X {pkg}.gitVersion={KUBERNETES} -X {pkg}.gitMajor={} -X {pkg}.gitMinor={}",
                    major.unwrap_or_default(),
                    minor.unwrap_or_default(),
                    pkg = "k8s.io/component-base/version",
                )
            }
            Module::Kwok => "-s -w".to_owned(),
            Module::Helm => {
                format!("-s -w -X helm.sh/helm/v3/internal/version.version={HELM}")
            }
        }
    }
}

/// Builds `tool` into its place in the cache.
pub(super) async fn get(
    go: Option<&Path>,
    cache: &Path,
    tool: Tool,
    place: &Place,
    progress: &Progress,
) -> Result<(), Error> {
    let recipe = tool.recipe();
    let step = progress.step(
        format!("build {tool}"),
        format!("building {tool} {} with Go", tool.version()),
        Some(tool.build_time()),
    );
    let dir = cache.join("build").join(recipe.module.folder());
    let dir = std::path::absolute(&dir).unwrap_or(dir);
    {
        // Two programs of one module may be built at once: only the writing must not overlap.
        let _lock = cache::lock(&dir, "files", &recipe.module.folder(), progress).await?;
        write_files(&dir, recipe.module.files())?;
    }
    let scratch = place.scratch()?;
    let made = scratch.path(recipe.name);
    let arguments = arguments(tool, &made);
    let go = go.unwrap_or(Path::new("go"));
    run(go, &dir, &arguments, &|line| step.tell(Event::Line(line))).await?;
    place.keep(&made)?;
    step.finish();
    Ok(())
}

fn arguments(tool: Tool, made: &Path) -> Vec<OsString> {
    let recipe = tool.recipe();
    let verb: &[&str] = if tool == Tool::E2e {
        &["test", "-c"]
    } else {
        &["build"]
    };
    let mut arguments: Vec<OsString> = verb.iter().map(OsString::from).collect();
    arguments.extend(["-mod=readonly", "-trimpath", "-buildvcs=false"].map(OsString::from));
    arguments.extend(["-ldflags".into(), recipe.module.ldflags().into()]);
    arguments.extend(["-o".into(), made.into(), recipe.package.into()]);
    arguments
}

fn write_files(dir: &Path, files: &[(&str, &str)]) -> Result<(), Error> {
    for (name, content) in files {
        let path = dir.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|there| there == *content) {
            continue;
        }
        let folder = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(folder).map_err(Error::file("cannot create", folder))?;
        std::fs::write(&path, content).map_err(Error::file("cannot write", &path))?;
    }
    Ok(())
}

async fn run(
    go: &Path,
    dir: &Path,
    arguments: &[OsString],
    line: &(dyn Fn(&str) + Sync),
) -> Result<(), Error> {
    const KEPT: usize = 12;
    let mut child = Command::new(go)
        .args(arguments)
        .current_dir(dir)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::NoGo,
            _ => Error::Run {
                program: go.to_owned(),
                source,
            },
        })?;
    let mut last = std::collections::VecDeque::new();
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(text)) = lines.next_line().await {
            line(&text);
            if last.len() == KEPT {
                last.pop_front();
            }
            last.push_back(text);
        }
    }
    let status = child.wait().await.map_err(|source| Error::Run {
        program: go.to_owned(),
        source,
    })?;
    if status.success() {
        return Ok(());
    }
    let words = arguments.iter().map(|word| word.to_string_lossy());
    let words: Vec<_> = words.collect();
    Err(Error::Build {
        command: format!("go {}", words.join(" ")),
        output: Vec::from(last).join("\n"),
    })
}
