#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::lease::Elector;
use crate::metrics::Metrics;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;

const STOCK_LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager";
const OWN_LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/ours/leases/corten";

/// Objects by their paths, and a stock process that renews its Lease and works at what it is said to work at.
#[derive(Clone)]
struct Server(Arc<Mutex<World>>, Instant);

#[derive(Default)]
struct World {
    objects: BTreeMap<String, Value>,
    stock: Option<Stock>,
    version: u64,
    probes: usize,
    forbids: bool,
}

struct Stock {
    identity: &'static str,
    at: &'static [&'static str],
    elected: Timestamp,
    /// When it was killed.
    dead: Option<Instant>,
}

impl Server {
    fn new() -> Self {
        Self(Arc::default(), Instant::now())
    }

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::try_from(self.1.elapsed()).unwrap()
    }

    /// A stock process that has led for an hour.
    fn stock(self, at: &'static [&'static str]) -> Self {
        self.restart("cp_1", at, SignedDuration::from_hours(1));
        self
    }

    fn restart(&self, identity: &'static str, at: &'static [&'static str], since: SignedDuration) {
        self.0.lock().unwrap().stock = Some(Stock {
            identity,
            at,
            elected: self.now() - since,
            dead: None,
        });
    }

    fn kill(&self) {
        self.0.lock().unwrap().stock.as_mut().unwrap().dead = Some(Instant::now());
    }

    fn ask(&self, what: HandOver) {
        let mut world = self.0.lock().unwrap();
        world.version += 1;
        let version = world.version.to_string();
        let lease = world.objects.get_mut(OWN_LEASE).unwrap();
        lease["metadata"]["annotations"][HAND_OVER] = what.word().into();
        lease["metadata"]["resourceVersion"] = version.into();
    }

    fn probes_there(&self) -> usize {
        let world = self.0.lock().unwrap();
        world
            .objects
            .keys()
            .filter(|path| path.ends_with("-probe"))
            .count()
    }

    fn probes_made(&self) -> usize {
        self.0.lock().unwrap().probes
    }

    fn standing(&self) -> Standing {
        let lease = self.0.lock().unwrap().objects[OWN_LEASE].clone();
        Standing::on(&serde_json::from_value(lease).unwrap()).unwrap()
    }

    fn stock_lease(&self, stock: &Stock) -> Value {
        let until = stock.dead.unwrap_or_else(Instant::now);
        let beats = until.duration_since(self.1).as_secs() / 2;
        let renewed = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(2 * beats as i64);
        json!({
            "metadata": { "name": "kube-controller-manager", "resourceVersion": format!("{}{beats}", stock.identity) },
            "spec": {
                "holderIdentity": stock.identity, "leaseDurationSeconds": 15,
                "acquireTime": format!("{:.6}", stock.elected), "renewTime": format!("{renewed:.6}"),
            },
        })
    }

    fn answer(&self, method: &Method, uri: &http::Uri, body: &[u8]) -> (u16, Value) {
        let mut world = self.0.lock().unwrap();
        let path = uri.path().to_owned();
        let refuse = |code: u16, reason: &str| {
            let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": reason, "reason": reason, "code": code });
            (code, status)
        };
        if path == STOCK_LEASE {
            return match &world.stock {
                _ if world.forbids => refuse(403, "leases is forbidden"),
                Some(stock) => (200, self.stock_lease(stock)),
                None => refuse(404, "NotFound"),
            };
        }
        if path.ends_with("/events") {
            return (201, serde_json::from_slice(body).unwrap());
        }
        match *method {
            Method::GET => match world.objects.get(&path) {
                Some(object) => (200, object.clone()),
                // A list of a kind in all namespaces.
                None if !path.contains("/namespaces/") => {
                    let plural = format!("/{}/", path.rsplit('/').next().unwrap());
                    let of = |(at, _): &(&String, &Value)| at.contains(&plural);
                    let items: Vec<_> = world.objects.iter().filter(of).map(|(_, o)| o).collect();
                    (200, json!({ "metadata": {}, "items": items }))
                }
                None => refuse(404, "NotFound"),
            },
            Method::DELETE => match world.objects.remove(&path) {
                Some(gone) => {
                    let asked: Value = serde_json::from_slice(body).unwrap();
                    assert_eq!(asked["preconditions"]["uid"], gone["metadata"]["uid"]);
                    (200, gone)
                }
                None => refuse(404, "NotFound"),
            },
            _ => {
                let mut object: Value = serde_json::from_slice(body).unwrap();
                let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                let whole = match *method {
                    Method::POST => format!("{path}/{name}"),
                    _ => path.clone(),
                };
                let held = world.objects.get(&whole);
                let version = &object["metadata"]["resourceVersion"];
                if *method == Method::POST && held.is_some()
                    || held.is_some_and(|held| held["metadata"]["resourceVersion"] != *version)
                {
                    return refuse(409, "Conflict");
                }
                world.version += 1;
                object["metadata"]["resourceVersion"] = world.version.to_string().into();
                if *method == Method::POST {
                    object["metadata"]["uid"] = world.version.to_string().into();
                }
                if name.ends_with("-probe") {
                    world.probes += 1;
                    let plural = path.rsplit('/').next().unwrap();
                    let stock = world.stock.as_ref();
                    let answers = stock.is_some_and(|s| s.dead.is_none() && s.at.contains(&plural));
                    let mut managers = vec!["corten-guard"];
                    managers.extend(answers.then_some("kube-controller-manager"));
                    let entries = managers.iter().map(|manager| json!({ "manager": manager }));
                    object["metadata"]["managedFields"] = entries.collect();
                }
                world.objects.insert(whole, object.clone());
                (200, object)
            }
        }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (code, value) = server.answer(&head.method, &head.uri, &body);
                let body = Body::from(serde_json::to_vec(&value).unwrap());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn clock(&self) -> Clock {
        let server = self.clone();
        Clock::new(move || server.now())
    }

    fn options(identity: &str) -> ElectionOptions {
        ElectionOptions {
            identity: identity.to_owned(),
            namespace: "ours".to_owned(),
            seed: Some(1),
            ..ElectionOptions::new("corten")
        }
    }

    /// A process of ours that leads, and its guard.
    async fn leader(&self, identity: &str, how: IfStockRuns) -> (Guard, Leadership) {
        let options = Self::options(identity);
        let duties = Duties::Controllers(
            ["job-controller", "replicaset-controller", "ttl-controller"]
                .map(str::to_owned)
                .to_vec(),
        );
        let guard = Guard::new(self.client(), self.clock(), duties, how, Some(&options));
        let elector = Elector::new(self.client(), options, self.clock(), Metrics::new());
        let leadership = elector.acquire().await;
        let mut guard = guard.unwrap();
        guard.led_by(&leadership);
        (guard, leadership)
    }
}

/// Whether it begins within so many seconds.
async fn begins_within(guard: &mut Guard, seconds: u64) -> bool {
    let begun = time::timeout(Duration::from_secs(seconds), guard.begin()).await;
    begun.is_ok_and(|begun| begun.is_ok())
}

async fn pass(seconds: u64) {
    time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn where_no_stock_program_runs_a_process_begins_at_once_and_makes_nothing() {
    let server = Server::new();
    let (mut guard, _lead) = server.leader("a_corten_1", IfStockRuns::Refuse).await;
    let begun = Instant::now();
    assert!(begins_within(&mut guard, 1).await);
    assert!(begun.elapsed().is_zero());
    assert_eq!(server.probes_made(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stock_controller_that_answers_is_in_the_way() {
    let server = Server::new().stock(&["jobs", "deployments"]);
    let (mut guard, _lead) = server.leader("a_corten_1", IfStockRuns::Refuse).await;
    let begun = Instant::now();
    let Refused(why) = guard.begin().await.unwrap_err();
    assert!(
        why.contains("(cp_1) is at work as job-controller;"),
        "{why}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!((server.probes_made(), server.probes_there()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_stock_controller_has_written_is_enough() {
    let server = Server::new().stock(&[]);
    let job = "/apis/batch/v1/namespaces/x/jobs/j";
    let time = format!("{:.0}", server.now() - SignedDuration::from_mins(1));
    let fields = json!([{ "manager": "kube-controller-manager", "time": time }]);
    let object = json!({ "metadata": { "name": "j", "namespace": "x", "managedFields": fields } });
    server
        .0
        .lock()
        .unwrap()
        .objects
        .insert(job.to_owned(), object);
    let (mut guard, _lead) = server.leader("a_corten_1", IfStockRuns::Refuse).await;
    let Refused(why) = guard.begin().await.unwrap_err();
    assert!(why.contains("job-controller;"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn beside_one_that_leaves_the_work_alone_it_begins_and_the_next_need_not_look() {
    let server = Server::new().stock(&["deployments"]);
    let (mut guard, lead) = server.leader("a_corten_1", IfStockRuns::Refuse).await;
    assert!(begins_within(&mut guard, 15).await);
    assert_eq!((server.probes_made(), server.probes_there()), (2, 0));
    pass(3).await;
    let said = server.standing();
    assert_eq!(
        (said.state, said.beside.as_deref()),
        (State::Works, Some("cp_1"))
    );
    lead.release().await;
    let (mut guard, _lead) = server.leader("b_corten_2", IfStockRuns::Refuse).await;
    let begun = Instant::now();
    assert!(begins_within(&mut guard, 15).await);
    assert!(begun.elapsed().is_zero());
    assert_eq!(server.probes_made(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_waits_begins_when_the_stock_process_comes_back_without_the_work() {
    let server = Server::new().stock(&["jobs"]);
    let (mut guard, _lead) = server.leader("a_corten_1", IfStockRuns::Wait).await;
    assert!(!begins_within(&mut guard, 120).await);
    let said = server.standing();
    assert_eq!(
        (said.state, &*said.stock_at_work),
        (State::Waits, &["job-controller".to_owned()][..])
    );
    server.restart("cp_2", &[], SignedDuration::ZERO);
    let begun = Instant::now();
    assert!(begins_within(&mut guard, 60).await);
    // It may not have been ready to answer.
    assert!(
        begun.elapsed() > Duration::from_secs(29),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(server.probes_there(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_one_that_is_gone_begins_when_told_to_or_after_a_minute() {
    for (told, seconds) in [(true, 19), (false, 80)] {
        let server = Server::new().stock(&["jobs"]);
        let (mut guard, _lead) = server.leader("a_corten_1", IfStockRuns::Wait).await;
        assert!(!begins_within(&mut guard, 20).await);
        server.kill();
        if told {
            server.ask(HandOver::Take);
        }
        let begun = Instant::now();
        assert!(begins_within(&mut guard, 120).await);
        let took = begun.elapsed().as_secs();
        assert!(
            (15..=seconds).contains(&took) && (told || took > 70),
            "{took}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_told_to_take_over_does_not_wait_for_the_next_stock_process_and_looks_at_it_at_work()
{
    for (at, stays) in [(&[][..], true), (&["jobs"][..], false)] {
        let server = Server::new().stock(&["jobs"]);
        let (mut guard, _lead) = server.leader("a_corten_1", IfStockRuns::Wait).await;
        assert!(!begins_within(&mut guard, 20).await);
        server.ask(HandOver::Take);
        assert!(!begins_within(&mut guard, 30).await, "it is there still");
        server.restart("cp_2", at, SignedDuration::ZERO);
        let begun = Instant::now();
        assert!(begins_within(&mut guard, 60).await);
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
        let works = time::timeout(Duration::from_mins(2), guard.watch()).await;
        assert_eq!(works.is_err(), stays);
        if stays {
            assert_eq!(server.standing().beside.as_deref(), Some("cp_2"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_to_hand_back_ends_and_who_comes_next_stands_by() {
    let server = Server::new().stock(&[]);
    let (mut guard, lead) = server.leader("a_corten_1", IfStockRuns::Wait).await;
    assert!(begins_within(&mut guard, 15).await);
    server.ask(HandOver::Back);
    let begun = Instant::now();
    let Refused(why) = guard.watch().await;
    assert!(why.contains("hand its work back"), "{why}");
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    lead.release().await;
    let (mut guard, _lead) = server.leader("b_corten_2", IfStockRuns::Refuse).await;
    assert!(!begins_within(&mut guard, 60).await);
    assert_eq!(server.standing().state, State::StandsBy);
    // It says when the stock one is back at work.
    server.restart("cp_2", &["jobs"], SignedDuration::ZERO);
    assert!(!begins_within(&mut guard, 60).await);
    assert_eq!(server.standing().stock_at_work, ["job-controller"]);
}

#[tokio::test(start_paused = true)]
async fn who_works_ends_when_another_stock_process_does_the_work() {
    let server = Server::new().stock(&[]);
    let (mut guard, _lead) = server.leader("a_corten_1", IfStockRuns::Refuse).await;
    assert!(begins_within(&mut guard, 15).await);
    let quiet = time::timeout(Duration::from_mins(5), guard.watch()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    assert_eq!(
        server.probes_made(),
        2,
        "the same process is looked at once"
    );
    server.restart("cp_2", &["jobs"], SignedDuration::ZERO);
    let begun = Instant::now();
    let Refused(why) = guard.watch().await;
    assert!(why.contains("(cp_2)"), "{why}");
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(server.probes_there(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_process_left_behind_goes_with_the_next() {
    let server = Server::new().stock(&[]);
    let (mut guard, lead) = server.leader("a_corten_1", IfStockRuns::Refuse).await;
    assert!(!begins_within(&mut guard, 5).await);
    assert_eq!(
        (server.standing().state, server.probes_there()),
        (State::Checks, 2)
    );
    drop(guard);
    lead.release().await;
    // No stock program runs by now, so that nobody would look for another reason.
    server.0.lock().unwrap().stock = None;
    let (mut guard, _lead) = server.leader("b_corten_2", IfStockRuns::Refuse).await;
    assert!(begins_within(&mut guard, 1).await);
    assert_eq!(server.probes_there(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_look_does_not_begin() {
    let server = Server::new();
    server.0.lock().unwrap().forbids = true;
    let (mut guard, _lead) = server.leader("a_corten_1", IfStockRuns::Refuse).await;
    let Refused(why) = guard.begin().await.unwrap_err();
    assert!(why.contains("leases is forbidden"), "{why}");
    // Who works goes on: an API server that begins anew refuses everything for a moment.
    let ends = time::timeout(Duration::from_mins(1), guard.watch()).await;
    assert!(ends.is_err(), "{ends:?}");
}

#[test]
fn who_stands_for_the_stock_programs_own_lease_needs_no_guard() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _within = runtime.enter();
    let server = Server::new();
    let guards = |duties: Duties, how: IfStockRuns, lease: &str| {
        let options = ElectionOptions::new(lease);
        Guard::new(server.client(), server.clock(), duties, how, Some(&options)).is_some()
    };
    let jobs = || Duties::of("job-controller");
    assert!(guards(jobs(), IfStockRuns::Refuse, "corten-controllers"));
    assert!(guards(jobs(), IfStockRuns::Wait, "kube-scheduler"));
    assert!(!guards(
        jobs(),
        IfStockRuns::Refuse,
        "kube-controller-manager"
    ));
    assert!(!guards(jobs(), IfStockRuns::Ignore, "corten-controllers"));
    assert!(!guards(
        Duties::of("corten-nodes"),
        IfStockRuns::Refuse,
        "corten-nodes"
    ));
    let pods = |name: &str| Duties::Pods(vec![name.to_owned()]);
    assert!(!guards(
        pods("default-scheduler"),
        IfStockRuns::Refuse,
        "kube-scheduler"
    ));
    assert!(guards(
        pods("default-scheduler"),
        IfStockRuns::Refuse,
        "corten"
    ));
    assert!(!guards(pods("corten"), IfStockRuns::Refuse, "corten"));
}
