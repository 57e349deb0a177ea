#![allow(clippy::unwrap_used)]

use super::{Meta, Told, kind};
use crate::{Options, Runtime};
use http::{Request, Response, header};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A server of looms that gives `answers` to one request after the other, and then 503; what it was asked.
fn server(answers: Vec<(u16, String)>) -> (Runtime, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (answers, seen) = (Mutex::new(answers.into_iter()), asked.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let accept = request.headers().get(header::ACCEPT).unwrap();
        let (path, form) = (request.uri().path(), accept.to_str().unwrap());
        seen.lock().unwrap().push(format!("{path} {form}"));
        let answer = answers.lock().unwrap().next();
        let (code, text) = answer.unwrap_or((503, String::new()));
        let answer = Response::builder().status(code);
        let answer = answer.body(Body::from(text.into_bytes())).unwrap();
        async move { Ok::<_, Infallible>(answer) }
    });
    let client = Client::new(service, "default");
    (Runtime::new(client, Options::default()), asked)
}

fn looms() -> plan::Kind {
    kind("craft.example", "v1", "Loom", "looms")
}

fn loom(name: &str) -> Value {
    json!({ "metadata": {
        "name": name, "uid": name, "resourceVersion": "7", "managedFields": [{ "manager": "m" }],
        "finalizers": ["orphan"], "creationTimestamp": null,
    } })
}

fn seen(name: &str) -> Meta {
    Meta {
        uid: name.to_owned(),
        name: name.to_owned(),
        resource_version: "7".to_owned(),
        finalizers: vec!["orphan".to_owned()],
        ..Meta::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_is_watched_as_long_as_somebody_wants_it() {
    let list = json!({ "metadata": { "resourceVersion": "7" }, "items": [loom("a")] });
    let line = |verb: &str, name| json!({ "type": verb, "object": loom(name) });
    let lines = format!("{}\n{}\n", line("ADDED", "b"), line("DELETED", "a"));
    let (runtime, asked) = server(vec![(200, list.to_string()), (200, lines)]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let ear = told.clone();
    let watch = runtime.watch_meta(looms(), true, move |said| ear.lock().unwrap().push(said));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let wanted = [
        Told::All(vec![seen("a")]),
        Told::Put(seen("b")),
        Told::Gone(seen("a")),
    ];
    assert_eq!(*told.lock().unwrap(), wanted);
    let path = "/apis/craft.example/v1/looms";
    let form = |of| format!("{path} application/json;as={of};g=meta.k8s.io;v=v1");
    let (list, each) = (
        form("PartialObjectMetadataList"),
        form("PartialObjectMetadata"),
    );
    assert_eq!(asked.lock().unwrap()[..2], [list, each]);
    drop(watch);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = asked.lock().unwrap().len();
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(asked.lock().unwrap().len(), before);
}

#[tokio::test]
async fn only_an_answer_about_the_object_itself_says_that_it_is_not_there() {
    let missing = |name: &str| {
        let details = json!({ "name": name, "group": "craft.example", "kind": "looms" });
        json!({ "kind": "Status", "code": 404, "reason": "NotFound", "details": details })
    };
    let unserved = json!({ "kind": "Status", "code": 404, "reason": "NotFound", "details": {} });
    for (code, text, wanted) in [
        (200, loom("a").to_string(), Ok(Some(seen("a")))),
        (404, missing("a").to_string(), Ok(None)),
        (404, missing("ns").to_string(), Err(())),
        (404, unserved.to_string(), Err(())),
        (404, "404 page not found".to_owned(), Err(())),
        (503, "service unavailable".to_owned(), Err(())),
    ] {
        let (runtime, _) = server(vec![(code, text.clone())]);
        let found = runtime.reads().meta(looms(), "ns", "a").await;
        assert_eq!(found.map_err(drop), wanted, "{code} {text}");
    }
}
