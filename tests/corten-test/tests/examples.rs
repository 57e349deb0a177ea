//! The kubeconfig of a real cluster is for everybody: the example in Go runs on it.
#![allow(clippy::unwrap_used)]

use corten_test::Cluster;
use std::path::Path;
use std::process::Command;

#[tokio::test]
async fn the_operator_in_go_passes_its_test() -> Result<(), corten_test::Error> {
    let cluster = Cluster::real().await?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/go-envtest");
    let mut test = Command::new("go");
    test.args(["test", "-count=1", "./..."])
        .current_dir(folder)
        .env("KUBECONFIG", cluster.kubeconfig().unwrap())
        .env("USE_EXISTING_CLUSTER", "true");
    // It blocks; the cluster runs on threads of its own.
    let ran = test.output().expect("go is installed");
    let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    Ok(())
}
