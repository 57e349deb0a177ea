#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::{at, pod};
use serde_json::{Value, json};

/// `main=run@0 r1`: what each container does, with restarts.
fn show(hollow: &Hollow, pod: &Pod) -> String {
    let spec = pod.spec.as_ref().unwrap();
    let names = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let runs = hollow.init.iter().chain(&hollow.main);
    let seconds = |t: Timestamp| t.as_second() - at(0).as_second();
    let mut shown: Vec<String> = names
        .zip(runs)
        .map(|(container, run)| {
            let state = match &run.state {
                State::Waiting => "wait".to_owned(),
                State::InvalidImage => "invalid".to_owned(),
                State::Unpullable(_) => "unpullable".to_owned(),
                State::Running(since) => format!("run@{}", seconds(*since)),
                State::CrashLoop(until) => format!("loop@{}", seconds(*until)),
                State::Exited(exit) => format!("exit{}@{}", exit.code, seconds(exit.finished)),
            };
            format!("{}={state} r{}", container.name, run.restarts)
        })
        .collect();
    if hollow.stopped {
        shown.push("over".to_owned());
    }
    shown.join(", ")
}

/// Brings a pod to each moment in turn and shows it there, with the next moment.
fn film(spec: Value, annotations: Value, moments: &[i64]) -> Vec<String> {
    let annotations = annotations.as_object().unwrap().iter();
    let annotations = annotations
        .map(|(k, v)| (format!("hollow.corten.dev/{k}"), v.clone()))
        .collect();
    let pod = pod(spec, Value::Object(annotations));
    let profiles = Profiles::default();
    let mut hollow = Hollow::begin(&pod, None, at(0));
    let mut disk = Tree::default();
    let mut shots = Vec::new();
    for moment in moments {
        let mut site = Site {
            host: Ipv4Addr::LOCALHOST,
            profiles: &profiles,
            disk: &mut disk,
        };
        let next = hollow.advance(&pod, &mut site, at(*moment));
        let next = next.map_or("-".to_owned(), |n| {
            (n.as_second() - at(0).as_second()).to_string()
        });
        shots.push(format!("{moment}: {} > {next}", show(&hollow, &pod)));
    }
    shots
}

#[test]
fn containers_live_as_their_profile_says() {
    let init = json!([
        { "name": "one", "image": "a" },
        { "name": "side", "image": "b", "restartPolicy": "Always" },
        { "name": "two", "image": "c" },
    ]);
    for (name, spec, annotations, moments, shots) in [
        (
            "runs for ever",
            json!({}),
            json!({}),
            vec![0],
            vec!["0: main=run@0 r0 > -"],
        ),
        (
            "starts later and is ready later",
            json!({}),
            json!({"start-delay": "5s", "ready-after": "3s"}),
            vec![0, 5, 8],
            vec![
                "0: main=wait r0 > 5",
                "5: main=run@5 r0 > 8",
                "8: main=run@5 r0 > -",
            ],
        ),
        (
            "crash loop: at once, 10 s, 20 s",
            json!({}),
            json!({"run-for": "1s", "exit-code": "1"}),
            vec![0, 1, 2, 12, 13],
            vec![
                "0: main=run@0 r0 > 1",
                "1: main=run@1 r1 > 2",
                "2: main=loop@12 r1 > 12",
                "12: main=run@12 r2 > 13",
                "13: main=loop@33 r2 > 33",
            ],
        ),
        (
            "OnFailure restarts until it succeeds",
            json!({"restartPolicy": "OnFailure"}),
            json!({"run-for": "1s", "exit-code": "1,0"}),
            vec![1, 2],
            vec!["1: main=run@1 r1 > 2", "2: main=exit0@2 r1, over > -"],
        ),
        (
            "Never does not restart",
            json!({"restartPolicy": "Never"}),
            json!({"exit-code": "3"}),
            vec![0],
            vec!["0: main=exit3@0 r0, over > -"],
        ),
        (
            "init containers in order, sidecars stay and end last",
            json!({"restartPolicy": "Never", "initContainers": init}),
            json!({"run-for.one": "2s", "run-for.two": "1s", "run-for": "5s"}),
            vec![0, 2, 3, 8],
            vec![
                "0: one=run@0 r0, side=wait r0, two=wait r0, main=wait r0 > 2",
                "2: one=exit0@2 r0, side=run@2 r0, two=run@2 r0, main=wait r0 > 3",
                "3: one=exit0@2 r0, side=run@2 r0, two=exit0@3 r0, main=run@3 r0 > 8",
                "8: one=exit0@2 r0, side=exit0@8 r0, two=exit0@3 r0, main=exit0@8 r0, over > -",
            ],
        ),
        (
            "an init container that fails for good ends the pod",
            json!({"restartPolicy": "Never", "initContainers": [{ "name": "one", "image": "a" }]}),
            json!({"exit-code.one": "1"}),
            vec![0],
            vec!["0: one=exit1@0 r0, main=wait r0, over > -"],
        ),
        (
            "an image that is none, and one that is not there",
            json!({"containers": [{ "name": "a", "image": "A!" }, { "name": "b", "image": "web:404" }]}),
            json!({}),
            vec![0, 2],
            vec![
                "0: a=invalid r0, b=unpullable r0 > 2",
                "2: a=invalid r0, b=unpullable r0 > -",
            ],
        ),
        (
            "the deadline ends it",
            json!({"activeDeadlineSeconds": 7}),
            json!({}),
            vec![0, 9],
            vec!["0: main=run@0 r0 > 7", "9: main=exit0@7 r0, over > -"],
        ),
    ] {
        assert_eq!(film(spec, annotations, &moments), shots, "{name}");
    }
}

