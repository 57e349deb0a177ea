//! Child processes that write to log files and do not outlive us.
//!
//! The child is started by a shell that first leaves a watcher behind, which reads from a pipe that
//! only we hold, and then becomes the program (`exec`), so the program has the pid and the exit
//! status that we see. When we go, however we go, the pipe closes and the watcher kills the
//! program; when the program goes first, we write a line into the pipe and the watcher goes too.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::error::Error;

/// `$0` is the program, `$@` its arguments; `$$` stays the pid through `exec`.
const WATCHED: &str = r#"exec 3<&0 </dev/null
(trap '' HUP INT TERM; read -r _ <&3 || kill -KILL $$) >/dev/null 2>&1 &
exec "$0" "$@" 3<&-"#;

/// What to start.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The name in messages, and of the log and pid files.
    pub name: String,
    /// The program, an absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Environment variables besides ours.
    pub environment: Vec<(OsString, OsString)>,
    /// Where it runs, and where `<name>.log` and `<name>.pid` are written.
    pub dir: PathBuf,
    /// Whether it lives on when we end.
    pub detached: bool,
}

impl Spec {
    /// `program` run in `dir`, without arguments, ending with us.
    pub fn new(name: &str, program: &Path, dir: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            dir: dir.to_owned(),
            detached: false,
        }
    }

    /// Adds `--name=value`.
    #[must_use]
    pub fn flag(mut self, name: &str, value: impl Into<OsString>) -> Self {
        let mut flag = OsString::from(format!("--{name}="));
        flag.push(value.into());
        self.arguments.push(flag);
        self
    }
}

/// A child process. Dropping it kills it, unless it is detached.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    log: PathBuf,
    pid_file: PathBuf,
    child: Child,
    /// Our end of the watcher's pipe.
    tie: Option<File>,
}

impl Process {
    /// Starts what `spec` says; the log of the time before is kept as `<name>.log.old`.
    pub fn start(spec: &Spec) -> Result<Self, Error> {
        let file = |ending: &str| spec.dir.join(format!("{}.{ending}", spec.name));
        let (log, pid_file) = (file("log"), file("pid"));
        // There may be no log yet; if it cannot be renamed, it is overwritten.
        drop(std::fs::rename(&log, file("log.old")));
        let out = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&log)
            .map_err(Error::file("cannot create", &log))?;
        let err = out
            .try_clone()
            .map_err(Error::file("cannot create", &log))?;
        let mut command = if spec.detached {
            let mut command = Command::new(&spec.program);
            command.stdin(Stdio::null());
            command
        } else {
            let mut command = Command::new("sh");
            command.arg("-c").arg(WATCHED).arg(&spec.program);
            command.stdin(Stdio::piped()).kill_on_drop(true);
            command
        };
        let failed = |source| Error::Run {
            program: spec.program.clone(),
            source,
        };
        let mut child = command
            .args(&spec.arguments)
            .envs(spec.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&spec.dir)
            .stdout(out)
            .stderr(err)
            // Ctrl-C in a terminal is for us; the children are stopped in order.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let tie = match child.stdin.take() {
            Some(stdin) => Some(File::from(stdin.into_owned_fd().map_err(failed)?)),
            None => None,
        };
        let pid = child
            .id()
            .ok_or_else(|| failed(std::io::Error::other("it has no pid")))?;
        crate::pki::write(&pid_file, &format!("{pid}\n"))?;
        Ok(Self {
            name: spec.name.clone(),
            pid,
            log,
            pid_file,
            child,
            tie,
        })
    }

    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// `Err` with the end of its log if it has ended.
    pub fn check(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(Some(status)) => {
                self.gone();
                Err(self.died(status))
            }
            // A child that cannot be asked after is found out by whoever talks to it.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Waits until it ends by itself, and says how as an error; may be cancelled.
    pub async fn ended(&mut self) -> Error {
        match self.child.wait().await {
            Ok(status) => {
                self.gone();
                self.died(status)
            }
            Err(source) => Error::Run {
                program: PathBuf::from(&self.name),
                source,
            },
        }
    }

    /// Asks it to end (SIGTERM), kills it after `patience`, and waits until it is gone. Gives how it ended, now or
    /// before; none if it is no longer our child.
    pub async fn stop(&mut self, patience: Duration) -> Option<ExitStatus> {
        let ended = match self.child.try_wait() {
            Ok(None) => {
                signal(self.pid, Signal::TERM);
                match tokio::time::timeout(patience, self.child.wait()).await {
                    Ok(ended) => ended.ok(),
                    Err(_) => {
                        // It cannot refuse.
                        signal(self.pid, Signal::KILL);
                        self.child.wait().await.ok()
                    }
                }
            }
            ended => ended.ok().flatten(),
        };
        self.gone();
        ended
    }

    /// It has been waited for: lets the watcher go before the pid can be another's.
    fn gone(&mut self) {
        if let Some(mut tie) = self.tie.take() {
            // The watcher may have died with the program's process group.
            drop(tie.write_all(b"\n"));
        }
        drop(std::fs::remove_file(&self.pid_file));
    }

    fn died(&self, status: ExitStatus) -> Error {
        Error::Died {
            name: self.name.clone(),
            status: status.to_string(),
            log: self.log.clone(),
            tail: tail(&self.log),
        }
    }
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    const BYTES: u64 = 4096;
    const LINES: usize = 8;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let from = file.metadata()?.len().saturating_sub(BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Ends the process that an earlier run left behind in `dir`, if its pid file names one whose
/// command line tells that it is ours.
pub(crate) async fn end_leftover(name: &str, dir: &Path) -> bool {
    let pid_file = dir.join(format!("{name}.pid"));
    let Some(pid) = std::fs::read_to_string(&pid_file)
        .ok()
        .and_then(|text| text.trim().parse().ok())
    else {
        return false;
    };
    let ours = || {
        command_line(pid)
            .is_some_and(|line| line.contains(name) && line.contains(&*dir.to_string_lossy()))
    };
    let found = ours();
    for attempt in 0..200 {
        if !ours() {
            break;
        }
        // It keeps its data safe by itself, so there is nothing to wait for: half a second to end.
        let how = if attempt < 10 {
            Signal::TERM
        } else {
            Signal::KILL
        };
        if attempt % 10 == 0 {
            signal(pid, how);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(std::fs::remove_file(&pid_file));
    found
}

/// The command line of a running process, its words separated by blanks.
fn command_line(pid: u32) -> Option<String> {
    if Path::new("/proc/self/cmdline").exists() {
        let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        return (!line.is_empty()).then_some(line);
    }
    let mut ps = std::process::Command::new("ps");
    let output = ps.args(["-ww", "-o", "command=", "-p", &pid.to_string()]);
    let line = String::from_utf8_lossy(&output.output().ok()?.stdout).into_owned();
    (!line.trim().is_empty()).then_some(line)
}

fn signal(pid: u32, signal: Signal) {
    // A process that is gone already is what was wanted.
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}
