//! What the controllers of workloads may do.

use super::{BLOCKS, Role, Rule, TELLS, TELLS_AGAIN, WATCH, blocks, can, of, of_both, settles};

const APPS: &str = "apps";
const BATCH: &str = "batch";
const POLICY: &str = "policy";
const SCALING: &str = "autoscaling";
/// Pods of its own: made, adopted and let go (by a patch), deleted.
const KEEPS_PODS: Rule = can(
    "",
    &["pods"],
    &["create", "delete", "list", "patch", "watch"],
);
const KEEPS_REVISIONS: Rule = can(
    APPS,
    &["controllerrevisions"],
    &["create", "delete", "list", "patch", "watch"],
);
const REVISION: &str = "in Corten's own groups: the status of a custom resource is put without the revision in its annotations";
const ADAPTER: &str = "only where an adapter serves such metrics";

pub(super) const ROLES: &[Role] = &[
    of_both(
        "deployment-controller",
        &[
            can(APPS, &["deployments"], &["get", "list", "watch"]),
            can(APPS, &["deployments/status"], &["update"]),
            can("apps.corten.dev", &["deployments"], &["patch"]).seldom(REVISION),
            blocks(APPS, &["deployments/finalizers"]),
            can(
                APPS,
                &["replicasets"],
                &["create", "delete", "list", "patch", "update", "watch"],
            ),
            settles(APPS, &["replicasets"]),
            can("", &["pods"], WATCH),
            TELLS,
            TELLS_AGAIN,
        ],
    ),
    of_both(
        "daemonset-controller",
        &[
            can(APPS, &["daemonsets"], &["get", "list", "watch"]),
            can(APPS, &["daemonsets/status"], &["update"]),
            blocks(APPS, &["daemonsets/finalizers"]),
            KEEPS_REVISIONS,
            settles(APPS, &["controllerrevisions"]),
            KEEPS_PODS,
            settles("", &["pods"]),
            can("", &["nodes"], WATCH),
            TELLS,
            TELLS_AGAIN,
        ],
    ),
    of_both(
        "statefulset-controller",
        &[
            can(APPS, &["statefulsets"], &["get", "list", "watch"]),
            can(APPS, &["statefulsets/status"], &["update"]),
            blocks(APPS, &["statefulsets/finalizers"]),
            KEEPS_REVISIONS,
            settles(APPS, &["controllerrevisions"]),
            KEEPS_PODS,
            settles("", &["pods"]),
            can(
                "",
                &["persistentvolumeclaims"],
                &["create", "list", "patch", "watch"],
            ),
            settles("", &["persistentvolumeclaims"]),
            // Whose owners it changes, it must be allowed to delete.
            can("", &["persistentvolumeclaims"], &["delete"]).seldom(BLOCKS),
            blocks("", &["pods/finalizers"]),
            TELLS,
            TELLS_AGAIN,
        ],
    ),
    of_both(
        "replicaset-controller",
        &[
            can(APPS, &["replicasets"], &["get", "list", "watch"]),
            can(APPS, &["replicasets/status"], &["update"]),
            blocks(APPS, &["replicasets/finalizers"]),
            KEEPS_PODS,
            settles("", &["pods"]),
            TELLS,
            TELLS_AGAIN,
        ],
    ),
    of(
        "replicationcontroller-controller",
        &[
            can("", &["replicationcontrollers"], &["get", "list", "watch"]),
            can("", &["replicationcontrollers/status"], &["update"]),
            blocks("", &["replicationcontrollers/finalizers"]),
            KEEPS_PODS,
            settles("", &["pods"]),
            TELLS,
            TELLS_AGAIN,
        ],
    ),
    of_both(
        "job-controller",
        &[
            can(BATCH, &["jobs"], &["get", "list", "watch"]),
            can(BATCH, &["jobs/status"], &["update"]),
            blocks(BATCH, &["jobs/finalizers"]),
            KEEPS_PODS,
            settles("", &["pods"]),
            TELLS,
            TELLS_AGAIN,
        ],
    ),
    of_both(
        "cronjob-controller",
        &[
            can(BATCH, &["cronjobs"], WATCH),
            can(BATCH, &["cronjobs/status"], &["update"]),
            blocks(BATCH, &["cronjobs/finalizers"]),
            can(
                BATCH,
                &["jobs"],
                &["create", "delete", "get", "list", "watch"],
            ),
            TELLS,
            TELLS_AGAIN,
        ],
    ),
    of_both(
        "ttl-after-finished-controller",
        &[
            can(BATCH, &["jobs"], &["delete", "list", "watch"]),
            settles(BATCH, &["jobs"]),
        ],
    ),
    of_both(
        "horizontal-pod-autoscaler-controller",
        &[
            can(SCALING, &["horizontalpodautoscalers"], WATCH),
            can(SCALING, &["horizontalpodautoscalers/status"], &["update"]),
            can("*", &["*/scale"], &["get", "update"]),
            can("", &["pods"], WATCH),
            can("metrics.k8s.io", &["pods"], &["list"]),
            can("custom.metrics.k8s.io", &["*"], &["get"]).seldom(ADAPTER),
            can("external.metrics.k8s.io", &["*"], &["list"]).seldom(ADAPTER),
            TELLS,
            TELLS_AGAIN,
        ],
    ),
    of(
        "disruption-controller",
        &[
            can(POLICY, &["poddisruptionbudgets"], WATCH),
            can(POLICY, &["poddisruptionbudgets/status"], &["update"]),
            can("", &["pods", "replicationcontrollers"], WATCH),
            can("", &["pods/status"], &["patch"]),
            can(APPS, &["deployments", "replicasets", "statefulsets"], WATCH),
            can("*", &["*/scale"], &["get"]),
            TELLS,
            TELLS_AGAIN,
        ],
    ),
];
