//! The sweeps. `SWEEP=name` takes one scenario, `SWEEP_FULL=1` tells the history of each violation.
#![allow(clippy::unwrap_used, clippy::panic)]

mod kept;
mod silence;

use crate::{Scenario, scenarios, sweep};

fn check(scenarios: Vec<Scenario>) {
    let wanted = std::env::var("SWEEP").unwrap_or_default();
    let full = std::env::var("SWEEP_FULL").is_ok();
    let mut scenarios = scenarios;
    scenarios.retain(|s| s.name.contains(&wanted));
    let report = sweep(&scenarios);
    for (n, violation) in report.violations.iter().enumerate() {
        if n < 40 {
            let lines = violation
                .lines()
                .filter(|l| full || !l.starts_with("        "));
            println!("{}", lines.take(200).collect::<Vec<_>>().join("\n"));
        }
    }
    println!(
        "{} plans, {} violations, {:.1} s",
        report.plans,
        report.violations.len(),
        report.took.as_secs_f64()
    );
    assert!(
        report.violations.is_empty(),
        "{} violations",
        report.violations.len()
    );
}

#[test]
fn every_fault_of_every_scenario() {
    check(scenarios::all());
}
