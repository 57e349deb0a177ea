//! What the pods of a node hold, by priority: the sums of each and of all that are less important. So what a node would
//! have left without everybody below a priority is one look-up and one subtraction.

use crate::pods::PodInfo;
use objects::Resources;

/// The sums, from the least important up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranks(Vec<Rank>);

#[derive(Clone, Debug)]
struct Rank {
    priority: i32,
    /// How many pods have just this priority.
    pods: u32,
    /// What they and the less important ones hold.
    held: Resources,
}

impl Ranks {
    /// What the pods hold that are less important than this; none if there are none.
    pub(crate) fn below(&self, priority: i32) -> Option<&Resources> {
        let at = self.0.partition_point(|rank| rank.priority < priority);
        Some(&self.0[at.checked_sub(1)?].held)
    }

    /// Counts a pod.
    pub(crate) fn add(&mut self, info: &PodInfo) {
        let priority = info.priority;
        let at = self.0.partition_point(|rank| rank.priority < priority);
        if self.0.get(at).is_none_or(|rank| rank.priority != priority) {
            let less = at.checked_sub(1).map(|less| self.0[less].held.clone());
            let rank = Rank {
                priority,
                pods: 0,
                held: less.unwrap_or_default(),
            };
            self.0.insert(at, rank);
        }
        self.0[at].pods += 1;
        for rank in &mut self.0[at..] {
            rank.held += &info.requests;
        }
    }

    /// Counts a pod no more that was counted.
    pub(crate) fn remove(&mut self, info: &PodInfo) {
        let priority = info.priority;
        let at = self.0.partition_point(|rank| rank.priority < priority);
        if self.0.get(at).is_none_or(|rank| rank.priority != priority) {
            return;
        }
        for rank in &mut self.0[at..] {
            rank.held -= &info.requests;
            rank.held.extended.retain(|_, amount| *amount != 0);
        }
        self.0[at].pods -= 1;
        if self.0[at].pods == 0 {
            self.0.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{Random, info, merge, requests};
    use serde_json::json;

    #[test]
    fn the_sums_are_those_of_the_pods_that_are_there() {
        let (mut random, mut ranks, mut there) = (Random(3), Ranks::default(), Vec::new());
        for index in 0..400 {
            if random.once_in(2) && !there.is_empty() {
                let at = random.below(there.len());
                let left: std::sync::Arc<PodInfo> = there.swap_remove(at);
                ranks.remove(&left);
            } else {
                let cpu = random.below(3).to_string();
                let gpu = random.below(2).to_string();
                let mut more = requests(json!({ "cpu": cpu, "x.io/gpu": gpu }));
                let priority = random.below(5) as i32 - 2;
                merge(&mut more, json!({ "spec": { "priority": priority } }));
                let pod = info(&index.to_string(), more);
                ranks.add(&pod);
                there.push(pod);
            }
            for priority in -3..4 {
                let less = there.iter().filter(|pod| pod.priority < priority);
                let mut sum: Option<Resources> = None;
                for pod in less {
                    *sum.get_or_insert_default() += &pod.requests;
                }
                let amounts = |of: &Resources| ["pods", "cpu", "x.io/gpu"].map(|name| of.get(name));
                assert_eq!(
                    ranks.below(priority).map(amounts),
                    sum.as_ref().map(amounts)
                );
            }
        }
    }
}
