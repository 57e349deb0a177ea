//! The ClusterRole aggregation controller: the rules of a ClusterRole with an `aggregationRule` are those of the
//! ClusterRoles that its selectors match.
//!
//! **Promises.** The rules are those of the matching roles: selector by selector, the roles of each by name, no rule
//! twice. They are written by server-side apply as `clusterrole-aggregation-controller`, and only when they are not
//! what they should be; what somebody else wrote there goes.
//!
//! **Never.** A role without an `aggregationRule` is not touched, and neither is one with a selector that cannot be
//! read: it keeps the rules that it has, and an event says so.
//!
//! **Better than upstream.** Where no role matches (any more), upstream applies an object without the field `rules`,
//! and that leaves alone what is not its own: rules that somebody gave such a role stay, against what the API promises
//! of them, and it tries again at each change of any role. Here the rules are made empty.
//!
//! Semantics: upstream `pkg/controller/clusterroleaggregation`. Start reading at [`plan`].
#![forbid(unsafe_code)]

mod plan;

use ::plan::Plan;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use objects::{Selector, meta};
use runtime::{Caches, Controller, Key, Moment, Watches};
use std::sync::Arc;

/// The control loop for ClusterRoles that are made of others.
#[derive(Clone, Copy, Debug, Default)]
pub struct AggregationController;

/// What it looks at when it decides about one ClusterRole.
#[derive(Clone, Debug)]
pub struct World {
    /// The role as the cache holds it.
    pub role: Arc<ClusterRole>,
    /// The rules that it should have.
    pub rules: Rules,
}

/// The rules that a role should have.
#[derive(Clone, Debug, PartialEq)]
pub enum Rules {
    /// Its own.
    Own,
    /// Those of others.
    Of(Vec<PolicyRule>),
    /// Nobody knows: what is wrong with its selectors.
    Unknown(String),
}

impl Controller for AggregationController {
    const NAME: &'static str = "clusterrole-aggregation-controller";
    const QUEUE: &'static str = "ClusterRoleAggregator";

    type Object = ClusterRole;
    type World = World;

    fn matters(role: &ClusterRole) -> bool {
        role.aggregation_rule.is_some()
    }

    fn watch(watches: &Watches<'_>) {
        // Roles are few, and those that are made of others fewer.
        watches.on::<ClusterRole>(|change, queue, caches| {
            let made = |change: &Option<Arc<ClusterRole>>| {
                let role = change.as_deref()?;
                Some((role.metadata.labels.clone(), role.rules.clone()))
            };
            if made(&change.old) == made(&change.new) {
                return;
            }
            for role in caches.of::<ClusterRole>().all() {
                if Self::matters(&role) {
                    queue.add(Key::of(&role.metadata));
                }
            }
        });
    }

    async fn observe(&self, caches: &Caches, role: Arc<ClusterRole>, _: Moment) -> World {
        let rules = match &role.aggregation_rule {
            None => Rules::Own,
            Some(rule) => {
                let selectors = rule.cluster_role_selectors.as_deref().unwrap_or_default();
                match plan::selectors(selectors) {
                    Ok(selectors) => Rules::Of(gather(caches, &role, &selectors)),
                    Err(error) => Rules::Unknown(error),
                }
            }
        };
        World { role, rules }
    }

    fn plan(world: &World) -> Plan {
        plan::plan(world)
    }
}

fn gather(caches: &Caches, role: &ClusterRole, selectors: &[Selector]) -> Vec<PolicyRule> {
    let mut others = caches.of::<ClusterRole>().all();
    others.retain(|other| other.metadata.name != role.metadata.name);
    others.sort_by(|a, b| meta::name(&a.metadata).cmp(meta::name(&b.metadata)));
    plan::union(selectors, &others)
}
