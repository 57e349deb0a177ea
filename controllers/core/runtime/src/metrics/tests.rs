#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;

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
    let version = env!("CARGO_PKG_VERSION");
    has(
        &text,
        &format!(
            r#"version_info{{binary="{version}",component="kube",emulation="1.36",min_compat="1.36"}} 1"#
        ),
    );
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

mod declared {
    use super::*;
    use plan::Stability::{Alpha, Stable};
    use plan::exponential;

    static MADE: Metric = Metric::counter("made_total", Stable, &["by", "result"], "Things made");
    static ODD: Metric = Metric::counter("changes", Alpha, &["operation"], "Changes");
    static DELETED: Metric = Metric::counter("deleted_total", Alpha, &[], "Things deleted");
    static WANTED: Metric = Metric::gauge("wanted", Alpha, &["place"], "Things wanted");
    static PLACES: Metric = Metric::gauge("places", Alpha, &[], "Places");
    static TOOK: Metric = Metric::histogram(
        "took_seconds",
        Stable,
        &["by"],
        exponential(0.5, 2.0, 3),
        "Seconds that it took",
    );

    #[test]
    fn what_is_declared_is_counted_under_its_name() {
        let metrics = Metrics::new();
        metrics.declare(&[&MADE, &ODD, &DELETED, &TOOK]);
        metrics.declare(&[&MADE]);
        metrics.record(&[
            MADE.at(["job", "succeeded"], 2.0),
            MADE.at(["job", "succeeded"], 1.0),
            MADE.at(["job", "failed"], 0.0),
            ODD.at(["create"], 1.0),
            TOOK.at(["a \"b\""], 0.5),
            TOOK.at(["a \"b\""], 7.0),
        ]);
        let text = metrics.encode();
        for line in [
            "# HELP made [STABLE] Things made.",
            "# TYPE made counter",
            r#"made_total{by="job",result="succeeded"} 3"#,
            r#"made_total{by="job",result="failed"} 0"#,
            "# TYPE changes unknown",
            r#"changes{operation="create"} 1"#,
            "# HELP deleted [ALPHA] Things deleted.",
            "deleted_total 0",
            "# TYPE took_seconds histogram",
            r#"took_seconds_sum{by="a \"b\""} 7.5"#,
            r#"took_seconds_count{by="a \"b\""} 2"#,
            r#"took_seconds_bucket{le="0.5",by="a \"b\""} 1"#,
            r#"took_seconds_bucket{le="2.0",by="a \"b\""} 1"#,
            r#"took_seconds_bucket{le="+Inf",by="a \"b\""} 2"#,
        ] {
            has(&text, line);
        }
        assert_eq!(text.matches("took_seconds_bucket").count(), 4);
        assert_eq!(text.matches("# TYPE made ").count(), 1);
    }

    #[test]
    fn a_gauge_is_the_sum_of_what_objects_say_and_goes_with_the_last() {
        let metrics = Metrics::new();
        metrics.declare(&[&WANTED, &PLACES]);
        let one = [WANTED.at(["here"], 3.0), PLACES.of(1.0)];
        let two = [WANTED.at(["here"], 0.5), WANTED.at(["there"], 0.0)];
        metrics.exchange(&[], &one);
        metrics.exchange(&[], &two);
        let text = metrics.encode();
        has(&text, r#"wanted{place="here"} 3.5"#);
        has(&text, r#"wanted{place="there"} 0"#);
        has(&text, "places 1");
        metrics.exchange(&one, &[WANTED.at(["there"], 4.0)]);
        metrics.exchange(&two, &[]);
        let text = metrics.encode();
        assert!(
            !text.contains("here\"} 3") && !text.contains(r#""here""#),
            "{text}"
        );
        has(&text, r#"wanted{place="there"} 4"#);
        has(&text, "places 0");
    }
}
