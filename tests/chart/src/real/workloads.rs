//! What is run: one object of each kind, of programs of busybox.

use machine::images::BUSYBOX;
use serde_json::{Value, json};

/// The namespace that they are in.
pub(crate) const SHOP: &str = "shop";

/// A page that says hello, on port 8080.
const SERVES: &str = "mkdir /www; echo hello >/www/index.html; exec httpd -f -p 8080 -h /www";
/// The page, asked for at the address of the Service `web`.
const ASKS: &str =
    "timeout 10 wget -q -O - http://$WEB_SERVICE_HOST:$WEB_SERVICE_PORT/ | grep hello";

/// A template of pods with the label `app`, for this scheduler.
fn template(app: &str, scheduler: &str, command: &str) -> Value {
    let mut container = json!({ "name": app, "image": BUSYBOX, "command": ["sh", "-c", command] });
    if command == SERVES {
        let get = json!({ "path": "/", "port": 8080 });
        container["readinessProbe"] = json!({ "httpGet": get, "periodSeconds": 1 });
    }
    json!({
        "metadata": { "labels": { "app": app } },
        "spec": {
            "schedulerName": scheduler, "terminationGracePeriodSeconds": 1,
            "containers": [container],
        },
    })
}

fn selected(name: &str, scheduler: &str, more: Value) -> Value {
    let mut spec = json!({
        "selector": { "matchLabels": { "app": name } },
        "template": template(name, scheduler, SERVES),
    });
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    json!({ "metadata": { "name": name }, "spec": spec })
}

pub(crate) fn deployment(name: &str, scheduler: &str, replicas: i32) -> Value {
    selected(name, scheduler, json!({ "replicas": replicas }))
}

pub(crate) fn stateful_set(name: &str, scheduler: &str) -> Value {
    let more = json!({ "replicas": 2, "serviceName": name });
    selected(name, scheduler, more)
}

pub(crate) fn daemon_set(name: &str, scheduler: &str) -> Value {
    selected(name, scheduler, json!({}))
}

/// Three pods that ask the Service, one after the other; it goes when they have ended.
pub(crate) fn job(name: &str, scheduler: &str) -> Value {
    let mut template = template(name, scheduler, ASKS);
    template["spec"]["restartPolicy"] = "Never".into();
    json!({
        "metadata": { "name": name },
        "spec": { "completions": 3, "ttlSecondsAfterFinished": 5, "template": template },
    })
}

/// Each minute.
pub(crate) fn cron_job(name: &str, scheduler: &str) -> Value {
    let mut spec = job(name, scheduler)["spec"].take();
    spec["completions"] = 1.into();
    let spec = json!({ "schedule": "* * * * *", "jobTemplate": { "spec": spec } });
    json!({ "metadata": { "name": name }, "spec": spec })
}

/// Of the Deployment of the same name.
pub(crate) fn autoscaler(name: &str) -> Value {
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": name });
    json!({
        "metadata": { "name": name },
        "spec": { "scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9 },
    })
}

pub(crate) fn service(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    })
}
