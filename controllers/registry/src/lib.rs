//! The table of controllers: adding one is a line here. `corten` runs those that `--controllers` names, the tests run
//! all of them and have upstream run the same. [`whole`] is what a cluster has besides, [`why`] what is asked of one,
//! [`programs`] what the parts are called as programs.
#![forbid(unsafe_code)]

pub mod programs;
pub mod roles;
pub mod whole;
pub mod why;

use bootstrap::{BootstrapSigner, TokenCleaner};
use certificates::{Authorities, CsrApprover, CsrCleaner, CsrSigner};
use clusterroleaggregation::AggregationController;
use cronjob::CronJobController;
use daemonset::DaemonSetController;
use deployment::DeploymentController;
use disruption::{DisruptionController, StaleDisruptionController};
use endpoints::EndpointsController;
use endpointslice::EndpointSliceController;
use endpointslicemirroring::MirroringController;
use ephemeralvolume::EphemeralVolumeController;
use hpa::HorizontalPodAutoscalerController;
use jiff::SignedDuration;
use job::JobController;
use nodeipam::NodeIpamController;
use nodelifecycle::NodeLifecycleController;
use protection::{AttributesClassProtection, ClaimProtection, VolumeProtection};
use replicaset::{ReplicaSetController, ReplicationManager};
use resourcequota::ResourceQuotaController;
use runtime::Runtime;
use runtime::groups::Family;
use runtime::serve::Misuse;
use serviceaccount::{
    Issuer, LegacyTokenCleaner, RootCaPublisher, ServiceAccountController, TokenController,
};
use servicecidr::ServiceCidrController;
use statefulset::StatefulSetController;
use tainteviction::TaintEvictionController;
use ttl::TtlController;
use ttlafterfinished::TtlAfterFinishedController;

/// A controller that can be run.
#[derive(Debug)]
pub struct Entry {
    /// Upstream's name, for `--controllers`.
    pub name: &'static str,
    /// The name that upstream accepts too.
    alias: &'static str,
    /// Runs it.
    pub run: fn(&Runtime, &Settings),
}

/// What a controller may have to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Objects worked on at once by each controller.
    pub workers: usize,
    /// CA certificates (PEM) for kube-root-ca.crt; without them that controller has nothing to publish.
    pub root_ca: Option<String>,
    /// Ranges for nodes; without them nobody gives nodes any.
    pub node_ranges: Option<nodeipam::Options>,
    /// Who signs certificates; without them nobody does.
    pub authorities: Option<Authorities>,
    /// Who signs tokens in Secrets; without it nobody does.
    pub issuer: Option<Issuer>,
    /// How long a token in a Secret may be unused.
    pub unused_tokens: SignedDuration,
    /// So many pods that have ended are kept; 0: all.
    pub ended_pods: usize,
}

/// Makes volumes of the class that `corten up` offers.
pub const HOSTPATH: &str = "hostpath-provisioner-controller";

/// Gives nodes their ranges.
pub const NODE_IPAM: &str = "node-ipam-controller";

