#![allow(clippy::unwrap_used, clippy::panic)]

use crate::images::BUSYBOX;
use crate::{Machine, Network};
use anyhow::{Context, Result, anyhow, ensure};
use cluster::{Outcome, within};
use controlplane::upstream::Upstream;
use controlplane::{AssetOptions, Assets, ControlPlane, Options, Progress, Tool};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{LogParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use std::time::Duration;

/// It asks the API server by the address of its Service, as whoever is in a cluster does; then a pod of the machine before.
/// It has a page itself.
const ASKS: &str = "
mkdir /www; echo hello >/www/index.html; httpd -p 8080 -h /www
until nc -w 2 $KUBERNETES_SERVICE_HOST 443 </dev/null; do sleep 0.2; done
echo reached the API server
if [ -n \"$PEER\" ]; then until timeout 2 wget -O - http://$PEER:8080/; do sleep 0.2; done; fi
sleep 3600";

async fn story() -> Result<()> {
    let network = Network::new()?;
    let mut options = Options::new(network.folder().join("cluster"));
    options.address = network.address().into();
    options.unsafe_no_fsync = true;
    let plane = ControlPlane::start(options).await?;
    let from = AssetOptions::default();
    let tools = [Tool::KubeControllerManager, Tool::KubeScheduler];
    let assets = Assets::locate(&from, &tools, &Progress::default()).await?;
    let kubeconfig = plane.kubeconfig_path();
    let upstream = Upstream::new(&assets, &kubeconfig, plane.data_dir());
    let _stock = [
        upstream.controller_manager(&["*"], Some(plane.pki()))?,
        upstream.scheduler()?,
    ];
    let mut machines = Vec::new();
    for number in [1, 2] {
        machines.push(Machine::start(&plane, &network, number, &[]).await?);
    }
    let client = Client::try_from(plane.admin_config())?;
    let patience = Duration::from_mins(1);
    let nodes: Api<Node> = Api::all(client.clone());
    within(patience, "both nodes are ready", async || {
        for machine in &mut machines {
            machine.check()?;
            let node = nodes.get(machine.name()).await?;
            let status = node.status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            let ready = conditions.iter().find(|c| c.type_ == "Ready");
            ensure!(ready.is_some_and(|c| c.status == "True"), "{ready:?}");
        }
        Ok(())
    })
    .await?;
    let pods: Api<Pod> = Api::default_namespaced(client);
    let mut peer = String::new();
    for (machine, said) in machines.iter().zip(["reached", "hello"]) {
        let env = json!([{ "name": "PEER", "value": peer }]);
        let pod = json!({
            "metadata": { "name": machine.name() },
            "spec": {
                "nodeName": machine.name(), "terminationGracePeriodSeconds": 0,
                "containers": [{ "name": "asks", "image": BUSYBOX, "command": ["sh", "-c", ASKS], "env": env }],
            },
        });
        let pod = serde_json::from_value(pod)?;
        within(patience, "a pod can be made", async || {
            Ok(pods.create(&PostParams::default(), &pod).await?)
        })
        .await?;
        peer = within(patience, "it reaches whom it asks", async || {
            let log = pods.logs(machine.name(), &LogParams::default()).await;
            let status = pods.get(machine.name()).await?.status;
            let log = log.map_err(|error| anyhow!("{error}; {status:?}"))?;
            ensure!(log.contains(said), "{log:?}");
            status
                .and_then(|status| status.pod_ip)
                .context("an address")
        })
        .await?;
    }
    Ok(())
}

#[test]
fn pods_of_two_machines_run_and_reach_the_api_server_and_each_other() -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    Ok(runtime.block_on(story())?)
}
