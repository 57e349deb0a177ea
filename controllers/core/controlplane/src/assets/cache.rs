//! The cache folder: `bin/<version>-<os>-<arch>/<program>`, beside it `build/` for Go.
//!
//! A program appears there in one step (rename), whole or not at all.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::Tool;
use crate::error::Error;
use crate::progress::Progress;

/// `$CORTEN_CACHE`, else `$XDG_CACHE_HOME/corten`, else `~/.cache/corten`.
pub(super) fn default_dir() -> PathBuf {
    let set = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    set("CORTEN_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("corten")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/corten")))
        .unwrap_or_else(|| std::env::temp_dir().join("corten-cache"))
}

/// The operating system in Go's words.
pub(super) fn os() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

/// The processor architecture in Go's words.
pub(super) fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// Where one program of one version lies in the cache.
pub(super) struct Place {
    /// The program itself.
    pub(super) file: PathBuf,
    dir: PathBuf,
    name: &'static str,
}

impl Place {
    pub(super) fn of(cache: &Path, tool: Tool) -> Self {
        let cache = std::path::absolute(cache).unwrap_or_else(|_| cache.to_owned());
        let dir = cache
            .join("bin")
            .join(format!("{}-{}-{}", tool.version(), os(), arch()));
        Self {
            file: dir.join(tool.name()),
            dir,
            name: tool.name(),
        }
    }

    /// A folder that only this process uses, on the file system of the cache; gone when dropped.
    pub(super) fn scratch(&self) -> Result<Scratch, Error> {
        let dir = self
            .dir
            .join(format!(".{}.{}", self.name, std::process::id()));
        std::fs::create_dir_all(&dir).map_err(Error::file("cannot create", &dir))?;
        Ok(Scratch(dir))
    }

    /// Puts `made` in its place: executable, in one step.
    pub(super) fn keep(&self, made: &Path) -> Result<(), Error> {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(made, std::fs::Permissions::from_mode(0o755))
            .and_then(|()| std::fs::rename(made, &self.file))
            .map_err(Error::file("cannot write", &self.file))
    }

    /// Waits until no other process is getting this program, and keeps others waiting until the
    /// returned file is closed.
    pub(super) async fn lock(&self, tool: Tool, progress: &Progress) -> Result<File, Error> {
        lock(&self.dir, self.name, &format!("{tool}"), progress).await
    }
}

/// Takes the lock file `.<name>.lock` in `dir`, waiting for it off the async threads.
pub(super) async fn lock(
    dir: &Path,
    name: &str,
    what: &str,
    progress: &Progress,
) -> Result<File, Error> {
    let path = dir.join(format!(".{name}.lock"));
    std::fs::create_dir_all(dir).map_err(Error::file("cannot create", dir))?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(Error::file("cannot open", &path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(Error::file("cannot lock", &path)(error)),
    }
    let step = progress.step(
        format!("wait for {what}"),
        format!("waiting for another process that is getting {what}"),
        None,
    );
    let waited = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    let file = waited
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(Error::file("cannot lock", &path))?;
    step.finish();
    Ok(file)
}

/// A folder that is deleted when dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is overwritten or ignored by the next one.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
