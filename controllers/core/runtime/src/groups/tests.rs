#![allow(clippy::unwrap_used, clippy::panic)]
use super::Family;
use super::exchange::Exchange;
use super::status::Put;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::api::{Api, PostParams};
use kube::client::Body;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

/// What a stream says that comes in these chunks.
fn said<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut exchange = Exchange::default();
    let chunks = chunks.into_iter().map(Bytes::copy_from_slice);
    let said: Vec<u8> = chunks.flat_map(|chunk| exchange.next(chunk)).collect();
    String::from_utf8(said).unwrap()
}

const CASES: [(&str, &str); 11] = [
    (
        r#"{"apiVersion":"apps/v1"}"#,
        r#"{"apiVersion":"apps.corten.dev/v1"}"#,
    ),
    (
        r#"{"apiVersion": "batch/v1", "x": ["autoscaling/v2","apps/v1"]}"#,
        r#"{"apiVersion": "batch.corten.dev/v1", "x": ["autoscaling.corten.dev/v2","apps.corten.dev/v1"]}"#,
    ),
    // Each takes the other's place.
    (
        r#"["apps/v1","apps.corten.dev/v1"]"#,
        r#"["apps.corten.dev/v1","apps/v1"]"#,
    ),
    // Scale is the same for all.
    (r#"["autoscaling/v1"]"#, r#"["autoscaling/v1"]"#),
    // A version that is in no pair, and what only looks alike.
    (
        r#"["apps/v1beta1","apps/v2","v1","x/apps/v1","apps/v1/x","/v1"]"#,
        r#"["apps/v1beta1","apps/v2","v1","x/apps/v1","apps/v1/x","/v1"]"#,
    ),
    // JSON in a string: the quote behind it is not one of ours …
    (
        r#"{"last":"{\"apiVersion\":\"apps/v1\"}"}"#,
        r#"{"last":"{\"apiVersion\":\"apps/v1\"}"}"#,
    ),
    // … and a string that ends with it begins earlier.
    (r#"{"said":"no \"apps/v1"}"#, r#"{"said":"no \"apps/v1"}"#),
    // A backslash that is one itself, and the string after it.
    (r#"["\\","apps/v1"]"#, r#"["\\","apps.corten.dev/v1"]"#),
    ("", ""),
    (
        "{\"object\":{\"apiVersion\":\"apps/v1\"}}\n{\"object\":{}}\n",
        "{\"object\":{\"apiVersion\":\"apps.corten.dev/v1\"}}\n{\"object\":{}}\n",
    ),
    (
        r#"{"a":"apps.corten.dev/v","b":"apps.corten.dev/v1"}"#,
        r#"{"a":"apps.corten.dev/v","b":"apps/v1"}"#,
    ),
];

#[test]
fn only_whole_strings_are_exchanged() {
    for (text, wanted) in CASES {
        assert_eq!(said([text.as_bytes()]), wanted);
        assert_eq!(said([wanted.as_bytes()]), text, "and back");
    }
}

#[test]
fn it_does_not_matter_where_chunks_begin() {
    for (text, wanted) in CASES {
        for size in 1..=text.len() {
            assert_eq!(
                said(text.as_bytes().chunks(size)),
                wanted,
                "chunks of {size}"
            );
        }
        for at in 0..text.len() {
            let (a, b) = text.as_bytes().split_at(at);
            assert_eq!(said([a, b]), wanted, "in two at {at}");
        }
    }
}

#[test]
fn a_line_is_told_when_it_is_there() {
    let line = "{\"type\":\"BOOKMARK\",\"object\":{\"apiVersion\":\"apps/v1\"}}\n";
    let mut exchange = Exchange::default();
    let first = exchange.next(Bytes::from(line));
    assert!(first.ends_with(b"\n"), "nothing of it is held back");
}

#[test]
fn what_has_nothing_to_exchange_is_not_copied() {
    let chunk = Bytes::from(r#"{"kind":"Pod","apiVersion":"v1"}"#);
    let said = Exchange::default().next(chunk.clone());
    assert_eq!(said.as_ptr(), chunk.as_ptr());
}

#[test]
fn paths_are_exchanged() {
    let cases = [
        ("/apis/apps/v1", Some("/apis/apps.corten.dev/v1")),
        (
            "/apis/apps/v1/namespaces/a/deployments/b/scale?x=apps/v1",
            Some("/apis/apps.corten.dev/v1/namespaces/a/deployments/b/scale?x=apps/v1"),
        ),
        (
            "/apis/batch.corten.dev/v1/jobs?watch=1",
            Some("/apis/batch/v1/jobs?watch=1"),
        ),
        (
            "/apis/autoscaling/v2?limit=1",
            Some("/apis/autoscaling.corten.dev/v2?limit=1"),
        ),
        ("/apis/autoscaling/v1", None),
        ("/apis/apps", None),
        ("/apis", None),
        ("/api/v1/namespaces/apps/v1", None),
        ("/apis/apps/v1beta1/deployments", None),
    ];
    for (path, wanted) in cases {
        assert_eq!(Family::Corten.path(path).as_deref(), wanted, "{path}");
    }
}

fn put(method: Method, path: &str) -> Option<Put> {
    let set = json!({
        "metadata": { "annotations": { "own": "1", "revision": "2" } },
        "spec": { "selector": {
            "matchLabels": { "app": "web" },
            "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["a", "b"] }],
        } },
        "status": { "replicas": 1 },
    });
    Put::of(
        &method,
        &path.parse().unwrap(),
        &Bytes::from(set.to_string()),
    )
}

#[test]
fn the_status_of_what_can_be_scaled_says_its_selector() {
    let at = |rest: &str| format!("/apis/apps.corten.dev/v1/namespaces/shop/{rest}");
    for path in [
        "replicasets/x/status",
        "statefulsets/x/status?fieldManager=y",
    ] {
        let body = put(Method::PUT, &at(path)).unwrap().body();
        let said: Value = serde_json::from_slice(&body).unwrap();
        let wanted = json!({ "replicas": 1, "selector": "app=web,tier in (a,b)" });
        assert_eq!(said["status"], wanted);
    }
    for (method, path) in [
        (Method::PUT, at("replicasets/x")),
        (Method::PATCH, at("replicasets/x/status")),
        (Method::PUT, at("daemonsets/x/status")),
        (
            Method::PUT,
            "/apis/apps/v1/namespaces/shop/replicasets/x/status".to_owned(),
        ),
    ] {
        assert!(put(method, &path).is_none(), "{path}");
    }
}

#[tokio::test]
async fn annotations_that_come_with_a_status_are_brought_after_it() {
    let path = "/apis/apps.corten.dev/v1/namespaces/shop/deployments/web/status?fieldManager=x";
    let put = put(Method::PUT, path).unwrap();
    let answer = |annotations: Value| {
        json!({ "metadata": { "resourceVersion": "7", "annotations": annotations } }).to_string()
    };
    let same = answer(json!({ "own": "1", "revision": "2", "another": "3" }));
    assert!(put.rest(same.as_bytes()).is_none());
    let rest = put.rest(answer(json!({ "own": "1" })).as_bytes()).unwrap();
    let wanted = "/apis/apps.corten.dev/v1/namespaces/shop/deployments/web?fieldManager=x";
    assert_eq!(
        (rest.method(), rest.uri().to_string().as_str()),
        (&Method::PATCH, wanted)
    );
    let body = rest.into_body().collect_bytes().await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body,
        json!({ "metadata": { "resourceVersion": "7", "annotations": { "revision": "2" } } })
    );
}

#[test]
fn who_has_nothing_of_its_own_in_the_group() {
    for (component, has) in [
        ("deployment-controller", true),
        ("kube-controller-manager", true),
        ("endpointslice-controller", false),
        ("kube-scheduler", false),
    ] {
        assert_eq!(Family::Corten.has(component), has, "{component}");
        assert!(Family::Builtin.has(component));
    }
    assert_eq!(
        Family::Corten.name("job-controller"),
        "job-controller-corten.dev"
    );
    assert_eq!(Family::Builtin.name("job-controller"), "job-controller");
}

/// Paths and bodies of requests.
type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// An API server that answers with what it was asked, and what that was.
fn mirror() -> (Client, Asked) {
    let asked = Asked::default();
    let seen = asked.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let seen = seen.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let said = serde_json::from_slice(&body).unwrap_or_default();
            seen.lock().unwrap().push((head.uri.to_string(), said));
            let answer = Response::builder().header("content-type", "application/json");
            Ok::<_, Infallible>(answer.body(Body::from(body.to_vec())).unwrap())
        }
    });
    (Client::new(service, "default"), asked)
}

