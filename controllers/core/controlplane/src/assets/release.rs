//! Downloading a program from its official release, checked against the published SHA-256.
//!
//! The checksum guards against broken and mixed-up files; who publishes is vouched for by TLS.

use std::path::Path;
use std::time::Duration;

use http::Uri;
use http::header::LOCATION;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use sha2::{Digest, Sha256};

use super::cache::{self, Place};
use super::{ETCD, KUBERNETES, Tool};
use crate::error::Error;
use crate::http::{self as web, Client};
use crate::progress::{Event, Progress, Step};

/// Base URLs of the releases, without a slash at the end.
#[derive(Debug, Clone)]
pub struct Sites {
    /// Kubernetes' programs: `<base>/v1.36.3/bin/linux/amd64/kube-apiserver`.
    pub kubernetes: String,
    /// etcd's archives: `<base>/v3.6.8/etcd-v3.6.8-linux-amd64.tar.gz`.
    pub etcd: String,
}

impl Default for Sites {
    fn default() -> Self {
        Self {
            kubernetes: "https://dl.k8s.io".into(),
            etcd: "https://github.com/etcd-io/etcd/releases/download".into(),
        }
    }
}

/// The ways in which a program is published.
#[derive(Debug, Clone, Copy)]
pub(super) enum Release {
    /// A file of its own, its checksum beside it as `.sha256`.
    KubernetesBinary,
    /// In the archive of test programs.
    KubernetesTest,
    /// In etcd's archive, checksums of all archives in `SHA256SUMS`.
    Etcd,
}

/// What to fetch, and what is in it.
struct Source {
    url: String,
    sums: String,
    /// The program's path in the archive; `None`: the file is the program.
    member: Option<String>,
}

const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);
const REDIRECTS: usize = 5;

/// Downloads `tool` into its place in the cache.
pub(super) async fn get(
    sites: &Sites,
    tool: Tool,
    place: &Place,
    progress: &Progress,
) -> Result<(), Error> {
    let source = source(sites, tool).ok_or_else(|| Error::NoRelease {
        tool,
        platform: format!("{}/{}", cache::os(), cache::arch()),
    })?;
    let unreachable = |reason| Error::Unreachable {
        url: source.url.clone(),
        reason,
    };
    let config = kube::Config::new(Uri::from_static("https://localhost"));
    let client = web::client(&config, CONNECT).map_err(unreachable)?;
    // The checksum first: it is small, and tells quickly whether the site can be reached at all.
    let published = published(&client, &source).await?;
    let step = progress.step(
        format!("download {tool}"),
        format!("downloading {tool} {}", tool.version()),
        Some(Duration::from_secs(15)),
    );
    let scratch = place.scratch()?;
    let file = scratch.path("download");
    let found = download(&client, &source.url, &file, &step).await?;
    if found != published {
        return Err(Error::Checksum {
            url: source.url,
            published,
            found,
        });
    }
    match source.member {
        None => place.keep(&file)?,
        Some(member) => {
            extract(&file, &scratch.path(""), &member).await?;
            place.keep(&scratch.path(&member))?;
        }
    }
    step.finish();
    Ok(())
}

/// Why the release cannot be had, as the middle of a sentence.
pub(super) fn why(error: &Error) -> String {
    match error {
        Error::Unreachable { url, reason } => format!("{url} cannot be reached ({reason})"),
        Error::NotPublished { url, status } => format!("{url} answered {status}"),
        Error::NoRelease { tool, platform } => format!("{tool} is not released for {platform}"),
        other => other.to_string(),
    }
}

fn source(sites: &Sites, tool: Tool) -> Option<Source> {
    let (os, arch) = (cache::os(), cache::arch());
    // Servers are released for Linux only, etcd's other archives are no tarballs.
    if os != "linux" && tool != Tool::Kubectl {
        return None;
    }
    Some(match tool.recipe().release? {
        Release::KubernetesBinary => {
            let url = format!(
                "{}/{KUBERNETES}/bin/{os}/{arch}/{}",
                sites.kubernetes,
                tool.name()
            );
            Source {
                sums: format!("{url}.sha256"),
                member: None,
                url,
            }
        }
        Release::KubernetesTest => {
            let url = format!(
                "{}/{KUBERNETES}/kubernetes-test-{os}-{arch}.tar.gz",
                sites.kubernetes
            );
            Source {
                sums: format!("{url}.sha256"),
                member: Some(format!("kubernetes/test/bin/{}", tool.name())),
                url,
            }
        }
        Release::Etcd => {
            let archive = format!("etcd-{ETCD}-{os}-{arch}");
            Source {
                url: format!("{}/{ETCD}/{archive}.tar.gz", sites.etcd),
                sums: format!("{}/{ETCD}/SHA256SUMS", sites.etcd),
                member: Some(format!("{archive}/{}", tool.name())),
            }
        }
    })
}

