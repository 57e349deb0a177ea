//! What is printed and kept of a run, and the comparison over all of them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::actor::Actor;
use crate::alone::Decisions;
use crate::measure::{Requests, Usage, Used};
use crate::preset::{Preset, Size};
use crate::workloads::{About, Times};

/// All that is known of one run. Times in seconds, memory in MiB.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) preset: String,
    pub(crate) actor: String,
    pub(crate) run: usize,
    pub(crate) nodes: usize,
    /// One of the things that are counted.
    pub(crate) thing: &'static str,
    /// How many were asked for.
    pub(crate) count: usize,
    pub(crate) deployments: usize,
    pub(crate) services: bool,
    /// Until all was as it was asked for.
    pub(crate) seconds: f64,
    /// Things per second; none where the time is given.
    pub(crate) rate: Option<f64>,
    /// Microseconds that a decision of the scheduler took by its own metrics (its algorithm, not the binding).
    pub(crate) decision_us: Option<f64>,
    /// Until the statuses said so.
    pub(crate) told_seconds: Option<f64>,
    /// Processor time from the request until everything had settled.
    pub(crate) cpu: BTreeMap<&'static str, f64>,
    /// The most that was ever resident.
    pub(crate) memory: BTreeMap<&'static str, f64>,
    pub(crate) requests: BTreeMap<String, u64>,
    pub(crate) refused: BTreeMap<String, u64>,
    /// Leases left out.
    pub(crate) requests_per_thing: f64,
    pub(crate) idle_seconds: u64,
    pub(crate) idle_cpu: BTreeMap<&'static str, f64>,
    /// What was resident at the end.
    pub(crate) idle_memory: BTreeMap<&'static str, f64>,
    pub(crate) idle_requests: BTreeMap<String, u64>,
    pub(crate) idle_writes: BTreeMap<String, u64>,
}

/// What was read off in a time.
pub(crate) struct Readings {
    pub(crate) decisions: Option<Decisions>,
    /// Microseconds a decision, of readings since others.
    pub(crate) each: Option<f64>,
    pub(crate) usage: Usage,
    pub(crate) requests: Requests,
}

impl Readings {
    /// Those since `before`.
    pub(crate) fn since(self, before: &Self) -> Self {
        let each = self.decisions.zip(before.decisions);
        Self {
            each: each.and_then(|(now, before)| now.each_since(before)),
            decisions: self.decisions,
            usage: self.usage.since(&before.usage),
            requests: self.requests.since(&before.requests),
        }
    }
}

impl Run {
    /// `what` is the preset, the actor and the number of the run.
    pub(crate) fn new(
        what: (Preset, Actor, usize),
        size: Size,
        about: &About,
        times: Times,
        load: &Readings,
        idle: (u64, &Readings),
    ) -> Self {
        let (preset, actor, run) = what;
        let (idle_seconds, idle) = idle;
        let seconds = times.done.as_secs_f64();
        let of = |readings: &Readings, figure: fn(&Used) -> f64| {
            let used = readings.usage.0.iter();
            used.map(|(&name, used)| (name, figure(used))).collect()
        };
        Self {
            preset: preset.name(),
            actor: actor.to_string(),
            run,
            nodes: size.nodes,
            thing: about.thing,
            count: about.count,
            deployments: size.deployments,
            services: size.services,
            seconds,
            rate: about.timed.then(|| about.count as f64 / seconds),
            decision_us: load.each,
            told_seconds: times.told.map(|told| told.as_secs_f64()),
            cpu: of(load, |used| used.cpu),
            memory: of(load, |used| used.peak),
            requests: load.requests.counts.clone(),
            refused: load.requests.refused.clone(),
            requests_per_thing: load.requests.total() as f64 / about.count.max(1) as f64,
            idle_seconds,
            idle_cpu: of(idle, |used| used.cpu),
            idle_memory: of(idle, |used| used.resident),
            idle_requests: idle.requests.counts.clone(),
            idle_writes: idle.requests.writes(),
        }
    }

