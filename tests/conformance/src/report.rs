//! What the suite says of its tests: Ginkgo's JSON report, and the tables made of it.
//!
//! The report's fields: `ginkgo/v2/types/types.go`, `Report` and `SpecReport`.

use serde::Deserialize;
use std::fmt::Write;
use std::time::Duration;

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It passed.
    Passed,
    /// It failed, timed out or was interrupted.
    Failed,
    /// It was not run, or skipped itself.
    NotRun,
}

/// One test, or one of the steps before and after all of them that failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// As `e2e.test --list-tests` prints it.
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    pub(crate) took: Duration,
    /// The first line of what went wrong, or why it skipped itself.
    pub(crate) why: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suite {
    #[serde(default)]
    spec_reports: Option<Vec<Spec>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    #[serde(default)]
    container_hierarchy_texts: Option<Vec<String>>,
    #[serde(default)]
    leaf_node_type: String,
    #[serde(default)]
    leaf_node_text: String,
    #[serde(default)]
    state: String,
    /// Nanoseconds.
    #[serde(default)]
    run_time: u64,
    #[serde(default)]
    failure: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    #[serde(default)]
    message: String,
}

/// Reads a report: the tests that ran or skipped themselves, and what else failed, by name.
///
/// # Errors
/// The text is not such a report.
pub(crate) fn parse(text: &str) -> serde_json::Result<Vec<Outcome>> {
    let suites: Vec<Suite> = serde_json::from_str(text)?;
    let specs = suites
        .into_iter()
        .flat_map(|suite| suite.spec_reports.unwrap_or_default());
    let mut outcomes: Vec<_> = specs.filter_map(outcome).collect();
    outcomes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(outcomes)
}

/// `None` for tests that nobody asked for, and steps around the tests that went well.
fn outcome(spec: Spec) -> Option<Outcome> {
    let message = spec.failure.map(|failure| failure.message);
    let verdict = match spec.state.as_str() {
        "passed" => Verdict::Passed,
        "skipped" | "pending" if message.is_none() => return None,
        "skipped" | "pending" => Verdict::NotRun,
        _ => Verdict::Failed,
    };
    let is_test = spec.leaf_node_type == "It";
    if !is_test && verdict != Verdict::Failed {
        return None;
    }
    let mut name = spec.container_hierarchy_texts.unwrap_or_default();
    if is_test {
        name.push(spec.leaf_node_text);
    } else {
        name.push(spec.leaf_node_type);
    }
    let lines = message.iter().flat_map(|message| message.lines());
    let why = lines.map(str::trim).find(|line| !line.is_empty());
    Some(Outcome {
        name: name.join(" "),
        verdict,
        took: Duration::from_nanos(spec.run_time),
        why: why.unwrap_or_default().to_owned(),
    })
}

/// Adds those of `tests` that the report says nothing of.
pub(crate) fn complete(mut outcomes: Vec<Outcome>, tests: &[&str]) -> Vec<Outcome> {
    for test in tests {
        if !outcomes.iter().any(|outcome| outcome.name == *test) {
            outcomes.push(Outcome {
                name: (*test).to_owned(),
                verdict: Verdict::NotRun,
                took: Duration::ZERO,
                why: "the suite has not run it".to_owned(),
            });
        }
    }
    outcomes
}

/// Whether every test passed, and there was one.
pub(crate) fn is_good(outcomes: &[Outcome]) -> bool {
    !outcomes.is_empty() && outcomes.iter().all(|o| o.verdict == Verdict::Passed)
}

/// `12 passed, 1 failed, 0 not run`
pub(crate) fn summary(outcomes: &[Outcome]) -> String {
    let count = |verdict| outcomes.iter().filter(|o| o.verdict == verdict).count();
    format!(
        "{} passed, {} failed, {} not run",
        count(Verdict::Passed),
        count(Verdict::Failed),
        count(Verdict::NotRun)
    )
}

/// A line for each test, for a terminal.
pub(crate) fn text(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let _ = writeln!(
            text,
            "{:7} {:6.1} s  {}",
            outcome.verdict.word(),
            outcome.took.as_secs_f64(),
            outcome.name
        );
        if !outcome.why.is_empty() {
            let _ = writeln!(text, "{:18}{}", "", outcome.why);
        }
    }
    text
}

/// A Markdown table of the tests.
pub(crate) fn markdown(outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "{}.\n\n| test | result | seconds |\n|---|---|---:|\n",
        summary(outcomes)
    );
    for outcome in outcomes {
        let why = if outcome.why.is_empty() {
            String::new()
        } else {
            format!(": {}", cell(&outcome.why))
        };
        let _ = writeln!(
            text,
            "| {} | {}{why} | {:.1} |",
            cell(&outcome.name),
            outcome.verdict.word(),
            outcome.took.as_secs_f64()
        );
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('|', r"\|")
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotRun => "not run",
        }
    }
}

#[cfg(test)]
mod tests;
