//! `corten rollout`: what `kubectl rollout` does, of the built-in kinds and of those of Corten's own groups, which kubectl
//! does not know. The words are kubectl's (`k8s.io/kubectl/pkg/cmd/rollout`, `pkg/polymorphichelpers`).
//!
//! What is said and what is changed is pure, [`status`] and [`history`]; here it is asked and sent.

mod history;
mod status;
mod target;

use crate::why::own_cluster;
use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use history::{Revision, Undo};
use http::Request;
use kube::Client;
use runtime::args::{self, ClientArgs, parse_duration, parse_whole};
use runtime::groups::Family;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use target::Target;

/// How often a rollout is looked at.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Clone, Debug, Args)]
pub(crate) struct Rollout {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Say how far a rollout is, and wait for its end
    Status(Status),
    /// Say which revisions there are
    History(Shown),
    /// Go back to an earlier revision
    Undo(Back),
    /// Have changes of a Deployment wait
    Pause(Common),
    /// Roll out the changes of a Deployment that wait
    Resume(Common),
    /// Replace all pods, as a rollout
    Restart(Common),
}

/// Which object, and where.
#[derive(Clone, Debug, Args)]
struct Common {
    /// deployment/NAME, daemonset/NAME or statefulset/NAME; the kind may carry its group
    #[arg(value_name = "KIND/NAME")]
    object: String,
    /// Whether the built-in kind is meant or that of Corten's own group
    #[arg(long, value_enum, value_name = "GROUP", default_value_t = Family::Builtin, hide_possible_values = true)]
    group: Family,
    /// Its namespace [default: the kubeconfig's]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Path of a kubeconfig [default: $KUBECONFIG, the cluster that `up` runs, or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// URL of the API server, in place of the kubeconfig's
    #[arg(long, value_name = "URL")]
    master: Option<String>,
}

#[derive(Clone, Debug, Args)]
struct Status {
    #[command(flatten)]
    common: Common,
    /// Wait until it has ended
    #[arg(short, long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    watch: bool,
    /// Wait no longer than this; 0s: for ever
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    timeout: Duration,
    /// Give up when another revision of a Deployment is rolled out
    #[arg(long, value_name = "N", value_parser = parse_whole::<i64>, default_value_t = 0)]
    revision: i64,
}

#[derive(Clone, Debug, Args)]
struct Shown {
    #[command(flatten)]
    common: Common,
    /// Show the template of this revision (YAML) and not the list
    #[arg(long, value_name = "N", value_parser = parse_whole::<i64>, default_value_t = 0)]
    revision: i64,
}

#[derive(Clone, Debug, Args)]
struct Back {
    #[command(flatten)]
    common: Common,
    /// The revision to go back to; 0 is the one before the last
    #[arg(long, value_name = "N", value_parser = parse_whole::<i64>, default_value_t = 0)]
    to_revision: i64,
}

