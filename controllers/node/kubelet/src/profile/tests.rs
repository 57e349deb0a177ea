#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::pod;
use serde_json::json;

#[test]
fn go_durations_are_read() {
    for (text, millis) in [
        ("0", Some(0)),
        ("300ms", Some(300)),
        ("1.5s", Some(1500)),
        ("1h2m3s", Some(3_723_000)),
        ("2m", Some(120_000)),
        ("1000us", Some(1)),
        ("+1s", Some(1000)),
        ("", None),
        ("5", None),
        ("-1s", None),
        ("1d", None),
        ("s", None),
        ("1..5s", None),
    ] {
        let read = parse_duration(text).map(|d| d.as_millis());
        assert_eq!(read, millis, "{text:?}");
    }
}

#[test]
fn a_profile_file_is_read_and_checked() {
    let read = Profiles::parse(
        "profiles:\n  slow: {startDelay: 5s, readyAfter: 10s, exitCode: [1, 0]}\nrules:\n- {namespace: 'load-*', profile: slow}\n",
    )
    .unwrap();
    assert_eq!(
        read.profiles["slow"].start_delay,
        Some(Duration::from_secs(5))
    );
    assert_eq!(read.profiles["slow"].exit_code, Some(vec![1, 0]));
    assert_eq!(read.unpullable, Profiles::default().unpullable);
    let json =
        Profiles::parse(r#"{"unpullable": [], "rules": [], "profiles": {"a": {"exitCode": 3}}}"#);
    assert_eq!(json.unwrap().profiles["a"].exit_code, Some(vec![3]));
    for (text, error) in [
        ("rules: [{profile: gone}]\nprofiles: {}", "gone"),
        ("profiles: {a: {startDelay: soon}}", "soon"),
        ("profiles: {a: {colour: red}}", "colour"),
        ("profiles: {a: {exitCode: []}}", "empty"),
    ] {
        let message = Profiles::parse(text).unwrap_err().to_string();
        assert!(message.contains(error), "{text}: {message}");
    }
}

/// Annotations, then what the container `main` does.
#[test]
fn the_stronger_word_wins() {
    let profiles = Profiles::parse(
        "profiles:\n  slow: {readyAfter: 10s, runFor: 1m, containers: {main: {exitCode: 4}}}\n  weak: {runFor: 2m, stopCode: 9}\nrules: [{profile: weak}]\n",
    )
    .unwrap();
    let secs = Duration::from_secs;
    for (annotations, ready, run, codes, stop) in [
        (json!({}), Some(0), Some(120), vec![0], 9),
        (json!({"profile": "slow"}), Some(10), Some(60), vec![4], 9),
        (
            json!({"profile": "unknown"}),
            Some(0),
            Some(120),
            vec![0],
            9,
        ),
        (
            json!({"profile": "slow", "run-for": "3s"}),
            Some(10),
            Some(3),
            vec![4],
            9,
        ),
        (
            json!({"run-for": "3s", "run-for.main": "4s"}),
            Some(0),
            Some(4),
            vec![0],
            9,
        ),
        (
            json!({"run-for": "nonsense"}),
            Some(0),
            Some(120),
            vec![0],
            9,
        ),
        (
            json!({"exit-code": "1, 2", "ready": "false"}),
            None,
            Some(120),
            vec![1, 2],
            9,
        ),
        (
            json!({"stop-code": "143"}),
            Some(0),
            Some(120),
            vec![0],
            143,
        ),
    ] {
        let keys = annotations.as_object().unwrap().iter();
        let keyed = keys
            .map(|(k, v)| (format!("{PREFIX}{k}"), v.clone()))
            .collect();
        let pod = pod(json!({}), serde_json::Value::Object(keyed));
        let does = profiles.behaviour(&pod, &pod.spec.as_ref().unwrap().containers[0], false);
        let expected = Behaviour {
            ready_after: ready.map(secs),
            run_for: run.map(secs),
            exit_codes: codes,
            stop_code: stop,
            fail_image: false,
            ..does.clone()
        };
        assert_eq!(does, expected, "{annotations}");
    }
}

#[test]
fn without_a_word_containers_run_and_init_containers_end_and_jobs_succeed() {
    let profiles = Profiles::default();
    let mut pod = pod(json!({}), json!({}));
    let container = pod.spec.as_ref().unwrap().containers[0].clone();
    let does = |pod: &Pod, init| profiles.behaviour(pod, &container, init);
    assert_eq!(does(&pod, false).run_for, None);
    assert_eq!(does(&pod, true).run_for, Some(Duration::ZERO));
    pod.metadata.owner_references = serde_json::from_value(json!([
        { "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "j", "controller": true }
    ]))
    .unwrap();
    assert_eq!(does(&pod, false).run_for, Some(Duration::from_secs(1)));
    assert_eq!(does(&pod, false).stop_code, 143);
    // What their commands say is stronger, and a script that is killed ends as any does.
    assert!(!does(&pod, false).is_told);
    assert_eq!(does(&pod, false).kill_code, 137);
    assert_eq!(does(&pod, true).run_for, Some(Duration::ZERO));
}
