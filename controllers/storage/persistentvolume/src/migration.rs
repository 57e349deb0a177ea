//! Plugins that were part of Kubernetes and are CSI drivers now (upstream: `csi-translation-lib/plugins`,
//! `pkg/volume/csimigration`; none can be switched back).

const MIGRATED: [(&str, &str); 7] = [
    ("kubernetes.io/aws-ebs", "ebs.csi.aws.com"),
    ("kubernetes.io/azure-disk", "disk.csi.azure.com"),
    ("kubernetes.io/azure-file", "file.csi.azure.com"),
    ("kubernetes.io/cinder", "cinder.csi.openstack.org"),
    ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io"),
    ("kubernetes.io/portworx-volume", "pxd.portworx.com"),
    ("kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com"),
];

/// What the names of in-tree plugins begin with.
pub(crate) const IN_TREE: &str = "kubernetes.io/";

/// The CSI driver that does the work of this plugin.
pub(crate) fn driver(plugin: &str) -> Option<&'static str> {
    let of = MIGRATED.iter().find(|(name, _)| *name == plugin);
    of.map(|(_, driver)| *driver)
}
