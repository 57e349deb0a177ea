//! `corten rollout` of both groups, and what `--group` says to what cannot be.

use crate::{cluster, kubectl, with_namespace};
use anyhow::{Result, ensure};
use cluster::{Namespace, Outcome, program};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use runtime::groups::Family;
use serde_json::{Value, json};
use std::process::Command;

/// What `corten` prints, the errors behind it, and its exit code.
async fn corten(arguments: &[&str]) -> Result<(String, Option<i32>)> {
    let mut command = Command::new(program(None)?);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok((said, output.status.code()))
}

/// `corten rollout` in a namespace.
async fn rollout(ns: &Namespace, arguments: &[&str]) -> Result<(String, Option<i32>)> {
    let kubeconfig = cluster()?.kubeconfig().display().to_string();
    let place = ["--kubeconfig", &kubeconfig, "--namespace", ns.name()];
    corten(&[&["rollout"], arguments, &place].concat()).await
}

/// The same, which has to end well.
async fn does(ns: &Namespace, arguments: &[&str]) -> Result<String> {
    let (said, code) = rollout(ns, arguments).await?;
    ensure!(code == Some(0), "rollout {arguments:?}: {code:?}: {said}");
    Ok(said)
}

fn manifest(name: &str, fields: Value) -> Value {
    let mut spec = json!({
        "selector": { "matchLabels": { "app": name } },
        "template": {
            "metadata": { "labels": { "app": name } },
            "spec": { "containers": [{ "name": "main", "image": "app:1" }] },
        },
    });
    for (key, value) in fields.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({ "metadata": { "name": name }, "spec": spec })
}

fn image(image: &str) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": image }] } } } })
}

/// A Deployment's rollouts; `target` names it, `shown` is how it is shown.
async fn of_a_deployment(ns: &Namespace, target: &str, shown: &str) -> Result<()> {
    ns.create::<Deployment>(manifest("web", json!({ "replicas": 2 })))
        .await?;
    let status = does(ns, &["status", target, "--timeout=60s"]).await?;
    ensure!(
        status.ends_with("deployment \"web\" successfully rolled out\n"),
        "{status}"
    );

    ns.merge::<Deployment>("web", image("app:2")).await?;
    does(ns, &["status", target, "--timeout=60s"]).await?;
    let history = does(ns, &["history", target]).await?;
    let wanted =
        format!("{shown} \nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>\n\n");
    ensure!(history == wanted, "{history:?}");
    let one = does(ns, &["history", target, "--revision=1"]).await?;
    ensure!(
        one.starts_with(&format!("{shown} with revision #1\n")) && one.contains("app:1"),
        "{one}"
    );

    ensure!(does(ns, &["undo", target]).await? == format!("{shown} rolled back\n"));
    does(ns, &["status", target, "--timeout=60s"]).await?;
    let web: Deployment = ns.get("web").await?;
    let spec = web
        .spec
        .and_then(|spec| spec.template.spec)
        .unwrap_or_default();
    ensure!(spec.containers[0].image.as_deref() == Some("app:1"));
    let history = does(ns, &["history", target]).await?;
    ensure!(
        history.contains("\n2 ") && history.contains("\n3 ") && !history.contains("\n1 "),
        "{history}"
    );
    let skipped = does(ns, &["undo", target, "--to-revision=3"]).await?;
    ensure!(
        skipped.contains("skipped rollback (current template already matches revision 3)"),
        "{skipped}"
    );
    let (said, code) = rollout(ns, &["undo", target, "--to-revision=9"]).await?;
    ensure!(
        said == "error: unable to find specified revision 9 in history\n" && code == Some(1),
        "{said}"
    );

    ensure!(does(ns, &["pause", target]).await? == format!("{shown} paused\n"));
    let (said, code) = rollout(ns, &["pause", target]).await?;
    ensure!(
        said.ends_with("\"web\" is already paused\n") && code == Some(1),
        "{said}"
    );
    let (said, code) = rollout(ns, &["restart", target]).await?;
    ensure!(
        said.contains("can't restart paused deployment") && code == Some(1),
        "{said}"
    );
    ensure!(does(ns, &["resume", target]).await? == format!("{shown} resumed\n"));
    ensure!(does(ns, &["restart", target]).await? == format!("{shown} restarted\n"));
    does(ns, &["status", target, "--timeout=60s"]).await?;

    // What cannot be pulled is waited for no longer than was asked.
    ns.merge::<Deployment>("web", image("app:404")).await?;
    let (said, code) = rollout(ns, &["status", target, "--timeout=2s"]).await?;
    ensure!(
        said.ends_with("error: timed out waiting for the condition\n") && code == Some(1),
        "{said}"
    );
    Ok(())
}

