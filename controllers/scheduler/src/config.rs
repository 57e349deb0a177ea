//! `--config`: KubeSchedulerConfiguration v1, read as upstream reads it.
//!
//! Upstream: `kube-scheduler/config/v1/{types,types_pluginargs}.go`, `pkg/scheduler/framework/runtime/framework.go`
//! (`expandMultiPointPlugins`), `pkg/scheduler/apis/config/validation`. What is wrong is said with the field that it is in.
//! How to reach the API server, who leads and where metrics are served the flags say: these parts of a file are read and
//! not looked at. `parallelism` means nothing here.

mod args;
mod extenders;
mod plugins;

use crate::extender::Extender;
use crate::plugin::Own;
use crate::plugins::Table;
use crate::queue::Backoff;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What the file says.
#[derive(Debug)]
pub struct Config {
    /// One for each schedulerName.
    pub profiles: Vec<Profile>,
    /// How long a pod waits after its first failed attempt.
    pub initial_backoff: Duration,
    /// The longest that it waits.
    pub max_backoff: Duration,
    /// Who is asked besides, for all profiles.
    pub extenders: Vec<Extender>,
    /// The parts that are shown as they are.
    pub extras: Map<String, Value>,
}

/// The pods of one schedulerName, and what is done about them.
#[derive(Debug)]
pub struct Profile {
    /// `spec.schedulerName` of its pods.
    pub name: String,
    /// Its plugins.
    pub table: Table,
    /// Their arguments, as the file has them.
    pub plugin_config: Vec<Value>,
}

const VERSION: &str = "kubescheduler.config.k8s.io/v1";
const KIND: &str = "KubeSchedulerConfiguration";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    api_version: String,
    kind: String,
    percentage_of_nodes_to_score: Option<i64>,
    pod_initial_backoff_seconds: Option<i64>,
    pod_max_backoff_seconds: Option<i64>,
    #[serde(default)]
    profiles: Vec<Value>,
    #[serde(default)]
    extenders: Vec<Value>,
    // Flags stand for these, or they mean nothing here.
    #[serde(rename = "parallelism")]
    _parallelism: Option<i64>,
    #[serde(rename = "leaderElection")]
    _leader_election: Option<Value>,
    #[serde(rename = "clientConnection")]
    _client_connection: Option<Value>,
    #[serde(rename = "delayCacheUntilActive")]
    _delay: Option<bool>,
    #[serde(rename = "enableProfiling")]
    _profiling: Option<bool>,
    #[serde(rename = "enableContentionProfiling")]
    _contention: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Given {
    scheduler_name: Option<String>,
    percentage_of_nodes_to_score: Option<i64>,
    plugins: Option<Value>,
    #[serde(default)]
    plugin_config: Vec<Value>,
}

impl Config {
    /// Reads a file's text.
    ///
    /// # Errors
    /// A sentence that names the field with something in it that cannot be.
    pub fn read(text: &str) -> Result<Self, String> {
        Self::read_with(text, &[])
    }

    /// The same where these plugins are known too.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn read_with(text: &str, own: &[Own]) -> Result<Self, String> {
        let value: Value =
            serde_saphyr::from_str(text).map_err(|error| format!("not YAML or JSON: {error}"))?;
        let extras = extras(&value);
        let file: File = part(value, "")?;
        if (&*file.api_version, &*file.kind) != (VERSION, KIND) {
            let (version, kind) = (&file.api_version, &file.kind);
            return Err(format!(
                "apiVersion, kind: {version:?}, {kind:?} is not {VERSION:?}, {KIND:?}"
            ));
        }
        let (extenders, managed) = extenders::read(file.extenders)?;
        let seconds = |given: Option<i64>, default: i64, field: &str| {
            let seconds = given.unwrap_or(default);
            u64::try_from(seconds)
                .ok()
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs)
                .ok_or_else(|| format!("{field}: {seconds} is not greater than 0"))
        };
        let initial = file.pod_initial_backoff_seconds;
        let initial_backoff = seconds(initial, 1, "podInitialBackoffSeconds")?;
        let max_backoff = seconds(file.pod_max_backoff_seconds, 10, "podMaxBackoffSeconds")?;
        if max_backoff < initial_backoff {
            return Err("podMaxBackoffSeconds: is less than podInitialBackoffSeconds".to_owned());
        }
        let global = percentage(file.percentage_of_nodes_to_score, "")?;
        let given = match file.profiles.len() {
            0 => vec![serde_json::json!({})],
            _ => file.profiles,
        };
        let mut profiles: Vec<Profile> = Vec::new();
        for (index, given) in given.into_iter().enumerate() {
            let at = format!("profiles[{index}]");
            let profile = profile(given, &at, global, &managed, own)?;
            if profiles.iter().any(|other| other.name == profile.name) {
                let name = &profile.name;
                return Err(format!("{at}.schedulerName: {name:?} is there twice"));
            }
            profiles.push(profile);
        }
        Ok(Self {
            profiles,
            initial_backoff,
            max_backoff,
            extenders,
            extras,
        })
    }
}

