//! What a process does, in the words of the stock program that does the same. Pure.

/// The controllers that look after one namespaced kind, object by object, and can be kept to some namespaces.
const KEPT: [&str; 13] = [
    "replicaset-controller",
    "replicationcontroller-controller",
    "deployment-controller",
    "statefulset-controller",
    "daemonset-controller",
    "job-controller",
    "cronjob-controller",
    "ttl-after-finished-controller",
    "horizontal-pod-autoscaler-controller",
    "disruption-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "endpoints-controller",
];

/// What a process does that a stock program may do too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duties {
    /// These controllers, by upstream's names.
    Controllers(Vec<String>),
    /// It schedules pods of these schedulerNames.
    Pods(Vec<String>),
    /// Nothing.
    Apart,
}

impl Duties {
    /// Those of the program of this name that has one controller, or those that belong together.
    pub fn of(component: &str) -> Self {
        match component {
            "certificate-controller" => {
                let kinds = ["signing", "approving", "cleaner"];
                let name = |kind| format!("certificatesigningrequest-{kind}-controller");
                Self::Controllers(kinds.map(name).to_vec())
            }
            name if name.ends_with("-controller") => Self::Controllers(vec![name.to_owned()]),
            _ => Self::Apart,
        }
    }

    /// The stock program that does the same.
    pub fn stock(&self) -> &'static str {
        match self {
            Self::Pods(_) => "kube-scheduler",
            _ => "kube-controller-manager",
        }
    }

    /// The first of these controllers that cannot be kept to some namespaces; where there are none, what the process is.
    pub(crate) fn not_kept(&self) -> Option<&str> {
        match self {
            Self::Controllers(names) => {
                let mut names = names.iter().map(String::as_str);
                names.find(|name| !KEPT.contains(name))
            }
            Self::Pods(_) => Some("a scheduler"),
            Self::Apart => Some("this program"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Duties;

    #[test]
    fn a_programs_name_says_what_it_does() {
        let of = |name: &str| match Duties::of(name) {
            Duties::Controllers(names) => names.join(" "),
            other => format!("{other:?}"),
        };
        assert_eq!(of("job-controller"), "job-controller");
        assert_eq!(of("corten-nodes"), "Apart");
        let three = of("certificate-controller");
        assert_eq!(three.split(' ').count(), 3, "{three}");
        assert!(three.contains("certificatesigningrequest-signing-controller"));
    }

    #[test]
    fn only_what_works_object_by_object_is_kept_to_namespaces() {
        let of = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Duties::Controllers(names).not_kept().map(str::to_owned)
        };
        assert_eq!(of(&["job-controller", "endpoints-controller"]), None);
        let collects = "garbage-collector-controller";
        assert_eq!(of(&["job-controller", collects]).as_deref(), Some(collects));
        assert!(Duties::Pods(Vec::new()).not_kept().is_some());
    }
}
