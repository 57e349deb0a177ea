//! What is said of kind: files that agree with each other and with the program.

use crate::root;
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn read(file: &str) -> Value {
    let text = std::fs::read_to_string(root().join("docs/kind").join(file)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// The names in the static pod's flag, and those that the stock controller manager is told to leave alone.
#[test]
fn what_the_static_pod_does_is_what_the_stock_ones_leave() {
    let pod = read("static-pods/corten-controllers.yaml");
    let flags = pod["spec"]["containers"][0]["args"].as_array().unwrap();
    let flag = flags
        .iter()
        .find_map(|flag| flag.as_str()?.strip_prefix("--controllers="));
    let ours: BTreeSet<&str> = flag.unwrap().split(',').collect();
    let words: Vec<&str> = ours.iter().copied().collect();
    let chosen: Vec<&str> = registry::select(&words)
        .unwrap()
        .iter()
        .map(|e| e.name)
        .collect();
    assert_eq!(chosen.len(), ours.len(), "they go by their own names");
    let config = read("kind.yaml");
    let patch = config["kubeadmConfigPatches"][0].as_str().unwrap();
    let patch: Value = serde_saphyr::from_str(patch).unwrap();
    let stock = patch["controllerManager"]["extraArgs"]["controllers"]
        .as_str()
        .unwrap();
    let left: BTreeSet<&str> = stock
        .split(',')
        .filter_map(|word| word.strip_prefix('-'))
        .collect();
    assert_eq!(left, ours);
    // An entry in extraArgs takes the place of the whole flag: without these no node joins.
    for kept in [
        "*",
        "bootstrap-signer-controller",
        "token-cleaner-controller",
    ] {
        assert!(stock.split(',').any(|word| word == kept), "{kept}");
    }
}

#[test]
fn the_workflow_has_fifteen_lines_and_each_mounted_file_is_there() {
    let text = std::fs::read_to_string(root().join("docs/kind/workflow.yaml")).unwrap();
    assert_eq!(text.lines().count(), 15);
    let steps = read("workflow.yaml")["jobs"]["test"]["steps"]
        .as_array()
        .map(Vec::len);
    assert_eq!(steps, Some(7));
    let config = read("kind.yaml");
    let mounts = config["nodes"][0]["extraMounts"].as_array().unwrap();
    for mount in mounts {
        let path = mount["hostPath"].as_str().unwrap();
        assert!(root().join(path).is_file(), "{path}");
    }
    assert_eq!(mounts.len(), 2);
}
