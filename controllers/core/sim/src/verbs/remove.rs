//! DELETE: preconditions, grace, finalizers. `pkg/registry/rest/delete.go BeforeDelete`,
//! `registry/store.go Delete`, `pkg/registry/core/pod/strategy.go CheckGracefulDelete`.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::time;
use crate::custom::DEFINITION;
use crate::kinds::{Kind, KindId};
use crate::meta;
use crate::refusal::{self, Answer};
use crate::state::{Context, Object, State};

/// What became of the object of a DELETE.
#[derive(Debug)]
pub(crate) enum Removed {
    /// It is gone; its last state.
    Gone(Arc<Object>),
    /// It waits for its grace period or its finalizers.
    Waits(Arc<Object>),
}

/// The finalizers that the garbage collector acts on.
pub(super) const ORPHAN: &str = "orphan";
pub(super) const FOREGROUND: &str = "foregroundDeletion";

enum Grace {
    /// The kind knows none, or it is over.
    None,
    /// The deletion is under way and the request changes nothing.
    Pending,
    /// The deletion starts, or its end moves, to so many seconds.
    Seconds(i64),
}

impl State {
    pub(crate) fn delete(
        &mut self,
        context: &Context,
        kind: KindId,
        (namespace, name): (&str, &str),
        options: &Value,
    ) -> Answer<Removed> {
        let table = self.kinds[kind];
        check_options(options)?;
        let Some(old) = self.object(kind, namespace, name).cloned() else {
            return Err(refusal::not_found(table, name));
        };
        preconditions(table, &old.value, options)?;
        if table.rules() == "Namespace" {
            return Ok(self.terminate_namespace(context, kind, &old));
        }
        if table.rules() == DEFINITION {
            let waiting = self.terminate_definition(context, kind, &old);
            return Ok(Removed::Waits(waiting));
        }
        let mut new = (*old.value).clone();
        let grace = graceful(table, &mut new, options, context.now);
        if matches!(grace, Grace::Pending) {
            return Ok(Removed::Waits(old));
        }
        let finalizers = finalizers_after(table, &new, options);
        let waits_for_finalizers = !finalizers.is_empty();
        let value = waits_for_finalizers.then(|| json!(finalizers));
        meta::set(meta::metadata(&mut new), "finalizers", value);
        match grace {
            Grace::Seconds(seconds) => {
                let waiting = self.store_if_changed(context, kind, &old, new);
                if waits_for_finalizers || seconds > 0 {
                    return Ok(Removed::Waits(waiting));
                }
                let last = (*waiting.value).clone();
                Ok(Removed::Gone(self.commit(
                    context,
                    kind,
                    Some(&waiting),
                    last,
                    true,
                )))
            }
            Grace::None | Grace::Pending if waits_for_finalizers => {
                mark(&mut new, context.now);
                Ok(Removed::Waits(
                    self.store_if_changed(context, kind, &old, new),
                ))
            }
            Grace::None | Grace::Pending => {
                let last = (*old.value).clone();
                Ok(Removed::Gone(self.commit(
                    context,
                    kind,
                    Some(&old),
                    last,
                    true,
                )))
            }
        }
    }

    fn store_if_changed(
        &mut self,
        context: &Context,
        kind: KindId,
        old: &Arc<Object>,
        new: Value,
    ) -> Arc<Object> {
        if new == *old.value {
            return Arc::clone(old);
        }
        self.commit(context, kind, Some(old), new, false)
    }

    // core/namespace/storage Delete: the namespace controller empties it, then takes the
    // finalizer of its spec away.
    fn terminate_namespace(
        &mut self,
        context: &Context,
        kind: KindId,
        old: &Arc<Object>,
    ) -> Removed {
        let mut new = (*old.value).clone();
        let holds =
            !meta::array(&new, "/spec/finalizers").is_empty() || !meta::finalizers(&new).is_empty();
        if !holds {
            let last = (*old.value).clone();
            return Removed::Gone(self.commit(context, kind, Some(old), last, true));
        }
        if !meta::deleting(&new) {
            meta::metadata(&mut new)
                .insert("deletionTimestamp".to_owned(), json!(time(context.now)));
            meta::child(&mut new, "status").insert("phase".to_owned(), json!("Terminating"));
        }
        Removed::Waits(self.store_if_changed(context, kind, old, new))
    }
}

fn check_options(options: &Value) -> Answer<()> {
    let policy = meta::text(options, "/propagationPolicy");
    if !["", "Orphan", "Background", "Foreground"].contains(&policy) {
        return Err(refusal::unprocessable(&format!(
            "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: {policy:?}"
        )));
    }
    if !policy.is_empty()
        && options
            .get("orphanDependents")
            .is_some_and(|o| !o.is_null())
    {
        return Err(refusal::unprocessable(
            "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \
             orphanDependents and deletionPropagation cannot be both set",
        ));
    }
    Ok(())
}

