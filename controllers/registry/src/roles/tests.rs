use super::{BESIDE, ELECTION, GUARD, LEASE, STOCK, all, probe_of, role};
use crate::TABLE;
use runtime::groups::Family;
use std::collections::BTreeSet;

#[test]
fn each_controller_has_one_role() {
    let named: Vec<&str> = all().map(|role| role.name).collect();
    let unique: BTreeSet<&str> = named.iter().copied().collect();
    assert_eq!(named.len(), unique.len());
    let mut expected: BTreeSet<&str> = TABLE.iter().map(|entry| entry.name).collect();
    expected.extend(["nodes", "scheduler"]);
    assert_eq!(unique, expected);
}

#[test]
fn nothing_is_granted_twice_in_a_role() {
    for role in all() {
        let mut granted = BTreeSet::new();
        for rule in role.rules.iter().filter(|rule| rule.names.is_empty()) {
            for (resource, verb) in rule
                .resources
                .iter()
                .flat_map(|r| rule.verbs.iter().map(move |v| (r, v)))
            {
                let name = role.name;
                assert!(
                    granted.insert((rule.group, resource, verb)),
                    "{name}: {verb} {resource}"
                );
            }
        }
    }
}

#[test]
fn only_those_that_serve_all_kinds_may_touch_all() {
    let any = all().filter(|role| {
        role.rules
            .iter()
            .any(|rule| rule.resources == ["*"] && rule.group == "*")
    });
    let any: Vec<&str> = any.map(|role| role.name).collect();
    let expected = [
        "garbage-collector-controller",
        "namespace-controller",
        "resourcequota-controller",
    ];
    assert_eq!(any, expected);
    let verbs = all()
        .flat_map(|role| role.rules)
        .flat_map(|rule| rule.verbs);
    assert!(
        verbs
            .into_iter()
            .all(|verb| *verb != "*" && *verb != "deletecollection")
    );
}

#[test]
fn who_works_beside_the_stock_ones_has_kinds_in_those_groups() {
    let exchanged = |group: &str| BESIDE.iter().any(|(builtin, _)| *builtin == group);
    for role in all().filter(|role| !matches!(role.name, "nodes" | "scheduler")) {
        assert_eq!(role.beside, Family::Corten.has(role.name), "{}", role.name);
        let has = role.rules.iter().any(|rule| exchanged(rule.group));
        assert!(has || !role.beside, "{}", role.name);
    }
    for (builtin, ours) in BESIDE {
        let versions = ["v1", "v2"].into_iter().filter(|version| {
            let ours = format!("{ours}/{version}");
            Family::Corten.group_version(&format!("{builtin}/{version}")) == ours
        });
        assert_eq!(versions.count(), 1, "{builtin}");
    }
}

#[test]
fn a_role_is_found_by_its_name_and_an_election_is_about_one_lease() {
    assert_eq!(role("job-controller").map(|role| role.beside), Some(true));
    assert!(role("job").is_none());
    assert_eq!(ELECTION.rules[0].names, [LEASE]);
}

#[test]
fn a_part_may_make_the_objects_by_which_it_looks_for_the_stock_one_and_no_others() {
    for role in all() {
        let rule = probe_of(role.name).map(|rule| (rule.group, rule.resources[0]));
        assert_eq!(rule, runtime::guard::probed(role.name), "{}", role.name);
    }
    let probed = all().filter_map(|role| probe_of(role.name));
    let verbs: BTreeSet<_> = probed.flat_map(|rule| rule.verbs).copied().collect();
    assert_eq!(verbs, BTreeSet::from(["create", "delete", "get"]));
    assert_eq!(GUARD.rules[0].names, [STOCK]);
}
