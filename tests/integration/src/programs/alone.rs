//! Each program against an API server on which nothing else runs, with a kubeconfig and nothing more, as README shows it.

use crate::{Program, parts};
use anyhow::{Context, Result, ensure};
use cluster::{Cluster, Outcome, eventually, free_port, page};
use controlplane::Process;
use controlplane::process::Spec;
use corten_test::folder::Folder;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use runtime::lease::{holder, is_ours};
use std::path::Path;
use std::time::Duration;

/// Programs that run at once.
const AT_ONCE: usize = 12;
/// What has not ended by itself after this long never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// That it leads, is ready, looks at what is there, and ends well and without a Lease when it is told to.
async fn comes_and_goes(
    program: &Program,
    client: &Client,
    kubeconfig: &Path,
    logs: &Path,
) -> Result<()> {
    let port = free_port()?;
    let mut spec = Spec::new(&program.name, &program.file, logs)
        .flag("kubeconfig", kubeconfig)
        // That of each is the same.
        .flag("secure-port", port.to_string());
    spec.arguments.extend(program.needs.map(Into::into));
    let mut process = Process::start(&spec)?;
    let leases = Api::<Lease>::namespaced(client.clone(), "kube-system");
    let address = format!("http://127.0.0.1:{port}");
    let works = eventually("it leads, and is ready", async || {
        process.check()?;
        let lease = leases.get_opt(&program.name).await?.context("no Lease")?;
        ensure!(is_ours(holder(&lease)), "the Lease of {:?}", holder(&lease));
        for (path, expected) in [("/readyz", "ok"), ("/healthz", "ok")] {
            let shown = page(&address, path).await?;
            ensure!(shown.trim_end() == expected, "{path}: {shown}");
        }
        let metrics = page(&address, "/metrics").await?;
        let lists = r#"method="GET""#;
        ensure!(metrics.contains(lists), "it has looked at nothing");
        Ok(())
    });
    works.await?;
    let ended = process.stop(PATIENCE).await.context("how it ended")?;
    let log = std::fs::read_to_string(process.log())?;
    ensure!(ended.code() == Some(0), "{ended}: {log}");
    ensure!(!log.contains("panicked"), "{log}");
    let lease = leases.get(&program.name).await?;
    ensure!(holder(&lease).is_empty(), "its Lease is not given up");
    Ok(())
}

#[test]
fn every_program_leads_and_is_ready_with_a_kubeconfig_alone_and_ends_when_it_is_told_to() -> Outcome
{
    let all = || -> Result<()> {
        let folder = Folder::new()?;
        let parts = parts(&folder.path().join("links"))?;
        let logs = folder.path().join("logs");
        std::fs::create_dir_all(&logs)?;
        let cluster = Cluster::bare()?;
        let runtime = tokio::runtime::Runtime::new().context("a tokio runtime")?;
        runtime.block_on(async {
            let (client, kubeconfig) = (cluster.client()?, cluster.kubeconfig());
            // Those of one name stand for one Lease, so by themselves first.
            for is_link in [false, true] {
                let these = parts.iter().filter(|part| part.is_link == is_link);
                let runs = these.map(async |program| {
                    let done = comes_and_goes(program, &client, kubeconfig, &logs).await;
                    done.with_context(|| program.said())
                });
                let all = stream::iter(runs).buffer_unordered(AT_ONCE);
                let done: Vec<()> = all.try_collect().await?;
                eprintln!("{} programs, links: {is_link}", done.len());
            }
            Ok(())
        })
    };
    Ok(all()?)
}