const TABLE: &[Entry] = &[
    Entry {
        name: "deployment-controller",
        alias: "deployment",
        run: |rt, set| rt.run(DeploymentController, set.workers),
    },
    Entry {
        name: "daemonset-controller",
        alias: "daemonset",
        run: |rt, set| rt.run(DaemonSetController::default(), set.workers),
    },
    Entry {
        name: "statefulset-controller",
        alias: "statefulset",
        run: |rt, set| rt.run(StatefulSetController, set.workers),
    },
    Entry {
        name: "replicaset-controller",
        alias: "replicaset",
        run: |rt, set| rt.run(ReplicaSetController, set.workers),
    },
    Entry {
        name: "replicationcontroller-controller",
        alias: "replicationcontroller",
        run: |rt, set| rt.run(ReplicationManager, set.workers),
    },
    Entry {
        name: "horizontal-pod-autoscaler-controller",
        alias: "horizontalpodautoscaling",
        run: |rt, set| rt.run(HorizontalPodAutoscalerController::new(rt), set.workers),
    },
    Entry {
        name: "disruption-controller",
        alias: "disruption",
        run: |rt, set| {
            rt.run(DisruptionController::new(rt.scales()), set.workers);
            rt.run(StaleDisruptionController, set.workers);
        },
    },
    Entry {
        name: "job-controller",
        alias: "job",
        run: |rt, set| rt.run(JobController::default(), set.workers),
    },
    Entry {
        name: "cronjob-controller",
        alias: "cronjob",
        run: |rt, set| rt.run(CronJobController::new(rt.reads()), set.workers),
    },
    Entry {
        name: "ttl-after-finished-controller",
        alias: "ttl-after-finished",
        run: |rt, set| rt.run(TtlAfterFinishedController, set.workers),
    },
    Entry {
        name: "endpointslice-controller",
        alias: "endpointslice",
        run: |rt, set| rt.run(EndpointSliceController::default(), set.workers),
    },
    Entry {
        name: "endpointslice-mirroring-controller",
        alias: "endpointslicemirroring",
        run: |rt, set| rt.run(MirroringController::default(), set.workers),
    },
    Entry {
        name: "endpoints-controller",
        alias: "endpoint",
        run: |rt, set| rt.run(EndpointsController::default(), set.workers),
    },
    Entry {
        name: "garbage-collector-controller",
        alias: "garbagecollector",
        run: |rt, set| garbagecollector::run(rt, set.workers),
    },
    Entry {
        name: "namespace-controller",
        alias: "namespace",
        run: |rt, set| rt.run(namespace::NamespaceController::new(rt), set.workers),
    },
    Entry {
        name: "persistentvolume-binder-controller",
        alias: "persistentvolume-binder",
        run: |rt, set| persistentvolume::run(rt, set.workers),
    },
    Entry {
        name: "persistentvolumeclaim-protection-controller",
        alias: "pvc-protection",
        run: |rt, set| rt.run(ClaimProtection::new(rt.reads()), set.workers),
    },
    Entry {
        name: "persistentvolume-protection-controller",
        alias: "pv-protection",
        run: |rt, set| rt.run(VolumeProtection, set.workers),
    },
    Entry {
        name: "volumeattributesclass-protection-controller",
        alias: "volumeattributesclass-protection-controller",
        run: |rt, set| rt.run(AttributesClassProtection, set.workers),
    },
    Entry {
        name: "ephemeral-volume-controller",
        alias: "ephemeral-volume",
        run: |rt, set| rt.run(EphemeralVolumeController, set.workers),
    },
    Entry {
        name: HOSTPATH,
        alias: "hostpath-provisioner",
        run: |rt, set| hostpath::run(rt, set.workers),
    },
    Entry {
        name: "node-lifecycle-controller",
        alias: "nodelifecycle",
        run: |rt, set| rt.run(NodeLifecycleController::new(rt), set.workers),
    },
    Entry {
        name: "taint-eviction-controller",
        alias: "taint-eviction-controller",
        run: |rt, set| rt.run(TaintEvictionController::new(rt), set.workers),
    },
    Entry {
        name: "resourcequota-controller",
        alias: "resourcequota",
        run: |rt, set| rt.run(ResourceQuotaController::new(rt), set.workers),
    },
    Entry {
        name: podgc::NAME,
        alias: "podgc",
        run: |rt, set| podgc::run(rt, set.ended_pods, set.workers),
    },
    Entry {
        name: "serviceaccount-controller",
        alias: "serviceaccount",
        run: |rt, set| rt.run(ServiceAccountController, set.workers),
    },
    Entry {
        name: "root-ca-certificate-publisher-controller",
        alias: "root-ca-cert-publisher",
        run: |rt, set| {
            if let Some(ca) = &set.root_ca {
                rt.run(RootCaPublisher::new(ca.clone()), set.workers);
            }
        },
    },
    Entry {
        name: NODE_IPAM,
        alias: "nodeipam",
        run: |rt, set| {
            if let Some(options) = &set.node_ranges {
                rt.run(NodeIpamController::new(options.clone()), set.workers);
            }
        },
    },
    Entry {
        name: "ttl-controller",
        alias: "ttl",
        run: |rt, set| rt.run(TtlController::default(), set.workers),
    },
    Entry {
        name: "clusterrole-aggregation-controller",
        alias: "clusterrole-aggregation",
        run: |rt, set| rt.run(AggregationController, set.workers),
    },
    Entry {
        name: "service-cidr-controller",
        alias: "service-cidr-controller",
        run: |rt, set| rt.run(ServiceCidrController, set.workers),
    },
    Entry {
        name: "certificatesigningrequest-approving-controller",
        alias: "csrapproving",
        run: |rt, set| rt.run(CsrApprover::new(rt.reads()), set.workers),
    },
    Entry {
        name: "certificatesigningrequest-signing-controller",
        alias: "csrsigning",
        run: |rt, set| {
            if let Some(authorities) = &set.authorities {
                rt.run(CsrSigner::new(authorities.clone()), set.workers);
            }
        },
    },
    Entry {
        name: "certificatesigningrequest-cleaner-controller",
        alias: "csrcleaner",
        run: |rt, set| rt.run(CsrCleaner, set.workers),
    },
    Entry {
        name: "serviceaccount-token-controller",
        alias: "serviceaccount-token",
        run: |rt, set| {
            if let Some(issuer) = &set.issuer {
                let (issuer, ca) = (issuer.clone(), set.root_ca.clone());
                rt.run(TokenController::new(issuer, ca, rt.reads()), set.workers);
            }
        },
    },
    Entry {
        name: "legacy-serviceaccount-token-cleaner-controller",
        alias: "legacy-service-account-token-cleaner",
        run: |rt, set| rt.run(LegacyTokenCleaner::new(set.unused_tokens), set.workers),
    },
    Entry {
        name: "bootstrap-signer-controller",
        alias: "bootstrapsigner",
        run: |rt, set| rt.run(BootstrapSigner, set.workers),
    },
    Entry {
        name: "token-cleaner-controller",
        alias: "tokencleaner",
        run: |rt, set| rt.run(TokenCleaner, set.workers),
    },
];

