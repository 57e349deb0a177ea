#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::{at, pod, rfc};
use serde_json::json;

const HOST: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 1);

fn begun(pod: &Pod) -> Hollow {
    Hollow::begin(pod, Some(Ipv4Addr::new(10, 244, 0, 2)), at(0))
}

fn status_at(pod: &Pod, seconds: i64) -> PodStatus {
    let profiles = Profiles::default();
    let mut hollow = begun(pod);
    hollow.advance(
        pod,
        &mut crate::hollow::Site {
            host: HOST,
            profiles: &profiles,
            disk: &mut crate::script::files::Tree::default(),
        },
        at(seconds),
    );
    pod_status(pod, &hollow, HOST, &profiles, at(seconds))
}

#[test]
fn a_running_pod_has_all_that_a_kubelet_writes() {
    let pod = pod(json!({}), json!({}));
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "observedGeneration": 1, "lastTransitionTime": rfc(0) });
    let expected = json!({
        "phase": "Running",
        "observedGeneration": 1,
        "startTime": rfc(0),
        "hostIP": "172.16.0.1",
        "hostIPs": [{ "ip": "172.16.0.1" }],
        "podIP": "10.244.0.2",
        "podIPs": [{ "ip": "10.244.0.2" }],
        "conditions": OWN.map(condition),
        "containerStatuses": [{
            "name": "main",
            "image": "nginx:1.27",
            "imageID": "nginx:1.27",
            "containerID": "hollow://u1-main-0",
            "ready": true,
            "started": true,
            "restartCount": 0,
            "state": { "running": { "startedAt": rfc(0) } },
            "lastState": {},
            "resources": {},
        }],
    });
    assert_eq!(serde_json::to_value(status_at(&pod, 0)).unwrap(), expected);
}

/// Spec, annotations, moment → phase, the Ready condition's reason and message, the container's state.
#[test]
fn phases_conditions_and_states() {
    let gate = json!({"readinessGates": [{ "conditionType": "lb" }]});
    let host = json!({"hostNetwork": true});
    let unready = "containers with unready status: [main]";
    for (spec, annotations, moment, phase, ready, message, state) in [
        (
            json!({}),
            json!({"start-delay": "5s"}),
            0,
            "Pending",
            "ContainersNotReady",
            unready,
            "ContainerCreating",
        ),
        (
            json!({}),
            json!({"ready-after": "5s"}),
            0,
            "Running",
            "ContainersNotReady",
            unready,
            "running",
        ),
        (
            json!({}),
            json!({"ready-after": "5s"}),
            5,
            "Running",
            "",
            "",
            "running",
        ),
        (
            json!({}),
            json!({"ready": "false"}),
            9,
            "Running",
            "ContainersNotReady",
            unready,
            "running",
        ),
        (
            gate,
            json!({}),
            0,
            "Running",
            "ReadinessGatesNotReady",
            "corresponding condition of pod readiness gate \"lb\" does not exist.",
            "running",
        ),
        (host, json!({}), 0, "Running", "", "", "running"),
        (
            json!({}),
            json!({"exit-code": "1"}),
            0,
            "Running",
            "ContainersNotReady",
            unready,
            "CrashLoopBackOff",
        ),
        (
            json!({}),
            json!({"fail-image": "true"}),
            0,
            "Pending",
            "ContainersNotReady",
            unready,
            "ErrImagePull",
        ),
        (
            json!({}),
            json!({"fail-image": "true"}),
            2,
            "Pending",
            "ContainersNotReady",
            unready,
            "ImagePullBackOff",
        ),
        (
            json!({"containers": [{ "name": "main", "image": "Web!" }]}),
            json!({}),
            0,
            "Pending",
            "ContainersNotReady",
            unready,
            "InvalidImageName",
        ),
        (
            json!({"restartPolicy": "Never"}),
            json!({"run-for": "1s"}),
            1,
            "Succeeded",
            "PodCompleted",
            "",
            "Completed",
        ),
        (
            json!({"restartPolicy": "Never"}),
            json!({"exit-code": "2"}),
            1,
            "Failed",
            "PodFailed",
            "",
            "Error",
        ),
        (
            json!({"initContainers": [{ "name": "one", "image": "a" }]}),
            json!({"run-for.one": "5s"}),
            1,
            "Pending",
            "ContainersNotReady",
            unready,
            "PodInitializing",
        ),
    ] {
        let keys = annotations.as_object().unwrap().iter();
        let keyed = keys
            .map(|(k, v)| (format!("hollow.corten.dev/{k}"), v.clone()))
            .collect();
        let status = status_at(&pod(spec.clone(), Value::Object(keyed)), moment);
        let condition = conditions::find(status.conditions.as_deref(), "Ready").unwrap();
        let shown = status.container_statuses.as_ref().unwrap()[0]
            .state
            .as_ref()
            .unwrap();
        let shown = match (&shown.waiting, &shown.terminated) {
            (Some(waiting), _) => waiting.reason.as_deref(),
            (_, Some(terminated)) => terminated.reason.as_deref(),
            _ => Some("running"),
        };
        let case = format!("{spec} {annotations} at {moment}");
        assert_eq!(status.phase.as_deref(), Some(phase), "{case}");
        assert_eq!(
            condition.reason.as_deref().unwrap_or_default(),
            ready,
            "{case}"
        );
        assert_eq!(
            condition.message.as_deref().unwrap_or_default(),
            message,
            "{case}"
        );
        assert_eq!(shown, Some(state), "{case}");
    }
}

