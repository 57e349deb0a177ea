use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::*;
use crate::{Effect, Fault, Lost, Moment, Verb, fault};

/// Lets an actor create pods `a` and `b` with a fault of the second write: the answer to `b`, and
/// whether it was committed.
async fn second(effect: Effect) -> (Option<kube::Result<Pod>>, bool) {
    let sim = Sim::new();
    sim.inject(Fault::write("c", 2, effect));
    let pods = api::<Pod>(&sim.client_for("c"));
    let given = PostParams::default();
    pods.create(&given, &pod("a")).await.unwrap();
    let object = pod("b");
    let answer = timeout(Duration::from_mins(1), pods.create(&given, &object))
        .await
        .ok();
    assert_eq!((sim.faults_waiting(), sim.writes("c")), (0, 2));
    (answer, sim.get::<Pod>("default", "b").is_some())
}

#[tokio::test(start_paused = true)]
async fn answers_are_refused_before_the_write() {
    for (effect, expected) in [
        (Effect::FailBefore(500), code(500, "InternalError")),
        (Effect::FailBefore(504), code(504, "Timeout")),
        (Effect::Conflict, code(409, "Conflict")),
    ] {
        let (answer, committed) = second(effect).await;
        assert_eq!((refused(answer.unwrap()), committed), (expected, false));
    }
    let (answer, committed) = second(Effect::TooManyRequests { retry_after: 30 }).await;
    match answer.unwrap().unwrap_err() {
        kube::Error::Api(status) => {
            assert_eq!(
                (status.code, status.details.unwrap().retry_after_seconds),
                (429, 30)
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(!committed);
    let (answer, committed) = second(Effect::Disconnect).await;
    assert!(matches!(answer.unwrap(), Err(kube::Error::Service(_))));
    assert!(!committed);
}

#[tokio::test(start_paused = true)]
async fn answers_are_lost_after_the_write() {
    let (answer, committed) = second(Effect::FailAfter(Lost::Timeout)).await;
    assert_eq!(
        (refused(answer.unwrap()), committed),
        (code(504, "Timeout"), true)
    );
    let (answer, committed) = second(Effect::FailAfter(Lost::Connection)).await;
    assert!(answer.unwrap().is_err() && committed);
    let (answer, committed) = second(Effect::FailAfter(Lost::Silence)).await;
    assert!(answer.is_none() && committed);
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_told_before_or_after_the_write() {
    for (moment, expected) in [(Moment::Before, false), (Moment::After, true)] {
        let told = Arc::new(Notify::new());
        let effect = Effect::Crash(moment, fault::notify(Arc::clone(&told)));
        let (answer, committed) = second(effect).await;
        assert!(answer.is_none());
        assert_eq!(committed, expected);
        timeout(Duration::from_secs(1), told.notified())
            .await
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_picks_its_request_and_its_actor() {
    let sim = Sim::new();
    sim.inject(Fault::request(
        "c",
        |seen| seen.verb == Verb::Create && seen.kind == "Pod" && seen.namespace == "default",
        Effect::FailBefore(503),
    ));
    let given = PostParams::default();
    api::<Pod>(&sim.client_for("d"))
        .create(&given, &pod("a"))
        .await
        .unwrap();
    let pods = api::<Pod>(&sim.client_for("c"));
    pods.get("a").await.unwrap();
    let answer = pods.create(&given, &pod("b")).await;
    assert_eq!(refused(answer), code(503, "ServiceUnavailable"));
    pods.create(&given, &pod("b")).await.unwrap();
    let actors: Vec<_> = sim.history().iter().map(|w| w.actor.to_string()).collect();
    assert_eq!(actors, ["d", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_answers_nobody_and_comes_back() {
    let sim = Sim::new();
    let (theirs, ours) = (sim.client_for("c"), sim.client_for("d"));
    sim.be_away("c", true);
    let refused = api::<Pod>(&theirs).list(&Default::default()).await;
    assert!(matches!(refused, Err(kube::Error::Service(_))));
    assert!(api::<Pod>(&ours).list(&Default::default()).await.is_ok());
    sim.be_away("c", false);
    assert!(api::<Pod>(&theirs).list(&Default::default()).await.is_ok());
}