/// Not among those that `*` stands for, as upstream's.
const OFF: [&str; 2] = ["bootstrap-signer-controller", "token-cleaner-controller"];

/// Upstream's names of all controllers that are here and that upstream has too.
pub fn upstreams() -> Vec<&'static str> {
    let names = TABLE.iter().map(|entry| entry.name);
    names.filter(|name| *name != HOSTPATH).collect()
}

/// The other name of a controller, which upstream's flag takes too.
pub fn alias(name: &str) -> Option<&'static str> {
    let entry = TABLE.iter().find(|entry| entry.name == name);
    entry.map(|entry| entry.alias)
}

/// The controllers that `--controllers` names. As upstream's flag: `*` are all, `NAME` is one, `-NAME` is
/// not one; the first word about a controller counts; an unknown name is an error.
///
/// # Errors
/// A name that is not one of a controller.
pub fn select<W: AsRef<str>>(words: &[W]) -> Result<Vec<&'static Entry>, Misuse> {
    select_in(Family::Builtin, words)
}

/// The same for a process of this family: in Corten's own groups `*` are the controllers that have a kind there, and the
/// others, which serve all groups as they are, cannot be named.
///
/// # Errors
/// A name that is not one of a controller, or of one that has nothing in the family.
pub fn select_in<W: AsRef<str>>(
    family: Family,
    words: &[W],
) -> Result<Vec<&'static Entry>, Misuse> {
    let words: Vec<&str> = words.iter().map(|word| word.as_ref().trim()).collect();
    for word in &words {
        let name = word.strip_prefix('-').unwrap_or(word);
        if name != "*" && !TABLE.iter().any(|entry| entry.is(name)) {
            let known: Vec<_> = TABLE.iter().map(|entry| entry.name).collect();
            return Err(Misuse(format!(
                "--controllers: \"{name}\" is not a controller; there are {}, and * for all",
                known.join(", ")
            )));
        }
    }
    let named = |entry: &&Entry| words.iter().any(|word| entry.is(word));
    if let Some(entry) = TABLE
        .iter()
        .filter(named)
        .find(|entry| !family.has(entry.name))
    {
        return Err(Misuse(format!(
            "--controllers: {} has no kind of its own in the group that --group names",
            entry.name
        )));
    }
    let there = TABLE.iter().filter(|entry| family.has(entry.name));
    Ok(there.filter(|entry| is_chosen(entry, &words)).collect())
}

