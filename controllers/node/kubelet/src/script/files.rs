//! Hollow files: what scripts write and find again, and where in a container each of them is. Pure.
//!
//! A [`Tree`] lives as long as what it stands for: a container's own filesystem as long as that instance of
//! the container, an `emptyDir` as long as the pod, what `hostPath` shows as long as the node.

use crate::image;
use std::collections::BTreeMap;

/// How long a file may become; what is written beyond is lost.
const LONGEST: usize = 64 * 1024;
/// How many files a tree has at most; what is made beyond fails as on a full disk.
const MOST: usize = 4096;

/// What a container's own filesystem holds before anything is written, as small images have it.
const IMAGE: [&str; 19] = [
    "/bin", "/data", "/dev", "/etc", "/home", "/lib", "/mnt", "/opt", "/proc", "/root", "/run",
    "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/log", "/var/tmp",
];
/// Devices that swallow what is written and give nothing.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/stdout",
    "/dev/stderr",
    "/dev/stdin",
    "/dev/tty",
];

/// Files and directories by their path from a root, which is a directory and need not be listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, Entry>,
}

/// A file's content, or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Directory,
    /// A file with this text.
    File(String),
}

/// Why something could not be done, in the words of a shell's tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Neither a file nor a directory is there.
    Missing,
    /// It is a directory.
    IsDirectory,
    /// It is a file, where a directory was needed.
    NotDirectory,
    /// Something is there already.
    Exists,
    /// It may not be written.
    ReadOnly,
    /// The directory has something in it.
    NotEmpty,
    /// There are too many files.
    Full,
}

impl Trouble {
    /// `No such file or directory`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Missing => "No such file or directory",
            Self::IsDirectory => "Is a directory",
            Self::NotDirectory => "Not a directory",
            Self::Exists => "File exists",
            Self::ReadOnly => "Read-only file system",
            Self::NotEmpty => "Directory not empty",
            Self::Full => "No space left on device",
        }
    }
}

// === impl Tree ===

impl Tree {
    /// The filesystem of a new container.
    pub fn of_image() -> Self {
        let directories = IMAGE
            .iter()
            .map(|path| ((*path).to_owned(), Entry::Directory));
        Self {
            nodes: directories.collect(),
        }
    }

    fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || path == "/" || self.nodes.get(path) == Some(&Entry::Directory)
    }

    /// A file or directory can be made there.
    fn parent_of(&self, path: &str) -> Result<(), Trouble> {
        let parent = parent(path);
        match self.nodes.get(parent) {
            _ if self.is_directory(parent) => {}
            Some(_) => return Err(Trouble::NotDirectory),
            None => return Err(Trouble::Missing),
        }
        if self.nodes.len() >= MOST {
            return Err(Trouble::Full);
        }
        Ok(())
    }

    fn make_all(&mut self, path: &str) -> Result<(), Trouble> {
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
        for end in ends.chain([path.len()]) {
            let directory = &path[..end];
            if self.is_directory(directory) {
                continue;
            }
            if self.nodes.contains_key(directory) {
                return Err(Trouble::NotDirectory);
            }
            self.parent_of(directory)?;
            self.nodes.insert(directory.to_owned(), Entry::Directory);
        }
        Ok(())
    }

    /// What is below a directory, as paths.
    fn below(&self, path: &str) -> Vec<String> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let below = self.nodes.range(prefix.clone()..);
        below
            .take_while(|(path, _)| path.starts_with(&prefix))
            .map(|(path, _)| path.clone())
            .collect()
    }
}

/// A volume as a container sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is in the container, without a slash at its end.
    pub at: String,
    /// What it shows.
    pub shows: Shown,
    /// The path in that tree that is shown there.
    pub root: String,
    /// Nothing can be written.
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The pod's volume of this name.
    Volume(String),
    /// The node's own files.
    Node,
    /// Files that only a real node would have: ConfigMaps, Secrets, claims.
    Unknown,
}

/// All files as one container sees them.
#[derive(Debug)]
pub struct Disk<'a> {
    /// The container's own.
    pub own: &'a mut Tree,
    /// The pod's volumes by name.
    pub volumes: &'a mut BTreeMap<String, Tree>,
    /// The node's.
    pub node: &'a mut Tree,
    /// What is mounted where.
    pub mounts: &'a [Mount],
}

