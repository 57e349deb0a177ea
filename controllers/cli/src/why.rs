//! `corten why`: why a pod has no node, and the smallest change that would give it one.
//!
//! It asks the API server for what a scheduler looks at, once, and computes the rest as our scheduler does on
//! `/debug/explain/…`: none of ours need run.

use crate::commands::{DataArgs, Why};
use crate::state::State;
use anyhow::{Context, anyhow};
use futures::try_join;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use runtime::args::{self, ClientArgs};
use runtime::serve::Misuse;
use scheduler::Options;
use scheduler::explain::{Answer, Objects, explain, standing};
use scheduler::pods::PodInfo;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::process::ExitCode;
use std::sync::Arc;

/// Names of pods as kubectl takes them.
const PODS: [&str; 3] = ["pod", "pods", "po"];

/// `corten why`
pub(crate) async fn run(args: Why) -> anyhow::Result<ExitCode> {
    let name = name_of(&args.object)?;
    let options = match &args.config {
        None => Options::default(),
        Some(file) => Options::from_file(file).map_err(Misuse)?,
    };
    let flags = ClientArgs {
        kubeconfig: args.kubeconfig.clone().or_else(own_cluster),
        master: args.master.clone(),
        ..ClientArgs::default()
    };
    let config = args::config(&flags, "corten").await?;
    let namespace = args
        .namespace
        .clone()
        .unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config)?;
    let object = format!("{namespace}/{name}");
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let pod = pods.get_opt(name).await;
    let Some(pod) = pod.map_err(|error| unread("pods", &error))? else {
        eprintln!("corten: there is no pod {object}");
        return Ok(ExitCode::FAILURE);
    };
    let answer = answer(client, pod, &options).await?;
    match args.output.as_deref() {
        Some(_) => println!("{}", serde_json::to_string_pretty(&answer)?),
        None => print!("{}", answer.text(&object)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The name out of `pod/NAME`.
fn name_of(object: &str) -> Result<&str, Misuse> {
    match object.split_once('/') {
        Some((kind, name)) if PODS.contains(&kind) && !name.is_empty() => Ok(name),
        _ => Err(Misuse(format!(
            "why {object}: only pods can be explained: corten why pod/NAME [-n NAMESPACE]"
        ))),
    }
}

/// The kubeconfig of the cluster that `corten up` runs, unless `$KUBECONFIG` names another.
pub(crate) fn own_cluster() -> Option<std::path::PathBuf> {
    if std::env::var_os("KUBECONFIG").is_some() {
        return None;
    }
    let data_dir = std::env::var_os("CORTEN_DATA_DIR").map(Into::into);
    let state = State::read(&DataArgs { data_dir }.path()).ok()??;
    state.is_alive().then_some(state.kubeconfig)
}

async fn answer(client: Client, pod: Pod, options: &Options) -> anyhow::Result<Answer> {
    let profiles = options.profiles.iter();
    let ours: Vec<&str> = profiles.map(|profile| &*profile.name).collect();
    if let Some(answer) = standing(&pod, &ours) {
        return Ok(answer);
    }
    let info = Arc::new(PodInfo::of(&pod));
    let name = info.spec().scheduler_name.as_deref();
    let mut profiles = options.profiles.iter();
    let profile = profiles
        .find(|profile| {
            name.filter(|name| !name.is_empty())
                .unwrap_or(scheduler::DEFAULT)
                == profile.name
        })
        .context("the pod's scheduler has no profile")?;
    let all = objects(&client).await?.cluster(&ours);
    Ok(explain(&profile.table, &info, all))
}

/// What a scheduler looks at.
async fn objects(client: &Client) -> anyhow::Result<Objects> {
    let (nodes, pods, namespaces) = try_join!(list(client), list(client), list(client))?;
    let (claims, volumes, classes) = try_join!(list(client), list(client), list(client))?;
    let (csi_nodes, attachments) = try_join!(list(client), list(client))?;
    let (budgets, services) = try_join!(list(client), list(client))?;
    let (replication_controllers, replica_sets, stateful_sets) =
        try_join!(list(client), list(client), list(client))?;
    Ok(Objects {
        nodes,
        pods,
        namespaces,
        claims,
        volumes,
        classes,
        csi_nodes,
        attachments,
        budgets,
        services,
        replication_controllers,
        replica_sets,
        stateful_sets,
    })
}

async fn list<K>(client: &Client) -> anyhow::Result<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::all(client.clone());
    let list = api.list(&ListParams::default()).await;
    let list = list.map_err(|error| unread(&K::plural(&()), &error))?;
    Ok(list.items)
}

fn unread(what: &str, error: &kube::Error) -> anyhow::Error {
    anyhow!("{what} could not be read: {error}")
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn pods_are_explained_and_other_kinds_say_what_is() {
        for object in ["pod/web", "po/web", "pods/web"] {
            assert_eq!(name_of(object).ok(), Some("web"));
        }
        for object in ["deployment/web", "web", "pod/"] {
            let said = name_of(object).err().map(|error| error.to_string());
            let expected = format!(
                "why {object}: only pods can be explained: corten why pod/NAME [-n NAMESPACE]"
            );
            assert_eq!(said, Some(expected));
        }
    }
}
