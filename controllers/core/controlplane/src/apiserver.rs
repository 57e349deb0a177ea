//! kube-apiserver, with the flags of a stock cluster as far as they make sense on one machine.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use http::Uri;
use http_body_util::{BodyExt, Limited};

use crate::error::Error;
use crate::http as web;
use crate::pki::{self, Pki};
use crate::process::{Process, Spec};

/// The range of Services' addresses, kubeadm's default.
pub const SERVICE_RANGE: &str = "10.96.0.0/16";
/// The address of the Service `kubernetes`: the range's first.
pub const SERVICE_IP: &str = "10.96.0.1";
/// The issuer of service account tokens, kubeadm's default.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

const PATIENCE: Duration = Duration::from_mins(2);

/// Anonymous requests reach only what tells health and version (KEP-4633), as probes need them.
const AUTHENTICATION: &str = "\
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
  - path: /livez
  - path: /readyz
  - path: /healthz
  - path: /version
";

/// What of it can be chosen.
pub(crate) struct Choice<'a> {
    pub(crate) listen: SocketAddr,
    pub(crate) detached: bool,
    pub(crate) extra: &'a [OsString],
}

pub(crate) fn spec(
    program: &Path,
    dir: &Path,
    pki: &Pki,
    choice: &Choice<'_>,
) -> Result<Spec, Error> {
    let authentication = dir.join("authentication.yaml");
    pki::write(&authentication, AUTHENTICATION)?;
    let mut spec = Spec::new("kube-apiserver", program, dir)
        .flag("etcd-servers", crate::etcd::ENDPOINT)
        .flag("bind-address", choice.listen.ip().to_string())
        .flag("secure-port", choice.listen.port().to_string())
        .flag("tls-cert-file", pki.file("apiserver.crt"))
        .flag("tls-private-key-file", pki.file("apiserver.key"))
        .flag("client-ca-file", pki.file("ca.crt"))
        .flag("authentication-config", authentication)
        .flag("authorization-mode", "Node,RBAC")
        .flag("enable-admission-plugins", "NodeRestriction")
        .flag("service-account-issuer", ISSUER)
        .flag("service-account-key-file", pki.file("sa.pub"))
        .flag("service-account-signing-key-file", pki.file("sa.key"))
        .flag("service-cluster-ip-range", SERVICE_RANGE)
        .flag("allow-privileged", "true")
        .flag(
            "requestheader-client-ca-file",
            pki.file("front-proxy-ca.crt"),
        )
        .flag("requestheader-allowed-names", "front-proxy-client")
        .flag("requestheader-username-headers", "X-Remote-User")
        .flag("requestheader-group-headers", "X-Remote-Group")
        .flag("requestheader-extra-headers-prefix", "X-Remote-Extra-")
        .flag("proxy-client-cert-file", pki.file("front-proxy-client.crt"))
        .flag("proxy-client-key-file", pki.file("front-proxy-client.key"))
        .flag(
            "kubelet-client-certificate",
            pki.file("client-corten-apiserver.crt"),
        )
        .flag(
            "kubelet-client-key",
            pki.file("client-corten-apiserver.key"),
        )
        // Kubelets' certificates are not checked, as in kubeadm's clusters: they sign their own.
        .flag("kubelet-preferred-address-types", "InternalIP,Hostname")
        .flag("profiling", "false");
    if !choice.listen.ip().is_unspecified() {
        spec = spec.flag("advertise-address", choice.listen.ip().to_string());
    }
    if choice.listen.ip().is_loopback() {
        // Endpoints must not be loopback addresses, and nothing in a pod could reach it anyway.
        spec = spec.flag("endpoint-reconciler-type", "none");
    }
    spec.arguments.extend(choice.extra.iter().cloned());
    spec.detached = choice.detached;
    Ok(spec)
}

/// Waits for `/readyz`; the post-start hooks, so RBAC's own roles, are part of it.
pub(crate) async fn ready(
    process: &mut Process,
    etcd: &mut Process,
    config: &kube::Config,
) -> Result<(), Error> {
    let since = Instant::now();
    let (log, mut last) = (process.log().to_owned(), String::from("no answer"));
    let not_ready = |last| Error::NotReady {
        name: "kube-apiserver".into(),
        seconds: since.elapsed().as_secs(),
        log: log.clone(),
        last,
    };
    let client = web::client(config, Duration::from_secs(1)).map_err(not_ready)?;
    let url = format!("{}readyz", config.cluster_url);
    let uri: Uri = url
        .parse()
        .map_err(|_| not_ready(format!("{url} is no URL")))?;
    while since.elapsed() < PATIENCE {
        process.check()?;
        etcd.check()?;
        match web::get(&client, &uri, Duration::from_secs(5)).await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => {
                let body = Limited::new(answer.into_body(), 1 << 16).collect().await;
                if let Ok(body) = body {
                    last = unready(&String::from_utf8_lossy(&body.to_bytes()));
                }
            }
            Err(reason) => last = reason,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(not_ready(last))
}

/// The checks that fail, of `/readyz`'s text: lines `[-]name failed: reason`.
fn unready(text: &str) -> String {
    let failing: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("[-]"))
        .collect();
    if failing.is_empty() {
        text.trim().to_owned()
    } else {
        failing.join(", ")
    }
}

/// Where clients reach a server that listens on `address`.
pub(crate) fn url(address: IpAddr, port: u16) -> String {
    match address {
        any if any.is_unspecified() => format!("https://127.0.0.1:{port}"),
        IpAddr::V4(address) => format!("https://{address}:{port}"),
        IpAddr::V6(address) => format!("https://[{address}]:{port}"),
    }
}
