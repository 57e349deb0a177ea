//! The arguments of plugins.

use super::part;
use crate::plugin::Own;
use crate::plugins::{Strategy, VOLUME_TIMEOUT, Weighted};
use crate::preempt::Candidates;
use k8s_openapi::api::core::v1::{NodeAffinity, TopologySpreadConstraint};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The arguments of all plugins that have some.
#[derive(Debug)]
pub(super) struct Args {
    pub(super) candidates: Candidates,
    pub(super) volume_timeout: Duration,
    pub(super) hard_weight: i64,
    pub(super) ignore_others: bool,
    pub(super) added_affinity: Option<NodeAffinity>,
    /// Of plugins of somebody's own, and where they are in the file.
    pub(super) own: BTreeMap<String, (String, Value)>,
    pub(super) ignored: Vec<String>,
    pub(super) ignored_groups: Vec<String>,
    pub(super) strategy: Strategy,
    pub(super) scored: Vec<Weighted>,
    pub(super) balanced: Vec<Weighted>,
    /// None for the system's.
    pub(super) constraints: Option<Vec<TopologySpreadConstraint>>,
}

impl Default for Args {
    fn default() -> Self {
        let usual = ["cpu", "memory"].map(|name| Weighted {
            name: name.to_owned(),
            weight: 1,
        });
        Self {
            candidates: Candidates::default(),
            volume_timeout: VOLUME_TIMEOUT,
            hard_weight: 1,
            ignore_others: false,
            added_affinity: None,
            own: BTreeMap::new(),
            ignored: Vec::new(),
            ignored_groups: Vec::new(),
            strategy: Strategy::default(),
            scored: usual.to_vec(),
            balanced: usual.to_vec(),
            constraints: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    args: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Preemption {
    min_candidate_nodes_percentage: Option<i64>,
    min_candidate_nodes_absolute: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Affinity {
    hard_pod_affinity_weight: Option<i64>,
    #[serde(default)]
    ignore_preferred_terms_of_existing_pods: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Added {
    added_affinity: Option<NodeAffinity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fit {
    #[serde(default)]
    ignored_resources: Vec<String>,
    #[serde(default)]
    ignored_resource_groups: Vec<String>,
    scoring_strategy: Option<Scoring>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Scoring {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    resources: Vec<Resource>,
    requested_to_capacity_ratio: Option<Ratio>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ratio {
    #[serde(default)]
    shape: Vec<Point>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Point {
    utilization: i64,
    score: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    name: String,
    weight: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Balanced {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spread {
    #[serde(default)]
    default_constraints: Vec<TopologySpreadConstraint>,
    defaulting_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Volumes {
    bind_timeout_seconds: Option<i64>,
}

impl Args {
    /// Reads `pluginConfig` of a profile.
    pub(super) fn read(given: Vec<Value>, at: &str, own: &[Own]) -> Result<Self, String> {
        let mut args = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for (index, entry) in given.into_iter().enumerate() {
            let at = format!("{at}[{index}]");
            let mut entry: Entry = part(entry, &at)?;
            if seen.contains(&entry.name) {
                return Err(format!("{at}.name: {:?} is there twice", entry.name));
            }
            let is_of = format!("{}Args", entry.name);
            if let Value::Object(fields) = &mut entry.args {
                let kind = fields.remove("kind");
                fields.remove("apiVersion");
                if kind.is_some_and(|kind| kind != *is_of) {
                    return Err(format!("{at}.args.kind: is not {is_of:?}"));
                }
            } else {
                entry.args = serde_json::json!({});
            }
            let place = format!("{at}.args");
            if own.iter().any(|own| own.name == entry.name) {
                args.own.insert(entry.name.clone(), (place, entry.args));
            } else {
                args.take(&entry.name, entry.args, &place, &at)?;
            }
            seen.push(entry.name);
        }
        Ok(args)
    }

    fn take(&mut self, name: &str, given: Value, at: &str, entry: &str) -> Result<(), String> {
        let within = |value: i64, low: i64, high: i64, field: &str| {
            if (low..=high).contains(&value) {
                Ok(value)
            } else {
                Err(format!("{at}.{field}: {value} is not in {low} to {high}"))
            }
        };
        match name {
            "DefaultPreemption" => {
                let given: Preemption = part(given, at)?;
                let percentage = given.min_candidate_nodes_percentage.unwrap_or(10);
                let absolute = given.min_candidate_nodes_absolute.unwrap_or(100);
                let percentage = within(percentage, 0, 100, "minCandidateNodesPercentage")?;
                let absolute = within(absolute, 0, i32::MAX.into(), "minCandidateNodesAbsolute")?;
                if percentage + absolute == 0 {
                    return Err(format!("{at}.minCandidateNodesPercentage: both are 0"));
                }
                self.candidates = Candidates {
                    percentage: percentage as usize,
                    absolute: absolute as usize,
                };
            }
            "InterPodAffinity" => {
                let given: Affinity = part(given, at)?;
                let weight = given.hard_pod_affinity_weight.unwrap_or(1);
                self.hard_weight = within(weight, 0, 100, "hardPodAffinityWeight")?;
                self.ignore_others = given.ignore_preferred_terms_of_existing_pods;
            }
            "NodeAffinity" => self.added_affinity = part::<Added>(given, at)?.added_affinity,
            "NodeResourcesFit" => self.fit(part(given, at)?, at)?,
            "NodeResourcesBalancedAllocation" => {
                let given: Balanced = part(given, at)?;
                if !given.resources.is_empty() {
                    self.balanced = weighted(given.resources, &format!("{at}.resources"))?;
                }
            }
            "PodTopologySpread" => {
                let given: Spread = part(given, at)?;
                self.constraints = match given.defaulting_type.as_deref() {
                    None | Some("System") if given.default_constraints.is_empty() => None,
                    Some("List") => Some(given.default_constraints),
                    None | Some("System") => {
                        return Err(format!(
                            "{at}.defaultConstraints: needs defaultingType List"
                        ));
                    }
                    Some(other) => {
                        return Err(format!(
                            "{at}.defaultingType: {other:?} is not System or List"
                        ));
                    }
                };
                let all = self.constraints.iter().flatten();
                if let Some(index) = all.clone().position(|c| c.label_selector.is_some()) {
                    return Err(format!(
                        "{at}.defaultConstraints[{index}].labelSelector: pods are selected by what owns them"
                    ));
                }
            }
            "VolumeBinding" => {
                let given: Volumes = part(given, at)?;
                if let Some(seconds) = given.bind_timeout_seconds {
                    let seconds = within(seconds, 0, i64::MAX, "bindTimeoutSeconds")?;
                    self.volume_timeout = Duration::from_secs(seconds.unsigned_abs());
                }
            }
            "DynamicResources" => {
                return Err(format!(
                    "{at}: the arguments of {name} cannot be chosen yet"
                ));
            }
            _ => {
                return Err(format!(
                    "{entry}.name: {name:?} is no plugin with arguments"
                ));
            }
        }
        Ok(())
    }

    fn fit(&mut self, given: Fit, at: &str) -> Result<(), String> {
        self.ignored = given.ignored_resources;
        self.ignored_groups = given.ignored_resource_groups;
        let Some(scoring) = given.scoring_strategy else {
            return Ok(());
        };
        let at = format!("{at}.scoringStrategy");
        if !scoring.resources.is_empty() {
            self.scored = weighted(scoring.resources, &format!("{at}.resources"))?;
        }
        self.strategy = match scoring.kind.as_deref().unwrap_or("LeastAllocated") {
            "LeastAllocated" => Strategy::LeastAllocated,
            "MostAllocated" => Strategy::MostAllocated,
            "RequestedToCapacityRatio" => {
                let shape = scoring.requested_to_capacity_ratio;
                let at = format!("{at}.requestedToCapacityRatio.shape");
                Strategy::RequestedToCapacityRatio(line(
                    shape.map_or(Vec::new(), |it| it.shape),
                    &at,
                )?)
            }
            other => {
                return Err(format!(
                    "{at}.type: {other:?} is not LeastAllocated, MostAllocated or RequestedToCapacityRatio"
                ));
            }
        };
        Ok(())
    }
}

fn weighted(given: Vec<Resource>, at: &str) -> Result<Vec<Weighted>, String> {
    let each = given.into_iter().enumerate().map(|(index, resource)| {
        let weight = resource.weight.filter(|weight| *weight != 0).unwrap_or(1);
        if !(1..=100).contains(&weight) {
            return Err(format!("{at}[{index}].weight: {weight} is not in 1 to 100"));
        }
        let name = resource.name;
        Ok(Weighted { name, weight })
    });
    each.collect()
}

/// Scores are given from 0 to 10.
fn line(shape: Vec<Point>, at: &str) -> Result<Vec<(i64, i64)>, String> {
    if shape.is_empty() {
        return Err(format!("{at}: has no point"));
    }
    let mut last = -1;
    let points = shape.into_iter().enumerate().map(|(index, point)| {
        if !(0..=100).contains(&point.utilization) || point.utilization <= last {
            return Err(format!(
                "{at}[{index}].utilization: is not in 0 to 100 and more than the last"
            ));
        }
        if !(0..=10).contains(&point.score) {
            return Err(format!("{at}[{index}].score: is not in 0 to 10"));
        }
        last = point.utilization;
        Ok((point.utilization, point.score * 10))
    });
    points.collect()
}
