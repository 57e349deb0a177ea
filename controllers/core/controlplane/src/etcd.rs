//! etcd, reachable through a socket in the data folder only: no port, and nobody else on the
//! machine can read it, as the folder is ours (mode 0700).

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::process::{Process, Spec};

/// What kube-apiserver is told; relative to the data folder, in which both run, because the path
/// of a socket may have at most about a hundred characters.
pub(crate) const ENDPOINT: &str = "unix://etcd.sock";

const SOCKET: &str = "etcd.sock";
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn spec(program: &Path, dir: &Path, unsafe_no_fsync: bool, detached: bool) -> Spec {
    // etcd insists on host:port in what it advertises; a member alone never calls itself.
    const NOWHERE: &str = "http://localhost:2380";
    let mut spec = Spec::new("etcd", program, dir)
        .flag("name", "corten")
        .flag("data-dir", dir.join("etcd"))
        .flag("listen-client-urls", ENDPOINT)
        .flag("advertise-client-urls", "http://localhost:2379")
        .flag("listen-peer-urls", "unix://etcd-peer.sock")
        .flag("initial-advertise-peer-urls", NOWHERE)
        .flag("initial-cluster", format!("corten={NOWHERE}"))
        // Old revisions go after five minutes by kube-apiserver's compactor; 8 GiB as upstream advises.
        .flag("quota-backend-bytes", (8_u64 << 30).to_string())
        .flag("log-level", "warn");
    if unsafe_no_fsync {
        spec = spec.flag("unsafe-no-fsync", "true");
    }
    spec.detached = detached;
    spec
}

/// Waits until the socket takes connections: kube-apiserver would look again only after a second.
pub(crate) async fn ready(process: &mut Process, dir: &Path) -> Result<(), Error> {
    let since = Instant::now();
    let socket = dir.join(SOCKET);
    while !socket.exists() {
        process.check()?;
        if since.elapsed() > PATIENCE {
            return Err(Error::NotReady {
                name: "etcd".into(),
                seconds: PATIENCE.as_secs(),
                log: process.log().to_owned(),
                last: "it does not listen".into(),
            });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// A socket that a killed etcd left would look like a ready one.
pub(crate) fn clear(dir: &Path) {
    drop(std::fs::remove_file(dir.join(SOCKET)));
}
