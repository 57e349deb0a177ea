//! The hands: carries out a plan. It exists once, for all loops.
//!
//! Steps in order, the actions of a step concurrently, each within the process's in-flight limit. What
//! makes it safe to repeat: names are chosen by the caller, deletions carry a UID, and an answer that may
//! or may not have been committed is settled by asking, never by sending a POST again.

use crate::error::Refusal;
use crate::limit::Priority;
use crate::process::Process;
use crate::send::{self, Answer, Meta};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use plan::{Action, Cause, Confirm, Done, Failure, Note, Outcome, Pace, Plan, Step, Verb};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// How often a request that the server had no time for is sent again before the plan is given up.
const PATIENCE: u32 = 3;
/// Actions of a step that are begun at once: the in-flight limit lets fewer of them through, and what waits
/// before it costs memory.
const CROWD: usize = 64;
/// How long after a lost answer to ask whether the write was committed, and once more.
const SETTLE: [Duration; 2] = [Duration::ZERO, Duration::from_millis(500)];

/// Carries out plans in the name of one component. Cheap to clone.
#[derive(Clone)]
pub struct Executor {
    process: Arc<Process>,
    component: &'static str,
    priority: Priority,
}

/// The answers to [`Confirm`]s: asked once a plan. There are one or two.
type Confirmed<'a> = Vec<(&'a Confirm, OnceCell<bool>)>;

impl Executor {
    pub(crate) fn new(process: Arc<Process>, component: &'static str) -> Self {
        Self {
            process,
            component,
            priority: Priority::Work,
        }
    }

    /// The same for what nobody waits for, and what is due then.
    pub(crate) fn spare(self, due: Instant) -> Self {
        let priority = Priority::Spare(due);
        Self { priority, ..self }
    }

    /// Carries out `plan`: steps in order, until one has a failure that is not benign.
    pub async fn execute(&self, plan: &Plan) -> Outcome {
        for note in &plan.notes {
            self.note(note);
        }
        let confirmed = confirmations(plan);
        let mut outcome = Outcome::default();
        for step in &plan.steps {
            if outcome.failure().is_some() {
                outcome.skipped += step.actions.len();
                continue;
            }
            self.step(step, &confirmed, &mut outcome).await;
        }
        outcome
    }

    /// Carries out one action, with its event.
    pub async fn run(&self, action: &Action) -> Result<Done, Failure> {
        let result = self.write(action).await;
        match &result {
            Ok(_) => action.note.iter().for_each(|note| self.note(note)),
            Err(failure) => {
                // Where somebody else wrote first, the next turn sees what, and nobody has to.
                let tells = !failure.is_benign() && failure.cause != Cause::Conflict;
                if let Some(warning) = action.on_failure.as_ref().filter(|_| tells) {
                    let message = format!("{}: {}", warning.message, failure.message);
                    self.note(&Note::warning(&warning.about, warning.reason, message));
                }
            }
        }
        result
    }

    /// Records an event; never waits.
    pub fn note(&self, note: &Note) {
        self.process.recorder().record(self.component, note);
    }

    async fn step(&self, step: &Step, confirmed: &Confirmed<'_>, outcome: &mut Outcome) {
        let mut window = match step.pace {
            Pace::AtOnce => CROWD,
            Pace::Ramp => 1,
        };
        let mut waiting = step.actions.iter();
        let mut flying = FuturesUnordered::new();
        let mut stopped = false;
        loop {
            while !stopped && flying.len() < window {
                let Some(action) = waiting.next() else { break };
                flying.push(async move {
                    self.confirm(action, confirmed).await?;
                    self.run(action).await
                });
            }
            match flying.next().await {
                Some(Ok(done)) => {
                    outcome.done.push(done);
                    window = (window + 1).min(CROWD);
                }
                Some(Err(failure)) => {
                    // A quota or an invalid template refuses the next one too.
                    stopped |= step.pace == Pace::Ramp && !failure.is_benign();
                    outcome.failures.push(failure);
                }
                None => break,
            }
        }
        outcome.skipped += waiting.len();
    }

