//! What pods ask for and may use, a line each: `/metrics/resources` (`pkg/scheduler/metrics/resources/resources.go`).

use crate::pods::PodInfo;
use objects::Quantity;
use objects::resources::{Side, pod_amounts};
use std::fmt::Write;
use std::sync::Arc;

const FAMILIES: [(&str, Side, &str); 2] = [
    (
        "kube_pod_resource_request",
        Side::Requests,
        "[STABLE] What pods reserve on their nodes",
    ),
    (
        "kube_pod_resource_limit",
        Side::Limits,
        "[STABLE] What pods must not exceed",
    ),
];

/// The pods of a scheduler, which have not ended, as OpenMetrics.
pub(crate) fn text(pods: &[Arc<PodInfo>]) -> String {
    let mut out = String::new();
    for (name, side, help) in FAMILIES {
        // Nothing can go wrong when a String is written to.
        let _ = writeln!(out, "# HELP {name} {help}.\n# TYPE {name} gauge");
        for pod in pods {
            series(&mut out, name, pod, side);
        }
    }
    out.push_str("# EOF\n");
    out
}

/// As its spec says, whatever it has been given.
fn series(out: &mut String, name: &str, of: &PodInfo, side: Side) {
    let (namespace, pod, spec) = (of.namespace(), &of.name, of.spec());
    let node = of.node_name().unwrap_or_default();
    let scheduler = spec.scheduler_name.as_deref().unwrap_or_default();
    let priority = spec.priority.map(|it| it.to_string()).unwrap_or_default();
    for (resource, amount) in pod_amounts(&of.like, side) {
        if amount.is_zero() {
            continue;
        }
        let (unit, value) = (unit(resource), number(amount));
        let _ = writeln!(
            out,
            "{name}{{namespace=\"{namespace}\",pod=\"{pod}\",node=\"{node}\",scheduler=\"{scheduler}\",\
             priority=\"{priority}\",resource=\"{resource}\",unit=\"{unit}\"}} {value}"
        );
    }
}

/// To a thousandth, unless there are too many of them.
fn number(amount: Quantity) -> f64 {
    let whole = amount.value();
    match whole.checked_mul(1000) {
        Some(_) => amount.milli_value() as f64 / 1000.0,
        None => whole as f64,
    }
}

fn unit(resource: &str) -> &'static str {
    match resource {
        "cpu" => "cores",
        "memory" | "storage" | "ephemeral-storage" => "bytes",
        name if name.starts_with("hugepages-") => "bytes",
        name if name.starts_with("attachable-volumes-") => "integer",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::info;
    use serde_json::json;

    #[test]
    fn what_pods_ask_for_is_shown() {
        let amounts = |cpu: &str| json!({ "cpu": cpu, "memory": "1Ki", "x.io/gpu": "0", "hugepages-2Mi": "2Mi" });
        let more = json!({ "spec": {
            "nodeName": "n", "schedulerName": "s", "priority": 7, "overhead": { "cpu": "1" },
            "containers": [{ "name": "c", "resources": { "requests": amounts("250m"), "limits": { "cpu": "2" } } }],
        } });
        let shown = text(&[info("a", more), info("c", json!({}))]);
        let labels = "namespace=\"ns\",pod=\"a\",node=\"n\",scheduler=\"s\",priority=\"7\"";
        let line = |kind: &str, resource: &str, unit: &str, value: &str| {
            format!(
                "kube_pod_resource_{kind}{{{labels},resource=\"{resource}\",unit=\"{unit}\"}} {value}"
            )
        };
        let lines: Vec<&str> = shown
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        let expected = [
            line("request", "cpu", "cores", "1.25"),
            line("request", "hugepages-2Mi", "bytes", "2097152"),
            line("request", "memory", "bytes", "1024"),
            line("limit", "cpu", "cores", "3"),
        ];
        assert_eq!(lines, expected);
        assert!(shown.ends_with("# EOF\n"));
    }
}
