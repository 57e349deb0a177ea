//! Price: nodes say what they cost an hour in their label `example.com/price`, and pods in theirs, `example.com/price`
//! too, what they may cost at most. Both in whole cents.

use objects::meta;
use scheduler::node::Node;
use scheduler::plugin::{Check, Events, Filter, Normalise, Own, Prepared, Score, Scorer, Verdict};
use scheduler::pods::PodInfo;
use scheduler::snapshot::Snapshot;
use serde_json::Value;

/// The plugin, as a table has it.
pub(crate) const PLUGIN: Own = Own {
    name: NAME,
    filter: Some(|args| Ok(Box::new(Price::read(args)?))),
    score: Some(|args| Ok(Box::new(Price::read(args)?))),
};

const NAME: &str = "Price";
const LABEL: &str = "example.com/price";

/// Keeps pods off nodes that cost more than they allow, and prefers cheap ones.
struct Price {
    /// What a node costs that does not say.
    unpriced: i64,
}

impl Price {
    fn read(args: &Value) -> Result<Self, String> {
        let unpriced = match args.get("unpriced") {
            None => Some(0),
            Some(given) => given.as_i64().filter(|cents| *cents >= 0),
        };
        let unpriced = unpriced.ok_or("unpriced: is not a number of cents")?;
        Ok(Self { unpriced })
    }

    fn of(&self, node: &Node) -> i64 {
        cents(meta::label(&node.metadata, LABEL)).unwrap_or(self.unpriced)
    }
}

fn cents(label: Option<&str>) -> Option<i64> {
    label?.parse().ok()
}

impl Filter for Price {
    fn name(&self) -> &'static str {
        NAME
    }

    // Pods that it rejected are tried again when one of these happens, and not before.
    fn wakes(&self) -> Events {
        Events::NODE_ADD | Events::NODE_LABEL | Events::POD_UPDATE
    }

    // It reads a pod's labels, which are in its signature: so pods that are alike are decided about at once.
    fn is_signed(&self) -> bool {
        true
    }

    fn prepare<'a>(&'a self, pod: &'a PodInfo, _: &'a Snapshot) -> Prepared<'a> {
        let Some(most) = cents(meta::label(&pod.like.metadata, LABEL)) else {
            return Prepared::Skip;
        };
        let reasons = vec!["node(s) were too expensive".into()];
        let judge = move |_: &_, node: &Node| Verdict::unless(self.of(node) > most);
        Prepared::Check(Check::local(reasons, judge))
    }
}

impl Score for Price {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_signed(&self) -> bool {
        true
    }

    // What it says of a node depends on that node only.
    fn local(&self) -> Option<Normalise> {
        Some(Normalise::Least)
    }

    fn prepare<'a>(&'a self, _: &'a PodInfo, _: &'a Snapshot, _: &[u32]) -> Option<Scorer<'a>> {
        Some(Scorer {
            normalise: Normalise::Least,
            score: Box::new(|_, node| self.of(node)),
        })
    }
}

#[cfg(test)]
mod tests;
