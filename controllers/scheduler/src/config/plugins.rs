//! Which plugins are on, at which points, with which weights.

use super::args::Args;
use super::part;
use crate::diagnosis::PluginSet;
use crate::plugin::{Filter, Make, Own, Score};
use crate::plugins::{
    BalancedAllocation, DynamicResources, ImageLocality, InterPodAffinity, NodeAffinity,
    NodeDeclaredFeatures, NodeName, NodePorts, NodeUnschedulable, NodeVolumeLimits, ResourcesFit,
    Table, TaintToleration, TopologySpread, VolumeBinding, VolumeRestrictions, VolumeZone,
};
use serde::Deserialize;
use serde_json::Value;

/// The default plugins in their order, with their weights; the order of filters can be seen in events
/// (`default_plugins.go`).
const DEFAULT: [(&str, i64); 20] = [
    ("SchedulingGates", 0),
    ("PrioritySort", 0),
    ("NodeUnschedulable", 0),
    ("NodeName", 0),
    ("TaintToleration", 3),
    ("NodeAffinity", 2),
    ("NodePorts", 0),
    ("NodeResourcesFit", 1),
    ("VolumeRestrictions", 0),
    ("NodeVolumeLimits", 0),
    ("VolumeBinding", 0),
    ("VolumeZone", 0),
    ("PodTopologySpread", 2),
    ("InterPodAffinity", 2),
    ("DefaultPreemption", 0),
    ("NodeResourcesBalancedAllocation", 1),
    ("ImageLocality", 1),
    ("DefaultBinder", 0),
    ("DynamicResources", 0),
    ("NodeDeclaredFeatures", 0),
];

/// Upstream's others. They may be switched off, but not on.
const MISSING: [&str; 3] = [
    "GangScheduling",
    "TopologyPlacementGenerator",
    "PodGroupPodsCount",
];

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    #[serde(default)]
    enabled: Vec<Named>,
    #[serde(default)]
    disabled: Vec<Named>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    weight: Option<i64>,
}

/// The sets of each extension point.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Points {
    multi_point: Set,
    pre_enqueue: Set,
    queue_sort: Set,
    pre_filter: Set,
    filter: Set,
    post_filter: Set,
    pre_score: Set,
    score: Set,
    reserve: Set,
    permit: Set,
    pre_bind: Set,
    bind: Set,
    post_bind: Set,
    placement_generate: Set,
    placement_score: Set,
}

impl Points {
    /// Reads `plugins` of a profile, and sees that all names are known.
    pub(super) fn read(given: Option<Value>, at: &str, own: &[Own]) -> Result<Self, String> {
        let is_known = |name: &str| is_known(name) || own.iter().any(|own| own.name == name);
        let Some(given) = given else {
            return Ok(Self::default());
        };
        let points: Self = part(given, at)?;
        for (point, set) in points.all() {
            for (index, named) in set.enabled.iter().enumerate() {
                let at = format!("{at}.{point}.enabled[{index}]");
                let name = &named.name;
                if MISSING.contains(&&**name) {
                    return Err(format!("{at}.name: {name:?} is not there yet"));
                }
                if !is_known(name) {
                    return Err(format!("{at}.name: {name:?} is no plugin"));
                }
                if named
                    .weight
                    .is_some_and(|weight| !(0..=1_000_000).contains(&weight))
                {
                    return Err(format!("{at}.weight: is not in 0 to 1000000"));
                }
                if set.enabled[..index].iter().any(|other| other.name == *name) {
                    return Err(format!("{at}.name: {name:?} is there twice"));
                }
            }
            for (index, named) in set.disabled.iter().enumerate() {
                let name = &named.name;
                let is_missing = MISSING.contains(&&**name);
                if name != "*" && !is_missing && !is_known(name) {
                    return Err(format!(
                        "{at}.{point}.disabled[{index}].name: {name:?} is no plugin"
                    ));
                }
            }
        }
        Ok(points)
    }

    fn all(&self) -> [(&'static str, &Set); 15] {
        [
            ("multiPoint", &self.multi_point),
            ("preEnqueue", &self.pre_enqueue),
            ("queueSort", &self.queue_sort),
            ("preFilter", &self.pre_filter),
            ("filter", &self.filter),
            ("postFilter", &self.post_filter),
            ("preScore", &self.pre_score),
            ("score", &self.score),
            ("reserve", &self.reserve),
            ("permit", &self.permit),
            ("preBind", &self.pre_bind),
            ("bind", &self.bind),
            ("postBind", &self.post_bind),
            ("placementGenerate", &self.placement_generate),
            ("placementScore", &self.placement_score),
        ]
    }

    /// What is on at all points: the defaults that are not switched off, changed and added to by what is switched on.
    fn everywhere(&self) -> Vec<(&str, i64)> {
        let set = &self.multi_point;
        let mut on: Vec<(&str, i64)> = DEFAULT
            .into_iter()
            .filter(|(name, _)| !set.is_off(name))
            .collect();
        for named in &set.enabled {
            match on.iter_mut().find(|(name, _)| *name == named.name) {
                Some(known) => known.1 = named.weight(),
                None => on.push((&named.name, named.weight())),
            }
        }
        on
    }

    /// What is on at one point, in the order in which it is asked there.
    fn at<'a>(&'a self, set: &'a Set) -> Vec<(&'a str, i64)> {
        let everywhere = self.everywhere();
        let own = set
            .enabled
            .iter()
            .map(|named| (&*named.name, named.weight()));
        let is_everywhere = |name: &str| everywhere.iter().any(|(other, _)| *other == name);
        let is_own = |name: &str| set.enabled.iter().any(|other| other.name == name);
        let overriding = own.clone().filter(|(name, _)| is_everywhere(name));
        let more = own.filter(|(name, _)| !is_everywhere(name));
        let rest = everywhere.iter().copied();
        let rest = rest.filter(|(name, _)| !is_own(name) && !set.is_off(name));
        overriding.chain(rest).chain(more).collect()
    }

