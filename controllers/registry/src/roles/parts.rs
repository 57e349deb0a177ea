//! What those may do that are no controllers, and what all may that are chosen out of several.

use super::{Role, TELLS, TELLS_AGAIN, WATCH, can, of, settles};

const LEASES: &str = "coordination.k8s.io";
const STORAGE: &str = "storage.k8s.io";

/// Stands for the name of a Lease in [`ELECTION`].
pub const LEASE: &str = "LEASE";

/// What a part may do in the namespace of its Lease, to be chosen out of several.
pub const ELECTION: Role = of(
    "election",
    &[
        can(LEASES, &["leases"], &["get", "update"]).only(&[LEASE]),
        can(LEASES, &["leases"], &["create"]),
        TELLS,
    ],
);

pub(super) const ROLES: &[Role] = &[
    of(
        "scheduler",
        &[
            can("", &["pods"], &["delete", "list", "watch"]),
            settles("", &["pods"]),
            can("", &["pods/binding"], &["create"]),
            can("", &["pods/status"], &["patch"]),
            can(
                "",
                &["namespaces", "nodes", "replicationcontrollers", "services"],
                WATCH,
            ),
            can("", &["persistentvolumeclaims"], &["list", "patch", "watch"]),
            can("", &["persistentvolumes"], WATCH),
            can("", &["persistentvolumes"], &["patch"])
                .seldom("only where a volume that was made by hand waits for its first consumer"),
            can("apps", &["replicasets", "statefulsets"], WATCH),
            can("policy", &["poddisruptionbudgets"], WATCH),
            can(
                STORAGE,
                &["csinodes", "storageclasses", "volumeattachments"],
                WATCH,
            ),
            TELLS,
            TELLS_AGAIN,
        ],
    ),
    of(
        "nodes",
        &[
            can("", &["nodes"], &["create", "list", "patch", "watch"]),
            settles("", &["nodes"]),
            can("", &["nodes/status"], &["patch"]),
            can("", &["pods"], &["delete", "list", "watch"]),
            settles("", &["pods"]),
            can("", &["pods/status"], &["patch"]),
            can("", &["persistentvolumeclaims", "persistentvolumes"], WATCH),
            can(LEASES, &["leases"], &["create", "update"]),
            can(LEASES, &["leases"], &["get", "patch"])
                .seldom("only where a process before it has left a lease"),
            TELLS,
            TELLS_AGAIN,
        ],
    ),
];