impl Disk<'_> {
    /// The tree that has this path, the path in it, and whether it can be written.
    fn place(&mut self, path: &str) -> (&mut Tree, String, bool) {
        let path = path.trim_end_matches('/');
        let covers = |mount: &&Mount| {
            path.strip_prefix(mount.at.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mount = self
            .mounts
            .iter()
            .filter(covers)
            .max_by_key(|mount| mount.at.len());
        let Some(mount) = mount else {
            return (self.own, path.to_owned(), true);
        };
        let inner = format!(
            "{}{}",
            mount.root.trim_end_matches('/'),
            &path[mount.at.len()..]
        );
        match &mount.shows {
            Shown::Volume(name) => {
                let tree = self.volumes.entry(name.clone()).or_default();
                (tree, inner, !mount.read_only)
            }
            Shown::Node => (self.node, inner, !mount.read_only),
            Shown::Unknown => (self.own, path.to_owned(), !mount.read_only),
        }
    }

    /// True when the path is in a volume of which a hollow node does not know what it holds.
    pub fn is_unknown(&self, path: &str) -> bool {
        let covers = |mount: &Mount| {
            mount.shows == Shown::Unknown
                && path
                    .strip_prefix(mount.at.as_str())
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        self.mounts.iter().any(covers)
    }

    /// What is at `path`.
    pub fn entry(&mut self, path: &str) -> Option<&Entry> {
        const DIRECTORY: &Entry = &Entry::Directory;
        if self.mounts.iter().any(|mount| mount.at == path) {
            return Some(DIRECTORY);
        }
        let (tree, path, _) = self.place(path);
        if tree.is_directory(&path) {
            return Some(DIRECTORY);
        }
        tree.nodes.get(&path)
    }

    /// True when a device is at `path`: it takes everything and gives nothing.
    pub fn is_device(path: &str) -> bool {
        DEVICES.contains(&path)
    }

    /// The text of a file.
    pub fn read(&mut self, path: &str) -> Result<String, Trouble> {
        if Self::is_device(path) {
            return Ok(String::new());
        }
        match self.entry(path) {
            Some(Entry::File(text)) => Ok(text.clone()),
            Some(Entry::Directory) => Err(Trouble::IsDirectory),
            None => Err(Trouble::Missing),
        }
    }

    /// Writes a file anew, or at its end.
    pub fn write(&mut self, path: &str, text: &str, append: bool) -> Result<(), Trouble> {
        if Self::is_device(path) {
            return Ok(());
        }
        if self.entry(path) == Some(&Entry::Directory) {
            return Err(Trouble::IsDirectory);
        }
        let (tree, path, writable) = self.place(path);
        if !writable {
            return Err(Trouble::ReadOnly);
        }
        tree.parent_of(&path)?;
        let entry = tree.nodes.entry(path).or_insert(Entry::File(String::new()));
        if let Entry::File(old) = entry {
            if !append {
                old.clear();
            }
            let mut end = text.len().min(LONGEST.saturating_sub(old.len()));
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            old.push_str(&text[..end]);
        }
        Ok(())
    }

    /// Makes a directory; with `all` those above it too, and none when it is there.
    pub fn make(&mut self, path: &str, all: bool) -> Result<(), Trouble> {
        match self.entry(path) {
            Some(Entry::Directory) if all => return Ok(()),
            Some(_) => return Err(Trouble::Exists),
            None => {}
        }
        let (tree, path, writable) = self.place(path);
        if !writable {
            return Err(Trouble::ReadOnly);
        }
        if all {
            return tree.make_all(&path);
        }
        tree.parent_of(&path)?;
        tree.nodes.insert(path, Entry::Directory);
        Ok(())
    }

    /// Removes a file, and with `all` a directory with what is in it.
    pub fn remove(&mut self, path: &str, all: bool) -> Result<(), Trouble> {
        match self.entry(path) {
            None => return Err(Trouble::Missing),
            Some(Entry::Directory) if !all => return Err(Trouble::IsDirectory),
            Some(_) => {}
        }
        let (tree, path, writable) = self.place(path);
        if !writable {
            return Err(Trouble::ReadOnly);
        }
        for below in tree.below(&path) {
            tree.nodes.remove(&below);
        }
        tree.nodes.remove(&path);
        Ok(())
    }

    /// Removes an empty directory.
    pub fn remove_directory(&mut self, path: &str) -> Result<(), Trouble> {
        let empty = self.list(path).is_empty();
        match self.entry(path) {
            None => Err(Trouble::Missing),
            Some(Entry::File(_)) => Err(Trouble::NotDirectory),
            Some(Entry::Directory) if !empty => Err(Trouble::NotEmpty),
            Some(Entry::Directory) => self.remove(path, true),
        }
    }

    /// The names in a directory, sorted.
    pub fn list(&mut self, path: &str) -> Vec<String> {
        let (tree, inner, _) = self.place(path);
        let start = inner.trim_end_matches('/').len() + 1;
        let below = tree.below(&inner).into_iter();
        let mut names: Vec<String> = below
            .filter_map(|path| path.get(start..).map(str::to_owned))
            .filter(|name| !name.is_empty() && !name.contains('/'))
            .collect();
        names.sort();
        names
    }

    /// The paths that a pattern with `*` in its last part stands for; none when nothing fits.
    pub fn glob(&mut self, pattern: &str) -> Vec<String> {
        let (directory, last) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        let names = self.list(if directory.is_empty() { "/" } else { directory });
        let fits = |name: &String| !name.starts_with('.') && image::glob(last, name);
        let names = names.into_iter().filter(fits);
        names.map(|name| format!("{directory}/{name}")).collect()
    }

    /// Makes the node's directory for a `hostPath` of a type that does so.
    pub fn prepare(&mut self, path: &str) {
        // What cannot be made is found missing by whoever looks for it.
        let _ = self.node.make_all(path);
    }
}

/// `/a/b` of `/a/b/c`, and nothing of `/a`.
pub fn parent(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..at])
}

/// The path from the root, seen from the directory `at`: without `.`, `..` and doubled slashes.
pub fn absolute(at: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let from = if path.starts_with('/') { "" } else { at };
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
