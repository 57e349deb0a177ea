//! What the programs of a machine are told: data in, text out.

use serde_json::json;
use std::path::Path;

/// What is known of a machine.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// Its own folder.
    pub(crate) folder: &'a Path,
    /// Its address.
    pub(crate) address: String,
    /// The range of its pods, and that of the pods of all.
    pub(crate) pods: String,
    /// Where CNI's plugins are.
    pub(crate) plugins: &'a Path,
    /// The cgroup that all its pods are in.
    pub(crate) cgroup: String,
    /// The authority that clients are known by.
    pub(crate) authority: &'a Path,
    /// How containerd keeps images: overlayfs, or copies where that is not possible.
    pub(crate) snapshotter: &'a str,
    /// Whether the oom score of a process may be lowered (`CAP_SYS_RESOURCE`).
    pub(crate) may_score: bool,
}

/// The image of what holds a pod's namespaces.
pub(crate) const PAUSE: &str = "corten.test/pause:1";

/// containerd's, version 2 of the format: what 1.6 and 1.7 read, and 2.x too.
pub(crate) fn containerd(facts: &Facts<'_>) -> String {
    let folder = facts.folder.display();
    format!(
        r#"version = 2
root = "{folder}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = {restrict}
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{folder}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{snapshotter}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"#,
        restrict = !facts.may_score,
        plugins = facts.plugins.display(),
        snapshotter = facts.snapshotter,
    )
}

/// The pods' network: a bridge in the machine. No masquerade is needed, as the host knows the way to all pods.
pub(crate) fn cni(facts: &Facts<'_>) -> String {
    let range = json!([[{ "subnet": facts.pods }]]);
    let routes = json!([{ "dst": "0.0.0.0/0" }]);
    let list = json!({
        "cniVersion": "0.4.0", "name": "pods",
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
                "ipam": { "type": "host-local", "ranges": range, "routes": routes },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    });
    format!("{list:#}\n")
}

/// The kubelet's. Machines of tests are small, and their disk is the host's: nothing is evicted for want of it.
pub(crate) fn kubelet(facts: &Facts<'_>) -> String {
    let socket = format!("unix://{}/containerd.sock", facts.folder.display());
    let client = json!({ "clientCAFile": facts.authority });
    let never = json!({
        "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%",
    });
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": facts.address,
        "authentication": { "anonymous": { "enabled": false }, "webhook": { "enabled": true }, "x509": client },
        "authorization": { "mode": "Webhook" },
        "containerRuntimeEndpoint": socket,
        "cgroupDriver": "cgroupfs", "cgroupRoot": format!("/{}", facts.cgroup),
        // Version 1 is what some hosts have.
        "failCgroupV1": false,
        "failSwapOn": false,
        "evictionHard": never, "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "24h",
        "resolvConf": "",
        "healthzPort": 0,
        "serializeImagePulls": false,
        "nodeStatusUpdateFrequency": "5s",
        "shutdownGracePeriod": "0s",
    });
    format!("{config:#}\n")
}

/// kube-proxy's. In a network namespace the kernel's own table of connections cannot be resized.
pub(crate) fn proxy(facts: &Facts<'_>, name: &str, kubeconfig: &Path) -> String {
    let as_it_is = json!({
        "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
    });
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "mode": "iptables", "hostnameOverride": name, "bindAddress": facts.address,
        "clientConnection": { "kubeconfig": kubeconfig },
        "clusterCIDR": facts.pods, "conntrack": as_it_is,
        "iptables": { "minSyncPeriod": "100ms" },
    });
    format!("{config:#}\n")
}
