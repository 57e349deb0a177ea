//! The storage class that a cluster of `corten up` begins with.

use anyhow::bail;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use plan::{Action, Cause};
use registry::HOSTPATH;
use runtime::Runtime;

/// Makes the class `standard`, the default one, if nothing of that name is there and its provisioner runs. It waits for
/// the first consumer, as kind's of the same name does: a directory is on one node.
pub(crate) async fn offer(runtime: &Runtime, controllers: &[String]) -> anyhow::Result<()> {
    let chosen = registry::select(controllers)?;
    if !chosen.iter().any(|entry| entry.name == HOSTPATH) {
        return Ok(());
    }
    let executor = runtime.executor("corten");
    match executor.run(&Action::create(standard())).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.cause == Cause::AlreadyExists => Ok(()),
        Err(failure) => bail!("the storage class standard: {}", failure.message),
    }
}

fn standard() -> StorageClass {
    let default = "storageclass.kubernetes.io/is-default-class";
    StorageClass {
        metadata: ObjectMeta {
            name: Some("standard".to_owned()),
            annotations: Some([(default.to_owned(), "true".to_owned())].into()),
            ..ObjectMeta::default()
        },
        provisioner: hostpath::PROVISIONER.to_owned(),
        reclaim_policy: Some("Delete".to_owned()),
        volume_binding_mode: Some("WaitForFirstConsumer".to_owned()),
        ..StorageClass::default()
    }
}
