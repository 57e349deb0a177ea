#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use std::convert::Infallible;
use tower::service_fn;

/// One Lease behind the API, with optimistic locking.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lease: Option<Value>,
    version: u64,
    writes: u64,
    events: Vec<String>,
    /// 0: answers; 1: answers 500; 2: never answers.
    trouble: u8,
    /// The next write is committed and not answered.
    swallow: bool,
}

impl Server {
    fn client(&self) -> Client {
        let server = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let answer = server.answer(&head.method, head.uri.path(), &body);
                let Some((code, value)) = answer else {
                    std::future::pending::<()>().await;
                    unreachable!("pending does not end")
                };
                let body = Body::from(serde_json::to_vec(&value).unwrap());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> Option<(StatusCode, Value)> {
        let mut state = self.0.lock().unwrap();
        let refuse = |code: StatusCode, reason: &str| {
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": reason, "reason": reason, "code": code.as_u16()});
            Some((code, status))
        };
        match state.trouble {
            1 => return refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
            2 => return None,
            _ => {}
        }
        if path.ends_with("/events") {
            let event: Value = serde_json::from_slice(body).unwrap();
            assert_eq!(event["involvedObject"]["kind"], "Lease");
            state.events.push(format!(
                "{} {}",
                event["reason"].as_str().unwrap(),
                event["message"].as_str().unwrap()
            ));
            return Some((StatusCode::CREATED, event));
        }
        if *method == Method::GET {
            return match &state.lease {
                Some(lease) => Some((StatusCode::OK, lease.clone())),
                None => refuse(StatusCode::NOT_FOUND, "NotFound"),
            };
        }
        let mut lease: Value = serde_json::from_slice(body).unwrap();
        match (&state.lease, *method == Method::POST) {
            (Some(_), true) => return refuse(StatusCode::CONFLICT, "AlreadyExists"),
            (Some(held), false)
                if held["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"] =>
            {
                return refuse(StatusCode::CONFLICT, "Conflict");
            }
            (None, false) => return refuse(StatusCode::NOT_FOUND, "NotFound"),
            _ => {}
        }
        state.version += 1;
        state.writes += 1;
        lease["metadata"]["resourceVersion"] = state.version.to_string().into();
        state.lease = Some(lease.clone());
        if std::mem::take(&mut state.swallow) {
            return None;
        }
        Some((StatusCode::OK, lease))
    }

    fn elector(&self, identity: &str) -> (Elector, Metrics) {
        let metrics = Metrics::new();
        let options = ElectionOptions {
            identity: identity.to_owned(),
            seed: Some(1),
            ..ElectionOptions::new("kube-controller-manager")
        };
        // Each has a clock that is years off the others': it must not matter.
        let (begun, skew) = (
            Instant::now(),
            i64::from(identity.as_bytes()[0]) * 100_000_000,
        );
        let clock = Clock::new(move || {
            let elapsed = i64::try_from(begun.elapsed().as_millis()).unwrap();
            Timestamp::from_millisecond(skew + elapsed).unwrap()
        });
        (
            Elector::new(self.client(), options, clock, metrics.clone()),
            metrics,
        )
    }

    fn spec(&self) -> Value {
        self.0.lock().unwrap().lease.clone().unwrap()["spec"].clone()
    }

    fn holder(&self) -> String {
        self.spec()["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn set(&self, trouble: u8) {
        self.0.lock().unwrap().trouble = trouble;
    }
}

async fn pass(seconds: f64) {
    time::sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_creates_the_lease_and_renews_it_every_two_seconds() {
    let server = Server::default();
    let (elector, metrics) = server.elector("a");
    assert!(
        metrics
            .encode()
            .contains(r#"leader_election_master_status{name="kube-controller-manager"} 0"#)
    );
    let begun = Instant::now();
    let leadership = elector.acquire().await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(
        metrics
            .encode()
            .contains(r#"leader_election_master_status{name="kube-controller-manager"} 1"#)
    );
    let spec = server.spec();
    assert_eq!(spec["holderIdentity"], "a");
    assert_eq!(spec["leaseDurationSeconds"], 15);
    assert_eq!(spec["leaseTransitions"], 0);
    assert_eq!(spec["acquireTime"], spec["renewTime"]);
    pass(21.0).await;
    assert_eq!(server.0.lock().unwrap().writes, 11);
    assert!(!leadership.is_lost());
    assert_eq!(
        server.0.lock().unwrap().events,
        ["LeaderElection a became leader"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_waits_until_the_first_gives_up() {
    let server = Server::default();
    let first = server.elector("a").0.acquire().await;
    let second = tokio::spawn(async move { server.elector("b").0.acquire().await.release().await });
    pass(60.0).await;
    assert!(!second.is_finished());
    first.release().await;
    let begun = Instant::now();
    second.await.unwrap();
    assert!(
        begun.elapsed() <= Duration::from_secs_f64(4.4),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn giving_up_leaves_no_holder_for_one_second_and_the_next_counts_a_transition() {
    let server = Server::default();
    server.elector("a").0.acquire().await.release().await;
    let spec = server.spec();
    assert_eq!(
        (&spec["holderIdentity"], &spec["leaseDurationSeconds"]),
        (&json!(""), &json!(1))
    );
    let _second = server.elector("b").0.acquire().await;
    let spec = server.spec();
    assert_eq!(
        (&spec["holderIdentity"], &spec["leaseTransitions"]),
        (&json!("b"), &json!(1))
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_leaders_lease_is_taken_after_its_duration_as_observed() {
    let server = Server::default();
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "kube-controller-manager", "namespace": "kube-system", "resourceVersion": "7"},
        "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 15, "leaseTransitions": 4,
            // Written by a clock far ahead of ours.
            "renewTime": "2099-01-01T00:00:00.000000Z", "acquireTime": "2099-01-01T00:00:00.000000Z"}});
    server.0.lock().unwrap().lease = Some(lease);
    let begun = Instant::now();
    let leadership = server.elector("b").0.acquire().await;
    let waited = begun.elapsed().as_secs_f64();
    assert!((15.0..=19.4).contains(&waited), "{waited}");
    assert_eq!(server.spec()["leaseTransitions"], 5);
    assert!(!leadership.is_lost());
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_lost_ten_seconds_after_the_first_failed_renewal() {
    for trouble in [1, 2] {
        let server = Server::default();
        let (elector, metrics) = server.elector("a");
        let leadership = elector.acquire().await;
        pass(1.0).await;
        server.set(trouble);
        let begun = Instant::now();
        leadership.lost().await;
        // One second to the next renewal, then the deadline.
        assert_eq!(begun.elapsed().as_secs(), 11, "trouble {trouble}");
        assert!(
            metrics
                .encode()
                .contains(r#"leader_election_master_status{name="kube-controller-manager"} 0"#)
        );
        // What is lost is not given up: nothing is known about it.
        server.set(0);
        leadership.release().await;
        assert_eq!(server.holder(), "a");
    }
}

#[tokio::test(start_paused = true)]
async fn short_trouble_is_survived() {
    let server = Server::default();
    let leadership = server.elector("a").0.acquire().await;
    for trouble in [1, 2] {
        pass(5.0).await;
        server.set(trouble);
        pass(6.0).await;
        server.set(0);
    }
    pass(30.0).await;
    assert!(!leadership.is_lost());
    assert_eq!(server.spec()["leaseTransitions"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_committed_and_not_answered_is_not_a_loss() {
    let server = Server::default();
    let leadership = server.elector("a").0.acquire().await;
    server.0.lock().unwrap().swallow = true;
    pass(30.0).await;
    assert!(!leadership.is_lost());
    assert_eq!(
        (server.holder(), server.spec()["leaseTransitions"].clone()),
        ("a".to_owned(), json!(0))
    );
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_overtaken_loses() {
    let server = Server::default();
    let leadership = server.elector("a").0.acquire().await;
    {
        let mut state = server.0.lock().unwrap();
        let lease = state.lease.as_mut().unwrap();
        lease["spec"]["holderIdentity"] = "b".into();
        lease["metadata"]["resourceVersion"] = "900".into();
    }
    leadership.lost().await;
    leadership.release().await;
    assert_eq!(server.holder(), "b");
}

#[tokio::test(start_paused = true)]
async fn never_two_leaders_while_requests_fail_at_random() {
    for seed in 0..20 {
        let server = Server::default();
        let leading = Arc::new(Mutex::new((0_i32, 0_i32)));
        let mut tasks = Vec::new();
        for identity in ["a", "b", "c"] {
            let (server, leading) = (server.clone(), leading.clone());
            tasks.push(tokio::spawn(async move {
                loop {
                    let leadership = server.elector(identity).0.acquire().await;
                    {
                        let mut leading = leading.lock().unwrap();
                        leading.0 += 1;
                        leading.1 = leading.1.max(leading.0);
                    }
                    leadership.lost().await;
                    leading.lock().unwrap().0 -= 1;
                }
            }));
        }
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..60 {
            server.set([0, 0, 1, 2][random.random_range(0..4)]);
            pass(random.random_range(0.0..9.0)).await;
        }
        assert!(
            leading.lock().unwrap().1 == 1,
            "seed {seed}: {:?} led at once",
            leading.lock().unwrap()
        );
        for task in tasks {
            task.abort();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn run_ends_with_the_work_or_with_the_lease() {
    let server = Server::default();
    let (elector, _) = server.elector("a");
    assert_eq!(elector.run(|| async { 7 }).await, Ok(7));
    assert_eq!(server.holder(), "");
    let broken = server.clone();
    let lost = elector
        .run(|| async move {
            broken.set(1);
            std::future::pending::<()>().await;
        })
        .await;
    let lost = lost.unwrap_err();
    assert_eq!(
        lost.to_string(),
        "leader election lost: the lease kube-system/kube-controller-manager could not be renewed in time"
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_gives_up_in_the_background() {
    let server = Server::default();
    drop(server.elector("a").0.acquire().await);
    pass(0.1).await;
    assert_eq!(server.holder(), "");
}

#[test]
fn options_are_checked_as_client_go_does() {
    let with = |lease, renew, retry| ElectionOptions {
        lease_duration: Duration::from_secs(lease),
        renew_deadline: Duration::from_secs(renew),
        retry_period: Duration::from_secs(retry),
        ..ElectionOptions::new("x")
    };
    assert_eq!(with(15, 10, 2).validate(), Ok(()));
    for (lease, renew, retry) in [(10, 10, 2), (15, 2, 2), (0, 10, 2), (15, 10, 0)] {
        with(lease, renew, retry).validate().unwrap_err();
    }
}

#[test]
fn identities_are_a_host_name_our_name_and_a_uuid_of_version_4() {
    let (one, other) = (identity(), identity());
    assert_ne!(one, other);
    let (host, uuid) = one.split_once("_corten_").unwrap();
    assert!(!host.is_empty());
    assert!(is_ours(&one) && !is_ours(&one.replace("_corten_", "_")));
    let parts: Vec<_> = uuid.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    assert_eq!(&uuid[14..15], "4");
    assert!("89ab".contains(&uuid[19..20]), "{uuid}");
}

#[tokio::test(start_paused = true)]
async fn what_a_holder_says_and_what_it_is_asked_stands_on_the_lease() {
    let server = Server::default();
    let leadership = server.elector("a").0.acquire().await;
    let board = leadership.board();
    let mut notes = board.seen();
    board.say("said", "by a".to_owned());
    pass(3.0).await;
    assert_eq!(notes.borrow_and_update().get("said").unwrap(), "by a");
    // Another writes; the renewal that it meets is made anew on what was written.
    {
        let mut state = server.0.lock().unwrap();
        state.version += 1;
        let version = state.version.to_string();
        let lease = state.lease.as_mut().unwrap();
        lease["metadata"]["annotations"]["asked"] = "by another".into();
        lease["metadata"]["resourceVersion"] = version.into();
    }
    pass(3.0).await;
    assert!(notes.has_changed().unwrap());
    let seen = notes.borrow_and_update().clone();
    assert_eq!((&*seen["said"], &*seen["asked"]), ("by a", "by another"));
    leadership.release().await;
    let next = server.elector("b").0.acquire().await;
    assert_eq!(
        *next.board().seen().borrow(),
        seen,
        "who comes next reads it"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_once_another_may_lead() {
    let server = Server::default();
    let leadership = server.elector("a").0.acquire().await;
    let fence = leadership.fence();
    pass(60.0).await;
    assert!(fence.is_open(), "it is renewed");
    server.set(2);
    let renewed = Instant::now();
    // The process is stopped, and its timers with it.
    time::advance(Duration::from_secs(16)).await;
    assert!(!fence.is_open(), "{:?} after", renewed.elapsed());
    leadership.lost().await;
    server.set(0);
    let other = server.elector("b").0.acquire().await;
    assert!(other.fence().is_open() && !fence.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_closed_fence_keeps_writes_in_and_lets_reads_out() {
    let server = Server::default();
    let runtime = crate::Runtime::new(server.client(), crate::Options::default());
    let config_map = || k8s_openapi::api::core::v1::ConfigMap {
        metadata: kube::api::ObjectMeta {
            name: Some("x".to_owned()),
            namespace: Some("ns".to_owned()),
            ..Default::default()
        },
        ..Default::default()
    };
    let write = async || {
        let action = plan::Action::create(config_map());
        runtime.executor("test").run(&action).await.is_ok()
    };
    assert!(write().await, "nobody stands for election");
    let writes = server.0.lock().unwrap().writes;
    runtime.fence(Fence::default());
    assert!(!write().await);
    assert_eq!(server.0.lock().unwrap().writes, writes);
    let lease = runtime.reads().get::<Value>("/apis/x/leases/x").await;
    assert!(lease.is_ok(), "{lease:?}");
    runtime.kill();
}
