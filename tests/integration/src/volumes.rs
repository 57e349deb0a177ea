//! Claims, volumes and classes, and the pods that use them.
//!
//! Volumes and classes are of the cluster: each test has its own class, named as its namespace.

use crate::manifest::{pod, template, uid};
use anyhow::{Context, Result, ensure};
use cluster::{Namespace, Outcome, eventually, upstream_fails, with_namespace};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{
    CSIDriver, CSIStorageCapacity, StorageClass, VolumeAttributesClass,
};
use k8s_openapi::serde::Serialize;
use k8s_openapi::serde::de::DeserializeOwned;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::ClusterResourceScope;
use kube::{Api, ResourceExt};
use objects::{meta, volume};
use serde_json::{Value, json};
use std::fmt::Debug;

const LATE: &str = "WaitForFirstConsumer";

/// A kind that lives in the cluster.
trait Wide:
    kube::Resource<DynamicType = (), Scope = ClusterResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + 'static
{
}
impl<K> Wide for K where
    K: kube::Resource<DynamicType = (), Scope = ClusterResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + 'static
{
}

fn all<K: Wide>(ns: &Namespace) -> Api<K> {
    Api::all(ns.client())
}

async fn make<K: Wide>(ns: &Namespace, manifest: Value) -> Result<K> {
    let object = serde_json::from_value(manifest)?;
    Ok(all::<K>(ns).create(&PostParams::default(), &object).await?)
}

async fn remove<K: Wide>(ns: &Namespace, name: &str) -> Result<()> {
    all::<K>(ns).delete(name, &DeleteParams::default()).await?;
    Ok(())
}

/// Waits until the object is there and `is` says yes.
async fn until<K: Wide>(
    ns: &Namespace,
    name: &str,
    what: &str,
    is: impl Fn(&K) -> bool,
) -> Result<K> {
    eventually(&format!("{name} {what}"), async || {
        let object = all::<K>(ns).get(name).await?;
        ensure!(is(&object), "{object:?}");
        Ok(object)
    })
    .await
}

async fn until_gone<K: Wide>(ns: &Namespace, name: &str) -> Result<()> {
    eventually(&format!("{name} is gone"), async || {
        let left = all::<K>(ns).get_opt(name).await?;
        ensure!(left.is_none(), "{left:?}");
        Ok(())
    })
    .await
}

async fn claim_is_gone(ns: &Namespace, name: &str) -> Result<()> {
    eventually(&format!("the claim {name} is gone"), async || {
        let left = ns.api::<PersistentVolumeClaim>().get_opt(name).await?;
        ensure!(left.is_none(), "{left:?}");
        Ok(())
    })
    .await
}

/// The class of a test, whose volumes are directories.
async fn class(ns: &Namespace, mode: &str) -> Result<()> {
    let meta = json!({ "name": ns.name() });
    let class = json!({ "metadata": meta, "provisioner": "hostpath.corten.dev", "volumeBindingMode": mode });
    make::<StorageClass>(ns, class).await?;
    Ok(())
}

/// A claim of this size and of the test's class; `more` is put into its spec.
fn claim(ns: &Namespace, name: &str, size: &str, more: &Value) -> Value {
    let mut claim = json!({
        "metadata": { "name": name },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": ns.name(),
            "resources": { "requests": { "storage": size } },
        },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        claim["spec"][key] = value.clone();
    }
    claim
}

/// A volume of this size and of the test's class that stays when its claim goes.
async fn disk(ns: &Namespace, name: &str, size: &str) -> Result<String> {
    let name = format!("{name}-{}", ns.name());
    let spec = json!({
        "accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "storageClassName": ns.name(),
        "capacity": { "storage": size }, "hostPath": { "path": "/tmp/corten" },
        "persistentVolumeReclaimPolicy": "Retain",
    });
    make::<PersistentVolume>(ns, json!({ "metadata": { "name": name }, "spec": spec })).await?;
    Ok(name)
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    volume::claim_phase(claim) == "Bound"
}

fn phase(of: &'static str) -> impl Fn(&PersistentVolume) -> bool {
    move |volume| volume::volume_phase(volume) == of
}

