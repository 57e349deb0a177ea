//! The real servers: started, found again, killed. The first run gets them, which takes minutes.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use controlplane::{Assets, ControlPlane, Error, Options, Progress, Tool, upstream::Upstream};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;

/// A data folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("corten-start-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        drop(std::fs::remove_dir_all(&dir));
        Self(dir)
    }

    fn options(&self) -> Options {
        Options {
            unsafe_no_fsync: true,
            ..Options::new(&self.0)
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn namespaces(plane: &ControlPlane) -> Api<Namespace> {
    Api::all(Client::try_from(plane.admin_config()).unwrap())
}

fn namespace(name: &str) -> Namespace {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

/// Whether a process runs; one that has ended and waits for its parent does not.
fn runs(pid: u32) -> bool {
    let ps = Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.to_string()])
        .output();
    let stat = String::from_utf8(ps.unwrap().stdout).unwrap();
    !stat.trim().is_empty() && !stat.starts_with('Z')
}

fn kill(pid: u32) {
    let kill = Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
    assert!(kill.unwrap().success());
}

async fn gone(pids: [u32; 2]) {
    let since = Instant::now();
    while pids.into_iter().any(runs) {
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "{pids:?} still run"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_second_start_finds_the_objects_at_the_same_url() {
    let folder = Folder::new("again");
    let plane = ControlPlane::start(folder.options()).await.unwrap();
    let url = plane.url().to_owned();
    let uid = namespaces(&plane)
        .create(&PostParams::default(), &namespace("kept"))
        .await
        .unwrap()
        .uid();
    let pids = plane.pids();

    let held = ControlPlane::start(folder.options()).await.unwrap_err();
    let holder = format!("in use by process {}:", std::process::id());
    assert!(held.to_string().contains(&holder), "{held}");
    let port = url.rsplit(':').next().unwrap().parse().unwrap();
    let other = Folder::new("other");
    let taken = Options {
        port: Some(port),
        ..other.options()
    };
    let taken = ControlPlane::start(taken).await.unwrap_err();
    assert!(matches!(taken, Error::PortInUse { .. }), "{taken}");
    assert!(taken.to_string().contains("--port"), "{taken}");

    plane.stop().await;
    assert!(!pids.into_iter().any(runs));

    let since = Instant::now();
    let plane = ControlPlane::start(folder.options()).await.unwrap();
    eprintln!("ready {:?} after start", since.elapsed());
    assert_eq!(plane.url(), url);
    assert_eq!(namespaces(&plane).get("kept").await.unwrap().uid(), uid);

    // As a controller killed with its children would leave it: no goodbye at all.
    let pids = plane.pids();
    pids.into_iter().for_each(kill);
    gone(pids).await;
    drop(plane);
    let plane = ControlPlane::start(folder.options()).await.unwrap();
    assert_eq!(namespaces(&plane).get("kept").await.unwrap().uid(), uid);

    let pids = plane.pids();
    drop(plane);
    gone(pids).await;
}

#[tokio::test]
async fn a_server_that_dies_is_reported_with_the_end_of_its_log() {
    let folder = Folder::new("dies");
    let wrong = Options {
        apiserver_flags: vec!["--no-such-flag=1".into()],
        ..folder.options()
    };
    let error = ControlPlane::start(wrong).await.unwrap_err();
    assert!(
        error.to_string().contains("unknown flag: --no-such-flag"),
        "{error}"
    );

    let mut plane = ControlPlane::start(folder.options()).await.unwrap();
    kill(plane.pids()[0]);
    let error = plane.failed().await.to_string();
    assert!(error.starts_with("etcd ended early (signal: 9"), "{error}");
    plane.stop().await;
}

/// This test program again, as a process of its own that is killed while its children run.
#[tokio::test]
async fn the_children_of_a_killed_parent_go_with_it() {
    const FOLDER: &str = "CORTEN_START_TEST_FOLDER";
    if let Some(dir) = std::env::var_os(FOLDER) {
        let _plane = ControlPlane::start(Options::new(dir)).await.unwrap();
        return std::future::pending().await;
    }
    let folder = Folder::new("killed");
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_children_of_a_killed_parent_go_with_it"])
        .env(FOLDER, &folder.0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while !folder.0.join("admin.kubeconfig").exists() {
        assert!(since.elapsed() < Duration::from_mins(10), "not ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let pid = |name: &str| {
        let text = std::fs::read_to_string(folder.0.join(name)).unwrap();
        text.trim().parse().unwrap()
    };
    let pids = [pid("etcd.pid"), pid("kube-apiserver.pid")];
    assert!(pids.into_iter().all(runs));
    parent.kill().unwrap();
    parent.wait().unwrap();
    gone(pids).await;
}

#[tokio::test]
async fn what_was_detached_lives_on_until_it_is_stopped() {
    let folder = Folder::new("detached");
    let detached = Options {
        detached: true,
        ..folder.options()
    };
    let plane = ControlPlane::start(detached).await.unwrap();
    let (pids, url, config) = (plane.pids(), plane.url().to_owned(), plane.admin_config());
    drop(plane);
    let client = Client::try_from(config).unwrap();
    Api::<Namespace>::all(client)
        .list(&ListParams::default())
        .await
        .unwrap();

    // A start on the same folder ends the old ones first.
    let plane = ControlPlane::start(folder.options()).await.unwrap();
    assert!(!pids.into_iter().any(runs));
    assert_eq!(plane.url(), url);
    plane.stop().await;
    assert!(!controlplane::stop(&folder.0).await.unwrap());
}

#[tokio::test]
async fn strangers_are_told_health_and_nothing_else() {
    let folder = Folder::new("strangers");
    let plane = ControlPlane::start(folder.options()).await.unwrap();
    let mut config = plane.admin_config();
    config.auth_info = kube::config::AuthInfo::default();
    let stranger = Client::try_from(config).unwrap();
    let get = |path: &str| {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        let stranger = stranger.clone();
        async move { stranger.request_text(request).await }
    };
    assert_eq!(get("/readyz").await.unwrap(), "ok");
    assert!(
        get("/version")
            .await
            .unwrap()
            .contains(Tool::KubeApiserver.version())
    );
    assert!(get("/api").await.is_err());
    plane.stop().await;
}

#[tokio::test]
async fn upstream_runs_beside_it() {
    let folder = Folder::new("upstream");
    let options = folder.options();
    let tools = [Tool::KubeControllerManager, Tool::KubeScheduler, Tool::Kwok];
    let assets = Assets::locate(&options.assets, &tools, &Progress::default())
        .await
        .unwrap();
    let plane = ControlPlane::start(options).await.unwrap();
    let kubeconfig = plane.kubeconfig_path();
    let upstream = Upstream::new(&assets, &kubeconfig, plane.data_dir());
    let mut running = [
        upstream
            .controller_manager(&["*"], Some(plane.pki()))
            .unwrap(),
        upstream.scheduler().unwrap(),
        upstream.kwok().unwrap(),
    ];
    let client = Client::try_from(plane.admin_config()).unwrap();
    let nodes: Api<Node> = Api::all(client.clone());
    let node = serde_json::from_value(json!({"metadata": {"name": "a"}})).unwrap();
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let deployments: Api<k8s_openapi::api::apps::v1::Deployment> = Api::default_namespaced(client);
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "none"}]},
            },
        },
    });
    let deployment = serde_json::from_value(deployment).unwrap();
    deployments
        .create(&PostParams::default(), &deployment)
        .await
        .unwrap();
    let since = Instant::now();
    loop {
        for process in &mut running {
            process.check().unwrap();
        }
        let status = deployments.get("web").await.unwrap().status.unwrap();
        if status.available_replicas == Some(3) {
            break;
        }
        assert!(since.elapsed() < Duration::from_mins(1), "{status:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for process in &mut running {
        process.stop(Duration::from_secs(1)).await;
    }
    plane.stop().await;
}