    /// The plugins of a scheduler.
    pub(super) fn table(&self, args: &Args, at: &str, own: &[Own]) -> Result<Table, String> {
        let is_on = |set: &Set, wanted: &str| self.at(set).iter().any(|(name, _)| *name == wanted);
        for (point, set, only) in [
            ("queueSort", &self.queue_sort, "PrioritySort"),
            ("bind", &self.bind, "DefaultBinder"),
            ("preEnqueue", &self.pre_enqueue, "SchedulingGates"),
        ] {
            if !is_on(set, only) {
                return Err(format!(
                    "{at}.{point}: {only:?} cannot be switched off, as there is no other"
                ));
            }
        }
        let (mut filters, mut scores) = (Vec::new(), Vec::new());
        for (name, _) in self.at(&self.filter) {
            let made = made(own, name, args, |own| own.filter)?;
            filters.extend(made.or_else(|| filter(name, args)));
        }
        for (name, weight) in self.at(&self.score) {
            let made = made(own, name, args, |own| own.score)?;
            let score = made.or_else(|| score(name, args));
            scores.extend(score.map(|score| (score, weight)));
        }
        if filters.len() > PluginSet::EXTENDER {
            return Err(format!("{at}.filter: {} are too many", filters.len()));
        }
        Ok(Table {
            filters,
            scores,
            preempts: is_on(&self.post_filter, "DefaultPreemption"),
            candidates: args.candidates,
            percentage: None,
            volume_timeout: args.volume_timeout,
        })
    }
}

impl Set {
    fn is_off(&self, name: &str) -> bool {
        let mut disabled = self.disabled.iter();
        disabled.any(|off| off.name == "*" || off.name == name)
    }
}

impl Named {
    fn weight(&self) -> i64 {
        self.weight.filter(|weight| *weight != 0).unwrap_or(1)
    }
}

fn is_known(name: &str) -> bool {
    DEFAULT.iter().any(|(known, _)| *known == name)
}

/// The part of a plugin of somebody's own, if it has that one.
fn made<T: ?Sized>(
    own: &[Own],
    name: &str,
    args: &Args,
    part: fn(&Own) -> Option<Make<T>>,
) -> Result<Option<Box<T>>, String> {
    let Some(make) = own.iter().find(|own| own.name == name).and_then(part) else {
        return Ok(None);
    };
    let none = (String::new(), Value::Object(Default::default()));
    let (at, given) = args.own.get(name).unwrap_or(&none);
    make(given)
        .map(Some)
        .map_err(|wrong| format!("{at}.{wrong}"))
}

fn filter(name: &str, args: &Args) -> Option<Box<dyn Filter>> {
    Some(match name {
        "NodeUnschedulable" => Box::new(NodeUnschedulable),
        "NodeName" => Box::new(NodeName),
        "TaintToleration" => Box::new(TaintToleration),
        "NodeAffinity" => Box::new(node_affinity(args)),
        "NodePorts" => Box::new(NodePorts),
        "NodeResourcesFit" => Box::new(resources_fit(args)),
        "VolumeRestrictions" => Box::new(VolumeRestrictions),
        "NodeVolumeLimits" => Box::new(NodeVolumeLimits),
        "VolumeBinding" => Box::new(VolumeBinding),
        "VolumeZone" => Box::new(VolumeZone),
        "PodTopologySpread" => Box::new(topology_spread(args)),
        "InterPodAffinity" => Box::new(interpod_affinity(args)),
        "DynamicResources" => Box::new(DynamicResources),
        "NodeDeclaredFeatures" => Box::new(NodeDeclaredFeatures),
        _ => return None,
    })
}

fn score(name: &str, args: &Args) -> Option<Box<dyn Score>> {
    Some(match name {
        "TaintToleration" => Box::new(TaintToleration),
        "NodeAffinity" => Box::new(node_affinity(args)),
        "NodeResourcesFit" => Box::new(resources_fit(args)),
        "PodTopologySpread" => Box::new(topology_spread(args)),
        "InterPodAffinity" => Box::new(interpod_affinity(args)),
        "NodeResourcesBalancedAllocation" => Box::new(BalancedAllocation {
            resources: args.balanced.clone(),
        }),
        "ImageLocality" => Box::new(ImageLocality),
        _ => return None,
    })
}

fn node_affinity(args: &Args) -> NodeAffinity {
    let added = args.added_affinity.clone();
    added.map_or_else(NodeAffinity::default, NodeAffinity::adding)
}

fn resources_fit(args: &Args) -> ResourcesFit {
    ResourcesFit {
        ignored: args.ignored.clone(),
        ignored_groups: args.ignored_groups.clone(),
        strategy: args.strategy.clone(),
        resources: args.scored.clone(),
    }
}

fn topology_spread(args: &Args) -> TopologySpread {
    let listed = args.constraints.clone();
    listed.map_or_else(TopologySpread::default, TopologySpread::with_defaults)
}

fn interpod_affinity(args: &Args) -> InterPodAffinity {
    InterPodAffinity {
        hard_weight: args.hard_weight,
        ignore_others: args.ignore_others,
    }
}
