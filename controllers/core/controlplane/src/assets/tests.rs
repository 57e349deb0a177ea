#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};

use super::*;
use crate::progress::Event;

const PROGRAM: &[u8] = b"#!/bin/sh\necho it\n";

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("corten-assets-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        drop(std::fs::remove_dir_all(&dir));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn program(&self, name: &str) {
        let path = self.0.join(name);
        std::fs::write(&path, PROGRAM).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Files under it, without locks.
    fn files(&self) -> Vec<String> {
        fn walk(dir: &Path, found: &mut Vec<String>) {
            for entry in dir.read_dir().unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else if path.extension().is_none_or(|end| end != "lock") {
                    found.push(path.file_name().unwrap().to_string_lossy().into_owned());
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.0, &mut found);
        found.sort();
        found
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

type Files = HashMap<String, Vec<u8>>;

fn sum(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// A release as it is published: Kubernetes' programs as files, etcd in an archive.
fn published(scratch: &Folder) -> Files {
    let (os, arch) = (cache::os(), cache::arch());
    let mut files = Files::new();
    let path = format!("/{KUBERNETES}/bin/{os}/{arch}/kube-apiserver");
    files.insert(format!("{path}.sha256"), sum(PROGRAM).into_bytes());
    files.insert(path, PROGRAM.to_vec());

    let name = format!("etcd-{ETCD}-{os}-{arch}");
    std::fs::create_dir_all(scratch.0.join(&name)).unwrap();
    scratch.program(&format!("{name}/etcd"));
    let archive = scratch.0.join("archive");
    let tar = std::process::Command::new("tar")
        .arg("-czf")
        .arg(&archive)
        .arg("-C")
        .arg(&scratch.0)
        .arg(&name)
        .status();
    assert!(tar.unwrap().success());
    let archive = std::fs::read(archive).unwrap();
    let sums = format!(
        "{}  another.zip\n{}  {name}.tar.gz\n",
        sum(b""),
        sum(&archive)
    );
    files.insert(format!("/{ETCD}/SHA256SUMS"), sums.into_bytes());
    files.insert(format!("/{ETCD}/{name}.tar.gz"), archive);
    files
}

/// Serves `files`, those under `/moved` by a redirect; counts requests.
async fn serve(files: Files) -> (Sites, Arc<Mutex<usize>>) {
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let base = format!("http://{}/moved", listener.local_addr().unwrap());
    let (files, count) = (Arc::new(files), Arc::new(Mutex::new(0)));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (files, counted) = (Arc::clone(&files), Arc::clone(&counted));
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                *counted.lock().unwrap() += 1;
                let answer = answer(&files, request.uri().path());
                async move { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    let sites = Sites {
        kubernetes: base.clone(),
        etcd: base,
    };
    (sites, count)
}

fn answer(files: &Files, path: &str) -> Response<Full<Bytes>> {
    let builder = Response::builder();
    if let Some(moved) = path.strip_prefix("/moved") {
        let found = builder.status(StatusCode::FOUND).header("location", moved);
        return found.body(Full::default()).unwrap();
    }
    match files.get(path) {
        Some(bytes) => builder.body(Full::from(bytes.clone())).unwrap(),
        None => builder.status(404).body(Full::default()).unwrap(),
    }
}

fn from(cache: &Folder, from: From, sites: Sites) -> AssetOptions {
    AssetOptions {
        dir: None,
        from,
        cache: Some(cache.0.clone()),
        sites,
        go: None,
    }
}

fn nowhere() -> Sites {
    // Port 9 is "discard": nobody listens there.
    Sites {
        kubernetes: "http://127.0.0.1:9".into(),
        etcd: "http://127.0.0.1:9".into(),
    }
}

async fn locate(options: &AssetOptions) -> Result<Assets, Error> {
    Assets::locate(options, &Tool::CONTROL_PLANE, &Progress::default()).await
}

#[tokio::test]
async fn a_folder_given_by_hand_must_have_everything() {
    let folder = Folder::new("given");
    folder.program("etcd");
    let options = AssetOptions {
        dir: Some(folder.0.clone()),
        ..AssetOptions::default()
    };
    let error = locate(&options).await.unwrap_err().to_string();
    assert!(error.contains("has no kube-apiserver:"), "{error}");
    folder.program("kube-apiserver");
    let assets = locate(&options).await.unwrap();
    assert_eq!(assets.path(Tool::Etcd), Some(&*folder.0.join("etcd")));
}

#[tokio::test]
async fn a_release_is_downloaded_once_and_kept() {
    let (scratch, cache) = (Folder::new("release-scratch"), Folder::new("release"));
    let (sites, requests) = serve(published(&scratch)).await;
    let options = from(&cache, From::Release, sites);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    let progress = Progress::new(move |report| {
        if let Event::Finished { .. } = report.event {
            hearing.lock().unwrap().push(report.step.to_owned());
        }
    });
    // Two at once: the second waits for the first.
    let (one, two) = tokio::join!(
        Assets::locate(&options, &Tool::CONTROL_PLANE, &progress),
        locate(&options),
    );
    let assets = one.unwrap();
    two.unwrap();
    for (_, path) in assets.iter() {
        assert_eq!(std::fs::read(path).unwrap(), PROGRAM);
        assert!(is_program(path));
    }
    assert_eq!(cache.files(), ["etcd", "kube-apiserver"]);
    // Checksum and file, each with a redirect, for each of the two.
    assert_eq!(*requests.lock().unwrap(), 8);
    locate(&options).await.unwrap();
    assert_eq!(*requests.lock().unwrap(), 8);
    let heard = heard.lock().unwrap();
    assert!(
        heard
            .iter()
            .all(|step| step.starts_with("download ") || step.starts_with("wait "))
    );
}

#[tokio::test]
async fn a_wrong_checksum_is_an_error_and_keeps_nothing() {
    let (scratch, cache) = (Folder::new("wrong-scratch"), Folder::new("wrong"));
    let mut files = published(&scratch);
    for (path, bytes) in &mut files {
        if path.ends_with("kube-apiserver") || path.ends_with("tar.gz") {
            bytes.push(b'!');
        }
    }
    let (sites, _) = serve(files).await;
    // Automatic choice must not paper over it by building.
    let error = locate(&from(&cache, From::Auto, sites)).await.unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }), "{error}");
    assert_eq!(cache.files(), [""; 0]);
}

#[tokio::test]
async fn a_site_that_cannot_be_reached_or_has_nothing_is_said_so() {
    let cache = Folder::new("nowhere");
    let error = locate(&from(&cache, From::Release, nowhere())).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let (sites, _) = serve(Files::new()).await;
    let error = locate(&from(&cache, From::Release, sites)).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, Error::NotPublished { status: 404, .. }),
        "{error}"
    );
    assert_eq!(cache.files(), [""; 0]);
}

