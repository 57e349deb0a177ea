//! What loops say while they work: each line of a turn carries it. A program of its own: the log is a thread's, and
//! what other threads take an interest in is not.
#![allow(clippy::unwrap_used)]

use corten_test::{Cluster, Error};
use runtime::log::{Format, to};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_turn_has_a_name_of_its_own_in_the_log() -> Result<(), Error> {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = to(4, Format::Json, move || writer.clone()).unwrap();
    let logging = tracing::subscriber::set_default(log);
    let cluster = Cluster::sim().await?;
    cluster
        .apply(include_str!("../../../examples/web.yaml"))
        .await?;
    cluster.until_pods_ready("default", "", 10).await?;
    drop(logging);
    let text = lines.0.lock().unwrap().clone();
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let of_sets = |line: &&Value| {
        line["controller"] == "replicaset-controller" && line["outcome"].is_string()
    };
    let turns: Vec<&Value> = lines.iter().filter(of_sets).collect();
    assert!(
        !turns.is_empty(),
        "no turn of a ReplicaSet in {} lines",
        lines.len()
    );
    for turn in &turns {
        assert_eq!(turn["namespace"], "default", "{turn}");
        assert!(turn["name"].as_str().unwrap().starts_with("web-"), "{turn}");
        let id = turn["reconcileID"].as_str().unwrap();
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
    }
    let ids: BTreeSet<&str> = turns
        .iter()
        .filter_map(|turn| turn["reconcileID"].as_str())
        .collect();
    assert_eq!(ids.len(), turns.len(), "a plan is told once a turn");
    Ok(())
}
