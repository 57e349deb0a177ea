//! The names under which the program `corten` is one of its parts: what its links in the image are called, and what a
//! command line that begins with one of them means.

use crate::TABLE;

/// What is no single controller, by upstream's name if it has one, and the command that it is.
const PARTS: [(&str, &str); 3] = [
    ("corten-nodes", "nodes"),
    ("kube-controller-manager", CONTROLLERS),
    ("kube-scheduler", "scheduler"),
];

/// The command that runs controllers.
const CONTROLLERS: &str = "controllers";

/// All such names: each controller's, and those of what is no single controller.
pub fn names() -> impl Iterator<Item = &'static str> {
    let controllers = TABLE.iter().map(|entry| entry.name);
    controllers.chain(PARTS.map(|(name, _)| name))
}

/// What the program is under this name: a command of `corten`, and the words that come before those of whoever calls it.
/// A controller has its own name and Lease; an alias is no program.
pub fn stands_for(name: &str) -> Option<(&'static str, Vec<String>)> {
    if let Some((_, command)) = PARTS.iter().find(|(part, _)| *part == name) {
        return Some((command, Vec::new()));
    }
    let entry = TABLE.iter().find(|entry| entry.name == name)?;
    let flags = ["--controllers", "--leader-elect-resource-name"];
    let words = flags.map(|flag| format!("{flag}={}", entry.name));
    Some((CONTROLLERS, words.to_vec()))
}