/// The SHA-256 published for `source`: a lone number, or the line with the file's name.
async fn published(client: &Client, source: &Source) -> Result<String, Error> {
    const LARGEST: usize = 1 << 20;
    let body = open(client, &source.sums).await?;
    let all = tokio::time::timeout(SILENCE, Limited::new(body, LARGEST).collect()).await;
    let text = match all {
        Ok(Ok(body)) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Ok(Err(error)) => return Err(unreachable(&source.sums, error.to_string())),
        Err(_) => return Err(unreachable(&source.sums, "the download stalled".into())),
    };
    let name = source.url.rsplit('/').next().unwrap_or_default();
    let sum = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let sum = words.next()?;
        let about = words
            .next()
            .is_none_or(|file| file.trim_start_matches('*') == name);
        (about && sum.len() == 64).then(|| sum.to_ascii_lowercase())
    });
    sum.ok_or_else(|| Error::Checksum {
        url: source.url.clone(),
        published: format!("(none in {})", source.sums),
        found: "(not downloaded)".into(),
    })
}

/// Writes what `url` gives into `file` and says its SHA-256.
async fn download(
    client: &Client,
    url: &str,
    file: &Path,
    step: &Step<'_>,
) -> Result<String, Error> {
    use tokio::io::AsyncWriteExt;
    let mut body = open(client, url).await?;
    let total = body.size_hint().exact();
    let mut out = tokio::fs::File::create(file)
        .await
        .map_err(Error::file("cannot create", file))?;
    let (mut hash, mut done) = (Sha256::new(), 0);
    loop {
        let frame = match tokio::time::timeout(SILENCE, body.frame()).await {
            Err(_) => return Err(unreachable(url, "the download stalled".into())),
            Ok(None) => break,
            Ok(Some(Err(error))) => return Err(unreachable(url, error.to_string())),
            Ok(Some(Ok(frame))) => frame,
        };
        if let Some(data) = frame.data_ref() {
            hash.update(data);
            let written = out.write_all(data).await;
            written.map_err(Error::file("cannot write", file))?;
            done += data.len() as u64;
            step.tell(Event::Bytes { done, total });
        }
    }
    out.flush()
        .await
        .map_err(Error::file("cannot write", file))?;
    Ok(format!("{:x}", hash.finalize()))
}

/// The body of `url`, redirects followed; never from HTTPS down to HTTP.
async fn open(client: &Client, url: &str) -> Result<Incoming, Error> {
    let mut at = url.to_owned();
    for _ in 0..=REDIRECTS {
        let uri: Uri = at
            .parse()
            .map_err(|_| unreachable(url, format!("{at} is no URL")))?;
        let response = web::get(client, &uri, ANSWER)
            .await
            .map_err(|reason| unreachable(url, reason))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        if !status.is_redirection() {
            return Err(Error::NotPublished {
                url: url.to_owned(),
                status: status.as_u16(),
            });
        }
        let location = response.headers().get(LOCATION);
        let next = location.and_then(|value| value.to_str().ok());
        at = next
            .and_then(|next| resolve(&uri, next))
            .ok_or_else(|| unreachable(url, "a redirect that cannot be followed".into()))?;
    }
    Err(unreachable(url, format!("more than {REDIRECTS} redirects")))
}

/// Where a redirect at `from` leads.
fn resolve(from: &Uri, location: &str) -> Option<String> {
    let scheme = from.scheme_str()?;
    if let Some(path) = location.strip_prefix('/') {
        return Some(format!("{scheme}://{}/{path}", from.authority()?));
    }
    let absolute =
        location.starts_with("https://") || (scheme == "http" && location.starts_with("http://"));
    absolute.then(|| location.to_owned())
}

/// Takes one file out of a `.tar.gz` with the system's `tar`.
async fn extract(archive: &Path, into: &Path, member: &str) -> Result<(), Error> {
    let run = |source| Error::Run {
        program: "tar".into(),
        source,
    };
    let output = tokio::process::Command::new("tar")
        .arg("-xzf")
        .arg(archive)
        .arg("-C")
        .arg(into)
        .arg(member)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(run)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(run(std::io::Error::other(said)))
}

fn unreachable(url: &str, reason: String) -> Error {
    Error::Unreachable {
        url: url.to_owned(),
        reason,
    }
}