/// `corten rollout`
pub(crate) async fn run(args: Rollout) -> anyhow::Result<ExitCode> {
    let common = match &args.verb {
        Verb::Status(status) => &status.common,
        Verb::History(shown) => &shown.common,
        Verb::Undo(back) => &back.common,
        Verb::Pause(common) | Verb::Resume(common) | Verb::Restart(common) => common,
    };
    let object = Object::of(common).await?;
    let outcome = match &args.verb {
        Verb::Status(args) => object.follow(args).await,
        Verb::History(args) => object.history(args.revision).await,
        Verb::Undo(args) => object.undo(args.to_revision).await,
        Verb::Pause(_) => object.pause(true).await,
        Verb::Resume(_) => object.pause(false).await,
        Verb::Restart(_) => object.restart().await,
    };
    match outcome {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("error: {error:#}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The object that is meant.
struct Object {
    client: Client,
    target: Target,
    namespace: String,
}

impl Object {
    async fn of(common: &Common) -> anyhow::Result<Self> {
        let target = Target::parse(&common.object, common.group)?;
        let flags = ClientArgs {
            kubeconfig: common.kubeconfig.clone().or_else(own_cluster),
            master: common.master.clone(),
            ..ClientArgs::default()
        };
        let config = args::config(&flags, "corten").await?;
        let namespace = common.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        Ok(Self {
            client: target.family.client(Client::try_from(config)?),
            target,
            namespace,
        })
    }

    fn path(&self, plural: &str) -> String {
        format!("/apis/apps/v1/namespaces/{}/{plural}", self.namespace)
    }

    async fn get(&self) -> anyhow::Result<Value> {
        let path = format!(
            "{}/{}",
            self.path(self.target.kind.plural()),
            self.target.name
        );
        let request = Request::get(path).body(Vec::new())?;
        self.client.request(request).await.map_err(said)
    }

    /// Changes the object by a JSON patch, which custom resources know too.
    async fn patch(&self, patch: &Value) -> anyhow::Result<()> {
        let path = format!(
            "{}/{}?fieldManager=corten-rollout",
            self.path(self.target.kind.plural()),
            self.target.name
        );
        let request = Request::patch(path).header("content-type", "application/json-patch+json");
        let request = request.body(serde_json::to_vec(patch)?)?;
        self.client.request::<Value>(request).await.map_err(said)?;
        Ok(())
    }

    /// What `holds` the revisions of `object`, in its namespace.
    async fn revisions(&self, object: &Value) -> anyhow::Result<Vec<Revision>> {
        let request = Request::get(self.path(self.target.kind.revisions())).body(Vec::new())?;
        let list: Value = self.client.request(request).await.map_err(said)?;
        Ok(history::revisions(object, &list))
    }

    async fn follow(&self, args: &Status) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut told = String::new();
        loop {
            let object = self.get().await?;
            let seen = status::of(self.target.kind, &object, args.revision);
            let seen = seen.map_err(|wrong| anyhow!(wrong))?;
            if seen.text != told {
                println!("{}", seen.text);
                told = seen.text;
            }
            if seen.is_done || !args.watch {
                return Ok(());
            }
            if !args.timeout.is_zero() && begun.elapsed() > args.timeout {
                return Err(anyhow!("timed out waiting for the condition"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn history(&self, revision: i64) -> anyhow::Result<()> {
        let object = self.get().await?;
        let revisions = self.revisions(&object).await?;
        if revision > 0 {
            let one = revisions.iter().find(|one| one.number == revision);
            let one = one.context("unable to find the specified revision")?;
            println!("{} with revision #{revision}", self.target);
            print!("{}", serde_saphyr::to_string(&one.template)?);
            return Ok(());
        }
        println!("{} \n{}", self.target, history::table(&revisions));
        Ok(())
    }

    async fn undo(&self, to: i64) -> anyhow::Result<()> {
        let object = self.get().await?;
        let revisions = self.revisions(&object).await?;
        let undo = history::undo(self.target.kind, &object, &revisions, to);
        match undo.map_err(|wrong| anyhow!(wrong))? {
            Undo::Already(number) => println!(
                "{} skipped rollback (current template already matches revision {number})",
                self.target
            ),
            Undo::Patch(patch) => {
                self.patch(&patch).await?;
                println!("{} rolled back", self.target);
            }
        }
        Ok(())
    }

    async fn pause(&self, pause: bool) -> anyhow::Result<()> {
        let (word, doing) = if pause {
            ("paused", "pausing")
        } else {
            ("resumed", "resuming")
        };
        if !self.target.kind.can_be_paused() {
            let resource = self.target.resource();
            return Err(anyhow!(
                "{resource} {:?} {doing} is not supported",
                self.target.name
            ));
        }
        let object = self.get().await?;
        if object["spec"]["paused"].as_bool().unwrap_or(false) == pause {
            let (resource, name) = (self.target.resource(), &self.target.name);
            let is = if pause {
                "is already paused"
            } else {
                "is not paused"
            };
            return Err(anyhow!("{resource} {name:?} {is}"));
        }
        self.patch(&json!([{ "op": "add", "path": "/spec/paused", "value": pause }]))
            .await?;
        println!("{} {word}", self.target);
        Ok(())
    }

    async fn restart(&self) -> anyhow::Result<()> {
        let object = self.get().await?;
        let now = runtime::Clock::system().now();
        let patch = history::restart(&object, now);
        let wrong =
            |why: String| anyhow!("{} {:?} {why}", self.target.resource(), self.target.name);
        self.patch(&patch.map_err(wrong)?).await?;
        println!("{} restarted", self.target);
        Ok(())
    }
}

/// What the API server says, in its own words and no others.
fn said(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow!("{}", status.message),
        other => other.into(),
    }
}
