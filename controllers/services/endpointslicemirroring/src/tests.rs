#![allow(clippy::unwrap_used, clippy::panic)]

use crate::{Mirrored, MirroringController, World, has_selector, is_exempt};
use ::plan::{Outcome, Plan, Turn, Verb};
use json_patch::merge;
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use runtime::Controller;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Endpoints with these subsets; `more` is merged into the metadata.
fn endpoints(subsets: Value, more: Value) -> Endpoints {
    let mut object = json!({
        "metadata": {
            "name": "forge", "namespace": "shop", "uid": "e-1", "resourceVersion": "7",
            "labels": { "team": "red" },
            "annotations": {
                "note": "n",
                "endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
            },
        },
        "subsets": subsets,
    });
    merge(&mut object["metadata"], &more);
    serde_json::from_value(object).unwrap()
}

fn subset(ready: &[&str], waiting: &[&str], ports: &[i32]) -> Value {
    let list = |ips: &[&str]| -> Vec<Value> { ips.iter().map(|ip| json!({ "ip": ip })).collect() };
    let port = |n: &i32| json!({ "name": format!("p{n}"), "port": n, "protocol": "TCP" });
    let ports: Vec<Value> = ports.iter().map(port).collect();
    json!({ "addresses": list(ready), "notReadyAddresses": list(waiting), "ports": ports })
}

fn world(endpoints: &Endpoints, slices: &[EndpointSlice], max: usize) -> World {
    World::Mirrored(Box::new(Mirrored {
        endpoints: Arc::new(endpoints.clone()),
        slices: slices.iter().cloned().map(Arc::new).collect(),
        news: true,
        max,
        seed: 5,
    }))
}

fn plan(endpoints: &Endpoints, slices: &[EndpointSlice]) -> Plan {
    MirroringController::plan(&world(endpoints, slices, 1000))
}

/// The slices after a plan.
fn apply(plan: &Plan, slices: &[EndpointSlice]) -> Vec<EndpointSlice> {
    let name = |slice: &EndpointSlice| slice.metadata.name.clone().unwrap();
    let mut after: BTreeMap<String, EndpointSlice> =
        slices.iter().map(|s| (name(s), s.clone())).collect();
    for action in plan.actions() {
        match &action.verb {
            Verb::Create(object) | Verb::Replace(object) => {
                let slice = object.read::<EndpointSlice>().unwrap();
                after.insert(name(&slice), slice);
            }
            Verb::Delete { .. } => _ = after.remove(&action.on.name),
            Verb::Patch(..) => panic!("{action}"),
        }
    }
    after.into_values().collect()
}

fn mirror(endpoints: &Endpoints) -> Vec<EndpointSlice> {
    apply(&plan(endpoints, &[]), &[])
}

/// `family ports: address ready, …`, sorted.
fn told(slices: &[EndpointSlice]) -> Vec<String> {
    let line = |slice: &EndpointSlice| {
        let ports = slice.ports.iter().flatten().map(|p| p.port.unwrap());
        let ports: Vec<_> = ports.collect();
        let endpoints = slice.endpoints.iter().flatten().map(|endpoint| {
            let ready = endpoint.conditions.as_ref().unwrap().ready.unwrap();
            format!("{}{}", endpoint.addresses[0], if ready { "" } else { "?" })
        });
        let endpoints: Vec<_> = endpoints.collect();
        format!("{} {ports:?}: {}", slice.address_type, endpoints.join(" "))
    };
    let mut lines: Vec<_> = slices.iter().map(line).collect();
    lines.sort();
    lines
}

/// The verbs of a plan in order.
fn verbs(plan: &Plan) -> String {
    let verbs: Vec<_> = plan.actions().map(|action| action.verb.name()).collect();
    verbs.join(" ")
}

fn notes(plan: &Plan) -> Vec<String> {
    let line = |note: &::plan::Note| format!("{}: {}", note.reason, note.message);
    plan.notes.iter().map(line).collect()
}

