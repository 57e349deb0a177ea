//! The API server in memory (`sim`) against the real one: the same requests, the same answers.
//!
//! Nothing else runs on the real one, so nobody writes in between. Every sequence has a namespace of its
//! own. Environment: `DIFFERENTIAL_SEQUENCES=20000` runs more than the usual number, `DIFFERENTIAL_SEED=7`
//! runs that one alone and prints it.
#![allow(clippy::unwrap_used, clippy::panic)]

use anyhow::{Context, Result, anyhow, ensure};
use cluster::{Actor, Cluster, Outcome, actor};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;
use sim::Sim;
use sim::differential::{diff, run, sequences};
use std::fmt::Write;
use std::time::Instant;

/// Sequences of a usual run, of 14 operations on average.
const SEQUENCES: u64 = 2000;
/// How many are run at once: enough to keep a small machine busy.
const AT_ONCE: usize = 8;
/// How many failed sequences are told before it is enough.
const TOLD: usize = 5;

#[test]
fn sim_answers_as_the_real_server_does() -> Outcome {
    if actor() == Actor::Upstream {
        // No loop of anybody's has a part in this.
        say(
            "NOT RUN with ACTOR=upstream: sim is compared with the API server in the run without it",
        );
        return Ok(());
    }
    let seed = number("DIFFERENTIAL_SEED")?;
    let seeds = match seed {
        Some(seed) => seed..seed + 1,
        None => 0..number("DIFFERENTIAL_SEQUENCES")?.unwrap_or(SEQUENCES),
    };
    let cluster = Cluster::bare()?;
    let runtime = tokio::runtime::Runtime::new().context("a tokio runtime")?;
    Ok(runtime.block_on(compare_all(&cluster, seeds, seed.is_some()))?)
}

async fn compare_all(cluster: &Cluster, seeds: std::ops::Range<u64>, aloud: bool) -> Result<()> {
    let (real, begun) = (cluster.client()?, Instant::now());
    let tasks = seeds.map(|seed| tokio::spawn(compare(real.clone(), seed, aloud)));
    // Spawned when they are taken, so only so many are under way.
    let mut compared = stream::iter(tasks).buffer_unordered(AT_ONCE);
    let (mut sequences, mut operations, mut failures) = (0, 0, Vec::new());
    while let Some((count, failure)) = compared.try_next().await?.transpose()? {
        sequences += 1;
        operations += count;
        failures.extend(failure);
        if failures.len() >= TOLD {
            break;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    say(&format!(
        "{operations} operations in {sequences} sequences compared in {seconds:.1} s, {} differ",
        failures.len()
    ));
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

/// How many operations a seed has, and where the servers part.
async fn compare(real: Client, seed: u64, aloud: bool) -> Result<(usize, Option<String>)> {
    let (ops, namespace) = (sequences(seed), format!("differential-{seed}"));
    let home: Namespace = serde_json::from_value(json!({ "metadata": { "name": namespace } }))?;
    let post = PostParams::default();
    let homes: Api<Namespace> = Api::all(real.clone());
    homes.create(&post, &home).await?;
    // Without it pods are refused, and there is no controller that makes it.
    let account = serde_json::from_value(json!({ "metadata": { "name": "default" } }))?;
    let accounts: Api<ServiceAccount> = Api::namespaced(real.clone(), &namespace);
    accounts.create(&post, &account).await?;
    let sim = Sim::new();
    sim.create(home);
    let (left, right) = (
        run(&real, &namespace, &ops).await,
        run(&sim.client(), &namespace, &ops).await,
    );
    let failure = diff(&left, &right);
    let last = failure.as_ref().map_or(ops.len() - 1, |failure| failure.at);
    let mut text = String::new();
    if aloud || failure.is_some() {
        for (at, (op, answer)) in ops.iter().zip(&left).enumerate().take(last + 1) {
            writeln!(text, "{at:2} {op} -> {} {}", answer.code, answer.reason)?;
        }
    }
    let failure = failure.map(|failure| {
        format!(
            "seed {seed}: operation {} has another answer of the real server (left) than of sim (right); \
             DIFFERENTIAL_SEED={seed} runs it again\n{text}{}",
            failure.at, failure.answers
        )
    });
    if aloud && failure.is_none() {
        say(&text);
    }
    Ok((ops.len(), failure))
}

fn number(variable: &str) -> Result<Option<u64>> {
    let Ok(text) = std::env::var(variable) else {
        return Ok(None);
    };
    let number = text.parse();
    Ok(Some(
        number.map_err(|error| anyhow!("{variable}={text}: {error}"))?,
    ))
}

/// To stderr past the test harness, which shows the output of failed tests alone.
fn say(text: &str) {
    use std::io::Write;
    let line = format!("differential: {text}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
}
