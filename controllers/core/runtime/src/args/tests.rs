#![allow(clippy::unwrap_used, clippy::panic)]
use super::connect::discover;
use super::*;
use crate::metrics::Metrics;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use clap::{CommandFactory, Parser};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A program.
#[derive(Parser)]
struct All {
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    election: LeaderElectionArgs,
    #[command(flatten)]
    serving: ServingArgs,
    #[command(flatten)]
    logging: LoggingArgs,
    /// A flag of the binary's own.
    #[arg(long)]
    own: bool,
}

fn parse(flags: &[&str]) -> All {
    All::try_parse_from(std::iter::once(&"x").chain(flags)).unwrap()
}

#[test]
fn help_is_grouped() {
    let help = All::command().render_long_help().to_string();
    for heading in ["Client:", "Leader election:", "Serving:", "Logging:"] {
        assert!(
            help.lines().any(|line| line == heading),
            "no {heading} in {help}"
        );
    }
    assert!(help.starts_with("A program"), "{help}");
    let own = help.find("--own").unwrap();
    assert!(own < help.find("Client:").unwrap(), "{help}");
}

#[test]
fn go_spellings_are_taken() {
    let cases: [(&[&str], bool); 5] = [
        (&[], true),
        (&["--leader-elect"], true),
        (&["--leader-elect=true"], true),
        (&["--leader-elect=false"], false),
        (&["--leader-elect=0", "--own"], false),
    ];
    for (flags, expected) in cases {
        assert_eq!(parse(flags).election.leader_elect, expected, "{flags:?}");
    }
    for flags in [["--v=4"], ["-v=4"], ["-v4"]] {
        assert_eq!(parse(&flags).logging.v, 4);
    }
    assert_eq!(
        parse(&["--logging-format=json"]).logging.logging_format,
        log::Format::Json
    );
    assert!(All::try_parse_from(["x", "--leader-elect-lease-duration=15"]).is_err());
}

#[test]
fn a_namespace_is_one_that_there_can_be() {
    let longest = "x".repeat(63);
    for name in ["a", "kube-system", "0", &longest] {
        assert_eq!(parse_namespace(name).as_deref(), Ok(name));
    }
    let longer = "x".repeat(64);
    for name in ["", "A", "a_b", "a.b", "-a", "a-", "ä", &longer] {
        parse_namespace(name).unwrap_err();
    }
}

#[test]
fn election_flags_become_options() {
    let flags = [
        "--leader-elect-lease-duration=1m",
        "--leader-elect-resource-name=own",
        "--leader-elect-resource-namespace=ns",
    ];
    let options = parse(&flags)
        .election
        .options("kube-scheduler")
        .unwrap()
        .unwrap();
    assert_eq!(
        (
            options.component.as_str(),
            options.name.as_str(),
            options.namespace.as_str()
        ),
        ("kube-scheduler", "own", "ns")
    );
    assert_eq!(
        (
            options.lease_duration.as_secs(),
            options.renew_deadline.as_secs()
        ),
        (60, 10)
    );
    assert_eq!(
        parse(&["--leader-elect=false"]).election.options("x"),
        Ok(None)
    );
    let error = parse(&["--leader-elect-renew-deadline=15s"])
        .election
        .options("x")
        .unwrap_err();
    assert_eq!(
        error,
        "--leader-elect-lease-duration (15s) must be longer than --leader-elect-renew-deadline (15s)"
    );
}

