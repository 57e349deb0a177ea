//! What the controllers of the cluster itself may do.

use super::{CONTACT, Role, TELLS, TELLS_AGAIN, TELLS_SELDOM, WATCH, can, of, of_named, settles};

const CERTIFICATES: &str = "certificates.k8s.io";
const LEASES: &str = "coordination.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const ROOT_CA: &[&str] = &["kube-root-ca.crt"];
const RBAC: &str = "rbac.authorization.k8s.io";
const ADMITTED: &str = "asked by admission, not by a request";
const AGED: &str = "only of what is older than a test is long";

pub(super) const ROLES: &[Role] = &[
    of(
        "garbage-collector-controller",
        &[
            can("*", &["*"], &["delete", "get", "list", "patch", "watch"]),
            TELLS_SELDOM,
        ],
    ),
    of(
        "namespace-controller",
        &[
            can("", &["namespaces", "pods"], &["watch"]),
            can(
                "",
                &["namespaces/finalize", "namespaces/status"],
                &["update"],
            ),
            can("*", &["*"], &["delete", "list"]),
            settles("*", &["*"]),
        ],
    ),
    of(
        "resourcequota-controller",
        &[
            can("", &["resourcequotas/status"], &["update"]),
            can("*", &["*"], WATCH),
            TELLS,
            TELLS_AGAIN,
        ],
    ),
    of(
        "node-lifecycle-controller",
        &[
            can("", &["nodes"], &["list", "patch", "watch"]),
            can("", &["nodes/status"], &["update"]),
            can("", &["pods"], WATCH),
            can("", &["pods/status"], &["patch"]),
            can(LEASES, &["leases"], &["get", "list", "watch"]),
            CONTACT,
            TELLS,
            TELLS_AGAIN,
        ],
    ),
    of(
        "taint-eviction-controller",
        &[
            can("", &["nodes"], &["get", "list", "watch"]),
            can("", &["pods"], &["delete", "list", "watch"]),
            settles("", &["pods"]),
            can("", &["pods/status"], &["patch"]),
            CONTACT,
            TELLS,
            TELLS_AGAIN,
        ],
    ),
    of(
        "pod-garbage-collector-controller",
        &[
            can("", &["nodes"], &["get", "list", "watch"]),
            can("", &["pods"], &["delete", "list", "watch"]),
            settles("", &["pods"]),
            can("", &["pods/status"], &["patch"]),
        ],
    ),
    of_named(
        "node-ipam-controller",
        &[
            can("", &["nodes"], &["list", "patch", "watch"]),
            TELLS_SELDOM,
        ],
    ),
    of(
        "ttl-controller",
        &[can("", &["nodes"], &["list", "patch", "watch"])],
    ),
    of(
        "service-cidr-controller",
        &[
            can(NETWORKING, &["servicecidrs"], &["list", "patch", "watch"]),
            can(NETWORKING, &["servicecidrs/status"], &["patch"]),
            can(NETWORKING, &["ipaddresses"], WATCH),
            TELLS_SELDOM,
        ],
    ),
    of(
        "serviceaccount-controller",
        &[
            can("", &["namespaces"], WATCH),
            can("", &["serviceaccounts"], &["create", "list", "watch"]),
            settles("", &["serviceaccounts"]),
        ],
    ),
    of(
        "root-ca-certificate-publisher-controller",
        &[
            can("", &["namespaces"], WATCH),
            can("", &["configmaps"], &["create", "list", "watch"]),
            can("", &["configmaps"], &["update"]).only(ROOT_CA),
            can("", &["configmaps"], &["delete"])
                .only(ROOT_CA)
                .seldom("only where one with other certificates is immutable"),
            settles("", &["configmaps"]).only(ROOT_CA),
        ],
    ),
    of_named(
        "serviceaccount-token-controller",
        &[
            can("", &["secrets"], &["delete", "list", "update", "watch"]),
            settles("", &["secrets"]),
            can(
                "",
                &["serviceaccounts"],
                &["get", "list", "update", "watch"],
            ),
        ],
    ),
    of(
        "legacy-serviceaccount-token-cleaner-controller",
        &[
            can("", &["configmaps", "pods", "serviceaccounts"], WATCH),
            can("", &["secrets"], WATCH),
            can("", &["secrets"], &["delete", "get", "patch"]).seldom(AGED),
        ],
    ),
    of(
        "certificatesigningrequest-approving-controller",
        &[
            can(CERTIFICATES, &["certificatesigningrequests"], WATCH),
            can(
                CERTIFICATES,
                &["certificatesigningrequests/approval"],
                &["update"],
            ),
            can(CERTIFICATES, &["signers"], &["approve"])
                .only(&["kubernetes.io/kube-apiserver-client-kubelet"])
                .seldom(ADMITTED),
            can(
                "authorization.k8s.io",
                &["subjectaccessreviews"],
                &["create"],
            ),
        ],
    ),
    of_named(
        "certificatesigningrequest-signing-controller",
        &[
            can(CERTIFICATES, &["certificatesigningrequests"], WATCH),
            can(
                CERTIFICATES,
                &["certificatesigningrequests/status"],
                &["update"],
            ),
            can(CERTIFICATES, &["signers"], &["sign"])
                .only(&[
                    "kubernetes.io/kube-apiserver-client",
                    "kubernetes.io/kube-apiserver-client-kubelet",
                    "kubernetes.io/kubelet-serving",
                    "kubernetes.io/legacy-unknown",
                ])
                .seldom(ADMITTED),
        ],
    ),
    of(
        "certificatesigningrequest-cleaner-controller",
        &[
            can(CERTIFICATES, &["certificatesigningrequests"], WATCH),
            can(
                CERTIFICATES,
                &["certificatesigningrequests"],
                &["delete", "get"],
            )
            .seldom(AGED),
        ],
    ),
    of(
        "clusterrole-aggregation-controller",
        &[
            can(RBAC, &["clusterroles"], &["list", "patch", "watch"]),
            can(RBAC, &["clusterroles"], &["escalate"])
                .seldom("asked beside a patch: it gives roles what it has not itself"),
            TELLS_SELDOM,
        ],
    ),
    of_named(
        "bootstrap-signer-controller",
        &[
            can("", &["secrets"], WATCH),
            can("", &["configmaps"], WATCH),
            can("", &["configmaps"], &["update"]).only(&["cluster-info"]),
        ],
    ),
    of_named(
        "token-cleaner-controller",
        &[
            can("", &["secrets"], &["delete", "list", "watch"]),
            settles("", &["secrets"]),
        ],
    ),
];
