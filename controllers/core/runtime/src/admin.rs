//! The admin server: is this process well, what does it count, how was it configured, what did it decide.
//!
//! | path | what |
//! |---|---|
//! | `/healthz`, `/livez`, `/readyz` | `ok`, or 500 and what is wrong; `?verbose`, `?exclude=<check>` |
//! | `/readyz/<check>` | one check |
//! | `/metrics` | OpenMetrics |
//! | `/metrics/slis` | what the checks have found so far, as `kubernetes_healthcheck` |
//! | `/metrics/resources` | what pods ask for, if a scheduler is in the process |
//! | `/configz` | the options in effect, JSON |
//! | `/debug/plans` | the objects with plans, the latest first, JSON |
//! | `/debug/plans/<namespace>/<name>`, `/debug/plans/<name>` | the last plans of an object, JSON |
//! | `/debug/<page>/<namespace>/<name>` | what a part of the process has to say of an object: text, or `?output=json` |
//!
//! Paths and texts are upstream's (`apiserver/pkg/server/healthz/healthz.go`), but reasons are not withheld:
//! it listens on the loopback address unless told otherwise.

use crate::metrics::{CONTENT_TYPE, Metrics};
use crate::plans::Plans;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;
type Config = Arc<dyn Fn() -> Value + Send + Sync>;
type Text = Arc<dyn Fn() -> String + Send + Sync>;
type Page = Arc<dyn Fn(&str, &str) -> Option<Shown> + Send + Sync>;

/// What a page has to say of an object.
#[derive(Clone, Debug)]
pub struct Shown {
    /// For people.
    pub text: String,
    /// The same for programs.
    pub json: Value,
}

/// What the admin server shows. Cheap to clone; checks may be added while it serves.
#[derive(Clone)]
pub struct Admin(Arc<Inner>);

struct Inner {
    metrics: Metrics,
    plans: Plans,
    live: RwLock<Vec<(String, Check)>>,
    ready: RwLock<Vec<(String, Check)>>,
    configs: RwLock<Vec<(String, Config)>>,
    pages: RwLock<Vec<(String, Page)>>,
    resources: RwLock<Option<Text>>,
}

/// The address could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody listens there.
    #[error("port {port} of {ip} is in use; choose another with --secure-port, or 0 for none", port = .0.port(), ip = .0.ip())]
    InUse(SocketAddr),
    /// Not an address of this machine, a port below 1024, or the like.
    #[error("cannot listen on {0} (--bind-address, --secure-port): {1}")]
    Other(SocketAddr, #[source] io::Error),
}

impl Admin {
    /// A server for these metrics and plans, with the check `ping` alone.
    pub fn new(metrics: Metrics, plans: Plans) -> Self {
        Self(Arc::new(Inner {
            metrics,
            plans,
            live: RwLock::default(),
            ready: RwLock::default(),
            configs: RwLock::default(),
            pages: RwLock::default(),
            resources: RwLock::default(),
        }))
    }

    /// A check of whether the process should be restarted: for `/livez`, `/healthz` and `/readyz`. It must be
    /// quick and must not wait. The error is a few words, shown to whoever asks.
    pub fn live(&self, name: &str, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        write(&self.0.live).push((name.to_owned(), Arc::new(check)));
    }

    /// A check of whether the process does its work yet: for `/readyz` only.
    pub fn ready(
        &self,
        name: &str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        write(&self.0.ready).push((name.to_owned(), Arc::new(check)));
    }

    /// A part of `/configz`, asked for each time.
    pub fn config<T: Serialize>(&self, name: &str, config: impl Fn() -> T + Send + Sync + 'static) {
        let value =
            move || serde_json::to_value(config()).unwrap_or_else(|error| error.to_string().into());
        write(&self.0.configs).push((name.to_owned(), Arc::new(value)));
    }

    /// The page `/debug/<name>/<namespace>/<name of an object>`. It is asked on a thread of its own and may take its time;
    /// None if it knows of no such object.
    pub fn page(
        &self,
        name: &str,
        ask: impl Fn(&str, &str) -> Option<Shown> + Send + Sync + 'static,
    ) {
        write(&self.0.pages).push((name.to_owned(), Arc::new(ask)));
    }

