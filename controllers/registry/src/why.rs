//! Why a pod has no node, asked of the API server: everything that a scheduler looks at is read once, and none of ours
//! need run.

use futures::try_join;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use scheduler::Options;
use scheduler::explain::{Answer, Objects, explain, standing};
use scheduler::pods::PodInfo;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;

/// Says why `pod` has no node, as a scheduler with these options sees it.
///
/// # Errors
/// A sentence that says what could not be read, or that the pod is for a scheduler that has no profile here.
pub async fn why(client: &Client, pod: &Pod, options: &Options) -> Result<Answer, String> {
    let profiles = options.profiles.iter();
    let ours: Vec<&str> = profiles.map(|profile| &*profile.name).collect();
    if let Some(answer) = standing(pod, &ours) {
        return Ok(answer);
    }
    let info = Arc::new(PodInfo::of(pod));
    let name = info.spec().scheduler_name.as_deref();
    let name = name.filter(|name| !name.is_empty());
    let name = name.unwrap_or(scheduler::DEFAULT_SCHEDULER);
    let mut profiles = options.profiles.iter();
    let profile = profiles.find(|profile| name == profile.name);
    let profile = profile.ok_or("the pod's scheduler has no profile")?;
    let all = objects(client).await?.cluster(&ours);
    Ok(explain(&profile.table, &info, all))
}

/// What a scheduler looks at.
async fn objects(client: &Client) -> Result<Objects, String> {
    let (nodes, pods, namespaces) = try_join!(list(client), list(client), list(client))?;
    let (claims, volumes, classes) = try_join!(list(client), list(client), list(client))?;
    let (csi_nodes, attachments) = try_join!(list(client), list(client))?;
    let (csi_drivers, capacities) = try_join!(list(client), list(client))?;
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
        csi_drivers,
        capacities,
        attachments,
        budgets,
        services,
        replication_controllers,
        replica_sets,
        stateful_sets,
    })
}

async fn list<K>(client: &Client) -> Result<Vec<K>, String>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::all(client.clone());
    let list = api.list(&ListParams::default()).await;
    let list = list.map_err(|error| unread(&K::plural(&()), &error))?;
    Ok(list.items)
}

/// What is said when `what` could not be read.
pub fn unread(what: &str, error: &kube::Error) -> String {
    format!("{what} could not be read: {error}")
}
