//! Everything that can go wrong: one sentence each, saying what to do next.

use std::path::{Path, PathBuf};

use crate::assets::Tool;

/// Why the control plane could not be had or started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder given by hand lacks programs.
    #[error(
        "the folder {} has no {}: put them there or leave --assets away to have them got",
        .dir.display(), names(.tools)
    )]
    Missing {
        /// The folder looked into.
        dir: PathBuf,
        /// What it lacks.
        tools: Vec<Tool>,
    },
    /// The release server could not be spoken to.
    #[error("{url} cannot be reached ({reason}): check the network, or use --from go or --assets")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// The release server answered, but not with the file.
    #[error("{url} answered {status}: use --from go or --assets")]
    NotPublished {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// There is no release of this program for this machine that could be verified.
    #[error("{tool} is not released for {platform}: use --from go or --assets")]
    NoRelease {
        /// The program.
        tool: Tool,
        /// `os/arch`, in Go's words.
        platform: String,
    },
    /// What was downloaded is not what was published.
    #[error(
        "{url} has the checksum {found} instead of the published {published} and was thrown away: \
         try again, or use --from go or --assets"
    )]
    Checksum {
        /// What was downloaded.
        url: String,
        /// SHA-256 published beside it, in hexadecimal.
        published: String,
        /// SHA-256 of what came.
        found: String,
    },
    /// `--from go` without Go.
    #[error(
        "there is no `go` in PATH: install Go 1.26 or newer, or use --from release or --assets"
    )]
    NoGo,
    /// `go build` failed.
    #[error("`{command}` failed, fix what it says and start again: {output}")]
    Build {
        /// The command line.
        command: String,
        /// The last lines it wrote.
        output: String,
    },
    /// Neither the network nor Go can be used.
    #[error(
        "{} cannot be got, as {release} and there is no `go` in PATH: go online, install Go 1.26 or \
         newer, or name a folder that has them with --assets", names(.tools)
    )]
    NoWay {
        /// What is wanted.
        tools: Vec<Tool>,
        /// Why the release could not be had.
        release: String,
    },
    /// The data folder is in use.
    #[error("{} is in use by {holder}: stop it or choose another folder with --data-dir", .dir.display())]
    InUse {
        /// The data folder.
        dir: PathBuf,
        /// The process that holds it: `process 123`.
        holder: String,
    },
    /// The port that was asked for is taken.
    #[error("port {port} is in use by another program: choose another one with --port")]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// A child process ended when it should run.
    #[error("{name} ended early ({status}), its log {} ends with: {tail}", .log.display())]
    Died {
        /// The program.
        name: String,
        /// Exit code or signal.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// A child process runs but does not become ready.
    #[error("{name} is not ready after {seconds} s, see its log {} ({last})", .log.display())]
    NotReady {
        /// The program.
        name: String,
        /// How long it was waited for.
        seconds: u64,
        /// Its log file.
        log: PathBuf,
        /// What it answered last.
        last: String,
    },
    /// A file could not be read or written.
    #[error("{what} {}: {source}", .path.display())]
    File {
        /// `cannot write`, `cannot create`…
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program could not be run.
    #[error("cannot run {}: {source}", .program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key or certificate could not be made or read.
    #[error(
        "cannot make the certificate for {what}: {reason}; delete its folder to have it made anew"
    )]
    Certificate {
        /// Whose certificate.
        what: String,
        /// What the library said.
        reason: String,
    },
    /// A kubeconfig cannot be used.
    #[error("the kubeconfig {} cannot be used: {reason}; delete it to have it made anew", .path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// For `map_err`: an I/O error with the file that it is about.
    pub(crate) fn file<'a>(
        what: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(std::io::Error) -> Error + 'a {
        move |source| Error::File {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

fn names(tools: &[Tool]) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}