fn preconditions(table: &Kind, object: &Value, options: &Value) -> Answer<()> {
    let name = meta::name(object);
    let wanted = meta::text(options, "/preconditions/uid");
    if !wanted.is_empty() && wanted != meta::uid(object) {
        let why = format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({}). \
             The object might have been deleted and then recreated",
            meta::uid(object)
        );
        return Err(refusal::conflict(table, name, &why));
    }
    let wanted = meta::text(options, "/preconditions/resourceVersion");
    if !wanted.is_empty() && wanted != meta::resource_version(object) {
        let why = format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the \
             ResourceVersion in record ({}). The object might have been modified",
            meta::resource_version(object)
        );
        return Err(refusal::conflict(table, name, &why));
    }
    Ok(())
}

/// Only pods are deleted gracefully.
fn graceful(table: &Kind, object: &mut Value, options: &Value, now: Timestamp) -> Grace {
    if table.rules() != "Pod" {
        return Grace::None;
    }
    let asked = meta::number(options, "/gracePeriodSeconds").map(|s| if s < 0 { 1 } else { s });
    let under_way = meta::number(object, "/metadata/deletionGracePeriodSeconds").unwrap_or(0);
    if meta::deleting(object) {
        return match asked {
            _ if under_way == 0 => Grace::None,
            Some(seconds) if seconds < under_way => {
                let started = meta::text(object, "/metadata/deletionTimestamp")
                    .parse::<Timestamp>()
                    .unwrap_or(now)
                    - SignedDuration::from_secs(under_way);
                let end = started + SignedDuration::from_secs(seconds);
                let (end, seconds) = if end < now {
                    (now, seconds.min(1))
                } else {
                    (end, seconds)
                };
                set_deletion(object, end, seconds);
                Grace::Seconds(seconds)
            }
            _ => Grace::Pending,
        };
    }
    let terminal = ["Succeeded", "Failed"].contains(&meta::text(object, "/status/phase"));
    let seconds = if meta::text(object, "/spec/nodeName").is_empty() || terminal {
        0
    } else {
        let own = meta::number(object, "/spec/terminationGracePeriodSeconds").unwrap_or(0);
        asked.unwrap_or(if own < 0 { 1 } else { own })
    };
    bump(object);
    set_deletion(object, now + SignedDuration::from_secs(seconds), seconds);
    Grace::Seconds(seconds)
}

// store.go markAsDeleting.
fn mark(object: &mut Value, now: Timestamp) {
    let end = meta::text(object, "/metadata/deletionTimestamp")
        .parse::<Timestamp>()
        .ok();
    if end.is_none() {
        bump(object);
    }
    let end = end.filter(|end| *end <= now).unwrap_or(now);
    set_deletion(object, end, 0);
}

fn bump(object: &mut Value) {
    if let Some(generation) = meta::number(object, "/metadata/generation") {
        meta::metadata(object).insert("generation".to_owned(), json!(generation + 1));
    }
}

fn set_deletion(object: &mut Value, end: Timestamp, seconds: i64) {
    let metadata = meta::metadata(object);
    metadata.insert("deletionTimestamp".to_owned(), json!(time(end)));
    metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(seconds));
}

// store.go deletionFinalizersForGarbageCollection.
fn finalizers_after(table: &Kind, object: &Value, options: &Value) -> Vec<String> {
    let present = meta::finalizers(object);
    let policy = meta::text(options, "/propagationPolicy");
    let (orphan, foreground) = match options.get("orphanDependents").and_then(Value::as_bool) {
        Some(orphan) => (orphan, false),
        None => match policy {
            "Orphan" => (true, false),
            "Background" => (false, false),
            "Foreground" => (false, true),
            _ if present.iter().any(|f| f == ORPHAN) => (true, false),
            _ if present.iter().any(|f| f == FOREGROUND) => (false, true),
            _ => (table.orphans, false),
        },
    };
    let mut finalizers: Vec<String> = present
        .iter()
        .filter(|f| *f != ORPHAN && *f != FOREGROUND)
        .cloned()
        .collect();
    if orphan {
        finalizers.push(ORPHAN.to_owned());
    }
    if foreground {
        finalizers.push(FOREGROUND.to_owned());
    }
    let same_set =
        finalizers.len() == present.len() && finalizers.iter().all(|f| present.contains(f));
    if same_set { present } else { finalizers }
}
