//! `corten why`: why a pod has no node, and the smallest change that would give it one.
//!
//! It asks the API server for what a scheduler looks at, once ([`registry::why`]), and computes the rest as our scheduler
//! does on `/debug/explain/…`.

use crate::commands::{DataArgs, Why};
use crate::state::State;
use anyhow::anyhow;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use registry::why::{unread, why};
use runtime::args::{self, ClientArgs};
use runtime::serve::Misuse;
use scheduler::Options;
use std::process::ExitCode;

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
    let Some(pod) = pod.map_err(|error| anyhow!(unread("pods", &error)))? else {
        eprintln!("corten: there is no pod {object}");
        return Ok(ExitCode::FAILURE);
    };
    let answer = why(&client, &pod, &options).await;
    let answer = answer.map_err(anyhow::Error::msg)?;
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
