//! What a user means by `deployment/web`.

use runtime::groups::Family;
use runtime::serve::Misuse;
use std::fmt;

/// A kind that is rolled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Deployment,
    DaemonSet,
    StatefulSet,
}

/// An object: its kind, its name, and of which groups it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) family: Family,
    pub(crate) name: String,
}

impl Kind {
    fn of(word: &str) -> Option<(Self, bool)> {
        Some(match word {
            "deployment" | "deployments" | "deploy" => (Self::Deployment, false),
            "daemonset" | "daemonsets" | "ds" => (Self::DaemonSet, false),
            "statefulset" | "statefulsets" | "sts" => (Self::StatefulSet, false),
            "cdeploy" => (Self::Deployment, true),
            "cds" => (Self::DaemonSet, true),
            "csts" => (Self::StatefulSet, true),
            _ => return None,
        })
    }

    /// Its name in URLs.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::DaemonSet => "daemonsets",
            Self::StatefulSet => "statefulsets",
        }
    }

    /// The name in URLs of the kind that holds its revisions.
    pub(crate) fn revisions(self) -> &'static str {
        match self {
            Self::Deployment => "replicasets",
            Self::DaemonSet | Self::StatefulSet => "controllerrevisions",
        }
    }

    /// Whether its changes can wait.
    pub(crate) fn can_be_paused(self) -> bool {
        self == Self::Deployment
    }
}

impl Target {
    /// Reads `KIND/NAME`, with or without a group behind the kind; without one it is of `family`.
    ///
    /// # Errors
    /// It is no such thing, in one sentence.
    pub(crate) fn parse(object: &str, family: Family) -> Result<Self, Misuse> {
        let wrong = || {
            Misuse(format!(
                "rollout {object}: this is not deployment/NAME, daemonset/NAME or statefulset/NAME"
            ))
        };
        let (kind, name) = object.split_once('/').ok_or_else(wrong)?;
        let (word, group) = kind.split_once('.').unwrap_or((kind, ""));
        let (kind, is_ours) = Kind::of(&word.to_lowercase()).ok_or_else(wrong)?;
        let family = match group {
            "" if is_ours => Family::Corten,
            "" => family,
            "apps" | "v1.apps" if !is_ours => Family::Builtin,
            "apps.corten.dev" | "v1.apps.corten.dev" => Family::Corten,
            _ => return Err(wrong()),
        };
        if name.is_empty() || name.contains('/') {
            return Err(wrong());
        }
        let name = name.to_owned();
        Ok(Self { kind, family, name })
    }

    fn group(&self) -> &str {
        let version = self.family.group_version("apps/v1");
        version.split('/').next().unwrap_or_default()
    }

    /// `deployments.apps`
    pub(crate) fn resource(&self) -> String {
        format!("{}.{}", self.kind.plural(), self.group())
    }
}

/// `deployment.apps/web`
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let singular = self.kind.plural().trim_end_matches('s');
        write!(f, "{singular}.{}/{}", self.group(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Target};
    use runtime::groups::Family;

    #[test]
    fn what_is_meant() {
        let cases = [
            (
                "deployment/web",
                Family::Builtin,
                Some("deployment.apps/web"),
            ),
            (
                "deploy/web",
                Family::Corten,
                Some("deployment.apps.corten.dev/web"),
            ),
            (
                "Deployment.apps/web",
                Family::Corten,
                Some("deployment.apps/web"),
            ),
            (
                "ds.apps.corten.dev/a",
                Family::Builtin,
                Some("daemonset.apps.corten.dev/a"),
            ),
            (
                "csts/db",
                Family::Builtin,
                Some("statefulset.apps.corten.dev/db"),
            ),
            (
                "statefulsets/db",
                Family::Builtin,
                Some("statefulset.apps/db"),
            ),
            ("deployment", Family::Builtin, None),
            ("deployment/", Family::Builtin, None),
            ("pod/web", Family::Builtin, None),
            ("deployment.example.com/web", Family::Builtin, None),
            ("deployment/a/b", Family::Builtin, None),
        ];
        for (text, family, wanted) in cases {
            let target = Target::parse(text, family).ok();
            assert_eq!(target.map(|t| t.to_string()).as_deref(), wanted, "{text}");
        }
        let pausable = [Kind::Deployment, Kind::DaemonSet, Kind::StatefulSet];
        assert_eq!(pausable.map(Kind::can_be_paused), [true, false, false]);
    }
}
