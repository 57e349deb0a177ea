//! A data folder that goes when the test binary goes, however it goes.

use rand::random;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// `$0` is the folder. It reads from a pipe that only we hold; the cluster's programs are killed at the same
/// moment and may still write, hence the second attempt.
const SWEEP: &str =
    r#"trap '' HUP INT TERM; read -r _; rm -rf "$0" 2>/dev/null; sleep 1; rm -rf "$0""#;

/// A new folder, removed soon after this is dropped or the process ends; with `KEEP=1` it stays.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    sweeper: Option<Child>,
}

impl Folder {
    /// Chooses its name; whoever writes to it first makes it.
    ///
    /// # Errors
    /// There is no shell that could remove it.
    pub fn new() -> Result<Self> {
        let name = format!("corten-test-{:08x}", random::<u32>());
        let path = std::env::temp_dir().join(name);
        let sweeper = if keep() {
            eprintln!("KEEP: the cluster's data stays in {}", path.display());
            None
        } else {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(SWEEP).arg(&path);
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            Some(command.spawn()?)
        };
        Ok(Self { path, sweeper })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(sweeper) = &mut self.sweeper {
            drop(sweeper.stdin.take());
            // It never fails in a way that could be mended here.
            drop(sweeper.wait());
        }
    }
}

/// Whether what tests made is to stay.
pub fn keep() -> bool {
    std::env::var("KEEP").is_ok_and(|value| !value.is_empty() && value != "0")
}
