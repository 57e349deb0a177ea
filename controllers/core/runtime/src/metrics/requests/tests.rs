#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::client::legacy::connect::HttpConnector;
use tower::ServiceExt;

fn has(metrics: &Metrics, line: &str) {
    let text = metrics.encode();
    assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
}

fn lacks(metrics: &Metrics, word: &str) {
    let text = metrics.encode();
    assert!(!text.lines().any(|line| line.starts_with(word)), "{text}");
}

/// A request with so much in it, to a server that answers 200 and three bytes, or not at all at `/down`. All of the
/// answer is read.
async fn send(metrics: &Metrics, request: http::request::Builder, body: &'static str) {
    let service = tower::service_fn(|request: Request<Full<Bytes>>| async move {
        match request.uri().path() {
            "/down" => Err("no route"),
            _ => Ok(Response::new(Full::new(Bytes::from_static(b"{ }")))),
        }
    });
    let request = request.body(Full::new(Bytes::from_static(body.as_bytes())));
    let service = metrics.requests().layer(service);
    if let Ok(answer) = service.oneshot(request.unwrap()).await {
        answer.into_body().collect().await.unwrap();
    }
}

fn counted() -> Metrics {
    let metrics = Metrics::new();
    metrics.host("10.0.0.1:6443");
    metrics
}

#[tokio::test(start_paused = true)]
async fn answers_and_failures_are_counted_with_their_sizes_under_upstreams_names() {
    let metrics = counted();
    send(&metrics, Request::put("/up"), "{ \"kind\": \"Pod\" }").await;
    send(&metrics, Request::get("/down"), "").await;
    for line in [
        r#"rest_client_requests_total{code="200",host="10.0.0.1:6443",method="PUT"} 1"#,
        r#"rest_client_requests_total{code="<error>",host="10.0.0.1:6443",method="GET"} 1"#,
        r#"rest_client_request_duration_seconds_count{host="10.0.0.1:6443",verb="PUT"} 1"#,
        r#"rest_client_request_duration_seconds_count{host="10.0.0.1:6443",verb="GET"} 1"#,
        r#"rest_client_request_size_bytes_sum{host="10.0.0.1:6443",verb="PUT"} 17.0"#,
        r#"rest_client_request_size_bytes_count{host="10.0.0.1:6443",verb="GET"} 1"#,
        r#"rest_client_response_size_bytes_sum{host="10.0.0.1:6443",verb="PUT"} 3.0"#,
        r#"rest_client_response_size_bytes_bucket{le="64.0",host="10.0.0.1:6443",verb="PUT"} 1"#,
    ] {
        has(&metrics, line);
    }
    lacks(
        &metrics,
        r#"rest_client_response_size_bytes_count{host="10.0.0.1:6443",verb="GET"}"#,
    );
    lacks(&metrics, "rest_client_request_retries_total");
}

#[tokio::test]
async fn what_is_sent_again_is_counted_again() {
    let metrics = counted();
    send(&metrics, Request::post("/up"), "").await;
    send(&metrics, Request::post("/up").extension(Again), "").await;
    for line in [
        r#"rest_client_requests_total{code="200",host="10.0.0.1:6443",method="POST"} 2"#,
        r#"rest_client_request_retries_total{code="200",host="10.0.0.1:6443",verb="POST"} 1"#,
    ] {
        has(&metrics, line);
    }
}

#[tokio::test]
async fn a_watch_has_neither_size_nor_duration() {
    let metrics = counted();
    let watch = Request::get("/api/v1/pods?&watch=true&timeoutSeconds=290");
    send(&metrics, watch, "").await;
    has(
        &metrics,
        r#"rest_client_requests_total{code="200",host="10.0.0.1:6443",method="GET"} 1"#,
    );
    for name in ["request_duration_seconds", "request_size", "response_size"] {
        lacks(&metrics, &format!("rest_client_{name}"));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_has_no_size() {
    let metrics = counted();
    let service = tower::service_fn(|_: Request<Full<Bytes>>| async {
        let parts = [Ok(Frame::data(Bytes::from_static(b"{"))), Err("broken")];
        Ok::<_, &str>(Response::new(StreamBody::new(futures::stream::iter(parts))))
    });
    let request = Request::get("/up").body(Full::default()).unwrap();
    let answer = metrics.requests().layer(service).oneshot(request).await;
    answer.unwrap().into_body().collect().await.unwrap_err();
    lacks(&metrics, "rest_client_response_size_bytes_count");
}

#[tokio::test]
async fn it_is_counted_how_long_a_name_takes_to_resolve_and_that_an_address_is_none() {
    let metrics = counted();
    let mut connector = HttpConnector::new_with_resolver(Resolver::new(Some(&metrics)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost"] {
        let uri = format!("http://{host}:{port}").parse().unwrap();
        connector.call(uri).await.unwrap();
    }
    has(
        &metrics,
        r#"rest_client_dns_resolution_duration_seconds_count{host="localhost"} 1"#,
    );
    lacks(
        &metrics,
        r#"rest_client_dns_resolution_duration_seconds_count{host="127"#,
    );
}
