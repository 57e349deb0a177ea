//! What those may do that are no controllers, and what all may that are chosen out of several.

use super::{Role, Rule, TELLS, TELLS_AGAIN, WATCH, can, of, settles};

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

/// Stands for the name of the stock program's Lease in [`GUARD`].
pub const STOCK: &str = "STOCK";

/// What a part that a stock program may do too may ask in `kube-system`: whether that runs (`runtime::guard`).
pub const GUARD: Role = of(
    "guard",
    &[can(LEASES, &["leases"], &["get"])
        .only(&[STOCK])
        .seldom(BESIDE_STOCK)],
);

const BESIDE_STOCK: &str = "asked in place of a stock program only";
const IS_PROBED: &str = "only where a stock program runs, once each time that it is started";

/// What a controller may do in the namespace of its Lease to see whether the stock one is at work: make an object that
/// asks for nothing, look at it, delete it.
const PROBES: [(&str, Rule); 7] = [
    ("replicaset-controller", probe("apps", &["replicasets"])),
    (
        "replicationcontroller-controller",
        probe("", &["replicationcontrollers"]),
    ),
    ("deployment-controller", probe("apps", &["deployments"])),
    ("statefulset-controller", probe("apps", &["statefulsets"])),
    ("daemonset-controller", probe("apps", &["daemonsets"])),
    ("job-controller", probe("batch", &["jobs"])),
    (
        "disruption-controller",
        probe("policy", &["poddisruptionbudgets"]),
    ),
];

const fn probe(group: &'static str, resources: &'static [&'static str]) -> Rule {
    can(group, resources, &["create", "delete", "get"]).seldom(IS_PROBED)
}

/// The rule with which the part of this name looks for the stock controller, if it does so by an object of its kind.
pub fn probe_of(part: &str) -> Option<&'static Rule> {
    let found = PROBES.iter().find(|(name, _)| *name == part);
    found.map(|(_, rule)| rule)
}

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
                &[
                    "csidrivers",
                    "csinodes",
                    "csistoragecapacities",
                    "storageclasses",
                    "volumeattachments",
                ],
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
