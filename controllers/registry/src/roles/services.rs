//! What the controllers of Services may do.

use super::{Role, Rule, TELLS_SELDOM, WATCH, blocks, can, of, settles};

const DISCOVERY: &str = "discovery.k8s.io";
const KEEPS_SLICES: Rule = can(
    DISCOVERY,
    &["endpointslices"],
    &["create", "delete", "list", "update", "watch"],
);

pub(super) const ROLES: &[Role] = &[
    of(
        "endpointslice-controller",
        &[
            can("", &["nodes", "pods", "services"], WATCH),
            blocks("", &["services/finalizers"]),
            KEEPS_SLICES,
            settles(DISCOVERY, &["endpointslices"]),
            TELLS_SELDOM,
        ],
    ),
    of(
        "endpointslice-mirroring-controller",
        &[
            can("", &["endpoints", "services"], WATCH),
            blocks("", &["endpoints/finalizers"]),
            KEEPS_SLICES,
            settles(DISCOVERY, &["endpointslices"]),
            TELLS_SELDOM,
        ],
    ),
    of(
        "endpoints-controller",
        &[
            can("", &["pods", "services"], WATCH),
            can(
                "",
                &["endpoints"],
                &["create", "delete", "list", "update", "watch"],
            ),
            settles("", &["endpoints"]),
            can("", &["endpoints/restricted"], &["create"])
                .seldom("asked by admission of some distributions, not by a request"),
            TELLS_SELDOM,
        ],
    ),
];