    fn sum(of: &BTreeMap<&'static str, f64>, names: &[&str]) -> f64 {
        of.iter()
            .filter(|(name, _)| names.contains(*name))
            .map(|(_, value)| value)
            .sum()
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rate) = self.rate {
            let (thing, seconds) = (self.thing, self.seconds);
            write!(f, "  {rate:.0} {thing}s/s: all done after {seconds:.2} s")?;
            if let Some(told) = self.told_seconds {
                write!(f, ", told by the statuses after {told:.2} s")?;
            }
            writeln!(f)?;
        }
        if let Some(each) = self.decision_us {
            writeln!(
                f,
                "  {each:.1} µs a decision, by the scheduler's own metrics"
            )?;
        }
        writeln!(
            f,
            "  {:<12} {:>8} {:>10} {:>14} {:>12}",
            "", "CPU s", "peak MiB", "CPU s at rest", "MiB at rest"
        )?;
        for (name, cpu) in &self.cpu {
            let (peak, idle, rest) = (
                self.memory[name],
                self.idle_cpu[name],
                self.idle_memory[name],
            );
            writeln!(
                f,
                "  {name:<12} {cpu:>8.2} {peak:>10.1} {idle:>14.2} {rest:>12.1}"
            )?;
        }
        let mut requests: Vec<_> = self.requests.iter().collect();
        requests.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let (each, thing) = (self.requests_per_thing, self.thing);
        writeln!(f, "  {each:.2} requests per {thing}")?;
        for (key, count) in requests {
            let refused = self.refused.get(key).copied().unwrap_or(0);
            let refused = match refused {
                0 => String::new(),
                some => format!(", {some} of them refused"),
            };
            writeln!(f, "  {count:>8}  {key}{refused}")?;
        }
        let idle: Vec<_> = self
            .idle_writes
            .iter()
            .map(|(key, count)| format!("{count} {key}"))
            .collect();
        let idle = if idle.is_empty() {
            "none".to_owned()
        } else {
            idle.join(", ")
        };
        writeln!(
            f,
            "  writes in {} s of rest, leases left out: {idle}",
            self.idle_seconds
        )
    }
}

/// A figure that is compared.
type Figure = (&'static str, fn(&Run) -> f64);

const WORK: &[&str] = &["controllers", "scheduler", "both"];
const WITH_NODES: &[&str] = &["controllers", "scheduler", "both", "nodes", "all"];
const SERVERS: &[&str] = &["apiserver", "etcd"];

const FIGURES: &[Figure] = &[
    ("THINGs/s", |run| run.rate.unwrap_or(0.0)),
    ("s until all was done", |run| {
        run.rate.map_or(0.0, |_| run.seconds)
    }),
    ("µs a decision", |run| run.decision_us.unwrap_or(0.0)),
    ("CPU s, controllers + scheduler", |run| {
        Run::sum(&run.cpu, WORK)
    }),
    ("CPU s, with nodes", |run| Run::sum(&run.cpu, WITH_NODES)),
    ("CPU s, API server + etcd", |run| {
        Run::sum(&run.cpu, SERVERS)
    }),
    ("peak MiB, controllers + scheduler", |run| {
        Run::sum(&run.memory, WORK)
    }),
    ("peak MiB, with nodes", |run| {
        Run::sum(&run.memory, WITH_NODES)
    }),
    ("requests per THING", |run| run.requests_per_thing),
    ("CPU s at rest, controllers + scheduler", |run| {
        Run::sum(&run.idle_cpu, WORK)
    }),
    ("MiB at rest, controllers + scheduler", |run| {
        Run::sum(&run.idle_memory, WORK)
    }),
    ("writes at rest", |run| {
        run.idle_writes.values().sum::<u64>() as f64
    }),
];

/// Prints median, minimum and maximum of each figure of the runs of one preset, and how the others compare with
/// the first actor, run by run.
pub(crate) fn compare(runs: &[Run]) {
    let mut actors: Vec<&str> = Vec::new();
    for run in runs {
        if !actors.contains(&run.actor.as_str()) {
            actors.push(&run.actor);
        }
    }
    // Against upstream if it is there.
    actors.sort_by_key(|&actor| actor != "upstream");
    let of = |actor: &str| {
        runs.iter()
            .filter(move |run| run.actor == actor)
            .collect::<Vec<_>>()
    };
    let thing = runs.first().map_or("thing", |run| run.thing);
    for (name, figure) in FIGURES {
        // There is no rate where the time is given, and not everything decides.
        if runs.iter().all(|run| figure(run) == 0.0) && *name != "writes at rest" {
            continue;
        }
        println!("{}", name.replace("THING", thing));
        for actor in &actors {
            let values: Vec<f64> = of(actor).into_iter().map(figure).collect();
            // The controllers' share of a process that runs the nodes too is not known.
            if values.iter().all(|value| *value == 0.0) && *name != "writes at rest" {
                continue;
            }
            let mut line = format!("  {actor:<12} {}", Spread::of(values));
            if *actor != actors[0] {
                let pairs = of(actor).into_iter().filter_map(|run| {
                    let other = of(actors[0])
                        .into_iter()
                        .find(|other| other.run == run.run)?;
                    let (ours, theirs) = (figure(run), figure(other));
                    (theirs > 0.0 && ours > 0.0).then(|| ours / theirs)
                });
                let ratios: Vec<f64> = pairs.collect();
                if !ratios.is_empty() {
                    line = format!("{line}   × {} of {}", Spread::of(ratios), actors[0]);
                }
            }
            println!("{line}");
        }
    }
}

/// Median, minimum and maximum.
struct Spread([f64; 3]);

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let Some(last) = values.len().checked_sub(1) else {
            return Self([f64::NAN; 3]);
        };
        let median = f64::midpoint(values[last / 2], values[last.div_ceil(2)]);
        Self([median, values[0], values[last]])
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, least, most] = self.0;
        match median < 0.05 {
            true => write!(f, "{median:.4} ({least:.4} to {most:.4})"),
            false => write!(f, "{median:.2} ({least:.2} to {most:.2})"),
        }
    }
}