#[test]
fn each_family_and_set_of_ports_is_a_slice() {
    for (what, subsets, expected) in [
        ("none", json!([]), vec![]),
        (
            "one",
            json!([subset(&["10.0.0.1"], &[], &[80])]),
            vec!["IPv4 [80]: 10.0.0.1"],
        ),
        (
            "two families",
            json!([subset(&["10.0.0.1", "2001:db8::1"], &["10.0.0.2"], &[80])]),
            vec!["IPv4 [80]: 10.0.0.1 10.0.0.2?", "IPv6 [80]: 2001:db8::1"],
        ),
        (
            "two sets of ports",
            json!([
                subset(&["10.0.0.1"], &[], &[80, 443]),
                subset(&["10.0.0.2"], &[], &[81])
            ]),
            vec!["IPv4 [443, 80]: 10.0.0.1", "IPv4 [81]: 10.0.0.2"],
        ),
        (
            "the same ports twice",
            json!([
                subset(&["10.0.0.1"], &[], &[80]),
                subset(&["10.0.0.2"], &[], &[80])
            ]),
            vec!["IPv4 [80]: 10.0.0.1 10.0.0.2"],
        ),
        (
            "no ports",
            json!([subset(&["10.0.0.1"], &[], &[])]),
            vec!["IPv4 []: 10.0.0.1"],
        ),
        ("only ports", json!([subset(&[], &[], &[80])]), vec![]),
        // The API server of old let them in; addresses are written as they should be.
        (
            "sloppy",
            json!([subset(&["010.0.0.01", "::ffff:10.0.0.2"], &[], &[80])]),
            vec!["IPv4 [80]: 10.0.0.1 10.0.0.2"],
        ),
    ] {
        let endpoints = endpoints(subsets, json!({}));
        let slices = mirror(&endpoints);
        assert_eq!(told(&slices), expected, "{what}");
        assert_eq!(plan(&endpoints, &slices).to_string(), "", "{what}: again");
    }
}

#[test]
fn a_slice_says_whose_it_is_and_what_the_endpoints_say() {
    let subsets = json!([{
        "addresses": [{
            "ip": "10.0.0.1", "hostname": "h", "nodeName": "n1",
            "targetRef": { "kind": "Pod", "namespace": "shop", "name": "p", "uid": "u" },
        }],
        "ports": [{ "port": 80, "appProtocol": "h2c" }],
    }]);
    let forged = json!({ "labels": { "endpointslice.kubernetes.io/managed-by": "me" } });
    let [slice] = mirror(&endpoints(subsets, forged)).try_into().unwrap();
    let name = slice.metadata.name.clone().unwrap();
    assert!(name.starts_with("forge-") && name.len() == 11, "{name}");
    assert_eq!(
        serde_json::to_value(&slice).unwrap(),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": name, "namespace": "shop",
                "labels": {
                    "team": "red", "kubernetes.io/service-name": "forge",
                    "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
                },
                "annotations": { "note": "n" },
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Endpoints", "name": "forge", "uid": "e-1",
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "addressType": "IPv4",
            "ports": [{ "name": "", "port": 80, "protocol": "TCP", "appProtocol": "h2c" }],
            "endpoints": [{
                "addresses": ["10.0.0.1"], "conditions": { "ready": true }, "hostname": "h", "nodeName": "n1",
                "targetRef": { "kind": "Pod", "namespace": "shop", "name": "p", "uid": "u" },
            }],
        })
    );
}

#[test]
fn changes_cost_as_few_writes_as_can_be() {
    let before = endpoints(
        json!([subset(&["10.0.0.1", "2001:db8::1"], &[], &[80])]),
        json!({}),
    );
    for (what, subsets, meta, expected) in [
        (
            "an address more",
            json!([subset(&["10.0.0.1", "10.0.0.2", "2001:db8::1"], &[], &[80])]),
            json!({}),
            "update",
        ),
        (
            "not ready",
            json!([subset(&["2001:db8::1"], &["10.0.0.1"], &[80])]),
            json!({}),
            "update",
        ),
        (
            "a family less",
            json!([subset(&["10.0.0.1"], &[], &[80])]),
            json!({}),
            "delete",
        ),
        // The slices of the old ports are made those of the new ones.
        (
            "other ports",
            json!([subset(&["10.0.0.1", "2001:db8::1"], &[], &[81])]),
            json!({}),
            "update update",
        ),
        (
            "ports more",
            json!([
                subset(&["10.0.0.1", "2001:db8::1"], &[], &[80]),
                subset(&["10.0.0.9"], &[], &[81])
            ]),
            json!({}),
            "create",
        ),
        (
            "a label",
            json!([subset(&["10.0.0.1", "2001:db8::1"], &[], &[80])]),
            json!({"labels": {"team": "blue"}}),
            "update update",
        ),
        (
            "an annotation",
            json!([subset(&["10.0.0.1", "2001:db8::1"], &[], &[80])]),
            json!({"annotations": {"note": "m"}}),
            "update update",
        ),
        (
            "made anew",
            json!([subset(&["10.0.0.1", "2001:db8::1"], &[], &[80])]),
            json!({"uid": "e-2"}),
            "update update",
        ),
        (
            "a trigger time",
            json!([subset(&["10.0.0.1", "2001:db8::1"], &[], &[80])]),
            json!({"annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-02-01T00:00:00Z"}}),
            "",
        ),
        ("emptied", json!(null), json!({}), "delete delete"),
        (
            "on its way",
            json!([subset(&["10.0.0.9"], &[], &[80, 81])]),
            json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
            "update delete",
        ),
    ] {
        let slices = mirror(&before);
        let after = endpoints(subsets, meta);
        let plan = plan(&after, &slices);
        assert_eq!(verbs(&plan), expected, "{what}");
        let end = apply(&plan, &slices);
        assert_eq!(told(&end), told(&mirror_of(&after)), "{what}");
        assert_eq!(self::plan(&after, &end).to_string(), "", "{what}: again");
    }
}

