//! What the audit log saw of all the tests: whether our loops may do what they do, and no more. It runs last, as tests
//! run in the order of their names.

use anyhow::{Result, ensure};
use cluster::{Actor, Cluster, Outcome, actor, alone};

#[test]
fn our_loops_may_do_what_they_do_and_no_more() -> Outcome {
    let seen = || -> Result<()> {
        let cluster = Cluster::shared()?;
        alone();
        let rights = cluster.rights()?;
        let (used, unused) = (rights.used, rights.unused.join("\n"));
        let (idle, refused) = (rights.unused.len(), rights.forbidden.len());
        println!("{used} granted verbs used, {idle} not; {refused} kinds of requests refused");
        ensure!(refused == 0, "refused:\n{}", rights.forbidden.join("\n"));
        let all = !std::env::args().skip(1).any(|word| !word.starts_with('-'));
        match all && actor() != Actor::Upstream {
            true => ensure!(idle == 0, "granted for nothing:\n{unused}"),
            false => println!("some tests do not need all:\n{unused}"),
        }
        Ok(())
    };
    Ok(seen()?)
}
