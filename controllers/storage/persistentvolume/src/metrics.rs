//! What is counted, by upstream's names (`pkg/controller/volume/persistentvolume/metrics/metrics.go`). Pure.

use crate::claims::ClaimWorld;
use crate::plan::{Course, Fate};
use crate::volumes::VolumeWorld;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use objects::{meta, volume};
use plan::Stability::Alpha;
use plan::{Kind, Metric, Sample, Turn};

static VOLUMES: Metric = Metric::gauge(
    "pv_collector_total_pv_count",
    Alpha,
    &["plugin_name", "volume_mode"],
    "Volumes",
);
static BOUND_VOLUMES: Metric = Metric::gauge(
    "pv_collector_bound_pv_count",
    Alpha,
    &["storage_class"],
    "Volumes that are bound",
);
static UNBOUND_VOLUMES: Metric = Metric::gauge(
    "pv_collector_unbound_pv_count",
    Alpha,
    &["storage_class"],
    "Volumes that are not bound",
);
static BOUND_CLAIMS: Metric = Metric::gauge(
    "pv_collector_bound_pvc_count",
    Alpha,
    &["namespace", "storage_class", "volume_attributes_class"],
    "Claims that are bound",
);
static UNBOUND_CLAIMS: Metric = Metric::gauge(
    "pv_collector_unbound_pvc_count",
    Alpha,
    &["namespace", "storage_class", "volume_attributes_class"],
    "Claims that are not bound",
);
static ERRORS: Metric = Metric::counter(
    "volume_operation_errors_total",
    Alpha,
    &["plugin_name", "operation_name"],
    "Operations on volumes that failed",
);
static OLD_ERRORS: Metric = Metric::counter(
    "volume_operation_total_errors",
    Alpha,
    &["plugin_name", "operation_name"],
    "(Deprecated since 1.36.0) Operations on volumes that failed",
);
static CLASSES: Metric = Metric::counter(
    "retroactive_storageclass_total",
    Alpha,
    &[],
    "Claims that were to get the default class after they had been made",
);
static CLASS_ERRORS: Metric = Metric::counter(
    "retroactive_storageclass_errors_total",
    Alpha,
    &[],
    "Claims that could not be given the default class",
);

/// Those of claims.
pub(crate) const OF_CLAIMS: &[&Metric] = &[
    &BOUND_CLAIMS,
    &UNBOUND_CLAIMS,
    &ERRORS,
    &OLD_ERRORS,
    &CLASSES,
    &CLASS_ERRORS,
];

/// Those of volumes.
pub(crate) const OF_VOLUMES: &[&Metric] = &[
    &VOLUMES,
    &BOUND_VOLUMES,
    &UNBOUND_VOLUMES,
    &ERRORS,
    &OLD_ERRORS,
];

/// What plugins are called whose name nobody knows.
const NOT_KNOWN: &str = "N/A";

/// What a turn about a claim adds.
pub(crate) fn of_claim(world: &ClaimWorld, turn: &Turn<'_>) -> Vec<Sample> {
    let claim = &*world.claim;
    let written = turn
        .status
        .and_then(plan::Object::read::<PersistentVolumeClaim>);
    let count = match volume::claim_phase(written.as_ref().unwrap_or(claim)) {
        "Bound" => &BOUND_CLAIMS,
        _ => &UNBOUND_CLAIMS,
    };
    let attributes = claim.spec.as_ref();
    let attributes = attributes.and_then(|spec| spec.volume_attributes_class_name.clone());
    let labels = [
        meta::namespace(&claim.metadata).to_owned(),
        volume::class_of_claim(claim).to_owned(),
        attributes.unwrap_or_default(),
    ];
    let mut samples = vec![count.at(labels, 1.0)];
    let failed = turn.failed("patch", Kind::of::<PersistentVolumeClaim>());
    match Course::of(world) {
        Course::Classify(_) if !turn.plan.is_empty() => {
            samples.extend([CLASSES.of(1.0), CLASS_ERRORS.of(failed as f64)]);
        }
        Course::Provision(provisioner) if failed > 0 => {
            samples.extend(errors(&provisioner, "provision"));
        }
        _ => {}
    }
    samples
}

/// What a turn about a volume adds.
pub(crate) fn of_volume(world: &VolumeWorld, turn: &Turn<'_>) -> Vec<Sample> {
    let of = &*world.volume;
    let written = turn.status.and_then(plan::Object::read::<PersistentVolume>);
    let phase = volume::volume_phase(written.as_ref().unwrap_or(of));
    let count = match phase {
        "Bound" => &BOUND_VOLUMES,
        _ => &UNBOUND_VOLUMES,
    };
    let mode = of.spec.as_ref().and_then(|spec| spec.volume_mode.clone());
    let mode = mode.unwrap_or_else(|| "Filesystem".to_owned());
    let mut samples = vec![
        VOLUMES.at([plugin(of), mode], 1.0),
        count.at([volume::class_of_volume(of).to_owned()], 1.0),
    ];
    let refused = turn.failed("delete", Kind::of::<PersistentVolume>()) > 0;
    let fails = matches!(Fate::of(world), Fate::Failed(_)) && written.is_some();
    if refused || fails {
        let provisioner = meta::annotation(&of.metadata, volume::PROVISIONED_BY);
        samples.extend(errors(provisioner.unwrap_or(NOT_KNOWN), "delete"));
    }
    samples
}

fn errors(plugin: &str, operation: &str) -> [Sample; 2] {
    [&ERRORS, &OLD_ERRORS].map(|metric| metric.at([plugin.to_owned(), operation.to_owned()], 1.0))
}

/// What upstream calls the plugin of a volume (`GetFullQualifiedPluginNameForVolume`).
fn plugin(of: &PersistentVolume) -> String {
    let Some(spec) = &of.spec else {
        return NOT_KNOWN.to_owned();
    };
    if let Some(csi) = &spec.csi {
        return format!("kubernetes.io/csi:{}", csi.driver);
    }
    let plugins = [
        (spec.host_path.is_some(), "kubernetes.io/host-path"),
        (spec.nfs.is_some(), "kubernetes.io/nfs"),
        (spec.local.is_some(), "kubernetes.io/local-volume"),
        (spec.fc.is_some(), "kubernetes.io/fc"),
        (spec.iscsi.is_some(), "kubernetes.io/iscsi"),
    ];
    let found = plugins.into_iter().find(|(is, _)| *is);
    found.map_or(NOT_KNOWN, |(_, name)| name).to_owned()
}