/// The slices of these Endpoints, also if they are on their way out.
fn mirror_of(endpoints: &Endpoints) -> Vec<EndpointSlice> {
    let mut endpoints = endpoints.clone();
    endpoints.metadata.deletion_timestamp = None;
    mirror(&endpoints)
}

type Edit = fn(&mut EndpointSlice);

#[test]
fn what_others_did_to_slices_is_put_right() {
    let endpoints = endpoints(
        json!([subset(&["10.0.0.1", "10.0.0.2"], &[], &[80])]),
        json!({}),
    );
    let edits: [(&str, Edit); 6] = [
        ("emptied", |slice| slice.endpoints = None),
        ("a label", |slice| {
            _ = slice.metadata.labels.as_mut().unwrap().remove("team");
        }),
        ("a label more", |slice| {
            let labels = slice.metadata.labels.as_mut().unwrap();
            labels.insert("x".to_owned(), "y".to_owned());
        }),
        ("annotations", |slice| slice.metadata.annotations = None),
        ("ports", |slice| slice.ports = None),
        ("an endpoint twice", |slice| {
            let endpoints = slice.endpoints.as_mut().unwrap();
            endpoints[1] = endpoints[0].clone();
        }),
    ];
    let right = mirror(&endpoints);
    for (what, edit) in edits {
        let mut slices = right.clone();
        edit(&mut slices[0]);
        let plan = plan(&endpoints, &slices);
        assert_eq!(verbs(&plan), "update", "{what}");
        assert_eq!(apply(&plan, &slices), right, "{what}");
    }
    let mut two = right.clone();
    two.push(right[0].clone());
    two[1].metadata.name = Some("forge-zzzzz".to_owned());
    let plan = plan(&endpoints, &two);
    assert_eq!(
        plan.to_string(),
        "delete endpointslice/forge-zzzzz (no subset needs it)"
    );
}

#[test]
fn an_update_carries_the_version_that_was_seen() {
    let before = endpoints(json!([subset(&["10.0.0.1"], &[], &[80])]), json!({}));
    let mut slices = mirror(&before);
    slices[0].metadata.resource_version = Some("41".to_owned());
    slices[0].metadata.uid = Some("s-1".to_owned());
    for ports in [80, 81] {
        let after = endpoints(json!([subset(&["10.0.0.2"], &[], &[ports])]), json!({}));
        let plan = plan(&after, &slices);
        let Verb::Replace(object) = &plan.actions().next().unwrap().verb else {
            panic!("{plan}");
        };
        let slice = object.read::<EndpointSlice>().unwrap();
        assert_eq!(slice.metadata.resource_version.as_deref(), Some("41"));
        assert_eq!(slice.metadata.uid.as_deref(), Some("s-1"));
    }
}

#[test]
fn what_cannot_be_mirrored_is_told_once() {
    let subsets = json!([
        subset(
            &["10.0.0.1", "nowhere", "10.0.0.2"],
            &["10.0.0.3", "10.0.0.4"],
            &[80]
        ),
        subset(&["10.0.0.5"], &[], &[81]),
    ]);
    let endpoints = endpoints(subsets, json!({}));
    let look = |max: usize, news: bool| {
        let World::Mirrored(mut mirrored) = world(&endpoints, &[], max) else {
            panic!("it is mirrored");
        };
        mirrored.news = news;
        MirroringController::plan(&World::Mirrored(mirrored))
    };
    let invalid =
        "InvalidIPAddress: Skipped 1 invalid IP addresses when mirroring to EndpointSlices";
    let many = "TooManyAddressesToMirror: A max of 3 addresses can be mirrored to EndpointSlices per Endpoints subset. 2 addresses were skipped";
    assert_eq!(notes(&look(1000, true)), [invalid]);
    assert_eq!(notes(&look(3, true)), [invalid, many]);
    assert!(notes(&look(3, false)).is_empty());
    // Ready ones first.
    assert_eq!(
        told(&apply(&look(3, true), &[])),
        [
            "IPv4 [80]: 10.0.0.1 10.0.0.2 10.0.0.3?",
            "IPv4 [81]: 10.0.0.5"
        ]
    );
}

