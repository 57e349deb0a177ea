#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::pod;
use serde_json::{Value, json};

/// `script`, `forever`, `nothing` or the word that is not understood.
fn says(container: Value) -> String {
    let container: Container = serde_json::from_value(container).unwrap();
    match of(&container, &[("N".to_owned(), Some("4".to_owned()))]) {
        Says::Script(command) => format!("script {}", command.arguments.join(",")),
        Says::Forever => "forever".to_owned(),
        Says::Nothing => "nothing".to_owned(),
        Says::Unknown(word) => word.to_string(),
    }
}

#[test]
fn commands_and_images_say_what_a_container_does() {
    for (container, expected) in [
        (json!({"command": ["sh", "-c", "exit 1"]}), "script sh"),
        (
            json!({"command": ["/bin/bash"], "args": ["-ec", "exit $1", "zero", "one"]}),
            "script zero,one",
        ),
        (
            json!({"command": ["/usr/bin/env", "sh", "-c", ":"]}),
            "script sh",
        ),
        (json!({"command": ["sleep", "$(N)"]}), "script sleep,4"),
        (
            json!({"command": ["echo", "$(M) $$(N) $N"]}),
            "script echo,$(M) $(N) $N",
        ),
        (
            json!({"command": ["/app/server"]}),
            "not understood: /app/server",
        ),
        (
            json!({"command": ["sh", "/run.sh"]}),
            "not understood: /run.sh",
        ),
        (
            json!({"command": ["sh", "-c", "curl x"]}),
            "not understood: curl",
        ),
        (json!({"image": "busybox"}), "script "),
        (json!({"image": "busybox", "tty": true}), "forever"),
        (
            json!({"image": "docker.io/library/busybox:1.37", "args": ["sleep", "5"]}),
            "script sleep,5",
        ),
        (json!({"image": "registry.k8s.io/pause:3.10"}), "forever"),
        (
            json!({"image": "registry.k8s.io/e2e-test-images/agnhost:2.53", "args": ["pause"]}),
            "forever",
        ),
        (json!({"image": "hello-world"}), "script "),
        (json!({"image": "example.com/mine:1"}), "nothing"),
    ] {
        let mut full = json!({"name": "main"});
        for (key, value) in container.as_object().unwrap() {
            full[key] = value.clone();
        }
        assert_eq!(says(full), expected, "{container}");
    }
}

#[test]
fn the_environment_has_what_the_downward_api_gives() {
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    let key = "batch.kubernetes.io/job-completion-index";
    let spec = json!({
        "hostname": "job-3",
        "containers": [{ "name": "main", "env": [
            { "name": "A", "value": "x" },
            { "name": "B", "value": "$(A)-$(NONE)" },
            { "name": "INDEX", "valueFrom": field(&format!("metadata.annotations['{key}']")) },
            { "name": "NODE", "valueFrom": field("spec.nodeName") },
            { "name": "IP", "valueFrom": field("status.podIP") },
            { "name": "HOST", "valueFrom": field("status.hostIP") },
            { "name": "SECRET", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
        ]}],
    });
    let pod = pod(spec, json!({ key: "3" }));
    let facts = Facts {
        host: Ipv4Addr::new(172, 16, 0, 1),
        ip: Some(Ipv4Addr::new(10, 0, 0, 1)),
    };
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let shown: Vec<String> = environment(&pod, container, facts)
        .into_iter()
        .filter(|(name, _)| name != "PATH" && name != "HOME")
        .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("?")))
        .collect();
    assert_eq!(
        shown,
        [
            "HOSTNAME=job-3",
            "A=x",
            "B=x-$(NONE)",
            "INDEX=3",
            "NODE=node-0",
            "IP=10.0.0.1",
            "HOST=172.16.0.1",
            "SECRET=?",
        ]
    );
}