#[tokio::test]
async fn what_a_process_sends_and_hears_is_exchanged() {
    let (server, asked) = mirror();
    let set: ReplicaSet = serde_json::from_value(json!({
        "metadata": { "name": "hearth", "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "Deployment", "name": "hearth", "uid": "u",
        }] },
    }))
    .unwrap();
    let api: Api<ReplicaSet> = Api::namespaced(Family::Corten.client(server.clone()), "shop");
    let made = api.create(&PostParams::default(), &set).await.unwrap();
    assert_eq!(made.owner_references()[0].api_version, "apps/v1");
    let (path, body) = asked.lock().unwrap().pop().unwrap();
    let sent = "/apis/apps.corten.dev/v1/namespaces/shop/replicasets?";
    assert!(path.starts_with(sent), "{path}");
    assert_eq!(body["apiVersion"], "apps.corten.dev/v1");
    assert_eq!(
        body["metadata"]["ownerReferences"][0]["apiVersion"],
        "apps.corten.dev/v1"
    );

    let api: Api<ReplicaSet> = Api::namespaced(Family::Builtin.client(server), "shop");
    api.create(&PostParams::default(), &set).await.unwrap();
    let (_, body) = asked.lock().unwrap().pop().unwrap();
    assert_eq!(body["apiVersion"], "apps/v1");
}