#[test]
fn what_is_not_to_be_mirrored_has_no_slices() {
    let slices = mirror(&endpoints(
        json!([subset(&["10.0.0.1"], &[], &[80])]),
        json!({}),
    ));
    let slices = slices.into_iter().map(Arc::new).collect();
    let plan = MirroringController::plan(&World::Unmirrored(slices));
    assert_eq!(verbs(&plan), "delete");

    for (meta, exempt) in [
        (json!({}), false),
        (
            json!({"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}),
            true,
        ),
        (
            json!({"labels": {"endpointslice.kubernetes.io/skip-mirror": "yes"}}),
            false,
        ),
        (
            json!({"annotations": {"control-plane.alpha.kubernetes.io/leader": ""}}),
            true,
        ),
    ] {
        assert_eq!(
            is_exempt(&endpoints(json!([]), meta.clone())),
            exempt,
            "{meta}"
        );
    }
    for (spec, expected) in [
        (json!({}), false),
        (json!({"selector": {}}), false),
        (json!({"selector": {"app": "web"}}), true),
        (
            json!({"type": "ExternalName", "externalName": "example.com"}),
            false,
        ),
    ] {
        let service: Service = serde_json::from_value(json!({ "spec": spec })).unwrap();
        assert_eq!(has_selector(&service), expected, "{spec}");
    }
}

/// What a turn adds whose writes are committed.
fn measured(world: &World) -> Vec<String> {
    let plan = MirroringController::plan(world);
    let outcome = Outcome::of(&plan);
    let turn = Turn::new(&plan, &outcome, jiff::Timestamp::UNIX_EPOCH);
    let samples = MirroringController::measure(world, &turn);
    let line = |sample: &::plan::Sample| {
        let line = sample.to_string();
        line.replace("endpoint_slice_mirroring_controller_", "")
    };
    samples.iter().map(line).collect()
}

fn per_sync(skipped: u32, added: u32, updated: u32, removed: u32) -> [String; 4] {
    [
        format!("addresses_skipped_per_sync {skipped}"),
        format!("endpoints_added_per_sync {added}"),
        format!("endpoints_updated_per_sync {updated}"),
        format!("endpoints_removed_per_sync {removed}"),
    ]
}

#[test]
fn what_a_turn_changes_is_counted() {
    let two = json!([subset(&["10.0.0.1", "fd00::1", "x"], &["10.0.0.2"], &[80])]);
    let first = endpoints(two, json!({}));
    let counts = measured(&world(&first, &[], 1000));
    assert_eq!(
        counts[..2],
        [
            "endpoints_sync_duration 0",
            r#"changes{operation="create"} 2"#
        ]
    );
    assert_eq!(counts[2..6], per_sync(1, 3, 0, 0));
    assert_eq!(
        counts[6..],
        [
            "endpoints_desired 3",
            "num_endpoint_slices 2",
            "desired_endpoint_slices 2"
        ]
    );

    let slices = mirror(&first);
    let counts = measured(&world(&first, &slices, 1000));
    assert_eq!(counts[1..5], per_sync(1, 0, 0, 0));

    // One comes, one becomes ready, one goes, and the other family is gone.
    let next = json!([subset(&["10.0.0.2", "10.0.0.3"], &[], &[80])]);
    let counts = measured(&world(&endpoints(next, json!({})), &slices, 1000));
    assert_eq!(
        counts[1..3],
        [
            r#"changes{operation="update"} 1"#,
            r#"changes{operation="delete"} 1"#
        ]
    );
    assert_eq!(counts[3..7], per_sync(0, 1, 1, 2));

    let slices: Vec<_> = slices.into_iter().map(Arc::new).collect();
    let counts = measured(&World::Unmirrored(slices));
    assert_eq!(
        counts[1..],
        [
            r#"changes{operation="delete"} 2"#,
            "endpoints_desired 0",
            "num_endpoint_slices 0",
            "desired_endpoint_slices 0",
        ]
    );
    assert_eq!(
        measured(&World::Unmirrored(vec![])),
        ["endpoints_sync_duration 0"]
    );
}
