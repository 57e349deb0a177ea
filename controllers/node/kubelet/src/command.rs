//! What the command of a container says: a script, nothing that is understood, or that it runs for ever. Pure.
//!
//! Semantics: `pkg/kubelet/container/helpers.go` (ExpandContainerCommandAndArgs), `kubelet_pods.go`
//! (makeEnvironmentVariables, makeMounts).

use crate::script::files::{Mount, Shown, absolute};
use crate::script::{NotUnderstood, Program};
use k8s_openapi::api::core::v1::{Container, EnvVar, ObjectFieldSelector, Pod, Volume};
use objects::meta;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Images without an entrypoint, whose default command is a shell: without a terminal it ends at once.
const SHELLS: [&str; 9] = [
    "alpine",
    "bash",
    "busybox",
    "centos",
    "debian",
    "fedora",
    "ubuntu",
    "distroless-iptables",
    "debian-base",
];
/// Images that run until they are told to stop.
const SERVERS: [&str; 9] = [
    "agnhost",
    "httpd",
    "memcached",
    "nginx",
    "nginx-new",
    "pause",
    "redis",
    "registry",
    "sample-apiserver",
];

/// What is known of what a container does.
#[derive(Clone, Debug, PartialEq)]
pub enum Says {
    /// It runs a script.
    Script(Command),
    /// It runs until it is told to stop.
    Forever,
    /// Neither command nor image says anything.
    Nothing,
    /// It runs something of which this word is not understood.
    Unknown(NotUnderstood),
}

/// A script and how it is called.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What is run.
    pub program: Arc<Program>,
    /// `$0`, `$1`, …
    pub arguments: Vec<String>,
    /// The flags of the shell, `e` of `-ec`.
    pub flags: String,
}

/// What a container can ask of the node.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The node's address.
    pub host: Ipv4Addr,
    /// The pod's address.
    pub ip: Option<Ipv4Addr>,
}

/// What a container does when it is started with this environment.
pub fn of(container: &Container, environment: &[(String, Option<String>)]) -> Says {
    let expand = |words: &Option<Vec<String>>| -> Vec<String> {
        words
            .iter()
            .flatten()
            .map(|word| dollars(word, environment))
            .collect()
    };
    let (mut words, arguments) = (expand(&container.command), expand(&container.args));
    let image = container.image.as_deref().unwrap_or_default();
    let name = image_name(image);
    let is_shell = SHELLS.contains(&name);
    if words.is_empty() {
        if SERVERS.contains(&name) {
            return Says::Forever;
        }
        if name == "hello-world" {
            return parsed(Program::of_words(&[]), Vec::new(), String::new());
        }
        if !is_shell {
            return Says::Nothing;
        }
        let interactive = container.stdin == Some(true) || container.tty == Some(true);
        if arguments.is_empty() && interactive {
            return Says::Forever;
        }
    }
    words.extend(arguments);
    understood(&words)
}

/// A command line as a script.
pub fn understood(words: &[String]) -> Says {
    let Some((first, rest)) = words.split_first() else {
        return parsed(Program::of_words(&[]), Vec::new(), String::new());
    };
    let shell = first.rsplit('/').next().unwrap_or_default();
    let (shell, rest) = match (shell, rest.split_first()) {
        ("env", Some((shell, rest))) => (shell.as_str(), rest),
        ("busybox", Some((tool, rest))) if tool != "sh" => {
            let words: Vec<String> = std::iter::once(tool).chain(rest).cloned().collect();
            return parsed(Program::of_words(&words), words, String::new());
        }
        ("busybox", Some((_, rest))) => ("sh", rest),
        _ => (shell, rest),
    };
    if !matches!(shell, "sh" | "bash" | "ash" | "dash") {
        return parsed(Program::of_words(words), words.to_vec(), String::new());
    }
    let mut flags = String::new();
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match word.strip_prefix('-') {
            Some("o") => {
                if rest.next().is_some_and(|option| option == "errexit") {
                    flags.push('e');
                }
            }
            Some(letters) if !letters.starts_with('-') => {
                flags.push_str(letters);
                if letters.contains('c') {
                    break;
                }
            }
            // A file with a script in it, which only a real node has.
            _ => return Says::Unknown(NotUnderstood(word.clone())),
        }
    }
    let script = rest.next();
    match script {
        None if flags.contains('c') => Says::Unknown(NotUnderstood("-c".to_owned())),
        // A shell that has nothing to read.
        None => parsed(Program::of_words(&[]), Vec::new(), flags),
        Some(script) => {
            let mut arguments: Vec<String> = rest.cloned().collect();
            if arguments.is_empty() {
                arguments.push(shell.to_owned());
            }
            parsed(Program::parse(script, shell == "bash"), arguments, flags)
        }
    }
}

fn parsed(program: Result<Program, NotUnderstood>, arguments: Vec<String>, flags: String) -> Says {
    match program {
        Ok(program) => Says::Script(Command {
            program: Arc::new(program),
            arguments,
            flags,
        }),
        Err(word) => Says::Unknown(word),
    }
}

