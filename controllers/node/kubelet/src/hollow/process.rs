//! A script that a container runs, with the files that it sees.

use super::{Site, plus};
use crate::command::{self, Command, Facts, Says};
use crate::script::files::{Disk, Mount, Shown, Tree, absolute, parent};
use crate::script::machine::Start;
use crate::script::{Machine, NotUnderstood, Pause};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use objects::meta;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// The volumes of a pod by name.
pub type Volumes = BTreeMap<String, Tree>;

/// The longest message that a container leaves, in bytes (`types.MaxContainerTerminationMessageLength`).
const MESSAGE: usize = 4096;
/// The longest message that is taken from the log, in bytes and lines.
const FALLBACK: (usize, usize) = (2048, 80);
/// How many runs are repeated for what they left in the volumes, when another process goes on with the pod.
const REPEATED: i32 = 16;

/// A running script.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    machine: Machine,
    own: Tree,
    mounts: Vec<Mount>,
    environment: Vec<(String, Option<String>)>,
    directory: String,
    message_at: String,
    from_log: bool,
    /// It was told to stop, and is killed then.
    pub(super) killed_at: Option<Timestamp>,
}

/// What a container does from its start.
#[derive(Clone, Debug, PartialEq)]
pub enum Acts {
    /// It has just been started, and nobody has looked.
    Unseen,
    /// Another process of ours had started it.
    Lost,
    /// What its profile says.
    Profile,
    /// It runs until it is told to stop.
    Forever,
    /// What its script says.
    Script(Box<Process>),
}

/// Which run of which container it is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) pod: &'a Pod,
    pub(super) container: &'a Container,
    pub(super) facts: Facts,
}

/// Reads a container's command and starts it at `at`, as its run number `nth`. After a `lost` process the
/// runs before are repeated first, because their files are lost too.
pub(super) fn begin(
    about: Subject<'_>,
    nth: i32,
    lost: bool,
    at: Timestamp,
    volumes: &mut Volumes,
    site: &mut Site<'_>,
) -> Acts {
    let environment = command::environment(about.pod, about.container, about.facts);
    let command = match command::of(about.container, &environment) {
        Says::Script(command) => command,
        // An init container that never ends would only stop its pod.
        Says::Forever if is_init(about) => return Acts::Profile,
        Says::Forever => return Acts::Forever,
        Says::Nothing => return Acts::Profile,
        Says::Unknown(word) => {
            let pod = meta::name(&about.pod.metadata);
            let namespace = meta::namespace(&about.pod.metadata);
            tracing::debug!(namespace, pod, container = %about.container.name, %word, "running a command as its profile says");
            return Acts::Profile;
        }
    };
    let mounts = command::mounts(about.pod, about.container, &environment);
    for mount in mounts.iter().filter(|mount| mount.shows == Shown::Node) {
        let mut own = Tree::default();
        let mut disk = Disk {
            own: &mut own,
            volumes,
            node: site.disk,
            mounts: &[],
        };
        disk.prepare(&mount.root);
    }
    let process = |nth: i32, at: Timestamp| {
        Process::new(about, &command, &environment, mounts.clone(), nth, at)
    };
    if lost {
        for nth in (nth - REPEATED).max(0)..nth {
            let mut before = process(nth, at);
            before.run(volumes, site.disk, plus(at, Duration::from_hours(1)));
        }
    }
    Acts::Script(Box::new(process(nth, at)))
}

fn is_init(about: Subject<'_>) -> bool {
    let spec = about.pod.spec.as_ref();
    let mut init = spec
        .into_iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    let name = &about.container.name;
    init.any(|init| init.name == *name) && !objects::pod::is_sidecar(about.container)
}

