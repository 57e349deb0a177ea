//! What a cluster is to be like.

/// How many nodes a cluster has, what they are like, and which controllers run. [`crate::Cluster::sim`] and
/// [`crate::Cluster::real`] take the defaults: three nodes, all controllers.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which controllers, as kube-controller-manager's flag `--controllers` has them: `*` are all, `-NAME` leaves one
    /// out.
    pub controllers: Vec<String>,
    /// The nodes: hollow ones, whose containers are pretended.
    pub nodes: kubelet::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            controllers: vec!["*".to_owned()],
            nodes: kubelet::Options {
                count: 3,
                ..kubelet::Options::default()
            },
        }
    }
}

impl Options {
    /// The defaults with so many nodes.
    pub fn nodes(count: usize) -> Self {
        let mut options = Self::default();
        options.nodes.count = count;
        options
    }
}
