//! What the controllers of claims and volumes may do.

use super::{Role, TELLS, TELLS_AGAIN, TELLS_SELDOM, WATCH, blocks, can, of, of_named, settles};

const STORAGE: &str = "storage.k8s.io";

pub(super) const ROLES: &[Role] = &[
    of(
        "persistentvolume-binder-controller",
        &[
            can(
                "",
                &["persistentvolumeclaims", "persistentvolumes"],
                &["get", "list", "patch", "watch"],
            ),
            can(
                "",
                &["persistentvolumeclaims/status", "persistentvolumes/status"],
                &["update"],
            ),
            can("", &["persistentvolumes"], &["delete"])
                .seldom("only of volumes that were to be made and have no claim any more"),
            can("", &["pods"], WATCH),
            can(STORAGE, &["storageclasses"], WATCH),
            TELLS,
            TELLS_AGAIN,
        ],
    ),
    of(
        "persistentvolumeclaim-protection-controller",
        &[
            can("", &["persistentvolumeclaims"], &["list", "patch", "watch"]),
            can("", &["pods"], WATCH),
        ],
    ),
    of(
        "persistentvolume-protection-controller",
        &[can("", &["persistentvolumes"], &["list", "patch", "watch"])],
    ),
    of(
        "volumeattributesclass-protection-controller",
        &[
            can(
                STORAGE,
                &["volumeattributesclasses"],
                &["list", "patch", "watch"],
            ),
            can("", &["persistentvolumeclaims", "persistentvolumes"], WATCH),
        ],
    ),
    of(
        "ephemeral-volume-controller",
        &[
            can("", &["pods"], WATCH),
            blocks("", &["pods/finalizers"]),
            can(
                "",
                &["persistentvolumeclaims"],
                &["create", "list", "watch"],
            ),
            settles("", &["persistentvolumeclaims"]),
            TELLS,
            TELLS_AGAIN,
        ],
    ),
    of_named(
        crate::HOSTPATH,
        &[
            can(
                "",
                &["persistentvolumes"],
                &["create", "delete", "list", "watch"],
            ),
            settles("", &["persistentvolumes"]),
            can("", &["nodes", "persistentvolumeclaims"], WATCH),
            can("", &["persistentvolumeclaims"], &["patch"])
                .seldom("only where the node is gone that was chosen for a claim"),
            can(STORAGE, &["storageclasses"], WATCH),
            TELLS_SELDOM,
        ],
    ),
];
