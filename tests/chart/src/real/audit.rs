//! What the chart's accounts have asked for, and what they were refused.

use anyhow::{Result, ensure};
use cluster::Audit;
use std::collections::{BTreeMap, BTreeSet};

/// Nothing that an account of the chart asked for until now was forbidden by RBAC, and each of `accounts` has asked for
/// something. While a release is uninstalled, roles go before the last process does.
pub(crate) fn nothing_was_refused(audit: &Audit, accounts: &[&str]) -> Result<()> {
    let (mut requests, mut refused) = (BTreeMap::<String, u32>::new(), BTreeSet::new());
    for asked in audit.uses()? {
        if asked.forbidden {
            refused.insert(format!("{asked:?}"));
        }
        *requests.entry(asked.account).or_default() += 1;
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

/// No account of the chart has asked for this until now, of an object of this name in any namespace.
pub(crate) fn nobody_asked(audit: &Audit, verb: &str, resource: &str, name: &str) -> Result<()> {
    let mut uses = audit.uses()?;
    uses.retain(|asked| {
        let object = asked.on.rsplit('/').next();
        asked.verb == verb && asked.resource == resource && object == Some(name)
    });
    let times = uses.len();
    ensure!(
        times == 0,
        "{verb} {resource} {name} was asked {times} times"
    );
    Ok(())
}
