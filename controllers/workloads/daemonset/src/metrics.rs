//! What is counted, by upstream's names (`pkg/controller/daemon/metrics/metrics.go`). Pure.

use plan::Stability::Alpha;
use plan::{Kind, Metric, Sample};

static STALE: Metric = Metric::counter(
    "daemonset_controller_stale_sync_skips_total",
    Alpha,
    &["group", "resource"],
    "Turns about DaemonSets put off because a cache was stale",
);

pub(crate) const METRICS: &[&Metric] = &[&STALE];

/// What a turn adds that is put off.
pub(crate) fn held(behind: Kind) -> Sample {
    STALE.at([behind.group, behind.plural], 1.0)
}