impl Process {
    fn new(
        about: Subject<'_>,
        command: &Command,
        environment: &[(String, Option<String>)],
        mounts: Vec<Mount>,
        nth: i32,
        at: Timestamp,
    ) -> Self {
        let container = about.container;
        let mut hasher = DefaultHasher::new();
        (meta::uid(&about.pod.metadata), &container.name, nth).hash(&mut hasher);
        let directory = container
            .working_dir
            .clone()
            .unwrap_or_else(|| "/".to_owned());
        let path = container.termination_message_path.as_deref();
        let message_at = absolute(
            "/",
            path.filter(|path| !path.is_empty())
                .unwrap_or("/dev/termination-log"),
        );
        let mut own = Tree::of_image();
        let mut disk = Disk {
            own: &mut own,
            volumes: &mut Volumes::new(),
            node: &mut Tree::default(),
            mounts: &[],
        };
        for needed in [directory.as_str(), parent(&message_at)] {
            // It is there or made.
            let _ = disk.make(&absolute("/", needed), true);
        }
        for mount in &mounts {
            let _ = disk.make(parent(&mount.at), true);
        }
        let machine = Machine::new(Start {
            program: command.program.clone(),
            arguments: command.arguments.clone(),
            environment,
            directory: directory.clone(),
            seed: hasher.finish(),
            at,
        });
        Self {
            machine: machine.with_flags(&command.flags),
            own,
            mounts,
            environment: environment.to_vec(),
            directory,
            message_at,
            from_log: container.termination_message_policy.as_deref()
                == Some("FallbackToLogsOnError"),
            killed_at: None,
        }
    }

    /// Goes on until it waits for something later than `now`.
    pub(super) fn run(&mut self, volumes: &mut Volumes, node: &mut Tree, now: Timestamp) -> Pause {
        let mut disk = Disk {
            own: &mut self.own,
            volumes,
            node,
            mounts: &self.mounts,
        };
        self.machine.run(&mut disk, now)
    }

    /// Tells it to stop at `at`; it is killed at `deadline`.
    pub(super) fn stop(&mut self, at: Timestamp, deadline: Timestamp) {
        if self.killed_at.is_none() {
            self.machine.terminate(at);
        }
        self.killed_at = Some(
            self.killed_at
                .map_or(deadline, |before| before.min(deadline)),
        );
    }

    /// What it leaves as its message when it ends with this code.
    /// Upstream: `kuberuntime_container.go` getTerminationMessage.
    pub(super) fn message(&self, code: i32) -> Option<String> {
        let mut own = self.own.clone();
        let mut disk = Disk {
            own: &mut own,
            volumes: &mut Volumes::new(),
            node: &mut Tree::default(),
            mounts: &[],
        };
        let written = disk.read(&self.message_at).unwrap_or_default();
        if !written.is_empty() {
            let mut end = written.len().min(MESSAGE);
            while !written.is_char_boundary(end) {
                end -= 1;
            }
            return Some(written[..end].to_owned());
        }
        if code == 0 || !self.from_log {
            return None;
        }
        let log = self.machine.output();
        let mut start = log.len().saturating_sub(FALLBACK.0);
        while !log.is_char_boundary(start) {
            start += 1;
        }
        let lines: Vec<&str> = log[start..].split_inclusive('\n').collect();
        let tail = lines[lines.len().saturating_sub(FALLBACK.1)..].concat();
        (!tail.is_empty()).then_some(tail)
    }

    /// The end of what it has written.
    pub fn output(&self) -> &str {
        self.machine.output()
    }

    /// Runs another command in the container at `at`, as an exec probe does: its code and what it wrote. No
    /// code when it takes longer than `limit`.
    ///
    /// # Errors
    /// What of it is not understood.
    pub(super) fn exec(
        &mut self,
        words: &[String],
        volumes: &mut Volumes,
        node: &mut Tree,
        at: Timestamp,
        limit: Duration,
    ) -> Result<(Option<i32>, String), NotUnderstood> {
        let command = match command::understood(words) {
            Says::Script(command) => command,
            Says::Unknown(word) => return Err(word),
            Says::Forever | Says::Nothing => return Err(NotUnderstood(words.concat())),
        };
        let mut machine = Machine::new(Start {
            program: command.program,
            arguments: command.arguments,
            environment: &self.environment,
            directory: self.directory.clone(),
            seed: at.as_second() as u64,
            at,
        })
        .with_flags(&command.flags);
        let mut disk = Disk {
            own: &mut self.own,
            volumes,
            node,
            mounts: &self.mounts,
        };
        let code = machine.finish(&mut disk, limit)?;
        Ok((code, machine.output().to_owned()))
    }
}