    /// What `/metrics/resources` shows: OpenMetrics, asked for each time, on a thread of its own.
    pub fn resources(&self, ask: impl Fn() -> String + Send + Sync + 'static) {
        *write(&self.0.resources) = Some(Arc::new(ask));
    }

    /// What that page says of an object.
    pub fn shown(&self, page: &str, namespace: &str, name: &str) -> Option<Shown> {
        let pages = read(&self.0.pages).clone();
        let (_, ask) = pages.into_iter().find(|(known, _)| known == page)?;
        ask(namespace, name)
    }

    fn has_page(&self, name: &str) -> bool {
        read(&self.0.pages).iter().any(|(known, _)| known == name)
    }

    /// The routes, to be nested or tested.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(healthz))
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/healthz/{check}", get(one_live))
            .route("/livez/{check}", get(one_live))
            .route("/readyz/{check}", get(one_ready))
            .route("/metrics", get(metrics))
            .route("/metrics/slis", get(slis))
            .route("/metrics/resources", get(resources))
            .route("/configz", get(configz))
            .route("/debug/plans", get(all_plans))
            .route("/debug/plans/{name}", get(cluster_plans))
            .route("/debug/plans/{namespace}/{name}", get(plans))
            .route("/debug/{page}/{namespace}/{name}", get(page))
            .fallback(paths)
            .with_state(self.clone())
    }

    /// Listens on `address`, so that whoever asks from now on waits for [`Server::run`].
    pub async fn bind(&self, address: SocketAddr) -> Result<Server, BindError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            _ => BindError::Other(address, error),
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Server {
            router: self.router(),
            listener,
            address,
        })
    }

    fn live_checks(&self) -> Vec<(String, Check)> {
        let ping: Check = Arc::new(|| Ok(()));
        let mut checks = vec![("ping".to_owned(), ping)];
        checks.extend(read(&self.0.live).iter().cloned());
        checks
    }

    fn ready_checks(&self) -> Vec<(String, Check)> {
        let mut checks = self.live_checks();
        checks.extend(read(&self.0.ready).iter().cloned());
        checks
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// An admin server that listens.
#[derive(Debug)]
pub struct Server {
    router: Router,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Where it listens; with the port that the system chose if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled and what was asked before is answered.
    pub async fn run(self, stop: CancellationToken) {
        tracing::info!(address = %self.address, "admin server listens");
        let served =
            axum::serve(self.listener, self.router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::warn!(%error, "admin server ended");
        }
    }
}

// === paths ===

async fn healthz(
    State(admin): State<Admin>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    answer(&admin, "healthz", &admin.live_checks(), &query)
}

async fn livez(State(admin): State<Admin>, Query(query): Query<Vec<(String, String)>>) -> Response {
    answer(&admin, "livez", &admin.live_checks(), &query)
}

async fn readyz(
    State(admin): State<Admin>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    answer(&admin, "readyz", &admin.ready_checks(), &query)
}

async fn one_live(State(admin): State<Admin>, Path(check): Path<String>) -> Response {
    one(&admin.live_checks(), &check)
}

async fn one_ready(State(admin): State<Admin>, Path(check): Path<String>) -> Response {
    one(&admin.ready_checks(), &check)
}

async fn metrics(State(admin): State<Admin>) -> Response {
    (
        [(header::CONTENT_TYPE, CONTENT_TYPE)],
        admin.0.metrics.encode(),
    )
        .into_response()
}

async fn slis(State(admin): State<Admin>) -> Response {
    (
        [(header::CONTENT_TYPE, CONTENT_TYPE)],
        admin.0.metrics.encode_health(),
    )
        .into_response()
}

async fn resources(State(admin): State<Admin>) -> Response {
    let Some(resources) = read(&admin.0.resources).clone() else {
        return paths(State(admin)).await;
    };
    match tokio::task::spawn_blocking(move || resources()).await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn configz(State(admin): State<Admin>) -> Json<Map<String, Value>> {
    let configs = read(&admin.0.configs);
    Json(
        configs
            .iter()
            .map(|(name, value)| (name.clone(), value()))
            .collect(),
    )
}

async fn all_plans(State(admin): State<Admin>) -> Response {
    Json(admin.0.plans.all()).into_response()
}

async fn cluster_plans(State(admin): State<Admin>, Path(name): Path<String>) -> Response {
    plans_of(&admin, "", &name)
}

async fn plans(
    State(admin): State<Admin>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    plans_of(&admin, &namespace, &name)
}

async fn page(
    State(admin): State<Admin>,
    Path((page, namespace, name)): Path<(String, String, String)>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    if !admin.has_page(&page) {
        return paths(State(admin)).await;
    }
    let object = format!("{namespace}/{name}");
    let shown = tokio::task::spawn_blocking(move || admin.shown(&page, &namespace, &name));
    match shown.await {
        Ok(Some(shown)) if query.iter().any(|(key, value)| (&**key, &**value) == JSON) => {
            Json(shown.json).into_response()
        }
        Ok(Some(shown)) => shown.text.into_response(),
        Ok(None) => (
            StatusCode::NOT_FOUND,
            format!("{object} is not known here\n"),
        )
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

const JSON: (&str, &str) = ("output", "json");

async fn paths(State(admin): State<Admin>) -> Response {
    let mut known = vec![
        "/configz".to_owned(),
        "/debug/plans".to_owned(),
        "/debug/plans/<namespace>/<name>".to_owned(),
        "/healthz".to_owned(),
        "/livez".to_owned(),
        "/metrics".to_owned(),
        "/metrics/slis".to_owned(),
        "/readyz".to_owned(),
    ];
    let pages = read(&admin.0.pages);
    known.extend(
        pages
            .iter()
            .map(|(page, _)| format!("/debug/{page}/<namespace>/<name>")),
    );
    let has_resources = read(&admin.0.resources).is_some();
    known.extend(has_resources.then(|| "/metrics/resources".to_owned()));
    known.sort();
    (
        StatusCode::NOT_FOUND,
        format!("no such path; there are\n{}\n", known.join("\n")),
    )
        .into_response()
}

fn plans_of(admin: &Admin, namespace: &str, name: &str) -> Response {
    let found = admin.0.plans.of(namespace, name);
    if found.is_empty() {
        let text = "no plan of this object is remembered: none was made lately, or it is another process that looks after it\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    }
    Json(found).into_response()
}

/// All checks, as upstream tells them: the list if one failed or `?verbose` is asked.
fn answer(
    admin: &Admin,
    path: &'static str,
    checks: &[(String, Check)],
    query: &[(String, String)],
) -> Response {
    let verbose = query.iter().any(|(key, _)| key == "verbose");
    let excluded = |name: &str| {
        query
            .iter()
            .any(|(key, value)| key == "exclude" && value == name)
    };
    let (mut text, mut failed) = (String::new(), false);
    for (name, check) in checks {
        let found = (!excluded(name)).then(|| check());
        if let Some(found) = &found {
            admin.0.metrics.checked(name, path, found.is_ok());
        }
        // Writing to a String does not fail.
        let _ = match found {
            None => writeln!(text, "[+]{name} excluded: ok"),
            Some(Ok(())) => writeln!(text, "[+]{name} ok"),
            Some(Err(reason)) => {
                failed = true;
                writeln!(text, "[-]{name} failed: {reason}")
            }
        };
    }
    if failed {
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("{text}{path} check failed\n"),
        )
            .into_response()
    } else if verbose {
        format!("{text}{path} check passed\n").into_response()
    } else {
        "ok".into_response()
    }
}

fn one(checks: &[(String, Check)], name: &str) -> Response {
    match checks.iter().find(|(n, _)| n == name) {
        None => (StatusCode::NOT_FOUND, format!("no check {name}\n")).into_response(),
        Some((_, check)) => match check() {
            Ok(()) => "ok".into_response(),
            Err(reason) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("{name} failed: {reason}\n"),
            )
                .into_response(),
        },
    }
}

#[cfg(test)]
mod tests;
