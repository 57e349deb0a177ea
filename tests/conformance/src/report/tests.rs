#![allow(clippy::unwrap_used)]

use super::{Verdict, complete, is_good, markdown, parse, summary, text};

/// One of each: passed, failed, nobody asked for it, skipped itself, a step around the tests.
const REPORT: &str = r#"[{
  "SuiteSucceeded": false,
  "SpecReports": [
    {"ContainerHierarchyTexts": null, "LeafNodeType": "SynchronizedBeforeSuite", "LeafNodeText": "",
     "State": "passed", "RunTime": 100000000},
    {"ContainerHierarchyTexts": ["[sig-apps] ReplicaSet"], "LeafNodeType": "It",
     "LeafNodeText": "should b [Conformance]", "State": "passed", "RunTime": 2500000000},
    {"ContainerHierarchyTexts": ["[sig-apps] ReplicaSet"], "LeafNodeType": "It",
     "LeafNodeText": "should a | c", "State": "failed", "RunTime": 60000000000,
     "Failure": {"Message": "\n  pods are missing\nExpected\n", "Location": {"LineNumber": 7}}},
    {"ContainerHierarchyTexts": ["[sig-node] Pods"], "LeafNodeType": "It",
     "LeafNodeText": "should d", "State": "skipped", "RunTime": 0},
    {"ContainerHierarchyTexts": ["[sig-node] Pods"], "LeafNodeType": "It",
     "LeafNodeText": "should e", "State": "skipped", "RunTime": 1000000,
     "Failure": {"Message": "Only supported for providers [gce]"}}
  ]
}]"#;

#[test]
fn a_report_is_read() {
    let outcomes = parse(REPORT).unwrap();
    assert_eq!(
        text(&outcomes),
        "failed    60.0 s  [sig-apps] ReplicaSet should a | c\n\
         \x20                 pods are missing\n\
         passed     2.5 s  [sig-apps] ReplicaSet should b [Conformance]\n\
         not run    0.0 s  [sig-node] Pods should e\n\
         \x20                 Only supported for providers [gce]\n"
    );
    assert_eq!(summary(&outcomes), "1 passed, 1 failed, 1 not run");
    assert!(
        markdown(&outcomes)
            .contains(r"| [sig-apps] ReplicaSet should a \| c | failed: pods are missing | 60.0 |")
    );
}

#[test]
fn what_fails_before_the_tests_is_told() {
    let report = r#"[{"SpecReports": [{"LeafNodeType": "SynchronizedBeforeSuite", "State": "failed",
        "Failure": {"Message": "no node is ready"}}]}]"#;
    let outcomes = parse(report).unwrap();
    assert_eq!(outcomes[0].name, "SynchronizedBeforeSuite");
    assert_eq!(outcomes[0].why, "no node is ready");
    assert_eq!(outcomes[0].verdict, Verdict::Failed);
}

#[test]
fn a_test_that_did_not_run_has_not_passed() {
    let all = parse(REPORT).unwrap();
    let passed: Vec<_> = all
        .iter()
        .filter(|outcome| outcome.verdict == Verdict::Passed)
        .cloned()
        .collect();
    assert!(is_good(&passed));
    assert!(!is_good(&all));
    assert!(!is_good(&[]));
    let known = complete(
        passed.clone(),
        &["[sig-apps] ReplicaSet should b [Conformance]"],
    );
    assert_eq!(known, passed);
    let missing = complete(passed, &["[sig-apps] ReplicaSet should go"]);
    assert_eq!(missing[1].verdict, Verdict::NotRun);
    assert!(!is_good(&missing));
}

#[test]
fn a_report_without_tests_is_empty() {
    assert_eq!(parse(r#"[{"SpecReports": null}]"#).unwrap(), []);
    assert!(parse("").is_err());
}
