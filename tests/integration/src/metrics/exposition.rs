//! The text that `/metrics` gives: upstream's is Prometheus' format, ours OpenMetrics.

use plan::{Measure, Metric};
use std::collections::{BTreeMap, BTreeSet};

/// What the text says about a family.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Family {
    /// `counter`, `gauge`, `histogram`.
    pub(super) kind: String,
    /// `STABLE`, `BETA`, `ALPHA`: the first word of the help.
    pub(super) stability: String,
    /// The names of its labels.
    pub(super) labels: BTreeSet<String>,
    /// The bounds of its buckets but for the infinite one.
    pub(super) bounds: Vec<f64>,
}

impl Family {
    /// What would be said about a metric.
    pub(super) fn of(metric: &Metric) -> Self {
        let (kind, bounds) = match metric.measure {
            Measure::Counter => ("counter", Vec::new()),
            Measure::Gauge => ("gauge", Vec::new()),
            Measure::Histogram(buckets) => ("histogram", buckets.bounds()),
        };
        Self {
            kind: kind.to_owned(),
            stability: metric.stability.to_string(),
            labels: metric
                .labels
                .iter()
                .map(|&label| label.to_owned())
                .collect(),
            bounds,
        }
    }
}

/// The families that have samples, by name.
pub(super) fn families(text: &str) -> BTreeMap<String, Family> {
    let (mut kinds, mut helps) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            kinds.insert(name.to_owned(), kind.to_owned());
        } else if let Some((name, help)) =
            line.strip_prefix("# HELP ").and_then(|l| l.split_once(' '))
        {
            helps.insert(name.to_owned(), help.to_owned());
        }
    }
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).unwrap_or(line.len());
        let (sample, rest) = line.split_at(end);
        let Some((name, said)) = family_of(sample, &kinds) else {
            continue;
        };
        let family = families.entry(name).or_default();
        family.kind.clone_from(&kinds[&said]);
        let help = helps.get(&said).map_or("", String::as_str);
        let stability = help.strip_prefix('[').and_then(|help| help.split_once(']'));
        family.stability = stability.map_or(String::new(), |(word, _)| word.to_owned());
        for (label, value) in labels(rest) {
            if label == "le" {
                let bound = value.parse().unwrap_or(f64::NAN);
                if bound < f64::INFINITY && !family.bounds.contains(&bound) {
                    family.bounds.push(bound);
                }
            } else {
                family.labels.insert(label);
            }
        }
    }
    families
}

/// The name of the family of a sample, and the one that its kind is said under: OpenMetrics leaves `_total` away.
fn family_of(sample: &str, kinds: &BTreeMap<String, String>) -> Option<(String, String)> {
    if kinds.contains_key(sample) {
        return Some((sample.to_owned(), sample.to_owned()));
    }
    if let Some(stem) = sample
        .strip_suffix("_total")
        .filter(|stem| kinds.contains_key(*stem))
    {
        return Some((sample.to_owned(), stem.to_owned()));
    }
    let stems = ["_bucket", "_sum", "_count"];
    let mut stems = stems.iter().filter_map(|end| sample.strip_suffix(end));
    let stem = stems.find(|stem| kinds.contains_key(*stem))?;
    Some((stem.to_owned(), stem.to_owned()))
}

/// The labels in `{name="value",…} 1`.
fn labels(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.strip_prefix('{').unwrap_or_default();
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut escaped = false;
        let end = after.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some(end) = end else { break };
        let name = name.trim_start_matches(',').to_owned();
        found.push((name, after[..end].to_owned()));
        rest = &after[end + 1..];
        if rest.starts_with('}') {
            break;
        }
    }
    found
}

/// Whether two lists of bounds are the same, but for how they were rounded.
pub(super) fn same(one: &[f64], other: &[f64]) -> bool {
    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * b.abs();
    one.len() == other.len() && one.iter().zip(other).all(close)
}