async fn of_sets(ns: &Namespace, group: &str) -> Result<()> {
    ns.create::<DaemonSet>(manifest("logs", json!({}))).await?;
    ns.create::<StatefulSet>(manifest("db", json!({ "replicas": 2 })))
        .await?;
    let both = [format!("ds.{group}/logs"), format!("sts.{group}/db")];
    for target in &both {
        does(ns, &["status", target, "--timeout=60s"]).await?;
    }
    ns.merge::<DaemonSet>("logs", image("app:2")).await?;
    ns.merge::<StatefulSet>("db", image("app:2")).await?;
    for target in &both {
        does(ns, &["status", target, "--timeout=60s"]).await?;
        let history = does(ns, &["history", target]).await?;
        ensure!(
            history.contains("\n1 ") && history.contains("\n2 "),
            "{history}"
        );
        let undone = does(ns, &["undo", target]).await?;
        ensure!(undone.ends_with(" rolled back\n"), "{undone}");
        does(ns, &["status", target, "--timeout=60s"]).await?;
        let history = does(ns, &["history", target]).await?;
        ensure!(
            history.contains("\n3 ") && !history.contains("\n1 "),
            "{history}"
        );
        let restarted = does(ns, &["restart", target]).await?;
        ensure!(restarted.ends_with(" restarted\n"), "{restarted}");
        does(ns, &["status", target, "--timeout=60s"]).await?;
        let (said, code) = rollout(ns, &["pause", target]).await?;
        ensure!(
            said.ends_with("pausing is not supported\n") && code == Some(1),
            "{said}"
        );
    }
    Ok(())
}

#[test]
fn rollouts_of_the_built_in_kinds() -> Outcome {
    with_namespace("rollout", async |ns| {
        of_a_deployment(&ns, "deployment/web", "deployment.apps/web").await?;
        // As kubectl says it.
        let theirs = kubectl(&ns, &["rollout", "history", "deployment/web"]).await?;
        ensure!(
            does(&ns, &["history", "deployment/web"]).await? == theirs,
            "{theirs:?}"
        );
        of_sets(&ns, "apps").await
    })
}

#[test]
fn rollouts_of_our_own_kinds() -> Outcome {
    with_namespace("rollout-ours", async |ns| {
        let ours = ns.of(Family::Corten);
        of_a_deployment(&ours, "cdeploy/web", "deployment.apps.corten.dev/web").await?;
        of_sets(&ours, "apps.corten.dev").await
    })
}

#[test]
fn a_group_that_is_none_and_a_controller_that_is_not_in_it_are_told() -> Outcome {
    with_namespace("flags", async |_| {
        let kubeconfig = cluster()?.kubeconfig().display().to_string();
        for (arguments, wanted) in [
            (&["controllers", "--group", "apps"][..], "--group"),
            (
                &[
                    "controllers",
                    "--group=corten.dev",
                    "--controllers=endpoint",
                ],
                "endpoints-controller has no kind of its own",
            ),
            (
                &["scheduler", "--group=corten.dev"],
                "--group: it has no kind",
            ),
            (
                &["rollout", "status", "pod/web"],
                "this is not deployment/NAME",
            ),
        ] {
            let (said, code) =
                corten(&[arguments, &["--kubeconfig", &kubeconfig]].concat()).await?;
            ensure!(
                code == Some(2) && said.contains(wanted),
                "{arguments:?}: {code:?}: {said}"
            );
        }
        let (crds, code) = corten(&["crds"]).await?;
        ensure!(code == Some(0) && crds.matches("kind: CustomResourceDefinition").count() == 8);
        Ok(())
    })
}
