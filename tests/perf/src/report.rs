//! What is printed and kept of a run, and the comparison over all of them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::actor::Actor;
use crate::load::{Load, Times};
use crate::measure::{Requests, Usage};

/// All that is known of one run. Times in seconds, memory in MiB.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    actor: String,
    run: usize,
    nodes: usize,
    pods: usize,
    deployments: usize,
    services: bool,
    /// Until all pods were Ready.
    seconds: f64,
    pods_per_second: f64,
    /// Until the Deployments' statuses said so.
    told_seconds: f64,
    /// Processor time from the first POST until everything had settled.
    cpu: BTreeMap<&'static str, f64>,
    memory: BTreeMap<&'static str, f64>,
    requests: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
    requests_per_pod: f64,
    idle_seconds: u64,
    idle_cpu: BTreeMap<&'static str, f64>,
    idle_writes: BTreeMap<String, u64>,
}

impl Run {
    #[allow(clippy::too_many_arguments)] // one call, and each is a thing of its own
    pub(crate) fn new(
        actor: Actor,
        run: usize,
        load: &Load,
        times: Times,
        spent: &Usage,
        made: &Requests,
        idle_seconds: u64,
        idle: &Usage,
        idle_made: &Requests,
    ) -> Self {
        let seconds = times.ready.as_secs_f64();
        let cpu = |usage: &Usage| {
            usage
                .0
                .iter()
                .map(|(&name, used)| (name, used.cpu))
                .collect()
        };
        Self {
            actor: actor.to_string(),
            run,
            nodes: load.nodes,
            pods: load.pods,
            deployments: load.deployments,
            services: load.services,
            seconds,
            pods_per_second: load.pods as f64 / seconds,
            told_seconds: times.told.as_secs_f64(),
            cpu: cpu(spent),
            memory: spent
                .0
                .iter()
                .map(|(&name, used)| (name, used.peak))
                .collect(),
            requests: made.counts.clone(),
            refused: made.refused.clone(),
            requests_per_pod: made.total() as f64 / load.pods as f64,
            idle_seconds,
            idle_cpu: cpu(idle),
            idle_writes: idle_made.writes(),
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
        writeln!(
            f,
            "  {:.0} pods/s: all ready after {:.2} s, told by the Deployments after {:.2} s",
            self.pods_per_second, self.seconds, self.told_seconds
        )?;
        writeln!(
            f,
            "  {:<12} {:>8} {:>10} {:>14}",
            "", "CPU s", "peak MiB", "CPU s at rest"
        )?;
        for (name, cpu) in &self.cpu {
            let (memory, idle) = (self.memory[name], self.idle_cpu[name]);
            writeln!(f, "  {name:<12} {cpu:>8.2} {memory:>10.1} {idle:>14.2}")?;
        }
        let mut requests: Vec<_> = self.requests.iter().collect();
        requests.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        writeln!(f, "  {:.2} requests per pod", self.requests_per_pod)?;
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
    ("pods/s", |run| run.pods_per_second),
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
    ("requests per pod", |run| run.requests_per_pod),
    ("writes at rest", |run| {
        run.idle_writes.values().sum::<u64>() as f64
    }),
];

/// Prints median, minimum and maximum of each figure, and how the others compare with the first
/// actor, run by run.
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
    for (name, figure) in FIGURES {
        println!("{name}");
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
        write!(f, "{median:.2} ({least:.2} to {most:.2})")
    }
}
