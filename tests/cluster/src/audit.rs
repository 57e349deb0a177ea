//! Who has written what: the audit log of the API server, leases and its own doings left out.

use anyhow::{Context, Result};
use kube::Config;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Requests that write, each once, when it is answered.
const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: None
  verbs: [get, list, watch]
- level: None
  users: ['system:apiserver']
- level: None
  resources:
  - group: coordination.k8s.io
  - group: authentication.k8s.io
  - group: authorization.k8s.io
- level: Metadata
";

/// Whose request it was: what the client said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writer {
    /// A test.
    Test,
    /// The hollow nodes.
    Nodes,
    /// The loops, ours or upstream's.
    Loops,
}

impl Writer {
    const ALL: [Self; 3] = [Self::Test, Self::Nodes, Self::Loops];

    const fn agent(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Nodes => "hollow-nodes",
            Self::Loops => "corten",
        }
    }

    /// `access`, under this name.
    pub(crate) fn signs(self, mut access: Config) -> Config {
        let agent = http::HeaderValue::from_static(self.agent());
        access.headers.push((http::header::USER_AGENT, agent));
        access
    }
}

/// A request that asked for a change, whatever came of it.
#[derive(Clone, Debug)]
pub struct Write {
    /// Who asked.
    pub writer: Writer,
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The resource, with its subresource: `pods/status`.
    pub resource: String,
    /// The namespace, or nothing.
    pub namespace: String,
    /// The name, or nothing where the server was to choose one.
    pub name: String,
    /// The HTTP status of the answer.
    pub code: u16,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, resource, name, code) = (&self.verb, &self.resource, &self.name, self.code);
        write!(f, "{:?}: {verb} {resource} {name} ({code})", self.writer)
    }
}

/// The log of one API server. Clones read the same one.
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    log: Arc<Path>,
}

impl Audit {
    /// For an API server that runs on `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        let log = dir.join("audit.log").into();
        Self { log }
    }

    /// The flags with which an API server writes it.
    pub(crate) fn flags(&self) -> Result<Vec<OsString>> {
        let policy = self.log.with_extension("policy");
        if let Some(dir) = policy.parent() {
            std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        }
        std::fs::write(&policy, POLICY).with_context(|| policy.display().to_string())?;
        let flag = |name: &str, path: &Path| {
            let mut flag = OsString::from(name);
            flag.push(path);
            flag
        };
        Ok(vec![
            flag("--audit-policy-file=", &policy),
            flag("--audit-log-path=", &self.log),
            // It is read from its beginning.
            "--audit-log-maxsize=10000".into(),
        ])
    }

    /// How much is written now.
    pub(crate) fn mark(&self) -> u64 {
        std::fs::metadata(&*self.log).map_or(0, |file| file.len())
    }

    /// What has been written since `mark`, in a namespace or in all.
    pub(crate) fn since(&self, mark: u64, namespace: Option<&str>) -> Result<Vec<Write>> {
        let path: PathBuf = self.log.to_path_buf();
        let mut text = String::new();
        let mut file = std::fs::File::open(&path).with_context(|| path.display().to_string())?;
        file.seek(SeekFrom::Start(mark))?;
        file.read_to_string(&mut text)?;
        let quoted = namespace.map(|name| format!("\"{name}\""));
        let mut writes = Vec::new();
        // The last line may not be whole.
        let lines = text.split_inclusive('\n').filter(|l| l.ends_with('\n'));
        for line in lines.filter(|line| quoted.as_ref().is_none_or(|name| line.contains(name))) {
            let entry: Entry = serde_json::from_str(line).with_context(|| line.to_owned())?;
            let of = entry.object_ref.unwrap_or_default();
            if namespace.is_some_and(|name| name != of.namespace) {
                continue;
            }
            let said = |writer: &Writer| entry.user_agent == writer.agent();
            writes.push(Write {
                writer: Writer::ALL.into_iter().find(said).unwrap_or(Writer::Loops),
                verb: entry.verb,
                resource: match &*of.subresource {
                    "" => of.resource,
                    sub => format!("{}/{sub}", of.resource),
                },
                namespace: of.namespace,
                name: of.name,
                code: entry.response_status.unwrap_or_default().code,
            });
        }
        Ok(writes)
    }
}

/// How many of each: `pods/status patch: 3`, the most first.
pub fn summary(writes: &[Write]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for write in writes {
        let key = format!("{:?} {} {}", write.writer, write.verb, write.resource);
        *counts.entry(key).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let lines: Vec<_> = counts.iter().map(|(k, n)| format!("{k}: {n}")).collect();
    lines.join(", ")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    verb: String,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<Of>,
    response_status: Option<Answer>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Of {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    code: u16,
}