    async fn confirm(&self, action: &Action, confirmed: &Confirmed<'_>) -> Result<(), Failure> {
        let Some(confirm) = &action.confirm else {
            return Ok(());
        };
        let holds = match confirmed.iter().find(|(asked, _)| *asked == confirm) {
            Some((_, cell)) => *cell.get_or_init(|| Box::pin(self.holds(confirm))).await,
            None => Box::pin(self.holds(confirm)).await,
        };
        if holds {
            return Ok(());
        }
        let message = match confirm {
            Confirm::Alive(who) => format!("{who} is gone, is another one, or is being deleted"),
            Confirm::Gone(who) => format!("{who} is not known to be gone"),
        };
        Err(failed(action, Cause::Unconfirmed, message))
    }

    async fn holds(&self, confirm: &Confirm) -> bool {
        let (Confirm::Alive(who) | Confirm::Gone(who)) = confirm;
        let answer = send::read::<Answer>(&self.process, &who.path()).await;
        let is = |a: &Answer| a.metadata.uid.as_deref() == Some(&who.uid);
        match (confirm, answer) {
            (Confirm::Alive(_), Ok(a)) => is(&a) && a.metadata.deletion_timestamp.is_none(),
            (Confirm::Alive(_), Err(_)) => false,
            (Confirm::Gone(_), Ok(a)) => !is(&a),
            (Confirm::Gone(_), Err(refusal)) => refusal.cause == Cause::NotFound,
        }
    }

    /// Sends it, waits where the server asks to, and settles what an error leaves open.
    async fn write(&self, action: &Action) -> Result<Done, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let permit = self.process.limit().acquire(self.priority).await;
            // In a box that is made now: thousands may be waiting for their permit, and this is most of their size.
            let sent = send::write(&self.process, self.component, action, tries > 1);
            let answer = Box::pin(sent).await;
            let refusal = match answer {
                Ok(meta) => {
                    permit.succeeded();
                    return Ok(done(action, &meta));
                }
                Err(refusal) => refusal,
            };
            if let Some(delay) = refusal.retry_after {
                permit.throttled(delay);
                if tries < PATIENCE && !refusal.ambiguous {
                    continue;
                }
            }
            drop(permit);
            return Box::pin(self.settle(action, refusal)).await;
        }
    }

    /// What an error really means for this action.
    async fn settle(&self, action: &Action, refusal: Refusal) -> Result<Done, Failure> {
        match &action.verb {
            Verb::Create(wanted) if action.subresource.is_empty() => {
                let exists = refusal.cause == Cause::AlreadyExists;
                if exists || refusal.ambiguous {
                    for wait in SETTLE {
                        self.process.sleep(wait).await;
                        let live = send::read::<Value>(&self.process, &action.on.path()).await;
                        match live {
                            Ok(live) if is_same(&live, wanted) => {
                                let meta =
                                    serde_json::from_value::<Answer>(live).unwrap_or_default();
                                return Ok(done(action, &meta.metadata));
                            }
                            Ok(_) => {
                                let message =
                                    format!("{} already exists and is not ours", action.on);
                                return Err(failed(action, Cause::AlreadyExists, message));
                            }
                            Err(_) if exists => break,
                            Err(_) => {}
                        }
                    }
                }
            }
            // The UID was a precondition: a conflict says that this incarnation is gone, unless it was
            // about something else (a webhook, a finalizer in flight) and it is still there.
            Verb::Delete {
                resource_version: None,
                ..
            } if refusal.cause == Cause::Conflict => {
                let live = send::read::<Answer>(&self.process, &action.on.path()).await;
                let uid = live.ok().and_then(|live| live.metadata.uid);
                if uid.as_ref() != Some(&action.on.uid) {
                    return Err(failed(action, Cause::NotFound, refusal.message));
                }
            }
            _ => {}
        }
        Err(failed(action, refusal.cause, refusal.message))
    }
}

