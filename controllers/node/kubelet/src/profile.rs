//! What pretended containers do, as data.
//!
//! From weak to strong: the built-in behaviour (start at once, run for ever, be ready); a profile chosen by
//! a rule of the profile file; the profile that the pod's annotation `hollow.corten.dev/profile` names;
//! the pod's annotations `hollow.corten.dev/start-delay`, `ready-after`, `run-for`, `stop-after` (Go
//! durations), `exit-code` (one, or one a run separated by commas of which the last repeats), `stop-code`,
//! `fail-image`, `ready`. What is said of one container (`containers:` in a profile,
//! `hollow.corten.dev/run-for.<container>` as annotation) is stronger than what is said of the pod.
//!
//! A container of which nobody says when it ends does what its command says, if that is understood (see
//! [`crate::script`]), or what its image is known to do (see [`crate::command`]). A rule with `fallback` only
//! says what happens otherwise: by default that containers of Jobs succeed after a second.
//!
//! Probes pass, but those that look at the files of a script that is understood, and those that
//! `fail-liveness-after` or `fail-startup-for` (durations from the container's start) let fail.
//!
//! Init containers end at once with code 0 and sidecars run for ever unless something is said of them by
//! name or by their command. A value that cannot be read counts as not said.

mod usage;

pub use usage::Usage;

use crate::image;
use k8s_openapi::api::core::v1::{Container, Pod};
use objects::meta;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::time::Duration;

const PREFIX: &str = "hollow.corten.dev/";

/// The profile file: named behaviours, rules that choose among them, images that cannot be pulled.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Profiles {
    /// Behaviours by name.
    pub profiles: BTreeMap<String, Profile>,
    /// The first rule that fits a pod gives its profile.
    pub rules: Vec<Rule>,
    /// Patterns (`*` is any text) of images that cannot be pulled.
    pub unpullable: Vec<String>,
}

/// Which pods have a profile. What is not said fits all.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rule {
    /// The kind of the pod's controller, `Job`.
    pub owner_kind: Option<String>,
    /// The pod's namespace, a pattern.
    pub namespace: Option<String>,
    /// The image of one of the pod's containers, a pattern.
    pub image: Option<String>,
    /// The name of the profile.
    pub profile: String,
    /// When containers end, and how, is said only for those whose command and image say nothing.
    pub fallback: bool,
}

/// A behaviour; what is not said is left to what is weaker.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Profile {
    /// From the pod's arrival until its first container starts.
    #[serde(deserialize_with = "go_duration")]
    pub start_delay: Option<Duration>,
    /// From a container's start until it is ready.
    #[serde(deserialize_with = "go_duration")]
    pub ready_after: Option<Duration>,
    /// From a container's start until it exits by itself.
    #[serde(deserialize_with = "go_duration")]
    pub run_for: Option<Duration>,
    /// From the pod's deletion until its containers have stopped; never longer than the grace period.
    #[serde(deserialize_with = "go_duration")]
    pub stop_after: Option<Duration>,
    /// The code of the first, second, … exit; the last one repeats.
    #[serde(deserialize_with = "codes")]
    pub exit_code: Option<Vec<i32>>,
    /// The code with which a container ends that was told to stop.
    pub stop_code: Option<i32>,
    /// The image cannot be pulled.
    pub fail_image: Option<bool>,
    /// False: the container runs and is never ready.
    pub ready: Option<bool>,
    /// From a container's start until its liveness probe begins to fail.
    #[serde(deserialize_with = "go_duration")]
    pub fail_liveness_after: Option<Duration>,
    /// From a container's start until its startup probe passes.
    #[serde(deserialize_with = "go_duration")]
    pub fail_startup_for: Option<Duration>,
    /// The CPU that each container uses, a quantity.
    pub cpu: Option<String>,
    /// The CPU that all running pods of one controller use together, a quantity.
    pub cpu_shared: Option<String>,
    /// The memory that each container uses, a quantity.
    pub memory: Option<String>,
    /// What one container does otherwise.
    pub containers: BTreeMap<String, Profile>,
}

