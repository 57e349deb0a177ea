//! TaintToleration: nodes that keep pods away, or would rather not have them.
//!
//! Upstream: `framework/plugins/tainttoleration/taint_toleration.go`.

use crate::plugin::{Check, Events, Filter, Normalise, Prepared, Scope, Score, Scorer, Verdict};
use crate::pods::PodInfo;
use crate::snapshot::Snapshot;
use k8s_openapi::api::core::v1::Toleration;
use objects::taints;

/// Rejects nodes with a `NoSchedule` or `NoExecute` taint that the pod does not tolerate; prefers nodes with few
/// `PreferNoSchedule` taints that it does not tolerate.
pub struct TaintToleration;

const NAME: &str = "TaintToleration";
const DISCOURAGED: &str = "PreferNoSchedule";

impl Filter for TaintToleration {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn wakes(&self) -> Events {
        Events::NODE_ADD | Events::NODE_TAINT | Events::POD_UPDATE
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        let tolerations = tolerations(pod);
        Prepared::Check(Check {
            reasons: vec!["node(s) had untolerated taint(s)".into()],
            only: None,
            suppose: None,
            judge: Box::new(move |info, node| {
                let untolerated =
                    || taints::find_untolerated(&node.taints, tolerations, taints::keeps_away);
                Verdict::unless(info.keeps_away && untolerated().is_some())
            }),
        })
    }
}

impl Score for TaintToleration {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_signed(&self) -> bool {
        true
    }

    fn local(&self) -> Option<Normalise> {
        Some(Normalise::Least)
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, all: &'a Snapshot, _: &[u32]) -> Option<Scorer<'a>> {
        if all.discouraging == 0 {
            return None;
        }
        let tolerations = tolerations(pod);
        Some(Scorer {
            normalise: Normalise::Least,
            score: Box::new(move |info, node| {
                if !info.discourages {
                    return 0;
                }
                let taints = node
                    .taints
                    .iter()
                    .filter(|taint| taint.effect == DISCOURAGED);
                taints
                    .filter(|taint| !taints::tolerates(tolerations, taint))
                    .count() as i64
            }),
        })
    }
}

fn tolerations(pod: &PodInfo) -> &[Toleration] {
    pod.spec().tolerations.as_deref().unwrap_or_default()
}