fn runs(pod: &Pod) -> bool {
    objects::pod::phase(pod) == "Running"
}

fn using(name: &str, claim: &str) -> Value {
    let mut pod = pod(name, name);
    pod["spec"]["volumes"] =
        json!([{ "name": "data", "persistentVolumeClaim": { "claimName": claim } }]);
    pod
}

#[test]
fn a_claim_gets_the_smallest_volume_that_is_enough_and_leaves_it_released() -> Outcome {
    with_namespace("vol-fit", async |ns| {
        let mut disks = Vec::new();
        for size in ["1Gi", "50Gi", "5Gi"] {
            disks.push(disk(&ns, &size.to_lowercase(), size).await?);
        }
        for disk in &disks {
            until(&ns, disk, "is available", phase("Available")).await?;
        }
        ns.create::<PersistentVolumeClaim>(claim(&ns, "data", "3Gi", &json!({})))
            .await?;
        let bound = ns.until("data", "is bound", is_bound).await?;
        ensure!(volume::volume_of(&bound) == disks[2], "{bound:?}");
        let status = bound.status.clone().unwrap_or_default();
        ensure!(status.capacity.context("capacity")?["storage"].0 == "5Gi");
        ensure!(status.access_modes.context("modes")?.len() == 2);
        for mark in [volume::BIND_COMPLETED, volume::BOUND_BY_CONTROLLER] {
            ensure!(bound.annotations().contains_key(mark), "{mark}");
        }
        let disk = until(&ns, &disks[2], "is bound", phase("Bound")).await?;
        let reference = disk
            .spec
            .and_then(|spec| spec.claim_ref)
            .context("claimRef")?;
        ensure!(reference.uid == bound.metadata.uid, "{reference:?}");

        ns.delete::<PersistentVolumeClaim>("data").await?;
        claim_is_gone(&ns, "data").await?;
        until(&ns, &disks[2], "is released", phase("Released")).await?;
        // It is nobody else's before somebody says so.
        ns.create::<PersistentVolumeClaim>(claim(&ns, "next", "3Gi", &json!({})))
            .await?;
        let next = ns.until("next", "is bound", is_bound).await?;
        ensure!(volume::volume_of(&next) == disks[1], "{next:?}");
        for disk in &disks {
            remove::<PersistentVolume>(&ns, disk).await?;
        }
        Ok(())
    })
}

#[test]
fn a_claim_that_names_a_volume_gets_that_one_or_says_why_not() -> Outcome {
    with_namespace("vol-named", async |ns| {
        let (small, large) = (
            disk(&ns, "small", "1Gi").await?,
            disk(&ns, "large", "9Gi").await?,
        );
        let names = |disk: &str| json!({ "volumeName": disk });
        ns.create::<PersistentVolumeClaim>(claim(&ns, "tight", "5Gi", &names(&small)))
            .await?;
        let text =
            format!("Cannot bind to requested volume \"{small}\": requested PV is too small");
        ns.event("tight", "VolumeMismatch", &text).await?;

        ns.create::<PersistentVolumeClaim>(claim(&ns, "first", "1Gi", &names(&large)))
            .await?;
        let first = ns.until("first", "is bound", is_bound).await?;
        ensure!(
            !first
                .annotations()
                .contains_key(volume::BOUND_BY_CONTROLLER)
        );
        ns.create::<PersistentVolumeClaim>(claim(&ns, "second", "1Gi", &names(&large)))
            .await?;
        let text = format!("volume \"{large}\" already bound to a different claim.");
        ns.event("second", "FailedBinding", &text).await?;

        // One that is reserved for the claim goes before all others.
        let spec = json!({ "spec": { "claimRef": { "namespace": ns.name(), "name": "mine" } } });
        let patch = Patch::Merge(&spec);
        all::<PersistentVolume>(&ns)
            .patch(&small, &PatchParams::default(), &patch)
            .await?;
        ns.create::<PersistentVolumeClaim>(claim(&ns, "mine", "1Gi", &json!({})))
            .await?;
        let mine = ns.until("mine", "is bound", is_bound).await?;
        ensure!(volume::volume_of(&mine) == small, "{mine:?}");
        for disk in [small, large] {
            remove::<PersistentVolume>(&ns, &disk).await?;
        }
        Ok(())
    })
}