/// What one container of one pod does.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// From its start until it is ready; never when none.
    pub ready_after: Option<Duration>,
    /// From its start until it exits; never when none.
    pub run_for: Option<Duration>,
    /// The codes of its exits in order, never empty; the last one repeats.
    pub exit_codes: Vec<i32>,
    /// Somebody says when it ends; what its command says does not count.
    pub is_told: bool,
    /// The code when it was told to stop.
    pub stop_code: i32,
    /// The code of a script that was told to stop and did not until it was killed.
    pub kill_code: i32,
    /// The image cannot be pulled.
    pub fail_image: bool,
    /// From its start until its liveness probe fails.
    pub fail_liveness_after: Option<Duration>,
    /// From its start until its startup probe passes.
    pub fail_startup_for: Option<Duration>,
}

/// A profile file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not YAML or JSON, or a field that does not exist.
    #[error("the profile file cannot be read: {0}")]
    Syntax(String),
    /// A rule names a profile that is not there.
    #[error("a rule names the profile {0:?}, which is not defined")]
    Unknown(String),
}

impl Default for Profiles {
    /// Pods of Jobs succeed after a second; two kinds of images that e2e tests and people use as impossible
    /// ones are.
    fn default() -> Self {
        let job = Profile {
            run_for: Some(Duration::from_secs(1)),
            // A Job must not take a pod that was deleted while it ran for one that succeeded.
            stop_code: Some(143),
            ..Profile::default()
        };
        Self {
            profiles: BTreeMap::from([("job".to_owned(), job)]),
            rules: vec![Rule {
                owner_kind: Some("Job".to_owned()),
                profile: "job".to_owned(),
                fallback: true,
                ..Rule::default()
            }],
            unpullable: ["*:404", "*:non-existent", "invalid.registry.k8s.io/*"]
                .map(str::to_owned)
                .to_vec(),
        }
    }
}

impl Profiles {
    /// Reads a profile file, YAML or JSON. What it does not mention stays as it is by default.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let read: Self = serde_saphyr::from_str(text)
            .map_err(|error| ProfileError::Syntax(error.to_string()))?;
        let unknown = read
            .rules
            .iter()
            .find(|rule| !read.profiles.contains_key(&rule.profile));
        match unknown {
            Some(rule) => Err(ProfileError::Unknown(rule.profile.clone())),
            None => Ok(read),
        }
    }

    /// From the pod's arrival until its first container starts.
    pub fn start_delay(&self, pod: &Pod) -> Duration {
        let say = self.said(pod, None);
        say.duration("start-delay", |p| p.start_delay)
            .unwrap_or_default()
    }

    /// From the pod's deletion until its containers have stopped; none when nobody says it.
    pub fn stop_after(&self, pod: &Pod) -> Option<Duration> {
        let say = self.said(pod, None);
        say.duration("stop-after", |p| p.stop_after)
    }

    /// What a container of a pod does. `init` says that it is an init container or sidecar.
    pub fn behaviour(&self, pod: &Pod, container: &Container, init: bool) -> Behaviour {
        let say = Said {
            by_name_only: init,
            ..self.said(pod, Some(&container.name))
        };
        let once = init && !objects::pod::is_sidecar(container);
        let ready = say.value("ready", |p| p.ready, |text| text.parse().ok());
        let firm = Said {
            by_name_only: init,
            ..self.firmly_said(pod, Some(&container.name))
        };
        let image = container.image.as_deref().unwrap_or_default();
        Behaviour {
            ready_after: (ready != Some(false)).then(|| {
                say.duration("ready-after", |p| p.ready_after)
                    .unwrap_or_default()
            }),
            run_for: say
                .duration("run-for", |p| p.run_for)
                .or_else(|| {
                    // A code without a time: it exits at once.
                    say.codes().map(|_| Duration::ZERO)
                })
                .or(once.then_some(Duration::ZERO)),
            exit_codes: say.codes().unwrap_or_else(|| vec![0]),
            is_told: firm.duration("run-for", |p| p.run_for).is_some() || firm.codes().is_some(),
            stop_code: say
                .value("stop-code", |p| p.stop_code, |text| text.parse().ok())
                .unwrap_or(0),
            kill_code: firm
                .value("stop-code", |p| p.stop_code, |text| text.parse().ok())
                .unwrap_or(137),
            fail_liveness_after: say.duration("fail-liveness-after", |p| p.fail_liveness_after),
            fail_startup_for: say.duration("fail-startup-for", |p| p.fail_startup_for),
            fail_image: say
                .value("fail-image", |p| p.fail_image, |text| text.parse().ok())
                .unwrap_or_else(|| self.unpullable.iter().any(|p| image::glob(p, image))),
        }
    }

    fn said<'a>(&'a self, pod: &'a Pod, container: Option<&'a str>) -> Said<'a> {
        self.said_by(pod, container, |_| true)
    }

    /// All that is said but by rules that are a fallback.
    fn firmly_said<'a>(&'a self, pod: &'a Pod, container: Option<&'a str>) -> Said<'a> {
        self.said_by(pod, container, |rule| !rule.fallback)
    }

    fn said_by<'a>(
        &'a self,
        pod: &'a Pod,
        container: Option<&'a str>,
        counts: impl Fn(&Rule) -> bool,
    ) -> Said<'a> {
        let named = meta::annotation(&pod.metadata, &format!("{PREFIX}profile"))
            .and_then(|name| self.profiles.get(name));
        let ruled = self.rules.iter().find(|rule| rule.fits(pod));
        let ruled = ruled.filter(|rule| counts(rule));
        let ruled = ruled.and_then(|rule| self.profiles.get(&rule.profile));
        Said {
            pod,
            container,
            profiles: [named, ruled],
            by_name_only: false,
        }
    }
}

