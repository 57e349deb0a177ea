//! The sweep: all plans of a scenario, on all cores, and the report.

use crate::canon;
use crate::harness::{Blindness, Disturbance, Failure, Run, run};
use crate::scenario::Scenario;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// At most so many events of a scenario are upset, spread evenly.
const EVENTS: u64 = 30;
/// At most so many writes of a scenario fail, spread evenly.
const WRITES: u64 = 40;
/// Plans run side by side on so many threads.
const THREADS: usize = 2;

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What a sweep found.
#[derive(Debug, Default)]
pub struct Report {
    /// How many runs there were, references not counted.
    pub plans: usize,
    /// What was wrong, one text a run.
    pub violations: Vec<String>,
    /// How long it took.
    pub took: Duration,
    /// A line for each scenario.
    pub lines: Vec<String>,
}

/// Sweeps scenarios.
pub fn sweep(scenarios: &[Scenario]) -> Report {
    let begun = Instant::now();
    let noisy = panic::take_hook();
    panic::set_hook(Box::new(|info| {
        PANICS.with(|panics| panics.borrow_mut().push(info.to_string()));
    }));
    let mut report = Report::default();
    for scenario in scenarios {
        one(scenario, &mut report);
        println!("{}", report.lines.last().map_or("", String::as_str));
    }
    panic::set_hook(noisy);
    report.took = begun.elapsed();
    report
}

fn one(scenario: &Scenario, report: &mut Report) {
    let begun = Instant::now();
    let reference = alone(scenario, Disturbance::None);
    let before = report.violations.len();
    if !reference.violations.is_empty() {
        let text = tell(
            scenario,
            Disturbance::None,
            &reference.violations,
            &reference,
        );
        report.violations.push(text);
        report
            .lines
            .push(format!("{}: the reference is wrong", scenario.name));
        return;
    }
    let plans = plans(&reference);
    let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(plan) = plans.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let run = alone(scenario, *plan);
                    let wrong = judge(scenario, *plan, &reference, &run);
                    if !wrong.is_empty() {
                        let text = tell(scenario, *plan, &wrong, &run);
                        let mut found = found.lock().expect("no thread panics while it holds this");
                        found.insert(format!("{plan:?}"), text);
                    }
                }
            });
        }
    });
    let found = found
        .into_inner()
        .expect("no thread panics while it holds this");
    report.violations.extend(found.into_values());
    report.plans += plans.len();
    report.lines.push(format!(
        "{}: {} writes, {} events, {} plans, {} violations, {:.1} s",
        scenario.name,
        reference.writes,
        reference.events,
        plans.len(),
        report.violations.len() - before,
        begun.elapsed().as_secs_f64(),
    ));
}

/// One run in a runtime and with a clock of its own.
pub fn alone(scenario: &Scenario, disturbance: Disturbance) -> Run {
    PANICS.with(|panics| panics.borrow_mut().clear());
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without I/O needs nothing");
    let run = panic::catch_unwind(|| runtime.block_on(run(scenario, disturbance)));
    let mut run = run.unwrap_or_default();
    PANICS.with(|panics| {
        for panic in panics.borrow_mut().drain(..) {
            run.violations.push(format!("O11: {panic}"));
        }
    });
    run
}

fn plans(reference: &Run) -> Vec<Disturbance> {
    let mut plans = Vec::new();
    for nth in spread(reference.writes, WRITES) {
        plans.extend(Failure::ALL.map(|failure| Disturbance::Write(nth, failure)));
    }
    for nth in spread(reference.events, EVENTS) {
        plans.extend(Blindness::ALL.map(|blindness| Disturbance::Event(nth, blindness)));
    }
    plans
}

/// 1 to `count`, or `most` of them.
fn spread(count: u64, most: u64) -> impl Iterator<Item = u64> {
    let taken = count.min(most);
    (0..taken).map(move |n| 1 + n * count / taken)
}

fn judge(scenario: &Scenario, plan: Disturbance, reference: &Run, run: &Run) -> Vec<String> {
    let mut wrong = run.violations.clone();
    if run.end != reference.end {
        let difference = canon::difference(&reference.end, &run.end);
        wrong.push(format!("O1: another end state{difference}"));
    }
    // A process that was killed has forgotten nothing that counts: the same number is right for it.
    let _ = plan;
    for (role, (creates, deletes)) in &run.summary {
        let (c, d) = reference.summary.get(role).copied().unwrap_or_default();
        let slack = scenario.bounds.slack;
        if *creates > c + slack || *deletes > d + slack {
            wrong.push(format!(
                "O2: {role}: {creates} creates and {deletes} deletes, {c} and {d} in the reference"
            ));
        }
    }
    wrong
}

fn tell(scenario: &Scenario, plan: Disturbance, wrong: &[String], run: &Run) -> String {
    let mut text = format!("{} {plan:?}", scenario.name);
    for line in wrong {
        let _ = write!(text, "\n    {line}");
    }
    let counted = run
        .history
        .iter()
        .filter(|w| w.kind != "Event" && w.kind != "Lease");
    let counted: Vec<_> = counted.collect();
    for write in counted.iter().take(160) {
        let _ = write!(text, "\n        {}", canon::line(write));
    }
    text
}