#[test]
fn what_a_claim_waits_for_is_told() -> Outcome {
    with_namespace("vol-waits", async |ns| {
        let none = json!({ "storageClassName": "" });
        ns.create::<PersistentVolumeClaim>(claim(&ns, "none", "1Ei", &none))
            .await?;
        let text = "no persistent volumes available for this claim and no storage class is set";
        ns.event("none", "FailedBinding", text).await?;

        ns.create::<PersistentVolumeClaim>(claim(&ns, "missing", "1Gi", &json!({})))
            .await?;
        let text = format!("storageclass.storage.k8s.io \"{}\" not found", ns.name());
        ns.event("missing", "ProvisioningFailed", &text).await?;

        let meta = json!({ "name": ns.name() });
        let by = json!({ "metadata": meta, "provisioner": "example.com/disk" });
        make::<StorageClass>(&ns, by).await?;
        ns.event(
            "missing",
            "ExternalProvisioning",
            "external provisioner 'example.com/disk'",
        )
        .await?;
        let asked = ns.get::<PersistentVolumeClaim>("missing").await?;
        for mark in [
            volume::STORAGE_PROVISIONER,
            volume::BETA_STORAGE_PROVISIONER,
        ] {
            ensure!(asked.annotations().get(mark).map(String::as_str) == Some("example.com/disk"));
        }
        remove::<StorageClass>(&ns, ns.name()).await
    })
}

#[test]
fn a_pod_that_uses_an_unbound_claim_waits_for_it() -> Outcome {
    with_namespace("vol-unbound", async |ns| {
        ns.create::<PersistentVolumeClaim>(claim(&ns, "data", "1Gi", &json!({})))
            .await?;
        ns.create::<Pod>(using("web", "data")).await?;
        ns.event(
            "web",
            "FailedScheduling",
            "pod has unbound immediate PersistentVolumeClaims",
        )
        .await?;
        ns.create::<Pod>(using("lost", "nothing")).await?;
        ns.event(
            "lost",
            "FailedScheduling",
            "persistentvolumeclaim \"nothing\" not found",
        )
        .await?;
        // One whose node somebody else has chosen is not started either.
        let mut forced = using("forced", "data");
        forced["spec"]["nodeName"] = "node-0".into();
        ns.create::<Pod>(forced).await?;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let forced = ns.get::<Pod>("forced").await?;
        ensure!(objects::pod::phase(&forced) == "Pending", "{forced:?}");

        let disk = disk(&ns, "late", "1Gi").await?;
        for pod in ["web", "forced"] {
            ns.until(pod, "runs", runs).await?;
        }
        remove::<PersistentVolume>(&ns, &disk).await
    })
}

#[test]
fn a_volume_is_to_be_made_where_its_driver_has_the_space() -> Outcome {
    with_namespace("vol-space", async |ns| {
        let driver = format!("{}.example.com", ns.name());
        let of = json!({ "metadata": { "name": driver }, "spec": { "storageCapacity": true } });
        make::<CSIDriver>(&ns, of).await?;
        let class = json!({ "metadata": { "name": ns.name() }, "provisioner": driver, "volumeBindingMode": LATE });
        make::<StorageClass>(&ns, class).await?;
        let space = |name: &str, node: &str, size: &str| {
            json!({
                "metadata": { "name": name }, "storageClassName": ns.name(), "capacity": size,
                "nodeTopology": { "matchLabels": { "kubernetes.io/hostname": node } },
            })
        };
        ns.create::<CSIStorageCapacity>(space("zero", "node-0", "1Gi"))
            .await?;
        ns.create::<PersistentVolumeClaim>(claim(&ns, "data", "2Gi", &json!({})))
            .await?;
        ns.create::<Pod>(using("web", "data")).await?;
        let text = "node(s) did not have enough free storage";
        ns.event("web", "FailedScheduling", text).await?;

        ns.create::<CSIStorageCapacity>(space("one", "node-1", "3Gi"))
            .await?;
        ns.until("data", "is to be made", |claim: &PersistentVolumeClaim| {
            meta::annotation(&claim.metadata, volume::SELECTED_NODE) == Some("node-1")
        })
        .await?;
        ns.delete::<Pod>("web").await?;
        ns.delete::<PersistentVolumeClaim>("data").await?;
        remove::<StorageClass>(&ns, ns.name()).await?;
        remove::<CSIDriver>(&ns, &driver).await
    })
}

