//! What the chart's accounts have asked for, and what they were refused: the audit log of the API server.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ['system:serviceaccounts:corten-system']
- level: None
";

pub(crate) struct Audit {
    policy: PathBuf,
    log: PathBuf,
}

impl Audit {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            policy: folder.join("audit.yaml"),
            log: folder.join("audit.log"),
        }
    }

    /// The API server's flags.
    pub(crate) fn flags(&self) -> Result<Vec<OsString>> {
        std::fs::write(&self.policy, POLICY)?;
        let (policy, log) = (self.policy.display(), self.log.display());
        let flags = [
            format!("--audit-policy-file={policy}"),
            format!("--audit-log-path={log}"),
        ];
        Ok(flags.map(Into::into).to_vec())
    }

    /// Nothing that an account of the chart asked for until now was forbidden by RBAC, and each of `accounts` has asked for
    /// something. While a release is uninstalled, roles go before the last process does.
    pub(crate) fn nothing_was_refused(&self, accounts: &[&str]) -> Result<()> {
        let (mut requests, mut refused) = (BTreeMap::<String, u32>::new(), BTreeSet::new());
        for event in self.events()? {
            let user = event["user"]["username"].as_str().unwrap_or_default();
            let account = user.rsplit(':').next().unwrap_or_default();
            *requests.entry(account.to_owned()).or_default() += 1;
            if event["annotations"]["authorization.k8s.io/decision"] == "forbid" {
                let (verb, uri) = (&event["verb"], &event["requestURI"]);
                refused.insert(format!("{account}: {verb} {uri}"));
            }
        }
        println!("requests of the chart's accounts: {requests:?}");
        ensure!(refused.is_empty(), "refused: {refused:#?}");
        for account in accounts {
            ensure!(
                requests.contains_key(*account),
                "{account} asked for nothing"
            );
        }
        Ok(())
    }

    /// No account of the chart has asked for this until now: a verb, and the end of a path.
    pub(crate) fn nobody_asked(&self, verb: &str, path: &str) -> Result<()> {
        let is = |event: &Value| {
            let uri = event["requestURI"].as_str().unwrap_or_default();
            let asked = uri.split('?').next().unwrap_or_default();
            event["verb"] == verb && asked.ends_with(path)
        };
        let asked = self.events()?.iter().filter(|event| is(event)).count();
        ensure!(asked == 0, "{verb} {path} was asked {asked} times");
        Ok(())
    }

    fn events(&self) -> Result<Vec<Value>> {
        let log = std::fs::read_to_string(&self.log).context("the audit log")?;
        // The last line may be about to be written.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let event = |line| serde_json::from_str(line).context("a line of the audit log");
        whole.lines().map(event).collect()
    }
}
