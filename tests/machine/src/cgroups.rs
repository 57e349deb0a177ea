//! The cgroup that all containers of a machine are in: both versions, as hosts have either.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";
/// Those that a kubelet wants, of those that there are.
const WANTED: [&str; 6] = ["cpu", "cpuset", "hugetlb", "io", "memory", "pids"];

/// Makes a cgroup below another (and so on) in each hierarchy that there is; gives its path.
///
/// # Errors
/// The kernel's cgroups are not mounted, or not ours to divide: in a container they seldom are.
pub(crate) fn make(names: &[&str]) -> Result<String> {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").is_file() {
        unified(root, names)?;
    } else {
        let entries = std::fs::read_dir(root).context("the kernel's cgroups")?;
        let entries = entries.flatten().map(|entry| entry.path());
        let hierarchies: Vec<PathBuf> = entries
            .filter(|entry| entry.join("cgroup.procs").is_file())
            .collect();
        ensure!(
            !hierarchies.is_empty(),
            "no cgroups are mounted at {ROOT}: containers cannot be held to anything"
        );
        for hierarchy in hierarchies {
            let folder = names.iter().fold(hierarchy, |path, name| path.join(name));
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("{}: a cgroup is needed", folder.display()))?;
        }
    }
    Ok(names.join("/"))
}

/// Version 2: a cgroup has the controllers that the one above it hands on.
fn unified(root: &Path, names: &[&str]) -> Result<()> {
    let mut above = root.to_owned();
    for name in names {
        let has = std::fs::read_to_string(above.join("cgroup.controllers"))?;
        for controller in has.split_whitespace().filter(|name| WANTED.contains(name)) {
            let file = above.join("cgroup.subtree_control");
            std::fs::write(&file, format!("+{controller}")).with_context(|| {
                format!(
                    "{}: +{controller}: a machine needs cgroups of its own",
                    file.display()
                )
            })?;
        }
        above = above.join(name);
        if !above.is_dir() {
            std::fs::create_dir(&above).with_context(|| above.display().to_string())?;
        }
    }
    Ok(())
}
