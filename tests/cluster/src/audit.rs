//! Who has written what: the audit log of the API server, leases and its own doings left out. Of our loops it tells
//! each request, for [`crate::rights`].

use crate::rights;
use anyhow::{Context, Result};
use kube::Config;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All requests of our loops, watches when they begin; of the others those that write. Each once, when it is answered.
const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ['system:serviceaccounts:corten-system']
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
  omitStages: [ResponseStarted]
";

/// What is written all the time, or is no write.
const LEFT_OUT: [&str; 3] = [
    "coordination.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
];

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

/// A request of one of our loops.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The ServiceAccount that asked.
    pub account: String,
    /// RBAC's verb: `update`.
    pub verb: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource and its subresource, `pods/status`; the path where there is none.
    pub resource: String,
    /// In the namespace of the accounts: about a lease.
    pub(crate) at_home: bool,
    /// Its object: `NAMESPACE/NAME`, either of which may be empty.
    pub on: String,
    /// Whether RBAC said no.
    pub forbidden: bool,
}

/// The log of one API server. Clones read the same one.
#[derive(Clone, Debug)]
pub struct Audit {
    log: Arc<Path>,
}

impl Audit {
    /// For an API server that runs on `dir`.
    pub fn new(dir: &Path) -> Self {
        let log = dir.join("audit.log").into();
        Self { log }
    }

    /// The flags with which an API server writes it.
    ///
    /// # Errors
    /// Its policy cannot be written.
    pub fn flags(&self) -> Result<Vec<OsString>> {
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
            // With it, who says in an owner reference that the owner waits must be allowed to update its finalizers:
            // our roles have to do there too.
            "--enable-admission-plugins=OwnerReferencesPermissionEnforcement".into(),
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
        let quoted = namespace.map(|name| format!("\"{name}\""));
        let mut writes = Vec::new();
        let told = |line: &str| quoted.as_ref().is_none_or(|name| line.contains(name));
        self.read(mark, told, |entry| {
            let is_read = matches!(&*entry.verb, "get" | "list" | "watch");
            let of = entry.object_ref.unwrap_or_default();
            let is_other = namespace.is_some_and(|name| name != of.namespace);
            // Elections tell of themselves there.
            let is_home = of.namespace == rights::NAMESPACE;
            if is_read || is_other || is_home || LEFT_OUT.contains(&&*of.api_group) {
                return;
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
        })?;
        Ok(writes)
    }

    /// What the ServiceAccounts of our loops (those of `corten-system`) have asked for.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn uses(&self) -> Result<Vec<Use>> {
        let mut uses = Vec::new();
        let prefix = rights::user("");
        self.read(
            0,
            |line| line.contains(&prefix),
            |entry| {
                let Some(account) = entry.user.username.strip_prefix(&prefix) else {
                    return;
                };
                let forbidden = entry.annotations.decision == "forbid";
                let of = entry.object_ref;
                if of.is_none() && !forbidden {
                    return;
                }
                let of = of.unwrap_or_default();
                uses.push(Use {
                    account: account.to_owned(),
                    verb: entry.verb,
                    group: of.api_group,
                    resource: match (&*of.resource, &*of.subresource) {
                        ("", _) => entry.request_uri,
                        (_, "") => of.resource,
                        (_, sub) => format!("{}/{sub}", of.resource),
                    },
                    at_home: of.namespace == rights::NAMESPACE,
                    on: format!("{}/{}", of.namespace, of.name),
                    forbidden,
                });
            },
        )?;
        Ok(uses)
    }

    /// Gives each entry since `mark` whose line is `wanted` to `take`.
    fn read(
        &self,
        mark: u64,
        wanted: impl Fn(&str) -> bool,
        mut take: impl FnMut(Entry),
    ) -> Result<()> {
        let path: PathBuf = self.log.to_path_buf();
        let mut text = String::new();
        let mut file = std::fs::File::open(&path).with_context(|| path.display().to_string())?;
        file.seek(SeekFrom::Start(mark))?;
        file.read_to_string(&mut text)?;
        // The last line may not be whole.
        let lines = text.split_inclusive('\n').filter(|l| l.ends_with('\n'));
        for line in lines.filter(|line| wanted(line)) {
            take(serde_json::from_str(line).with_context(|| line.to_owned())?);
        }
        Ok(())
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
    #[serde(rename = "requestURI", default)]
    request_uri: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<Of>,
    response_status: Option<Answer>,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
struct Annotations {
    #[serde(rename = "authorization.k8s.io/decision", default)]
    decision: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Of {
    api_group: String,
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