#[test]
fn backoff_doubles_up_to_five_minutes() {
    let seconds: Vec<u64> = [0, 1, 2, 3, 4, 5, 6, 7, 40]
        .map(|n| backoff(n).as_secs())
        .to_vec();
    assert_eq!(seconds, [0, 10, 20, 40, 80, 160, 300, 300, 300]);
}

#[test]
fn a_long_run_forgives() {
    let shots = film(json!({}), json!({"run-for": "600s"}), &[1200]);
    assert_eq!(shots, ["1200: main=run@1200 r2 > 1800"]);
}

fn bring(hollow: &mut Hollow, pod: &Pod, to: Timestamp) {
    let mut site = Site {
        host: Ipv4Addr::LOCALHOST,
        profiles: &Profiles::default(),
        disk: &mut Tree::default(),
    };
    hollow.advance(pod, &mut site, to);
}

#[test]
fn a_new_image_restarts_the_container() {
    let mut pod = pod(json!({}), json!({}));
    let mut hollow = Hollow::begin(&pod, None, at(0));
    bring(&mut hollow, &pod, at(0));
    pod.spec.as_mut().unwrap().containers[0].image = Some("nginx:1.28".to_owned());
    bring(&mut hollow, &pod, at(5));
    assert_eq!(show(&hollow, &pod), "main=run@5 r1");
    bring(&mut hollow, &pod, at(6));
    assert_eq!(show(&hollow, &pod), "main=run@5 r1");
}

/// The script of the one container, moments → shots.
fn scripted(script: &str, more: Value, moments: &[i64]) -> Vec<String> {
    let mut spec = json!({"restartPolicy": "OnFailure", "containers": [{
        "name": "main", "image": "busybox", "command": ["/bin/sh", "-c", script],
        "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
    }], "volumes": [{ "name": "data", "emptyDir": {} }]});
    for (key, value) in more.as_object().unwrap() {
        if let Some(probe) = key.strip_prefix("main.") {
            spec["containers"][0][probe] = value.clone();
        } else {
            spec[key] = value.clone();
        }
    }
    film(spec, json!({}), moments)
}

#[test]
fn scripts_end_as_they_say() {
    let once = "if [[ -r /data/foo ]]\nthen\n exit 0\nelse\n touch /data/foo\n exit 1\nfi";
    let own = once.replace("/data", "/tmp");
    let count = "f=/data/restartCount\ncount=$(echo 'hello' >> $f ; wc -l $f | awk {'print $1'})\n\
                 if [ $count -eq 1 ]; then\n exit 1\nfi\nif [ $count -eq 2 ]; then\n exit 0\nfi\nwhile true; do sleep 1; done";
    for (script, more, moments, shots) in [
        (
            "exit 0",
            json!({}),
            vec![0],
            vec!["0: main=exit0@0 r0, over > -"],
        ),
        (
            "sleep 5; exit 3",
            json!({"restartPolicy": "Never"}),
            vec![0, 5],
            vec!["0: main=run@0 r0 > 5", "5: main=exit3@5 r0, over > -"],
        ),
        // The volume outlives the container, its own files do not.
        (
            once,
            json!({}),
            vec![0],
            vec!["0: main=exit0@0 r1, over > -"],
        ),
        (&own, json!({}), vec![0], vec!["0: main=loop@10 r1 > 10"]),
        (
            count,
            json!({"restartPolicy": "Always"}),
            vec![0, 10],
            vec!["0: main=loop@10 r1 > 10", "10: main=run@10 r2 > -"],
        ),
        (
            "curl http://x",
            json!({}),
            vec![0],
            vec!["0: main=run@0 r0 > -"],
        ),
    ] {
        assert_eq!(scripted(script, more, &moments), shots, "{script}");
    }
}

#[test]
fn probes_of_scripts_look_at_their_files() {
    let liveness = json!({"exec": {"command": ["cat", "/tmp/health"]}, "initialDelaySeconds": 15, "periodSeconds": 5, "failureThreshold": 1});
    let script = "echo ok >/tmp/health; sleep 10; rm -rf /tmp/health; sleep 600";
    let more = json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 5, "main.livenessProbe": liveness});
    assert_eq!(
        scripted(script, more, &[0, 10, 15, 20]),
        [
            "0: main=run@0 r0 > 10",
            "10: main=run@0 r0 > 15",
            "15: main=run@0 r0 > 20",
            "20: main=run@20 r1 > 30",
        ]
    );
}
