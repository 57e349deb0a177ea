//! The sizes that are compared, as data.

use clap::ValueEnum;

/// A named size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// A small cluster.
    Small,
    /// A large one.
    Large,
}

/// How much is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) nodes: usize,
    pub(crate) pods: usize,
    pub(crate) deployments: usize,
}

const TABLE: [(Preset, Size); 2] = [
    (Preset::Small, size(100, 1_000, 1)),
    (Preset::Large, size(1_000, 5_000, 10)),
];

const fn size(nodes: usize, pods: usize, deployments: usize) -> Size {
    Size {
        nodes,
        pods,
        deployments,
    }
}

impl Preset {
    pub(crate) fn size(self) -> Size {
        let row = TABLE.iter().find(|(preset, _)| *preset == self);
        row.expect("every preset has a row in the table").1
    }
}