#[test]
fn a_volume_is_made_where_its_first_pod_goes_and_goes_with_its_claim() -> Outcome {
    with_namespace("vol-late", async |ns| {
        class(&ns, LATE).await?;
        ns.create::<PersistentVolumeClaim>(claim(&ns, "data", "1Gi", &json!({})))
            .await?;
        let text = "waiting for first consumer to be created before binding";
        ns.event("data", "WaitForFirstConsumer", text).await?;
        ns.create::<Pod>(using("web", "data")).await?;
        let web = ns.until("web", "runs", runs).await?;
        let node = objects::pod::node_name(&web).context("node")?;
        let bound = ns.until("data", "is bound", is_bound).await?;
        ensure!(
            bound
                .annotations()
                .get(volume::SELECTED_NODE)
                .map(String::as_str)
                == Some(node)
        );
        let name = volume::volume_of(&bound);
        ensure!(name == format!("pvc-{}", uid(&bound)), "{name}");
        let disk = until::<PersistentVolume>(&ns, name, "is bound", phase("Bound")).await?;
        let affinity = serde_json::to_string(&disk.spec.and_then(|spec| spec.node_affinity))?;
        ensure!(affinity.contains(&format!("\"{node}\"")), "{affinity}");
        // The next pod has to go there too.
        ns.create::<Pod>(using("next", "data")).await?;
        let next = ns.until("next", "runs", runs).await?;
        ensure!(objects::pod::node_name(&next) == Some(node));

        for pod in ["web", "next"] {
            ns.delete::<Pod>(pod).await?;
        }
        ns.delete::<PersistentVolumeClaim>("data").await?;
        until_gone::<PersistentVolume>(&ns, name).await?;
        remove::<StorageClass>(&ns, ns.name()).await
    })
}

#[test]
fn what_is_in_use_stays_until_it_is_not() -> Outcome {
    with_namespace("vol-used", async |ns| {
        class(&ns, "Immediate").await?;
        ns.create::<PersistentVolumeClaim>(claim(&ns, "data", "1Gi", &json!({})))
            .await?;
        let bound = ns.until("data", "is bound", is_bound).await?;
        let disk = volume::volume_of(&bound);
        ns.create::<Pod>(using("web", "data")).await?;
        ns.until("web", "runs", runs).await?;

        ns.delete::<PersistentVolumeClaim>("data").await?;
        remove::<PersistentVolume>(&ns, disk).await?;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let claim = ns.get::<PersistentVolumeClaim>("data").await?;
        ensure!(claim.metadata.deletion_timestamp.is_some());
        ensure!(claim.finalizers() == ["kubernetes.io/pvc-protection"]);
        let kept = all::<PersistentVolume>(&ns).get(disk).await?;
        ensure!(
            kept.finalizers()
                .iter()
                .any(|f| f == "kubernetes.io/pv-protection")
        );

        ns.delete::<Pod>("web").await?;
        claim_is_gone(&ns, "data").await?;
        until_gone::<PersistentVolume>(&ns, disk).await?;
        remove::<StorageClass>(&ns, ns.name()).await
    })
}

