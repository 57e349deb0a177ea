//! Which tokens nobody uses (upstream: legacy_serviceaccount_token_cleaner.go).

use crate::legacy::LegacyWorld;
use ::plan::{Action, PatchType, Plan, Reference};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod, Volume};
use objects::meta;
use serde_json::json;
use std::time::Duration;

/// The label by which the API server says when a token was used last.
const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
/// The label by which it is marked: the API server takes it no more.
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";
/// How often it is looked whether a token has become old.
const EVERY: Duration = Duration::from_hours(24);

pub(crate) fn plan(world: &LegacyWorld) -> Plan {
    let mut plan = Plan::none();
    if !crate::tokens::is_token(&world.secret) || meta::is_deleting(&world.secret.metadata) {
        return plan;
    }
    plan.again(EVERY);
    if !is_old(world) || !world.made || world.mounted || !is_tracked(world) {
        return plan;
    }
    let (today, border) = (day(world.now), border(world));
    let on = Reference::to(&*world.secret);
    match date(world, INVALID_SINCE) {
        Some(Ok(since)) if since >= border => {}
        Some(Ok(_)) => {
            let version = world.secret.metadata.resource_version.clone();
            let delete = Action::delete_ref(on).at_version(version);
            plan.then(vec![delete.because("nobody uses the token")]);
        }
        _ => {
            let labels = json!({ INVALID_SINCE: today.to_string() });
            let body = json!({ "metadata": { "uid": on.uid, "labels": labels } });
            let mark = Action::patch(on, PatchType::Merge, body);
            plan.then(vec![mark.because("nobody uses the token")]);
        }
    }
    plan
}

/// Whether it was made and used so long ago that it may be one that nobody uses.
pub(crate) fn is_old(world: &LegacyWorld) -> bool {
    let made = meta::created(&world.secret.metadata);
    let border_time = world
        .now
        .checked_sub(world.period)
        .unwrap_or(Timestamp::MIN);
    if made.is_none_or(|made| made >= border_time) {
        return false;
    }
    match date(world, LAST_USED) {
        None => true,
        Some(Ok(used)) => used < border(world),
        // Nobody knows.
        Some(Err(())) => false,
    }
}

/// Whether the API server has noted for long enough what is used.
fn is_tracked(world: &LegacyWorld) -> bool {
    let Some(since) = world.tracked else {
        return false;
    };
    // It may have begun at the end of that day.
    let first = since.checked_add(Span::new().days(1)).ok();
    let first = first.and_then(|day| day.to_zoned(TimeZone::UTC).ok());
    let full = first.and_then(|first| first.timestamp().checked_add(world.period).ok());
    full.is_some_and(|full| world.now >= full)
}

/// Whether a pod names this Secret.
pub(crate) fn mounts(pod: &Pod, secret: &str) -> bool {
    let Some(spec) = &pod.spec else {
        return false;
    };
    let is = |name: Option<&str>| name == Some(secret);
    let mut pulls = spec.image_pull_secrets.iter().flatten();
    pulls.any(|reference| is(Some(&reference.name)))
        || spec
            .volumes
            .iter()
            .flatten()
            .any(|volume| of_volume(volume, secret))
        || [spec.init_containers.as_ref(), Some(&spec.containers)]
            .into_iter()
            .flatten()
            .flatten()
            .any(|container| of_container(container, secret))
        || spec.ephemeral_containers.iter().flatten().any(|container| {
            let container = Container {
                env: container.env.clone(),
                env_from: container.env_from.clone(),
                ..Container::default()
            };
            of_container(&container, secret)
        })
}

fn of_container(container: &Container, secret: &str) -> bool {
    let mut sources = container.env_from.iter().flatten();
    let mut env = container.env.iter().flatten();
    sources.any(|source| source.secret_ref.as_ref().is_some_and(|s| s.name == secret))
        || env.any(|variable| {
            let from = variable.value_from.as_ref();
            let key = from.and_then(|from| from.secret_key_ref.as_ref());
            key.is_some_and(|key| key.name == secret)
        })
}

fn of_volume(volume: &Volume, secret: &str) -> bool {
    let by_name = [
        volume.azure_file.as_ref().map(|v| v.secret_name.as_str()),
        volume
            .secret
            .as_ref()
            .and_then(|v| v.secret_name.as_deref()),
    ];
    let by_reference = [
        volume.cephfs.as_ref().and_then(|v| v.secret_ref.as_ref()),
        volume.cinder.as_ref().and_then(|v| v.secret_ref.as_ref()),
        volume
            .flex_volume
            .as_ref()
            .and_then(|v| v.secret_ref.as_ref()),
        volume.rbd.as_ref().and_then(|v| v.secret_ref.as_ref()),
        volume.scale_io.as_ref().map(|v| &v.secret_ref),
        volume.iscsi.as_ref().and_then(|v| v.secret_ref.as_ref()),
        volume
            .storageos
            .as_ref()
            .and_then(|v| v.secret_ref.as_ref()),
        volume
            .csi
            .as_ref()
            .and_then(|v| v.node_publish_secret_ref.as_ref()),
    ];
    let projected = volume.projected.as_ref().and_then(|v| v.sources.as_ref());
    let mut projected = projected
        .into_iter()
        .flatten()
        .filter_map(|s| s.secret.as_ref());
    by_name.into_iter().flatten().any(|name| name == secret)
        || by_reference
            .into_iter()
            .flatten()
            .any(|reference| reference.name == secret)
        || projected.any(|source| source.name == secret)
}

/// The day of a label, if it is there.
fn date(world: &LegacyWorld, label: &str) -> Option<Result<Date, ()>> {
    let text = meta::label(&world.secret.metadata, label)?;
    Some(text.parse().map_err(|_| ()))
}

/// What was used before this day was not used for the whole period.
fn border(world: &LegacyWorld) -> Date {
    day(world
        .now
        .checked_sub(world.period)
        .unwrap_or(Timestamp::MIN))
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests;
