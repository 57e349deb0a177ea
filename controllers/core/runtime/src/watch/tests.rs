#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::trim::OBJECT;
use http::Response;
use http_body_util::StreamBody;
use hyper::body::Frame;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

/// A server that gives these answers one after the other, and the paths that it was asked for.
fn server(answers: Vec<(u16, String)>) -> (Source, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (answers, paths) = (Arc::new(Mutex::new(answers.into_iter())), asked.clone());
    let service = tower::service_fn(move |request: http::Request<Body>| {
        paths.lock().unwrap().push(request.uri().to_string());
        let (code, text) = answers.lock().unwrap().next().unwrap();
        let answer = Response::builder()
            .status(code)
            .body(Body::from(text.into_bytes()));
        async move { Ok::<_, Infallible>(answer.unwrap()) }
    });
    let client = Client::new(service, "default");
    (Source::new::<ConfigMap>(client, Some("ns")), asked)
}

/// What is listed, and as of which version.
async fn listed(source: &Source) -> Result<(Vec<ConfigMap>, String), Error> {
    let mut objects = Vec::new();
    let mut read = |text: &str| {
        objects.push(ConfigMap::listed(text, OBJECT)?);
        Ok(())
    };
    let version = source.list(&mut read).await?;
    Ok((objects, version))
}

async fn said(lines: &mut Lines) -> Option<Said<ConfigMap>> {
    let line = lines.event().await.unwrap()?;
    Some(ConfigMap::said(utf8(&line).unwrap(), OBJECT).unwrap())
}

fn named(name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap()
}

fn line(kind: &str, object: &serde_json::Value) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

#[tokio::test]
async fn a_list_is_read_object_by_object() {
    let object =
        |name: &str| json!({ "metadata": { "name": name, "managedFields": [{ "manager": "m" }] } });
    let list = json!({
        "kind": "ConfigMapList",
        "metadata": { "resourceVersion": "7" },
        "items": [object("a"), object("b")],
    });
    let text = list.to_string();
    let (source, asked) = server(vec![
        (200, text.clone()),
        (200, text[..text.len() - 9].to_owned()),
    ]);
    let wanted = (vec![named("a"), named("b")], "7".to_owned());
    assert_eq!(listed(&source).await.unwrap(), wanted);
    assert!(listed(&source).await.is_err(), "it broke off");
    let path = "/api/v1/namespaces/ns/configmaps?";
    assert_eq!(*asked.lock().unwrap(), [path, path]);
}

#[tokio::test]
async fn a_list_may_have_null_for_items() {
    let page = json!({ "metadata": { "resourceVersion": "7" }, "items": null });
    let (source, _) = server(vec![(200, page.to_string())]);
    assert_eq!(listed(&source).await.unwrap().0, []);
}

#[tokio::test]
async fn a_watch_says_what_changes_and_how_far_it_has_come() {
    let a = json!({ "metadata": { "name": "a" } });
    let text = [
        line("ADDED", &a),
        line("MODIFIED", &a),
        line("DELETED", &a),
        line(
            "BOOKMARK",
            &json!({ "metadata": { "resourceVersion": "9" } }),
        ),
        // Sorted, as a server in memory may write it.
        format!("{{\"object\":{a},\"type\":\"ADDED\"}}\n"),
        // Broken off.
        "{\"type\":\"ADDED\",\"obj".to_owned(),
    ];
    let (source, asked) = server(vec![(200, text.concat())]);
    let mut changes = source.watch("7").await.unwrap();
    let mut heard = Vec::new();
    while let Some(next) = said(&mut changes).await {
        heard.push(next);
    }
    let a = || named("a");
    let upto = Said::Upto("9".to_owned());
    let wanted = [
        Said::Put(a()),
        Said::Put(a()),
        Said::Gone(a()),
        upto,
        Said::Put(a()),
    ];
    assert_eq!(heard, wanted);
    let asked = asked.lock().unwrap().concat();
    for part in [
        "watch=true",
        "resourceVersion=7",
        "allowWatchBookmarks=true",
        "timeoutSeconds=50",
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
}

#[tokio::test]
async fn an_expired_version_is_told_from_other_refusals() {
    let gone = json!({ "kind": "Status", "code": 410, "reason": "Expired", "message": "too old" });
    let denied = json!({ "kind": "Status", "code": 403, "reason": "Forbidden", "message": "no" });
    let ahead = json!({ "code": 504, "reason": "Timeout", "message": "Too large resource version: 9, current: 3" });
    for (status, expired) in [(gone, true), (denied, false), (ahead, true)] {
        let code = status["code"].as_u64().unwrap() as u16;
        let (source, _) = server(vec![
            (code, status.to_string()),
            (200, line("ERROR", &status)),
        ]);
        let refused = source.watch("7").await.err().unwrap();
        assert_eq!(refused.is_expired(), expired, "{refused}");
        let mut lines = source.watch("7").await.unwrap();
        match said(&mut lines).await.unwrap() {
            Said::Refused(status) => assert_eq!(Error::Refused(status).is_expired(), expired),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_no_status_is_told_as_it_is() {
    let (source, _) = server(vec![(502, "bad gateway".to_owned())]);
    let error = listed(&source).await.err().unwrap();
    assert_eq!(error.to_string(), "Bad Gateway: bad gateway");
}

#[tokio::test(start_paused = true)]
async fn what_comes_during_a_pause_is_read_together() {
    let begun = tokio::time::Instant::now();
    let service = tower::service_fn(move |_| async move {
        let body = futures::stream::unfold(0, move |n| async move {
            let at = [0, 100, 200, 900].get(n)?;
            tokio::time::sleep_until(begun + Duration::from_millis(*at)).await;
            let frame = Frame::data(Bytes::from(format!("{at}\n")));
            Some((Ok::<_, Infallible>(frame), n + 1))
        });
        Ok::<_, Infallible>(Response::new(StreamBody::new(Box::pin(body))))
    });
    let client = Client::new(service, "default");
    let answer = client.send(http::Request::new(Body::empty())).await;
    let mut lines = Lines::new(answer.unwrap().into_body());
    lines.pause = Duration::from_millis(500);
    let mut read = Vec::new();
    while let Some(line) = lines.next().await.unwrap() {
        read.push((line, begun.elapsed().as_millis() / 100));
    }
    let read: Vec<_> = read.iter().map(|(line, at)| (&line[..], *at)).collect();
    let wanted: [(&[u8], u128); 4] = [(b"0", 0), (b"100", 5), (b"200", 5), (b"900", 10)];
    assert_eq!(read, wanted);
}
