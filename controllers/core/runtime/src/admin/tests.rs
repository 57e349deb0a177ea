#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::caches::Key;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::json;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use tower::ServiceExt;

async fn ask(admin: &Admin, path: &str) -> (u16, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = admin.router().oneshot(request).await.unwrap();
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8(body.to_vec()).unwrap())
}

fn admin() -> Admin {
    Admin::new(Metrics::new(), Plans::default())
}

#[tokio::test]
async fn checks_are_told_as_upstream_tells_them() {
    let admin = admin();
    let synced = Arc::new(AtomicBool::new(false));
    let asked = synced.clone();
    admin.live("leaderElection", || Ok(()));
    admin.ready("caches", move || {
        asked
            .load(Ordering::Relaxed)
            .then_some(())
            .ok_or_else(|| "waits for pods".to_owned())
    });
    let failed =
        "[+]ping ok\n[+]leaderElection ok\n[-]caches failed: waits for pods\nreadyz check failed\n";
    let excluded =
        "[+]ping ok\n[+]leaderElection ok\n[+]caches excluded: ok\nreadyz check passed\n";
    let cases = [
        ("/healthz", 200, "ok"),
        ("/livez", 200, "ok"),
        (
            "/livez?verbose",
            200,
            "[+]ping ok\n[+]leaderElection ok\nlivez check passed\n",
        ),
        ("/readyz", 500, failed),
        ("/readyz?verbose=true", 500, failed),
        ("/readyz?exclude=caches", 200, "ok"),
        ("/readyz?verbose&exclude=caches", 200, excluded),
        ("/readyz/caches", 500, "caches failed: waits for pods\n"),
        ("/readyz/ping", 200, "ok"),
        ("/livez/caches", 404, "no check caches\n"),
    ];
    for (path, code, text) in cases {
        assert_eq!(ask(&admin, path).await, (code, text.to_owned()), "{path}");
    }
    synced.store(true, Ordering::Relaxed);
    assert_eq!(ask(&admin, "/readyz").await, (200, "ok".to_owned()));
}

#[tokio::test]
async fn plans_are_found_by_namespace_and_name() {
    let admin = admin();
    let time = Timestamp::constant(0, 0);
    let plans = &admin.0.plans;
    plans.record(
        "replicaset-controller",
        &Key::new("default", "web"),
        time,
        "create pods web-a\n",
        "done",
    );
    plans.record(
        "namespace-controller",
        &Key::new("", "old"),
        time,
        "",
        "nothing to do",
    );
    let (code, text) = ask(&admin, "/debug/plans/default/web").await;
    let expected = json!([{"controller": "replicaset-controller", "namespace": "default", "name": "web", "plans": [
        {"time": "1970-01-01T00:00:00Z", "times": 1, "plan": ["create pods web-a"], "outcome": "done"}]}]);
    assert_eq!(
        (code, serde_json::from_str::<Value>(&text).unwrap()),
        (200, expected)
    );
    assert_eq!(ask(&admin, "/debug/plans/old").await.0, 200);
    assert_eq!(ask(&admin, "/debug/plans/default/other").await.0, 404);
    let (_, text) = ask(&admin, "/debug/plans").await;
    let all: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (all[0]["name"].clone(), all[1]["actions"].clone()),
        (json!("old"), json!(1))
    );
}

#[tokio::test]
async fn metrics_options_and_paths_are_shown() {
    let admin = admin();
    admin.config("leaderElection", || json!({"leaseDuration": "15s"}));
    assert_eq!(
        ask(&admin, "/configz").await,
        (
            200,
            r#"{"leaderElection":{"leaseDuration":"15s"}}"#.to_owned()
        )
    );
    let (code, text) = ask(&admin, "/metrics").await;
    assert!(
        code == 200 && text.contains("kubernetes_build_info"),
        "{text}"
    );
    let (code, text) = ask(&admin, "/").await;
    assert!(code == 404 && text.contains("/readyz"), "{text}");
}

#[tokio::test]
async fn what_checks_have_found_is_counted_by_page_and_name() {
    let admin = admin();
    let well = Arc::new(AtomicBool::new(false));
    let asked = well.clone();
    admin.ready("caches", move || match asked.load(Ordering::Relaxed) {
        true => Ok(()),
        false => Err("waits for pods".to_owned()),
    });
    ask(&admin, "/readyz").await;
    well.store(true, Ordering::Relaxed);
    for path in [
        "/readyz",
        "/readyz?exclude=caches",
        "/readyz/caches",
        "/livez",
    ] {
        ask(&admin, path).await;
    }
    let (_, text) = ask(&admin, "/metrics/slis").await;
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("kub"))
        .collect();
    let expected = [
        r#"kubernetes_healthcheck{name="caches",type="readyz"} 1"#,
        r#"kubernetes_healthcheck{name="ping",type="livez"} 1"#,
        r#"kubernetes_healthcheck{name="ping",type="readyz"} 1"#,
        r#"kubernetes_healthchecks_total{name="caches",status="error",type="readyz"} 1"#,
        r#"kubernetes_healthchecks_total{name="caches",status="success",type="readyz"} 1"#,
        r#"kubernetes_healthchecks_total{name="ping",status="success",type="livez"} 1"#,
        r#"kubernetes_healthchecks_total{name="ping",status="success",type="readyz"} 3"#,
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn it_serves_until_stopped_and_a_busy_port_names_the_flag() {
    let server = admin().bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let (address, stop) = (server.address(), CancellationToken::new());
    let error = admin().bind(address).await.unwrap_err().to_string();
    let expected = format!(
        "port {} of 127.0.0.1 is in use; choose another with --secure-port, or 0 for none",
        address.port()
    );
    assert_eq!(error, expected);
    let task = tokio::spawn(server.run(stop.clone()));
    let text = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    let text = text.await.unwrap();
    assert!(
        text.starts_with("HTTP/1.1 200 OK") && text.ends_with("\r\n\r\nok"),
        "{text}"
    );
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_part_of_the_process_shows_what_it_knows_of_an_object() {
    let admin = admin();
    admin.page("explain", |namespace, name| {
        (name == "web").then(|| Shown {
            text: format!("{namespace} waits\n"),
            json: json!({ "state": "waits" }),
        })
    });
    let unknown = "no such path; there are\n/configz\n/debug/explain/<namespace>/<name>\n/debug/plans\n\
                   /debug/plans/<namespace>/<name>\n/healthz\n/livez\n/metrics\n/metrics/slis\n/readyz\n";
    let cases = [
        ("/debug/explain/ns/web", 200, "ns waits\n"),
        (
            "/debug/explain/ns/web?output=json",
            200,
            r#"{"state":"waits"}"#,
        ),
        (
            "/debug/explain/ns/other",
            404,
            "ns/other is not known here\n",
        ),
        ("/debug/other/ns/web", 404, unknown),
    ];
    for (path, code, text) in cases {
        assert_eq!(ask(&admin, path).await, (code, text.to_owned()), "{path}");
    }
}