#[tokio::test]
async fn without_a_release_the_pinned_modules_are_built() {
    let cache = Folder::new("go");
    let go = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/assets/tests/go");
    let options = AssetOptions {
        go: Some(go),
        ..from(&cache, From::Auto, nowhere())
    };
    let tools = [Tool::Etcd, Tool::E2e];
    let assets = Assets::locate(&options, &tools, &Progress::default()).await;
    assert!(is_program(assets.unwrap().path(Tool::Etcd).unwrap()));
    let told = std::fs::read_to_string(cache.0.join("told")).unwrap();
    assert!(told.contains("go.mod\ngo.sum\n"), "{told}");
    assert!(
        told.contains("CGO_ENABLED=0 build -mod=readonly -trimpath"),
        "{told}"
    );
    assert!(
        told.contains("CGO_ENABLED=0 test -c -mod=readonly -trimpath"),
        "{told}"
    );
    assert!(told.contains("version.gitVersion=v1.36.3 "), "{told}");
    assert!(told.contains("version.gitMinor=36 "), "{told}");
}

#[tokio::test]
async fn a_failed_build_tells_what_go_said() {
    let cache = Folder::new("fails");
    // Another program stands in for Go; it does not know the options.
    let options = AssetOptions {
        go: Some("ls".into()),
        ..from(&cache, From::Go, nowhere())
    };
    let error = locate(&options).await.unwrap_err().to_string();
    assert!(error.contains("start again: ls: "), "{error}");
    assert_eq!(cache.files().len(), 3, "only go.mod, go.sum and main.go");
}

#[tokio::test]
async fn neither_network_nor_go_is_one_sentence_with_the_ways_out() {
    let cache = Folder::new("no-way");
    let options = AssetOptions {
        go: Some("/no/such/go".into()),
        ..from(&cache, From::Auto, nowhere())
    };
    let error = locate(&options).await.unwrap_err().to_string();
    let (start, end) = error.split_once(" cannot be reached (").unwrap();
    assert!(start.starts_with("etcd and kube-apiserver cannot be got, as http://127.0.0.1:9/"));
    assert!(end.ends_with(
        "and there is no `go` in PATH: go online, install Go 1.26 or newer, \
         or name a folder that has them with --assets"
    ));
}