/// `busybox` of `registry.k8s.io/e2e-test-images/busybox:1.37`.
fn image_name(image: &str) -> &str {
    let named = image.split('@').next().unwrap_or_default();
    let last = named.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default()
}

/// Replaces `$(NAME)` by the variable's value if there is one, and `$$` by `$`.
fn dollars(text: &str, environment: &[(String, Option<String>)]) -> String {
    let mut done = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        done.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            done.push('$');
            rest = after;
            continue;
        }
        let named = rest
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'));
        let value = named.and_then(|(name, after)| {
            let known = environment.iter().rev().find(|(known, _)| known == name)?;
            Some((known.1.as_deref()?, after))
        });
        match value {
            Some((value, after)) => {
                done.push_str(value);
                rest = after;
            }
            None => done.push('$'),
        }
    }
    done + rest
}

/// The environment of a container. A value that only a real node would know is none; with `envFrom` so are
/// all that are not named, which the name `*` says.
pub fn environment(
    pod: &Pod,
    container: &Container,
    facts: Facts,
) -> Vec<(String, Option<String>)> {
    let spec = pod.spec.as_ref();
    let host_name = spec
        .and_then(|spec| spec.hostname.clone())
        .unwrap_or_else(|| meta::name(&pod.metadata).to_owned());
    let mut all: Vec<(String, Option<String>)> = [
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        ("HOSTNAME", host_name.as_str()),
        ("HOME", "/root"),
    ]
    .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
    .to_vec();
    if container.env_from.iter().flatten().next().is_some() {
        all.push(("*".to_owned(), None));
    }
    for variable in container.env.iter().flatten() {
        let value = value(pod, variable, facts).map(|value| dollars(&value, &all));
        all.push((variable.name.clone(), value));
    }
    all
}

fn value(pod: &Pod, variable: &EnvVar, facts: Facts) -> Option<String> {
    let Some(from) = &variable.value_from else {
        return Some(variable.value.clone().unwrap_or_default());
    };
    field(pod, from.field_ref.as_ref()?, facts)
}

/// The downward API. Upstream: `pkg/fieldpath/fieldpath.go`, `kubelet_pods.go` podFieldSelectorRuntimeValue.
fn field(pod: &Pod, selector: &ObjectFieldSelector, facts: Facts) -> Option<String> {
    let (meta, spec) = (&pod.metadata, pod.spec.as_ref()?);
    let path = selector.field_path.as_str();
    if let Some((map, key)) = path.split_once("['") {
        let key = key.strip_suffix("']")?;
        let map = match map {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => return None,
        };
        return Some(
            map.and_then(|map| map.get(key))
                .cloned()
                .unwrap_or_default(),
        );
    }
    let own = if spec.host_network == Some(true) {
        Some(facts.host)
    } else {
        facts.ip
    };
    Some(match path {
        "metadata.name" => meta::name(meta).to_owned(),
        "metadata.namespace" => meta::namespace(meta).to_owned(),
        "metadata.uid" => meta::uid(meta).to_owned(),
        "spec.nodeName" => spec.node_name.clone().unwrap_or_default(),
        "spec.serviceAccountName" => spec.service_account_name.clone().unwrap_or_default(),
        "status.hostIP" | "status.hostIPs" => facts.host.to_string(),
        "status.podIP" | "status.podIPs" => own?.to_string(),
        _ => return None,
    })
}

/// What is mounted where in a container.
pub fn mounts(
    pod: &Pod,
    container: &Container,
    environment: &[(String, Option<String>)],
) -> Vec<Mount> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref());
    let volumes = volumes.unwrap_or_default();
    let mounts = container.volume_mounts.iter().flatten();
    mounts
        .map(|mount| {
            let volume = volumes.iter().find(|volume| volume.name == mount.name);
            let (shows, base) =
                volume.map_or((Shown::Unknown, String::new()), |volume| shown(pod, volume));
            let below = match (&mount.sub_path_expr, &mount.sub_path) {
                (Some(expression), _) => dollars(expression, environment),
                (None, Some(path)) => path.clone(),
                (None, None) => String::new(),
            };
            let root = absolute("/", &format!("{base}/{below}"));
            Mount {
                at: absolute("/", &mount.mount_path)
                    .trim_end_matches('/')
                    .to_owned(),
                shows,
                root: root.trim_end_matches('/').to_owned(),
                read_only: mount.read_only == Some(true),
            }
        })
        .collect()
}

fn shown(pod: &Pod, volume: &Volume) -> (Shown, String) {
    if volume.empty_dir.is_some() || volume.ephemeral.is_some() {
        return (Shown::Volume(volume.name.clone()), String::new());
    }
    if let Some(host) = &volume.host_path {
        return (Shown::Node, host.path.clone());
    }
    if let Some(claim) = &volume.persistent_volume_claim {
        // As a provisioner of local volumes keeps them.
        let namespace = meta::namespace(&pod.metadata);
        return (
            Shown::Node,
            format!("/var/lib/claims/{namespace}/{}", claim.claim_name),
        );
    }
    (Shown::Unknown, String::new())
}

#[cfg(test)]
mod tests;
