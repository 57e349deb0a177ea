//! What a test says that fails.

use super::in_memory;
use crate::Error;
use k8s_openapi::api::apps::v1::Deployment;

const TOO_LARGE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: large}
spec:
  selector: {matchLabels: {app: large}}
  template:
    metadata: {labels: {app: large}}
    spec:
      containers: [{name: main, image: large, resources: {requests: {cpu: '64'}}}]
";

#[test]
fn a_wait_in_vain_says_what_there_is_and_why() {
    in_memory(async |cluster| {
        cluster.apply(TOO_LARGE).await?;
        let is_available = |large: &Deployment| {
            large
                .status
                .as_ref()
                .and_then(|status| status.available_replicas)
                == Some(1)
        };
        let late = cluster.until("large", "is available", is_available).await;
        let said = late.unwrap_err().to_string();
        for part in [
            "not within 30 s: Deployment large is available; last seen: default/large",
            "Available=False(MinimumReplicasUnavailable: Deployment does not have minimum availability.)",
            "--- why pods are pending\nPod default/large-",
            "none of 3 nodes will do",
            "Warning FailedScheduling Pod large-",
            "Normal ScalingReplicaSet Deployment large",
        ] {
            assert!(said.contains(part), "{part} is not in:\n{said}");
        }
        Ok(())
    });
}

#[test]
fn a_wrong_manifest_is_told_with_its_place() {
    in_memory(async |cluster| {
        for (manifest, said) in [
            (
                "{kind: Pod, metadata: {name: a}}",
                "manifest (document 1): apiVersion is missing",
            ),
            (
                "{apiVersion: v1, kind: Sock, metadata: {name: a}}",
                "the API server does not know v1 Sock",
            ),
            (
                "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {}}",
                "pod/a was refused",
            ),
        ] {
            let error = cluster.apply(manifest).await.unwrap_err();
            assert!(matches!(error, Error::Manifest(_)), "{error}");
            assert!(error.to_string().contains(said), "{error}");
        }
        Ok(())
    });
}

#[test]
fn what_is_not_there_is_named() {
    in_memory(async |cluster| {
        let error = cluster.get::<Deployment>("team/web").await.unwrap_err();
        assert!(
            error.to_string().starts_with("get Deployment team/web: "),
            "{error}"
        );
        Ok(())
    });
}