#[test]
fn port_0_is_no_server() {
    let address = |flags: &[&str]| {
        parse(flags)
            .serving
            .address(CONTROLLERS_PORT)
            .map(|a| a.to_string())
    };
    assert_eq!(address(&[]).as_deref(), Some("127.0.0.1:10257"));
    assert_eq!(
        address(&["--bind-address=::", "--secure-port=9"]).as_deref(),
        Some("[::]:9")
    );
    assert_eq!(address(&["--secure-port=0"]), None);
}

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\nusers: [{{name: u, user: {{token: secret}}}}]\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: x\n"
    )
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("corten-args-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join(".kube")).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The server that is found, or the error.
async fn found(flags: &[&str], env: &[(&str, &Path)]) -> String {
    let value = |name: &str| {
        env.iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value.to_path_buf())
    };
    match discover(&parse(flags).client, value).await {
        Ok(config) => config.cluster_url.to_string(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn the_flag_counts_before_the_environment_and_that_before_the_home_folder() {
    let folder = Folder::new("order");
    let flag = folder.file("flag", &kubeconfig("http://flag:1"));
    let env = folder.file("env", &kubeconfig("http://env:1"));
    folder.file(".kube/config", &kubeconfig("http://home:1"));
    let flags = [format!("--kubeconfig={}", flag.display())];
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let all = [("KUBECONFIG", env.as_path()), ("HOME", folder.0.as_path())];
    assert_eq!(found(&flags, &all).await, "http://flag:1/");
    assert_eq!(found(&[], &all).await, "http://env:1/");
    assert_eq!(found(&[], &all[1..]).await, "http://home:1/");
    let list = PathBuf::from(format!(
        "{}:{}",
        folder.0.join("none").display(),
        env.display()
    ));
    assert_eq!(found(&[], &[("KUBECONFIG", &list)]).await, "http://env:1/");
    assert_eq!(
        found(&["--master=10.0.0.1:8080"], &[]).await,
        "http://10.0.0.1:8080/"
    );
    assert!(
        found(&[], &[])
            .await
            .starts_with("no cluster is configured")
    );
    let pod = [("KUBERNETES_SERVICE_HOST", Path::new("10.0.0.1"))];
    assert!(
        found(&[], &pod)
            .await
            .starts_with("the service account of this pod cannot be used")
    );
}

#[tokio::test]
async fn errors_are_one_sentence_that_names_the_file() {
    let folder = Folder::new("errors");
    let missing = folder.0.join("none");
    let (missing_flag, missing_text) = (
        format!("--kubeconfig={}", missing.display()),
        missing.display(),
    );
    let expected = format!("the kubeconfig {missing_text} (--kubeconfig) does not exist");
    assert_eq!(found(&[&missing_flag], &[]).await, expected);
    let expected = format!("the kubeconfig {missing_text} ($KUBECONFIG) does not exist");
    assert_eq!(found(&[], &[("KUBECONFIG", &missing)]).await, expected);
    for text in [
        "a: [b",
        "just words",
        "",
        "apiVersion: v1\nkind: Config\n",
        &kubeconfig("/nowhere"),
    ] {
        let path = folder.file("bad", text);
        let error = found(&[], &[("KUBECONFIG", &path)]).await;
        let start = format!(
            "the kubeconfig {} ($KUBECONFIG) cannot be used: ",
            path.display()
        );
        assert!(
            error.starts_with(&start) && !error.contains('\n'),
            "{text:?}: {error}"
        );
    }
    assert_eq!(
        found(&["--master=ftp://x"], &[]).await,
        "--master ftp://x is not a URL like https://10.0.0.1:6443"
    );
}

/// A server that answers everything with `code`, and what it was asked.
async fn server(code: StatusCode) -> (ClientArgs, Arc<Mutex<Vec<HeaderMap>>>) {
    let seen = Arc::<Mutex<Vec<HeaderMap>>>::default();
    let asked = seen.clone();
    let router = Router::new().fallback(async move |headers: HeaderMap| {
        asked.lock().unwrap().push(headers);
        let version = r#"{"major":"1","minor":"36","gitVersion":"","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#;
        (code, if code.is_success() { version } else { "no" })
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let args = ClientArgs {
        master: Some(url),
        ..ClientArgs::default()
    };
    (args, seen)
}

/// As [`client`], but whatever cluster the machine has is left out.
async fn alone(args: &ClientArgs, folder: &Folder, metrics: &Metrics) -> kube::Client {
    let path = folder.file("config", &kubeconfig(args.master.as_deref().unwrap()));
    let args = ClientArgs {
        kubeconfig: Some(path),
        ..args.clone()
    };
    connect(&config(&args, "corten/v1 test").await.unwrap(), metrics).unwrap()
}

#[tokio::test]
async fn a_write_is_sent_once_whatever_the_answer() {
    let (folder, metrics) = (Folder::new("once"), Metrics::new());
    for code in [429, 500, 503, 504] {
        let (args, seen) = server(StatusCode::from_u16(code).unwrap()).await;
        let client = alone(&args, &folder, &metrics).await;
        let maps: Api<ConfigMap> = Api::namespaced(client, "default");
        maps.create(&PostParams::default(), &ConfigMap::default())
            .await
            .unwrap_err();
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 1, "{code}");
        assert_eq!(seen[0]["user-agent"], "corten/v1 test");
        assert_eq!(seen[0]["authorization"], "Bearer secret");
        assert!(!seen[0].contains_key("accept-encoding"));
    }
    assert!(
        metrics
            .encode()
            .contains(r#"rest_client_requests_total{code="503",host="127.0.0.1:"#)
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_in_one_sentence() {
    let (folder, metrics) = (Folder::new("check"), Metrics::new());
    let (args, _) = server(StatusCode::OK).await;
    check_server(&alone(&args, &folder, &metrics).await)
        .await
        .unwrap();
    let (args, _) = server(StatusCode::UNAUTHORIZED).await;
    let error = check_server(&alone(&args, &folder, &metrics).await)
        .await
        .unwrap_err();
    assert!(
        error.to_string().starts_with("the API server refuses us: "),
        "{error}"
    );
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let args = ClientArgs {
        master: Some(format!("http://{free}")),
        ..ClientArgs::default()
    };
    let error = check_server(&alone(&args, &folder, &metrics).await)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("the API server cannot be reached: Connection refused"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_is_silent_is_given_up_after_five_seconds() {
    let client = kube::Client::new(
        tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<
                Result<http::Response<kube::client::Body>, std::convert::Infallible>,
            >()
        }),
        "default",
    );
    tokio::time::pause();
    let error = check_server(&client).await.unwrap_err().to_string();
    assert!(
        error.starts_with("the API server cannot be reached: no answer within 5 s"),
        "{error}"
    );
}
