//! What each part may do, as data: the roles of the chart are written from it, and the tests run under it.
//!
//! The shape is upstream's (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go`): a role a controller,
//! and in it what the controller watches, writes and tells. A role is what its loop asks for and no more; the audit log of
//! the integration tests is what that is held against (`tests/integration/src/witness.rs`).

mod cluster;
mod parts;
mod services;
mod storage;
mod workloads;

pub use parts::{ELECTION, GUARD, LEASE, STOCK, probe_of};

/// One thing that a part may do: a rule of an RBAC role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The API group; empty for the core group, `*` for any. A rule of one of Corten's own groups is for `--group` alone.
    pub group: &'static str,
    /// Resources with their subresources: `pods/status`; `*` for any.
    pub resources: &'static [&'static str],
    /// `list`, `watch`, `get`, `create`, `update`, `patch`, `delete`, or a verb of authorization (`approve`).
    pub verbs: &'static [&'static str],
    /// Only objects of these names; of any if there are none.
    pub names: &'static [&'static str],
    /// Why the tests' ordinary day does not show it; empty where it does.
    pub seldom: &'static str,
}

/// What a part may do anywhere in the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// The controller's name as in `--controllers`, or `scheduler`, `nodes`.
    pub name: &'static str,
    /// The rules, in the order in which they are shown.
    pub rules: &'static [Rule],
    /// Whether it has kinds in Corten's own groups too (`--group`).
    pub beside: bool,
    /// Whether it needs a key or a range, a single machine, or is none that `*` means in upstream's: then `*` does not mean
    /// it in the chart.
    pub only_by_name: bool,
}

/// The groups that `--group corten.dev` exchanges, and what stands in their place.
pub const BESIDE: [(&str, &str); 3] = [
    ("apps", "apps.corten.dev"),
    ("autoscaling", "autoscaling.corten.dev"),
    ("batch", "batch.corten.dev"),
];

/// The roles of all controllers, of the scheduler and of hollow nodes.
pub fn all() -> impl Iterator<Item = &'static Role> {
    let rooms = [
        workloads::ROLES,
        services::ROLES,
        cluster::ROLES,
        storage::ROLES,
        parts::ROLES,
    ];
    rooms.into_iter().flatten()
}

/// What this part may do: a controller by its name as in `--controllers`, `scheduler` or `nodes`.
pub fn role(name: &str) -> Option<&'static Role> {
    all().find(|role| role.name == name)
}

// === the words of the table ===

/// To keep a cache.
const WATCH: &[&str] = &["list", "watch"];
/// An answer that was lost is settled by asking, and so is a name that is taken.
const SETTLES: &str = "only where an answer was lost, or a name is taken";
/// `blockOwnerDeletion` in the references that it makes.
const BLOCKS: &str =
    "asked by the admission plugin OwnerReferencesPermissionEnforcement, not by a request";
/// Events go to the namespace of what they are about.
const TELLS: Rule = can("", &["events"], &["create"]);
/// What is told a second time.
const TELLS_AGAIN: Rule = can("", &["events"], &["get", "patch"])
    .seldom("only where the same is told again, or an answer was lost");
/// For those who tell of what went wrong, and of nothing else.
const TELLS_SELDOM: Rule =
    can("", &["events"], &["create", "get", "patch"]).seldom("only what went wrong is told");
/// Whether the API server answers: silence of nodes counts only while it does.
const CONTACT: Rule = can("", &["namespaces"], &["get"]).only(&["kube-system"]);

const fn can(
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
) -> Rule {
    Rule {
        group,
        resources,
        verbs,
        names: &[],
        seldom: "",
    }
}

/// To ask what became of a write.
const fn settles(group: &'static str, resources: &'static [&'static str]) -> Rule {
    can(group, resources, &["get"]).seldom(SETTLES)
}

/// To say that an owner waits for what it owns.
const fn blocks(group: &'static str, resources: &'static [&'static str]) -> Rule {
    can(group, resources, &["update"]).seldom(BLOCKS)
}

impl Rule {
    const fn only(self, names: &'static [&'static str]) -> Self {
        Self { names, ..self }
    }

    const fn seldom(self, seldom: &'static str) -> Self {
        Self { seldom, ..self }
    }
}

/// Of a controller of built-in kinds alone.
const fn of(name: &'static str, rules: &'static [Rule]) -> Role {
    Role {
        name,
        rules,
        beside: false,
        only_by_name: false,
    }
}

/// Of a controller that has kinds in Corten's own groups too.
const fn of_both(name: &'static str, rules: &'static [Rule]) -> Role {
    Role {
        beside: true,
        ..of(name, rules)
    }
}

/// Of a controller that is not meant by `*` in the chart.
const fn of_named(name: &'static str, rules: &'static [Rule]) -> Role {
    Role {
        only_by_name: true,
        ..of(name, rules)
    }
}

#[cfg(test)]
mod tests;
