//! The CustomResourceDefinitions of Corten's own groups, as they stand in the folder `crds/yaml`.

use std::io::Write;
use std::process::ExitCode;

const DEFINITIONS: [&str; 8] = [
    include_str!("../../../crds/yaml/controllerrevisions.apps.corten.dev.yaml"),
    include_str!("../../../crds/yaml/cronjobs.batch.corten.dev.yaml"),
    include_str!("../../../crds/yaml/daemonsets.apps.corten.dev.yaml"),
    include_str!("../../../crds/yaml/deployments.apps.corten.dev.yaml"),
    include_str!("../../../crds/yaml/horizontalpodautoscalers.autoscaling.corten.dev.yaml"),
    include_str!("../../../crds/yaml/jobs.batch.corten.dev.yaml"),
    include_str!("../../../crds/yaml/replicasets.apps.corten.dev.yaml"),
    include_str!("../../../crds/yaml/statefulsets.apps.corten.dev.yaml"),
];

/// `corten crds`: whoever reads may stop reading.
pub(crate) fn print() -> ExitCode {
    match std::io::stdout().write_all(DEFINITIONS.join("---\n").as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