impl Rule {
    fn fits(&self, pod: &Pod) -> bool {
        let owner = || meta::controller_of(&pod.metadata).map(|owner| owner.kind.as_str());
        let spec = pod.spec.as_ref();
        let mut images = spec
            .into_iter()
            .flat_map(|spec| &spec.containers)
            .filter_map(|container| container.image.as_deref());
        self.owner_kind
            .as_deref()
            .is_none_or(|kind| owner() == Some(kind))
            && self
                .namespace
                .as_deref()
                .is_none_or(|pattern| image::glob(pattern, meta::namespace(&pod.metadata)))
            && self
                .image
                .as_deref()
                .is_none_or(|pattern| images.any(|image| image::glob(pattern, image)))
    }
}

/// All that is said of one container, or of the pod when there is no container.
struct Said<'a> {
    pod: &'a Pod,
    container: Option<&'a str>,
    /// Strong to weak.
    profiles: [Option<&'a Profile>; 2],
    /// What is said of the pod does not hold for this container.
    by_name_only: bool,
}

impl Said<'_> {
    fn value<T>(
        &self,
        key: &str,
        field: impl Fn(&Profile) -> Option<T>,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let annotation = |key: String| meta::annotation(&self.pod.metadata, &key).and_then(&read);
        let profiles = || self.profiles.iter().copied().flatten();
        let by_name = self.container.and_then(|name| {
            annotation(format!("{PREFIX}{key}.{name}"))
                .or_else(|| profiles().find_map(|p| p.containers.get(name).and_then(&field)))
        });
        by_name.or_else(|| {
            if self.by_name_only {
                return None;
            }
            annotation(format!("{PREFIX}{key}")).or_else(|| profiles().find_map(&field))
        })
    }

    fn duration(
        &self,
        key: &str,
        field: impl Fn(&Profile) -> Option<Duration>,
    ) -> Option<Duration> {
        self.value(key, field, parse_duration)
    }

    fn codes(&self) -> Option<Vec<i32>> {
        self.value("exit-code", |p| p.exit_code.clone(), parse_codes)
    }
}

/// Reads a Go duration that is not negative: `1h2m3.5s`, `300ms`, `0`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    runtime::args::parse_duration(text).ok()
}

fn parse_codes(text: &str) -> Option<Vec<i32>> {
    let codes = text.split(',').map(|code| code.trim().parse().ok());
    codes
        .collect::<Option<Vec<i32>>>()
        .filter(|codes| !codes.is_empty())
}

fn go_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else {
        return Ok(None);
    };
    parse_duration(&text)
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("{text:?} is not a duration such as 1m30s")))
}

fn codes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<i32>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Codes {
        One(i32),
        Many(Vec<i32>),
    }
    match Option::<Codes>::deserialize(from)? {
        None => Ok(None),
        Some(Codes::One(code)) => Ok(Some(vec![code])),
        Some(Codes::Many(codes)) if codes.is_empty() => {
            Err(D::Error::custom("exitCode is an empty list"))
        }
        Some(Codes::Many(codes)) => Ok(Some(codes)),
    }
}

#[cfg(test)]
mod tests;