#[test]
fn a_crash_loop_tells_what_it_waits_for_and_what_was() {
    let crashing = pod(
        json!({}),
        json!({"hollow.corten.dev/run-for": "1s", "hollow.corten.dev/exit-code": "1"}),
    );
    let status = status_at(&crashing, 2);
    let container = &status.container_statuses.as_ref().unwrap()[0];
    assert_eq!(
        serde_json::to_value(container).unwrap(),
        json!({
            "name": "main", "image": "nginx:1.27", "imageID": "nginx:1.27",
            "containerID": "hollow://u1-main-1", "ready": false, "started": false, "restartCount": 1,
            "state": { "waiting": {
                "reason": "CrashLoopBackOff",
                "message": "back-off 10s restarting failed container=main pod=web_shop(u1)",
            } },
            "lastState": { "terminated": {
                "containerID": "hollow://u1-main-1", "exitCode": 1, "reason": "Error",
                "startedAt": rfc(1), "finishedAt": rfc(2),
            } },
            "resources": {},
        })
    );
}

#[test]
fn transition_times_are_kept_and_others_conditions_are_not_ours() {
    let mut pod = pod(json!({}), json!({}));
    pod.status = Some(status_at(&pod, 0));
    let later = status_at(&pod, 60);
    let since = |status: &PodStatus| {
        let ready = conditions::find(status.conditions.as_deref(), "Ready").unwrap();
        ready.last_transition_time.clone()
    };
    assert_eq!(since(&later), Some(Time(at(0))));
    let mut other = later.clone();
    other.conditions.as_mut().unwrap().push(PodCondition {
        type_: "lb".to_owned(),
        status: "True".to_owned(),
        ..PodCondition::default()
    });
    other.qos_class = Some("BestEffort".to_owned());
    assert_eq!(fingerprint(&later), fingerprint(&other));
    other.phase = Some("Pending".to_owned());
    assert_ne!(fingerprint(&later), fingerprint(&other));
}

/// What is written, read back by the next process, gives the same status again.
#[test]
fn a_status_is_enough_to_go_on() {
    for (spec, annotations, moment) in [
        (json!({}), json!({}), 0),
        (json!({}), json!({"exit-code": "1", "run-for": "1s"}), 2),
        (json!({}), json!({"exit-code": "1", "run-for": "1s"}), 14),
        (json!({}), json!({"fail-image": "true"}), 9),
        (
            json!({"initContainers": [{ "name": "one", "image": "a" }]}),
            json!({}),
            3,
        ),
        (
            json!({"initContainers": [{ "name": "s", "image": "a", "restartPolicy": "Always" }]}),
            json!({}),
            3,
        ),
    ] {
        let keys = annotations.as_object().unwrap().iter();
        let keyed = keys
            .map(|(k, v)| (format!("hollow.corten.dev/{k}"), v.clone()))
            .collect();
        let mut pod = pod(spec.clone(), Value::Object(keyed));
        let written = status_at(&pod, moment);
        let stored = serde_json::to_value(&written).unwrap();
        pod.status = Some(serde_json::from_value(stored).unwrap());
        let profiles = Profiles::default();
        let mut hollow = Hollow::from_status(&pod).unwrap();
        hollow.advance(
            &pod,
            &mut crate::hollow::Site {
                host: HOST,
                profiles: &profiles,
                disk: &mut crate::script::files::Tree::default(),
            },
            at(moment),
        );
        let again = pod_status(&pod, &hollow, HOST, &profiles, at(moment));
        let json = |s| serde_json::to_value(s).unwrap();
        assert_eq!(json(again), json(written), "{spec} {annotations}");
    }
}
