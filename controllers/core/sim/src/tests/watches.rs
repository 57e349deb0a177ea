use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{WatchEvent, WatchParams};
use kube::runtime::watcher::{self, Event, watcher};
use tokio::time::{Instant, timeout};

use super::*;

type Events = futures::stream::BoxStream<'static, watcher::Result<Event<Pod>>>;

fn events(sim: &Sim, config: watcher::Config) -> Events {
    watcher(api::<Pod>(&sim.client_for("w")), config).boxed()
}

/// One line for each event that comes within a virtual second.
async fn told(events: &mut Events) -> Vec<String> {
    let mut lines = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::from_secs(1), events.next()).await {
        let name = |pod: &Pod| pod.metadata.name.clone().unwrap();
        lines.push(match event {
            Ok(Event::Init) => "init".to_owned(),
            Ok(Event::InitApply(pod)) => format!("old {}", name(&pod)),
            Ok(Event::InitDone) => "done".to_owned(),
            Ok(Event::Apply(pod)) => format!("apply {}", name(&pod)),
            Ok(Event::Delete(pod)) => format!("delete {}", name(&pod)),
            Err(error) => format!("error {error}").chars().take(22).collect(),
        });
    }
    lines
}

#[tokio::test(start_paused = true)]
async fn a_watcher_sees_what_happens() {
    for config in [
        watcher::Config::default(),
        watcher::Config::default().streaming_lists(),
    ] {
        let sim = Sim::new();
        sim.create(pod("a"));
        let mut events = events(&sim, config);
        assert_eq!(told(&mut events).await, ["init", "old a", "done"]);
        sim.create(pod("b"));
        sim.delete::<Pod>("default", "a");
        // A pod is marked before it goes.
        assert_eq!(told(&mut events).await, ["apply b", "apply a", "delete a"]);
        assert!(sim.watch_events("w") >= 3);
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_leaves_the_selection_is_deleted_for_the_watcher() {
    let sim = Sim::new();
    let mut events = events(&sim, watcher::Config::default().labels("app=web"));
    assert_eq!(told(&mut events).await, ["init", "done"]);
    sim.create(pod("a"));
    sim.update_with("default", "a", |p: &mut Pod| p.metadata.labels = None);
    sim.update_with("default", "a", |p: &mut Pod| {
        p.spec.as_mut().unwrap().containers[0].image = Some("x".to_owned());
    });
    assert_eq!(told(&mut events).await, ["apply a", "delete a"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_told_as_it_was_stored_last() {
    let sim = Sim::new();
    let selected = watcher::Config::default().labels("app=web");
    let mut events = events(&sim, selected);
    told(&mut events).await;
    let next = async |events: &mut Events| match events.next().await {
        Some(Ok(Event::Delete(pod))) => pod.metadata,
        other => panic!("{other:?}"),
    };
    let relabel = |app: &str| {
        sim.update_with("default", "a", |p: &mut Pod| {
            p.metadata.labels = Some([("app".to_owned(), app.to_owned())].into());
        })
    };
    let mut held = pod("a");
    held.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    sim.create(held);
    let left = relabel("other");
    assert!(matches!(events.next().await, Some(Ok(Event::Apply(_)))));
    let metadata = next(&mut events).await;
    assert_eq!(metadata.labels.unwrap()["app"], "web");
    assert_eq!(metadata.resource_version, left.metadata.resource_version);

    relabel("web");
    sim.delete::<Pod>("default", "a");
    sim.update_with("default", "a", |p: &mut Pod| p.metadata.finalizers = None);
    assert!(matches!(events.next().await, Some(Ok(Event::Apply(_)))));
    assert!(matches!(events.next().await, Some(Ok(Event::Apply(_)))));
    let metadata = next(&mut events).await;
    assert_eq!(metadata.finalizers.unwrap(), ["example.com/hold"]);
    let version = metadata.resource_version.unwrap();
    assert_eq!(version, sim.revision().to_string());
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_lives_for_hours() {
    let sim = Sim::new();
    let mut events = events(&sim, watcher::Config::default());
    told(&mut events).await;
    let sleeper = tokio::time::sleep(Duration::from_hours(4));
    tokio::select! {
        event = events.next() => panic!("{event:?}"),
        () = sleeper => {}
    }
    sim.create(pod("a"));
    assert_eq!(told(&mut events).await, ["apply a"]);
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_and_the_timeout_holds() {
    let (sim, client) = sim();
    sim.create(pod("a"));
    let params = WatchParams::default().timeout(120);
    let began = Instant::now();
    let stream = api::<Pod>(&client)
        .watch(&params, &sim.revision().to_string())
        .await
        .unwrap();
    let bookmarks: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(bookmarks.len(), 2);
    assert!(
        bookmarks
            .iter()
            .all(|event| matches!(event, WatchEvent::Bookmark(_)))
    );
    assert_eq!(began.elapsed().as_secs(), 120);
}

#[tokio::test(start_paused = true)]
async fn a_compacted_revision_is_gone() {
    let (sim, client) = sim();
    sim.create(pod("a"));
    let mut running = events(&sim, watcher::Config::default());
    told(&mut running).await;
    sim.create(pod("b"));
    assert_eq!(told(&mut running).await, ["apply b"]);
    sim.compact();
    // A watch that missed nothing goes on.
    sim.create(pod("c"));
    assert_eq!(told(&mut running).await, ["apply c"]);
    let mut stream = pin!(
        api::<Pod>(&client)
            .watch(&WatchParams::default(), "5")
            .await
            .unwrap()
    );
    match stream.next().await.unwrap().unwrap() {
        WatchEvent::Error(status) => {
            assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
        }
        other => panic!("{other:?}"),
    }
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn watches_are_cut_frozen_and_expired_for_one_actor() {
    let sim = Sim::new();
    let mut events = events(&sim, watcher::Config::default());
    told(&mut events).await;
    sim.cut_watches("w", "Pod");
    sim.create(pod("a"));
    assert_eq!(told(&mut events).await, ["apply a"]);
    sim.freeze_watches("w", "*");
    sim.create(pod("b"));
    assert!(told(&mut events).await.is_empty());
    sim.thaw_watches("w", "*");
    assert_eq!(told(&mut events).await, ["apply b"]);
    sim.lag_watches("w", "Pod");
    sim.delete::<Pod>("default", "a");
    assert!(told(&mut events).await.is_empty());
    sim.heal();
    assert_eq!(told(&mut events).await, ["apply a", "delete a"]);
    sim.expire_watches("w", "Pod");
    let lines = told(&mut events).await;
    assert_eq!(lines[1..], ["init", "old b", "done"], "{lines:?}");
    assert!(lines[0].starts_with("error"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_start_can_be_refused() {
    let sim = Sim::new();
    let client = sim.client_for("w");
    sim.refuse_watch_start("w", "Pod");
    let answer = api::<Pod>(&client)
        .watch(&WatchParams::default(), "1")
        .await;
    assert_eq!(refused(answer.map(|_| ())), code(410, "Expired"));
    assert!(
        api::<Pod>(&client)
            .watch(&WatchParams::default(), "1")
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn a_thousand_events_reach_a_watch_in_milliseconds() {
    let (sim, client) = sim();
    let revision = sim.revision().to_string();
    for n in 0..1000 {
        sim.create(pod(&format!("p{n}")));
    }
    let request = http::Request::get(format!(
        "/api/v1/pods?watch=true&resourceVersion={revision}&timeoutSeconds=1"
    ));
    let began = std::time::Instant::now();
    let text = client
        .request_text(request.body(Vec::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(text.lines().count(), 1000);
    // Unoptimised and beside other work it is some 5 ms.
    assert!(began.elapsed().as_millis() < 200, "{:?}", began.elapsed());
}