#[test]
fn an_ephemeral_volume_is_a_claim_that_comes_and_goes_with_its_pod() -> Outcome {
    with_namespace("vol-ephemeral", async |ns| {
        class(&ns, LATE).await?;
        let mut template = claim(&ns, "ignored", "1Gi", &json!({}));
        template["metadata"] = json!({ "labels": { "kind": "scratch" } });
        let mut web = pod("web", "web");
        let volume = json!({ "name": "scratch", "ephemeral": { "volumeClaimTemplate": template } });
        web["spec"]["volumes"] = json!([volume]);
        let web = ns.create::<Pod>(web).await?;
        ns.until("web", "runs", runs).await?;
        let claim = ns.get::<PersistentVolumeClaim>("web-scratch").await?;
        ensure!(claim.labels()["kind"] == "scratch");
        ensure!(claim.owner_references()[0].uid == uid(&web));
        ns.delete::<Pod>("web").await?;
        claim_is_gone(&ns, "web-scratch").await?;
        until_gone::<PersistentVolume>(&ns, volume::volume_of(&claim)).await?;

        // Somebody else's claim of that name is not taken.
        let mut other = self::claim(&ns, "own-scratch", "1Gi", &json!({}));
        other["metadata"]["labels"] = json!({ "of": "somebody" });
        ns.create::<PersistentVolumeClaim>(other).await?;
        let mut own = pod("own", "own");
        own["spec"]["volumes"] = json!([volume]);
        ns.create::<Pod>(own).await?;
        ns.event("own", "FailedBinding", "was not created for pod")
            .await?;
        ns.delete::<PersistentVolumeClaim>("own-scratch").await?;
        ns.until("own", "runs", runs).await?;
        remove::<StorageClass>(&ns, ns.name()).await
    })
}

#[test]
fn each_pod_of_a_stateful_set_finds_its_volume_again() -> Outcome {
    with_namespace("vol-sts", async |ns| {
        class(&ns, LATE).await?;
        let mut template = template("web");
        template["spec"]["containers"][0]["volumeMounts"] =
            json!([{ "name": "data", "mountPath": "/data" }]);
        let set = json!({
            "metadata": { "name": "web" },
            "spec": {
                "replicas": 3, "serviceName": "web", "selector": { "matchLabels": { "app": "web" } },
                "template": template, "volumeClaimTemplates": [claim(&ns, "data", "1Gi", &json!({}))],
            },
        });
        ns.create::<StatefulSet>(set).await?;
        let ready = |wanted: i32| {
            move |set: &StatefulSet| {
                let status = set.status.clone().unwrap_or_default();
                status.observed_generation == set.metadata.generation
                    && status.ready_replicas == Some(wanted)
            }
        };
        ns.until("web", "has 3 pods", ready(3)).await?;
        let mut places = Vec::new();
        for name in ["web-0", "web-1", "web-2"] {
            let claim = ns
                .get::<PersistentVolumeClaim>(&format!("data-{name}"))
                .await?;
            ensure!(is_bound(&claim), "{claim:?}");
            let pod = ns.get::<Pod>(name).await?;
            places.push((
                volume::volume_of(&claim).to_owned(),
                objects::pod::node_name(&pod).map(str::to_owned),
            ));
        }
        ns.merge::<StatefulSet>("web", json!({ "spec": { "replicas": 1 } }))
            .await?;
        ns.until_all::<Pod>("app=web", "is 1", |pods| pods.len() == 1)
            .await?;
        ns.merge::<StatefulSet>("web", json!({ "spec": { "replicas": 3 } }))
            .await?;
        ns.until("web", "has 3 pods again", ready(3)).await?;
        for (name, (disk, node)) in ["web-0", "web-1", "web-2"].iter().zip(&places) {
            let claim = ns
                .get::<PersistentVolumeClaim>(&format!("data-{name}"))
                .await?;
            ensure!(volume::volume_of(&claim) == disk);
            let pod = ns.get::<Pod>(name).await?;
            ensure!(objects::pod::node_name(&pod) == node.as_deref());
        }
        ns.delete::<StatefulSet>("web").await?;
        remove::<StorageClass>(&ns, ns.name()).await
    })
}

#[test]
fn a_claim_whose_volume_is_taken_away_is_lost() -> Outcome {
    with_namespace("vol-lost", async |ns| {
        let disk = disk(&ns, "gone", "1Gi").await?;
        ns.create::<PersistentVolumeClaim>(claim(&ns, "data", "1Gi", &json!({})))
            .await?;
        ns.until("data", "is bound", is_bound).await?;
        remove::<PersistentVolume>(&ns, &disk).await?;
        let free = json!({ "metadata": { "finalizers": null } });
        let patch = Patch::Merge(&free);
        all::<PersistentVolume>(&ns)
            .patch(&disk, &PatchParams::default(), &patch)
            .await?;
        let lost = |claim: &PersistentVolumeClaim| volume::claim_phase(claim) == "Lost";
        ns.until("data", "is lost", lost).await?;
        let text = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
        ns.event("data", "ClaimLost", text).await?;
        Ok(())
    })
}