/// Whether what is there is what was to be created: by the same owner and, but for what others may have
/// changed or defaulted since, with the same content. A creation that was committed before its answer was
/// lost is found out by this, and so is somebody else's object of the same name.
fn is_same(live: &Value, wanted: &plan::Object) -> bool {
    let Ok(wanted) = serde_json::from_str::<Value>(wanted.json()) else {
        return false;
    };
    if owner(live) != owner(&wanted) {
        return false;
    }
    // The server fills in what a spec does not say. What the others hold, only their maker says: Endpoints
    // without subsets are not those that somebody else has filled.
    within(&wanted["spec"], &live["spec"], "spec")
        && ["data", "subsets", "endpoints"].iter().all(|part| {
            is_empty(&wanted[part]) == is_empty(&live[part])
                && within(&wanted[part], &live[part], part)
        })
}

/// The UID of the controller.
fn owner(object: &Value) -> Option<&str> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    owner["uid"].as_str()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// True when everything that `wanted` says stands in `live` too; `live` may say more.
fn within(wanted: &Value, live: &Value, field: &str) -> bool {
    match (wanted, live) {
        // Scaled since, which is nobody's mistake.
        _ if field == "replicas" => true,
        (Value::Null, _) => true,
        (Value::Object(w), Value::Object(l)) => w
            .iter()
            .all(|(key, value)| within(value, l.get(key).unwrap_or(&Value::Null), key)),
        (Value::Object(w), Value::Null) => w.is_empty(),
        (Value::Array(w), Value::Null) => w.is_empty(),
        // The server leaves zero values out of what it sends (Go's omitempty): a ReplicaSet with
        // minReadySeconds 0 comes back without.
        (Value::Number(w), Value::Null) => w.as_f64() == Some(0.0),
        (Value::Bool(w), Value::Null) => !w,
        (Value::String(w), Value::Null) => w.is_empty(),
        // The server may add to a list (volumes, tolerations) but keeps its order.
        (Value::Array(w), Value::Array(l)) => {
            w.len() <= l.len() && w.iter().zip(l).all(|(w, l)| within(w, l, ""))
        }
        (w, l) => w == l,
    }
}

fn confirmations(plan: &Plan) -> Confirmed<'_> {
    let mut asked = Confirmed::new();
    for confirm in plan.actions().filter_map(|action| action.confirm.as_ref()) {
        if !asked.iter().any(|(one, _)| *one == confirm) {
            asked.push((confirm, OnceCell::new()));
        }
    }
    asked
}

fn done(action: &Action, meta: &Meta) -> Done {
    let mut on = action.on.clone();
    if let (true, Some(uid)) = (on.uid.is_empty(), &meta.uid) {
        on.uid.clone_from(uid);
    }
    Done {
        on,
        verb: action.verb.name(),
        version: meta.version(),
    }
}

fn failed(action: &Action, cause: Cause, message: String) -> Failure {
    Failure {
        on: action.on.clone(),
        verb: action.verb.name(),
        cause,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::is_same;
    use k8s_openapi::api::core::v1::Endpoints;
    use plan::Object;
    use serde_json::{Value, from_value, json};

    #[test]
    fn what_somebody_else_has_filled_is_not_what_was_made_empty() {
        let full = json!([{ "addresses": [{ "ip": "10.0.0.1" }] }]);
        let is_same = |live: &Value, wanted: &Value| {
            let wanted: Endpoints = from_value(json!({ "subsets": wanted })).unwrap_or_default();
            is_same(&json!({ "subsets": live }), &Object::new(wanted))
        };
        assert!(is_same(&full, &full));
        assert!(is_same(&Value::Null, &json!([])));
        assert!(!is_same(&full, &Value::Null));
        assert!(!is_same(&Value::Null, &full));
    }
}
