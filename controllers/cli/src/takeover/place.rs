//! Where the manifests are: on this machine, or in a container that is a node of kind. What is done there is the same:
//! five short scripts for `sh`, with paths as their arguments.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What is not there, as an exit code of no program that runs it (`docker exec` has 125 to 127).
const ABSENT: i32 = 44;

/// `$1` on standard output.
const READ: &str = r#"test -e "$1" || exit 44; cat -- "$1""#;
/// Standard input in place of `$1`, with its owner and mode, at once: who reads sees the old or the new. `$2` is a folder
/// on the same file system that nobody looks into.
const REPLACE: &str = r#"set -e; new="$2/$(basename -- "$1").new"
cp -p -- "$1" "$new"; cat > "$new"; sync; mv -f -- "$new" "$1""#;
/// A copy of `$1` as `$2`, in a folder for the owner alone.
const KEEP: &str = r#"set -e; umask 077; mkdir -p -- "$(dirname -- "$2")"; cp -p -- "$1" "$2.new"; mv -f -- "$2.new" "$2""#;
/// `$1` as `$2`, in a folder for the owner alone.
const MOVE: &str = r#"set -e; umask 077; mkdir -p -- "$(dirname -- "$2")"; mv -- "$1" "$2""#;
/// No `$1` any more.
const REMOVE: &str = r#"rm -f -- "$1""#;

/// A machine, and two folders of it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The program that reaches into containers, and the container; none on this machine.
    pub(super) container: Option<(String, String)>,
    /// Where the kubelet looks for static pods.
    pub(super) manifests: PathBuf,
    /// Where what was there before is kept. The kubelet must not look into it: each file there would be a pod.
    pub(super) backup: PathBuf,
}

impl Place {
    /// A manifest by its name.
    pub(super) fn manifest(&self, name: &str) -> PathBuf {
        self.manifests.join(name)
    }

    /// What was kept under this name.
    pub(super) fn kept(&self, name: &str) -> PathBuf {
        self.backup.join(name)
    }

    /// A path there, for people.
    pub(super) fn show(&self, path: &Path) -> String {
        match &self.container {
            None => path.display().to_string(),
            Some((_, node)) => format!("{node}:{}", path.display()),
        }
    }

    /// What a file holds; none if it is not there.
    pub(super) async fn read(&self, path: &Path) -> Result<Option<String>> {
        self.run(READ, &[path], "").await
    }

    /// Puts `text` in the place of what a file holds.
    pub(super) async fn replace(&self, path: &Path, text: &str) -> Result<()> {
        self.run(REPLACE, &[path, &self.backup], text)
            .await
            .map(drop)
    }

    /// Copies a file to where things are kept.
    pub(super) async fn keep(&self, path: &Path, kept: &Path) -> Result<()> {
        self.run(KEEP, &[path, kept], "").await.map(drop)
    }

    /// Moves a file.
    pub(super) async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.run(MOVE, &[from, to], "").await.map(drop)
    }

    /// Removes a file, if it is there.
    pub(super) async fn remove(&self, path: &Path) -> Result<()> {
        self.run(REMOVE, &[path], "").await.map(drop)
    }

    /// The words that run a script there.
    fn words(&self, script: &str, paths: &[&Path]) -> Vec<String> {
        let mut words = match &self.container {
            None => Vec::new(),
            Some((engine, node)) => [engine, "exec", "-i", node].map(str::to_owned).to_vec(),
        };
        words.extend(["sh", "-c", script, "sh"].map(str::to_owned));
        words.extend(paths.iter().map(|path| path.display().to_string()));
        words
    }

    async fn run(&self, script: &str, paths: &[&Path], input: &str) -> Result<Option<String>> {
        let words = self.words(script, paths);
        let program = &words[0];
        let mut child = Command::new(program)
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("run {program}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // Who does not read it may be gone by now.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let output = child.wait_with_output().await?;
        if output.status.code() == Some(ABSENT) {
            return Ok(None);
        }
        let what = paths
            .first()
            .map(|path| self.show(path))
            .unwrap_or_default();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!(
                "{what}: {}",
                said.lines()
                    .last()
                    .unwrap_or("it failed without a word")
                    .trim()
            );
        }
        let text =
            String::from_utf8(output.stdout).with_context(|| format!("{what} is no text"))?;
        Ok(Some(text))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Place, READ};
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    /// Two folders with a blank in their names.
    fn here(name: &str) -> (Folder, Place) {
        let root = std::env::temp_dir().join(format!("corten place {name} {}", std::process::id()));
        let place = Place {
            container: None,
            manifests: root.join("mani fests"),
            backup: root.join("kept"),
        };
        std::fs::create_dir_all(&place.manifests).unwrap();
        (Folder(root), place)
    }

    #[tokio::test]
    async fn files_are_read_replaced_kept_moved_and_removed() {
        let (_folder, place) = here("files");
        let (file, kept) = (place.manifest("a.yaml"), place.kept("a.yaml"));
        assert_eq!(place.read(&file).await.unwrap(), None);
        std::fs::write(&file, "one\n").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        place.keep(&file, &kept).await.unwrap();
        place.replace(&file, "two\nno end of line").await.unwrap();
        assert_eq!(
            place.read(&file).await.unwrap().as_deref(),
            Some("two\nno end of line")
        );
        assert_eq!(place.read(&kept).await.unwrap().as_deref(), Some("one\n"));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(&place.backup)), (0o640, 0o700));
        // Nothing else is in the folder that the kubelet reads.
        assert_eq!(std::fs::read_dir(&place.manifests).unwrap().count(), 1);
        place.remove(&file).await.unwrap();
        place.remove(&file).await.unwrap();
        place.rename(&kept, &file).await.unwrap();
        assert_eq!(place.read(&file).await.unwrap().as_deref(), Some("one\n"));
        assert_eq!(place.read(&kept).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_fails_is_told_with_the_path() {
        let (_folder, place) = here("fails");
        let said = place
            .replace(&place.manifest("none"), "x")
            .await
            .unwrap_err();
        let said = format!("{said:#}");
        assert!(
            said.contains("mani fests/none:") && said.contains("No such file"),
            "{said}"
        );
        let nowhere = Place {
            container: Some(("no-such-engine".to_owned(), "kind-control-plane".to_owned())),
            ..place
        };
        let said = nowhere.read(Path::new("/x")).await.unwrap_err();
        assert!(
            format!("{said:#}").contains("run no-such-engine"),
            "{said:#}"
        );
    }

    #[test]
    fn in_a_node_of_kind_the_same_is_run_by_the_engine() {
        let place = Place {
            container: Some(("docker".to_owned(), "kind-control-plane".to_owned())),
            manifests: PathBuf::from("/etc/kubernetes/manifests"),
            backup: PathBuf::from("/etc/kubernetes/corten-handback"),
        };
        let file = place.manifest("kube-scheduler.yaml");
        let path = "/etc/kubernetes/manifests/kube-scheduler.yaml";
        let words = place.words(READ, &[&file]);
        let expected = [
            "docker",
            "exec",
            "-i",
            "kind-control-plane",
            "sh",
            "-c",
            READ,
            "sh",
            path,
        ];
        assert_eq!(words, expected);
        assert_eq!(place.show(&file), format!("kind-control-plane:{path}"));
    }
}
