#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use tower::ServiceExt;

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_counts_under_upstreams_names() {
    let metrics = Metrics::new();
    let queue = metrics.queue("replicaset");
    queue.added();
    metrics.queue("replicaset").added();
    queue.depth(2);
    queue.queued(Duration::from_millis(5));
    queue.worked(Duration::from_secs(20));
    queue.retried();
    let text = metrics.encode();
    has(&text, r#"workqueue_adds_total{name="replicaset"} 2"#);
    has(&text, r#"workqueue_depth{name="replicaset"} 2"#);
    has(&text, r#"workqueue_retries_total{name="replicaset"} 1"#);
    has(
        &text,
        r#"workqueue_queue_duration_seconds_count{name="replicaset"} 1"#,
    );
    has(
        &text,
        r#"workqueue_work_duration_seconds_bucket{le="+Inf",name="replicaset"} 1"#,
    );
    assert_eq!(
        text.matches("workqueue_work_duration_seconds_bucket")
            .count(),
        11
    );
    has(
        &text,
        r#"workqueue_unfinished_work_seconds{name="replicaset"} 0.0"#,
    );
}

#[tokio::test(start_paused = true)]
async fn unfinished_work_is_measured_at_the_scrape() {
    let metrics = Metrics::new();
    let queue = metrics.queue("job");
    queue.queued(Duration::ZERO);
    tokio::time::advance(Duration::from_secs(4)).await;
    queue.queued(Duration::ZERO);
    tokio::time::advance(Duration::from_secs(2)).await;
    let text = metrics.encode();
    has(
        &text,
        r#"workqueue_unfinished_work_seconds{name="job"} 8.0"#,
    );
    has(
        &text,
        r#"workqueue_longest_running_processor_seconds{name="job"} 6.0"#,
    );
    queue.worked(Duration::from_secs(6));
    let text = metrics.encode();
    has(
        &text,
        r#"workqueue_unfinished_work_seconds{name="job"} 2.0"#,
    );
    has(
        &text,
        r#"workqueue_longest_running_processor_seconds{name="job"} 2.0"#,
    );
}

#[test]
fn the_rest_has_upstreams_names_too() {
    let metrics = Metrics::new();
    metrics.host("10.0.0.1:6443");
    metrics.request("PUT", "409", Duration::from_millis(7));
    metrics.leading("kube-controller-manager", true);
    metrics.running("controllers", "replicaset-controller", true);
    metrics.reconcile("replicaset-controller", "success");
    let pending = Gauge::<i64>::default();
    metrics.register(|registry| {
        registry.register("scheduler_pending_pods", "Pods that wait", pending.clone());
    });
    pending.set(7);
    let text = metrics.encode();
    has(
        &text,
        r#"rest_client_requests_total{code="409",host="10.0.0.1:6443",method="PUT"} 1"#,
    );
    has(
        &text,
        r#"rest_client_request_duration_seconds_count{host="10.0.0.1:6443",verb="PUT"} 1"#,
    );
    has(
        &text,
        r#"leader_election_master_status{name="kube-controller-manager"} 1"#,
    );
    has(
        &text,
        r#"running_managed_controllers{manager="controllers",name="replicaset-controller"} 1"#,
    );
    has(
        &text,
        r#"controller_runtime_reconcile_total{controller="replicaset-controller",result="success"} 1"#,
    );
    has(&text, "scheduler_pending_pods 7");
    assert!(text.contains("kubernetes_build_info{major="), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_read_from_proc() {
    let text = Metrics::new().encode();
    for name in [
        "cpu_seconds_total",
        "resident_memory_bytes",
        "start_time_seconds",
        "open_fds",
    ] {
        let line = text
            .lines()
            .find(|l| l.starts_with(&format!("process_{name} ")));
        let value: f64 = line
            .unwrap_or_else(|| panic!("no {name} in\n{text}"))
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        assert!(value >= 0.0);
    }
}

#[tokio::test]
async fn the_layer_counts_answers_and_failures() {
    let metrics = Metrics::new();
    let service = tower::service_fn(|request: Request<()>| async move {
        match request.uri().path() {
            "/up" => Ok(Response::builder().status(201).body(()).unwrap()),
            _ => Err("no route"),
        }
    });
    let service = metrics.requests().layer(service);
    service
        .clone()
        .oneshot(Request::post("/up").body(()).unwrap())
        .await
        .unwrap();
    service
        .clone()
        .oneshot(Request::get("/down").body(()).unwrap())
        .await
        .unwrap_err();
    let text = metrics.encode();
    has(
        &text,
        r#"rest_client_requests_total{code="201",host="",method="POST"} 1"#,
    );
    has(
        &text,
        r#"rest_client_requests_total{code="<error>",host="",method="GET"} 1"#,
    );
}