/// The fields of the file that are shown as they are, without what is secret in them.
fn extras(file: &Value) -> Map<String, Value> {
    const FIELDS: [&str; 8] = [
        "extenders",
        "parallelism",
        "leaderElection",
        "clientConnection",
        "delayCacheUntilActive",
        "enableProfiling",
        "enableContentionProfiling",
        "percentageOfNodesToScore",
    ];
    let given = FIELDS.iter().filter_map(|field| {
        let mut value = file.get(field)?.clone();
        for extender in value.as_array_mut().into_iter().flatten() {
            let tls = extender.get_mut("tlsConfig").and_then(Value::as_object_mut);
            tls.and_then(|tls| tls.remove("keyData"));
        }
        Some(((*field).to_owned(), value))
    });
    given.collect()
}

/// The configuration in effect, as a file would have it that says all of it (`/configz`).
pub fn shown(profiles: &[Profile], times: Backoff, extras: &Map<String, Value>) -> Value {
    let mut shown = json!({
        "apiVersion": VERSION,
        "kind": KIND,
        "parallelism": 16,
        "enableProfiling": true,
        "enableContentionProfiling": true,
        "podInitialBackoffSeconds": times.initial.as_secs(),
        "podMaxBackoffSeconds": times.max.as_secs(),
        "profiles": profiles.iter().map(Profile::shown).collect::<Vec<_>>(),
    });
    if let Some(shown) = shown.as_object_mut() {
        shown.extend(extras.clone());
    }
    shown
}

impl Profile {
    fn shown(&self) -> Value {
        let table = &self.table;
        let named = |name: &str| json!({ "name": name });
        let point = |enabled: Vec<Value>| json!({ "enabled": enabled });
        let everywhere = ["SchedulingGates", "PrioritySort", "DefaultBinder"];
        let filters = table.filters.iter().map(|filter| named(filter.name()));
        let makes_room = table.preempts.then(|| named("DefaultPreemption"));
        let scores = table
            .scores
            .iter()
            .map(|(score, weight)| json!({ "name": score.name(), "weight": weight }));
        json!({
            "schedulerName": self.name,
            "percentageOfNodesToScore": table.percentage.unwrap_or(0),
            "plugins": {
                "multiPoint": { "disabled": [named("*")], "enabled": everywhere.map(named) },
                "filter": point(filters.collect()),
                "postFilter": point(makes_room.into_iter().collect()),
                "score": point(scores.collect()),
            },
            "pluginConfig": self.plugin_config,
        })
    }
}

fn profile(
    given: Value,
    at: &str,
    global: Option<u32>,
    managed: &[String],
    own: &[Own],
) -> Result<Profile, String> {
    let given: Given = part(given, at)?;
    let name = given
        .scheduler_name
        .unwrap_or_else(|| crate::DEFAULT_SCHEDULER.to_owned());
    if name.is_empty() {
        return Err(format!("{at}.schedulerName: is empty"));
    }
    let plugin_config = given.plugin_config.clone();
    let mut args = args::Args::read(given.plugin_config, &format!("{at}.pluginConfig"), own)?;
    if !managed.is_empty() {
        args.ignored = managed.to_vec();
    }
    let points = plugins::Points::read(given.plugins, &format!("{at}.plugins"), own)?;
    let mut table = points.table(&args, &format!("{at}.plugins"), own)?;
    let own = percentage(given.percentage_of_nodes_to_score, &format!("{at}."))?;
    table.percentage = own.or(global);
    Ok(Profile {
        name,
        table,
        plugin_config,
    })
}

/// None and 0 leave it to the scheduler.
fn percentage(given: Option<i64>, at: &str) -> Result<Option<u32>, String> {
    match given {
        None | Some(0) => Ok(None),
        Some(percent @ 1..=100) => Ok(u32::try_from(percent).ok()),
        Some(other) => Err(format!(
            "{at}percentageOfNodesToScore: {other} is not in 0 to 100"
        )),
    }
}

/// A part of the file as what it should be, or what is wrong with it and where.
fn part<T: for<'de> Deserialize<'de>>(value: Value, at: &str) -> Result<T, String> {
    let dot = if at.is_empty() { "" } else { ": " };
    serde_json::from_value(value).map_err(|error| format!("{at}{dot}{error}"))
}

#[cfg(test)]
mod tests;