#[test]
fn an_attributes_class_stays_while_a_claim_names_it() -> Outcome {
    with_namespace("vol-attributes", async |ns| {
        let gold = json!({ "metadata": { "name": ns.name() }, "driverName": "example.com", "parameters": { "iops": "9" } });
        make::<VolumeAttributesClass>(&ns, gold).await?;
        let kept =
            |class: &VolumeAttributesClass| class.finalizers() == ["kubernetes.io/vac-protection"];
        until(&ns, ns.name(), "is protected", kept).await?;
        let more = json!({ "volumeAttributesClassName": ns.name() });
        ns.create::<PersistentVolumeClaim>(claim(&ns, "data", "1Gi", &more))
            .await?;
        // A deletion is looked at when the loops know of the claim.
        ns.event("data", "ProvisioningFailed", "not found").await?;
        remove::<VolumeAttributesClass>(&ns, ns.name()).await?;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        ensure!(
            all::<VolumeAttributesClass>(&ns)
                .get_opt(ns.name())
                .await?
                .is_some()
        );
        ns.delete::<PersistentVolumeClaim>("data").await?;
        until_gone::<VolumeAttributesClass>(&ns, ns.name()).await
    })
}

/// `pv_controller.go` takes the volumes with the fewest access modes first, and sees among the others none that is
/// reserved.
#[test]
fn a_reserved_volume_goes_before_one_with_fewer_access_modes() -> Outcome {
    let outcome = with_namespace("vol-reserved", async |ns| {
        let reserved = disk(&ns, "reserved", "5Gi").await?;
        let plain = disk(&ns, "plain", "5Gi").await?;
        let volumes = all::<PersistentVolume>(&ns);
        let to_mine = json!({ "spec": { "claimRef": { "namespace": ns.name(), "name": "mine" } } });
        let fewer = json!({ "spec": { "accessModes": ["ReadWriteOnce"] } });
        for (name, patch) in [(&reserved, to_mine), (&plain, fewer)] {
            let patch = Patch::Merge(patch);
            volumes.patch(name, &PatchParams::default(), &patch).await?;
            until(&ns, name, "is available", phase("Available")).await?;
        }
        ns.create::<PersistentVolumeClaim>(claim(&ns, "mine", "1Gi", &json!({})))
            .await?;
        let mine = ns.until("mine", "is bound", is_bound).await?;
        let bound = volume::volume_of(&mine) == reserved;
        for disk in [reserved, plain] {
            remove::<PersistentVolume>(&ns, &disk).await?;
        }
        ensure!(bound, "the claim has another volume");
        Ok(())
    });
    let bug = "index.go, findByClaim";
    upstream_fails(bug, "the claim has another volume", outcome)
}

/// `pv_controller.go` does not ask whether a claim is being deleted.
#[test]
fn a_claim_that_is_being_deleted_gets_no_volume() -> Outcome {
    let outcome = with_namespace("vol-going", async |ns| {
        let mut going = claim(&ns, "going", "1Gi", &json!({}));
        going["metadata"]["finalizers"] = json!(["example.com/wait"]);
        ns.create::<PersistentVolumeClaim>(going).await?;
        ns.event("going", "ProvisioningFailed", "not found").await?;
        ns.delete::<PersistentVolumeClaim>("going").await?;
        let disk = disk(&ns, "free", "1Gi").await?;
        // Upstream looks at all claims every 15 s.
        tokio::time::sleep(std::time::Duration::from_secs(17)).await;
        let free = all::<PersistentVolume>(&ns).get(&disk).await?;
        let free = free.spec.and_then(|spec| spec.claim_ref).is_none();
        let none = json!({ "metadata": { "finalizers": null } });
        ns.merge::<PersistentVolumeClaim>("going", none).await?;
        remove::<PersistentVolume>(&ns, &disk).await?;
        ensure!(free, "the volume is given to a claim that goes");
        Ok(())
    });
    let bug = "pv_controller.go, syncUnboundClaim";
    upstream_fails(bug, "given to a claim that goes", outcome)
}