fn is_chosen(entry: &Entry, words: &[&str]) -> bool {
    for word in words {
        match word.strip_prefix('-') {
            Some(name) if entry.is(name) => return false,
            None if entry.is(word) => return true,
            _ => {}
        }
    }
    words.contains(&"*") && !OFF.contains(&entry.name)
}

impl Entry {
    /// Whether it does anything with these settings: without its key or its range a controller has nothing to do, and
    /// nobody is to rely on it.
    pub fn works(&self, settings: &Settings) -> bool {
        match self.name {
            "root-ca-certificate-publisher-controller" => settings.root_ca.is_some(),
            "certificatesigningrequest-signing-controller" => settings.authorities.is_some(),
            "serviceaccount-token-controller" => settings.issuer.is_some(),
            NODE_IPAM => settings.node_ranges.is_some(),
            _ => true,
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name == name || self.alias == name
    }
}

#[cfg(test)]
mod tests {
    use super::{OFF, Settings, TABLE, select, select_in};
    use runtime::groups::Family;

    fn chosen(words: &str) -> Result<Vec<&'static str>, String> {
        let words: Vec<_> = words.split(',').map(str::to_owned).collect();
        let entries = select(&words).map_err(|error| error.0)?;
        Ok(entries.iter().map(|entry| entry.name).collect())
    }

    #[test]
    fn the_flag_means_what_upstreams_means() {
        let on = TABLE.len() - OFF.len();
        assert_eq!(chosen("*").map(|c| c.len()), Ok(on));
        assert_eq!(chosen("*,bootstrapsigner").map(|c| c.len()), Ok(on + 1));
        assert_eq!(
            chosen("deployment,replicaset-controller").map(|c| c.len()),
            Ok(2)
        );
        assert_eq!(chosen("*,-deployment").map(|c| c.len()), Ok(on - 1));
        assert_eq!(chosen("-deployment,*").map(|c| c.len()), Ok(on - 1));
        assert_eq!(chosen("-deployment").map(|c| c.len()), Ok(0));
    }

    #[test]
    fn a_controller_without_its_key_or_range_does_not_count_as_one_that_works() {
        let bare = Settings::bare();
        let idle = TABLE.iter().filter(|entry| !entry.works(&bare));
        let idle: Vec<&str> = idle.map(|entry| entry.name).collect();
        let expected = [
            "root-ca-certificate-publisher-controller",
            "node-ipam-controller",
            "certificatesigningrequest-signing-controller",
            "serviceaccount-token-controller",
        ];
        assert_eq!(idle, expected);
    }

    #[test]
    fn another_group_has_the_controllers_of_its_kinds() {
        let chosen = |words: &[&str]| {
            let entries = select_in(Family::Corten, words).map_err(|error| error.0)?;
            Ok::<_, String>(entries.iter().map(|entry| entry.name).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&["*"]).map(|c| c.len()), Ok(8));
        assert_eq!(chosen(&["*", "-job"]).map(|c| c.len()), Ok(7));
        assert_eq!(chosen(&["*", "-endpoint"]).map(|c| c.len()), Ok(8));
        assert_eq!(chosen(&["job"]), Ok(vec!["job-controller"]));
        let error = chosen(&["*", "endpoint"]).err().unwrap_or_default();
        assert!(error.contains("endpoints-controller"), "{error}");
    }

    #[test]
    fn an_unknown_name_is_told_with_those_that_are_known() {
        let error = chosen("*,-deploymint").unwrap_or_default();
        assert!(error.is_empty());
        let error = chosen("*,-deploymint").err().unwrap_or_default();
        assert!(
            error.contains("deploymint") && error.contains("deployment-controller"),
            "{error}"
        );
    }
}
