#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::{Routing, Selecting, World};
use ::plan::Verb;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::discovery::v1::Endpoint;
use objects::endpoint::HEADLESS_LABEL;
use proptest::prelude::*;
use serde_json::{Value, json};

// === Builders ===

/// A Service, its pods and its slices, on which plans are made and carried out.
#[derive(Clone, Debug)]
pub(crate) struct Town {
    pub(crate) service: Service,
    pub(crate) pods: Vec<Pod>,
    pub(crate) slices: Vec<EndpointSlice>,
    nodes: Vec<Node>,
    pub(crate) routing: Routing,
    max: usize,
    pub(crate) news: bool,
    pub(crate) was_auto: bool,
    round: u64,
}

/// Nodes `a1` and `a2` are in zone a, `b1` in zone b; the Service `front` leads to port `http`.
pub(crate) fn town() -> Town {
    town_of(json!({"clusterIP": "10.96.0.1", "ipFamilies": ["IPv4"]}))
}

pub(crate) fn town_of(mut spec: Value) -> Town {
    spec["selector"] = json!({"app": "web"});
    if spec.get("ports").is_none() {
        spec["ports"] = json!([{"name": "http", "port": 80, "targetPort": "http"}]);
    }
    let node = |name: &str| {
        let meta = json!({"name": name, "labels": {"topology.kubernetes.io/zone": name[..1]}});
        serde_json::from_value(json!({"apiVersion": "v1", "kind": "Node", "metadata": meta}))
            .unwrap()
    };
    Town {
        service: serde_json::from_value(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "front", "namespace": "shop", "uid": "s1",
                "labels": {"team": "red"}, "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": spec,
        }))
        .unwrap(),
        pods: Vec::new(),
        slices: Vec::new(),
        nodes: ["a1", "a2", "b1"].map(node).into(),
        routing: Routing::Anywhere,
        max: 100,
        news: false,
        was_auto: false,
        round: 0,
    }
}

/// A ready pod; `number` makes its name and addresses.
pub(crate) fn pod(number: usize, node: &str) -> Pod {
    pod_with(number, node, 8080, true)
}

fn pod_with(number: usize, node: &str, port: i32, ready: bool) -> Pod {
    let (ip4, ip6) = (
        format!("10.0.{}.{}", number / 250, number % 250),
        format!("fd00::{number:x}"),
    );
    serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": format!("web-{number:04}"), "namespace": "shop", "uid": format!("p{number}")},
        "spec": {
            "nodeName": node,
            "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": port}]}],
        },
        "status": {
            "podIP": ip4,
            "podIPs": [{"ip": ip4}, {"ip": ip6}],
            "conditions": [{
                "type": "Ready",
                "status": if ready { "True" } else { "False" },
                "lastTransitionTime": format!("2026-01-01T00:{:02}:{:02}Z", 1 + number / 60 % 50, number % 60),
            }],
        },
    }))
    .unwrap()
}

impl Town {
    pub(crate) fn pods(mut self, pods: impl IntoIterator<Item = Pod>) -> Self {
        self.pods.extend(pods);
        self
    }

    pub(crate) fn max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.world())
    }

    pub(crate) fn world(&self) -> World {
        let nodes = self.nodes.iter().map(|node| {
            (
                meta::name(&node.metadata).to_owned(),
                Arc::new(node.clone()),
            )
        });
        World::Selecting(Box::new(Selecting {
            service: Arc::new(self.service.clone()),
            pods: self.pods.iter().cloned().map(Arc::new).collect(),
            slices: self.slices.iter().cloned().map(Arc::new).collect(),
            nodes: nodes.collect(),
            routing: self.routing.clone(),
            news: self.news,
            was_auto: self.was_auto,
            max_endpoints: self.max,
            seed: self.round,
        }))
    }

    /// Carries a plan out, as the API server would.
    pub(crate) fn carry_out(&mut self, plan: &Plan) {
        self.round += 1;
        for action in plan.actions() {
            let named =
                |slice: &EndpointSlice| slice.metadata.name.as_ref() == Some(&action.on.name);
            match &action.verb {
                Verb::Create(object) => {
                    assert!(!self.slices.iter().any(named), "{} twice", action.on);
                    let mut slice = object.read::<EndpointSlice>().unwrap();
                    slice.metadata.uid = Some(format!("u-{}", action.on.name));
                    slice.metadata.resource_version = Some("1".into());
                    self.slices.push(slice);
                }
                Verb::Replace(object) => {
                    let slot = self.slices.iter_mut().find(|slice| named(slice)).unwrap();
                    let new = object.read::<EndpointSlice>().unwrap();
                    assert_eq!(new.metadata.uid, slot.metadata.uid);
                    assert!(new.metadata.resource_version.is_some());
                    assert_eq!(new.address_type, slot.address_type, "it is immutable");
                    *slot = new.clone();
                }
                Verb::Delete { .. } => {
                    assert!(!action.on.uid.is_empty());
                    self.slices.retain(|slice| !named(slice));
                }
                Verb::Patch(..) => panic!("slices are not patched"),
            }
        }
    }

    /// Plans and carries out until there is nothing to do; gives the text of the first plan.
    pub(crate) fn settle(&mut self) -> String {
        let first = self.plan();
        let mut plan = first.clone();
        for _ in 0..4 {
            if plan.actions().next().is_none() {
                return kinds(&first);
            }
            self.carry_out(&plan);
            plan = self.plan();
        }
        panic!("it does not settle: {plan}");
    }

    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.slices
            .iter()
            .flat_map(|slice| slice.endpoints.iter().flatten())
    }

    /// The number of endpoints of each slice, sorted.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes: Vec<usize> = self.slices.iter().map(count).collect();
        sizes.sort_unstable();
        sizes
    }
}

/// `create ×2, update ×1`
fn kinds(plan: &Plan) -> String {
    let count = |verb: &str| {
        plan.actions()
            .filter(|action| action.verb.name() == verb)
            .count()
    };
    let verbs = ["create", "update", "delete"].map(|verb| (verb, count(verb)));
    let parts = verbs.iter().filter(|(_, count)| *count > 0);
    parts
        .map(|(verb, count)| format!("{verb} ×{count}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn numbers(range: std::ops::Range<usize>) -> impl Iterator<Item = Pod> {
    range.map(|number| pod(number, "a1"))
}

fn trigger(slice: &EndpointSlice) -> Option<&str> {
    meta::annotation(&slice.metadata, TRIGGER_TIME_ANNOTATION)
}

// === What is in a slice ===

#[test]
fn a_slice_says_all_about_its_service_and_pods() {
    let mut town = town().pods([pod(1, "b1")]);
    assert_eq!(town.settle(), "create ×1");
    let slice = serde_json::to_value(&town.slices[0]).unwrap();
    let name = slice["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("front-") && name.len() == 11, "{name}");
    assert_eq!(
        slice["metadata"]["labels"],
        json!({
            "team": "red",
            "kubernetes.io/service-name": "front",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        })
    );
    assert_eq!(
        slice["metadata"]["ownerReferences"],
        json!([{"apiVersion": "v1", "kind": "Service", "name": "front", "uid": "s1",
                "controller": true, "blockOwnerDeletion": true}])
    );
    assert_eq!(slice["addressType"], "IPv4");
    assert_eq!(
        slice["ports"],
        json!([{"name": "http", "port": 8080, "protocol": "TCP"}])
    );
    assert_eq!(
        slice["endpoints"],
        json!([{
            "addresses": ["10.0.0.1"],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": "b1",
            "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-0001", "uid": "p1"},
            "zone": "b",
        }])
    );
}

#[test]
fn a_service_without_pods_has_one_empty_slice_a_family() {
    for (spec, families) in [
        (
            json!({"clusterIP": "10.96.0.1", "ipFamilies": ["IPv4"]}),
            vec!["IPv4"],
        ),
        (
            json!({"clusterIP": "None", "ipFamilies": ["IPv4", "IPv6"]}),
            vec!["IPv4", "IPv6"],
        ),
        (json!({"clusterIP": "None"}), vec!["IPv4", "IPv6"]),
    ] {
        let mut town = town_of(spec);
        town.settle();
        let types: Vec<&str> = town
            .slices
            .iter()
            .map(|slice| slice.address_type.as_str())
            .collect();
        assert_eq!(types, families);
        assert_eq!(town.endpoints().count(), 0);
        // The first pod turns it into a real one, and the last one back.
        let before = town.slices[0].metadata.uid.clone();
        town.pods.push(pod(1, "a1"));
        assert_eq!(town.settle(), format!("update ×{}", families.len()));
        town.pods.clear();
        assert_eq!(town.settle(), format!("update ×{}", families.len()));
        assert!(town.slices[0].ports.as_ref().unwrap().is_empty());
        assert_eq!(town.slices[0].metadata.uid, before);
    }
}

#[test]
fn slices_of_a_family_that_the_service_gave_up_go() {
    let mut town = town_of(json!({"ipFamilies": ["IPv4", "IPv6"]})).pods([pod(1, "a1")]);
    assert_eq!(town.settle(), "create ×2");
    town.service.spec.as_mut().unwrap().ip_families = Some(vec!["IPv6".into()]);
    assert_eq!(town.settle(), "delete ×1");
    assert_eq!(town.slices[0].address_type, "IPv6");
    assert_eq!(town.endpoints().next().unwrap().addresses, ["fd00::1"]);
}

#[test]
fn pods_that_resolve_a_named_port_differently_do_not_share_a_slice() {
    let mut town = town().pods([
        pod_with(1, "a1", 8080, true),
        pod_with(2, "a1", 9090, true),
        pod_with(3, "a1", 8080, true),
    ]);
    assert_eq!(town.settle(), "create ×2");
    assert_eq!(town.sizes(), [1, 2]);
    for slice in &town.slices {
        let port = slice.ports.as_ref().unwrap()[0].port;
        assert_eq!(port, Some(if count(slice) == 2 { 8080 } else { 9090 }));
    }
}

#[test]
fn the_order_of_ports_in_a_stored_slice_does_not_matter() {
    let ports = json!([{"name": "http", "port": 80}, {"name": "admin", "port": 81}]);
    let mut town = town_of(json!({"ipFamilies": ["IPv4"], "ports": ports})).pods([pod(1, "a1")]);
    town.settle();
    town.slices[0].ports.as_mut().unwrap().reverse();
    assert!(town.plan().is_empty());
}

#[test]
fn headless_services_are_labelled_and_need_no_ports() {
    let mut town = town_of(json!({"clusterIP": "None", "ipFamilies": ["IPv4"], "ports": []}));
    town.settle();
    town.pods.push(pod(1, "a1"));
    assert_eq!(town.settle(), "update ×1");
    assert_eq!(
        meta::label(&town.slices[0].metadata, HEADLESS_LABEL),
        Some("")
    );
    // The API server stores no ports as null.
    town.slices[0].ports = None;
    assert!(town.plan().is_empty());
}

#[test]
fn labels_of_the_service_are_followed_but_not_forged() {
    let mut town = town().pods([pod(1, "a1")]);
    town.settle();
    let labels = town.service.metadata.labels.as_mut().unwrap();
    labels.insert("team".into(), "blue".into());
    labels.insert(MANAGED_BY_LABEL.into(), "me".into());
    labels.insert(SERVICE_NAME_LABEL.into(), "back".into());
    labels.insert(HEADLESS_LABEL.into(), String::new());
    assert_eq!(town.settle(), "update ×1");
    let meta = &town.slices[0].metadata;
    assert_eq!(meta::label(meta, "team"), Some("blue"));
    assert_eq!(meta::label(meta, MANAGED_BY_LABEL), Some(MANAGED_BY));
    assert_eq!(meta::label(meta, SERVICE_NAME_LABEL), Some("front"));
    assert_eq!(meta::label(meta, HEADLESS_LABEL), None);
}

#[test]
fn a_pod_on_an_unknown_node_waits_for_the_node_unless_all_are_published() {
    let mut town = town().pods([pod(1, "gone"), pod(2, "a1"), pod(3, "")]);
    town.settle();
    assert_eq!(town.sizes(), [1]);
    town.service
        .spec
        .as_mut()
        .unwrap()
        .publish_not_ready_addresses = Some(true);
    town.settle();
    assert_eq!(town.sizes(), [3]);
}

#[test]
fn a_pod_that_changes_its_condition_stays_in_its_slice() {
    let mut town = town().pods(numbers(0..3));
    town.settle();
    town.pods[1] = pod_with(1, "a1", 8080, false);
    assert_eq!(town.settle(), "update ×1");
    let ready: Vec<_> = town.endpoints().map(hints::is_ready).collect();
    assert_eq!(ready, [true, false, true]);
}

// === Trigger time ===

#[test]
fn the_trigger_time_is_that_of_the_change_made_known() {
    let mut town = town();
    town.pods.push(pod(5, "a1"));
    town.settle();
    assert_eq!(
        trigger(&town.slices[0]),
        Some("2026-01-01T00:00:00Z"),
        "the Service is new"
    );
    town.pods.extend([pod(8, "a1"), pod(7, "a1")]);
    town.settle();
    assert_eq!(
        trigger(&town.slices[0]),
        Some("2026-01-01T00:01:07Z"),
        "the earlier of two pods"
    );
    town.pods[0] = pod_with(5, "a1", 8080, false);
    town.settle();
    assert_eq!(
        trigger(&town.slices[0]),
        Some("2026-01-01T00:01:05Z"),
        "a pod lost its readiness"
    );
    town.pods.remove(0);
    town.settle();
    assert_eq!(trigger(&town.slices[0]), None, "nothing became ready");
}

// === Repair ===

#[test]
fn what_somebody_did_to_slices_is_put_right() {
    type Deed = fn(&mut Town);
    let deeds: [(&str, Deed, &str); 9] = [
        ("nothing", |_| (), ""),
        (
            "emptied",
            |town| town.slices[0].endpoints = None,
            "update ×1",
        ),
        ("deleted", |town| town.slices.clear(), "create ×1"),
        (
            "relabelled",
            |town| town.slices[0].metadata.labels = None,
            "update ×1",
        ),
        (
            "other ports",
            |town| town.slices[0].ports.as_mut().unwrap()[0].port = Some(1),
            "update ×1",
        ),
        (
            "condition edited",
            |town| town.slices[0].endpoints.as_mut().unwrap()[0].conditions = None,
            "update ×1",
        ),
        (
            "endpoint added",
            |town| {
                let mut stranger = town.slices[0].endpoints.as_ref().unwrap()[0].clone();
                stranger.addresses = vec!["8.8.8.8".into()];
                town.slices[0].endpoints.as_mut().unwrap().push(stranger);
            },
            "update ×1",
        ),
        (
            "slice doubled",
            |town| {
                let mut double = town.slices[0].clone();
                double.metadata.name = Some("front-zzzzz".into());
                double.metadata.uid = Some("u-z".into());
                town.slices.push(double);
            },
            "delete ×1",
        ),
        (
            "of an earlier Service",
            |town| town.slices[0].metadata.owner_references.as_mut().unwrap()[0].uid = "s0".into(),
            "create ×1, delete ×1",
        ),
    ];
    for (what, deed, expected) in deeds {
        let mut town = town().pods(numbers(0..3));
        town.settle();
        let before: Vec<Endpoint> = town.endpoints().cloned().collect();
        deed(&mut town);
        assert_eq!(town.settle(), expected, "{what}");
        let after: Vec<Endpoint> = town.endpoints().cloned().collect();
        assert_eq!(after, before, "{what}");
    }
}

#[test]
fn a_service_on_its_way_out_gets_no_new_slices() {
    let mut town = town().pods(numbers(0..3));
    town.service.metadata.deletion_timestamp = town.service.metadata.creation_timestamp.clone();
    assert!(town.plan().is_empty());
}

#[test]
fn services_of_others_are_left_alone() {
    assert!(plan(&World::NotOurs).is_empty());
    let resting = plan(&World::Resting(std::time::Duration::from_millis(60)));
    assert_eq!(resting.to_string(), "again in 0.060s");
}

// === Packing ===

/// Builds slices of 4 with `before` pods, then makes the pods those of `after`; the numbers say in which slices.
#[test]
fn endpoints_are_packed_with_the_fewest_changes() {
    type Numbers = Vec<usize>;
    let cases: [(&str, Numbers, Numbers, &str, Numbers); 9] = [
        (
            "first",
            vec![],
            (0..10).collect(),
            "create ×2, update ×1",
            vec![2, 4, 4],
        ),
        (
            "exactly full",
            vec![],
            (0..8).collect(),
            "create ×1, update ×1",
            vec![4, 4],
        ),
        (
            "into the roomy one",
            (0..6).collect(),
            (0..8).collect(),
            "update ×1",
            vec![4, 4],
        ),
        (
            "one more than fits",
            (0..6).collect(),
            (0..9).collect(),
            "create ×1",
            vec![2, 3, 4],
        ),
        (
            "gone and come",
            (0..8).collect(),
            (1..9).collect(),
            "update ×1",
            vec![4, 4],
        ),
        (
            "no rebalancing",
            (0..8).collect(),
            vec![0, 7],
            "update ×2",
            vec![1, 1],
        ),
        (
            "a slice runs empty",
            (0..8).collect(),
            (4..8).collect(),
            "delete ×1",
            vec![4],
        ),
        (
            "all are replaced",
            (0..8).collect(),
            (20..28).collect(),
            "update ×2",
            vec![4, 4],
        ),
        (
            "fullest changing one first",
            (0..8).collect(),
            vec![1, 2, 3, 6, 7, 30],
            "update ×2",
            vec![2, 4],
        ),
    ];
    for (what, before, after, expected, sizes) in cases {
        let town_with =
            |numbers: &[usize]| numbers.iter().map(|n| pod(*n, "a1")).collect::<Vec<_>>();
        let mut town = town().max(4).pods(town_with(&before));
        town.settle();
        town.pods = town_with(&after);
        assert_eq!(town.settle(), expected, "{what}");
        assert_eq!(town.sizes(), sizes, "{what}");
    }
}

#[test]
fn a_thousand_pods_are_ten_slices() {
    let mut town = town().pods(numbers(0..1000));
    town.settle();
    assert_eq!(town.sizes(), [100; 10]);
    town.pods.push(pod(1000, "a1"));
    assert_eq!(town.settle(), "create ×1");
}

#[test]
fn a_lowered_limit_moves_the_surplus() {
    let mut town = town().pods(numbers(0..10));
    town.settle();
    town.max = 4;
    town.settle();
    assert_eq!(town.sizes(), [2, 4, 4]);
}

// === Hints ===

#[test]
fn traffic_distribution_hints_ready_endpoints_to_their_own_place() {
    let hint = |zone: &str| json!({"forZones": [{"name": zone}]});
    let both = json!({"forZones": [{"name": "b"}], "forNodes": [{"name": "b1"}]});
    for (routing, expected) in [
        (Routing::Anywhere, Value::Null),
        (Routing::SameZone, hint("b")),
        (Routing::SameNode, both),
    ] {
        let mut town = town().pods([pod(1, "b1"), pod_with(2, "b1", 8080, false)]);
        town.settle();
        town.routing = routing.clone();
        town.settle();
        let hints: Vec<Value> = town
            .endpoints()
            .map(|e| serde_json::to_value(&e.hints).unwrap())
            .collect();
        assert_eq!(hints, [expected, Value::Null], "{routing:?}");
        town.routing = Routing::Anywhere;
        town.settle();
        assert!(town.endpoints().all(|endpoint| endpoint.hints.is_none()));
    }
}

// === Properties ===

fn some_town() -> impl Strategy<Value = Town> {
    let pod = (
        0usize..60,
        0usize..3,
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.8),
    );
    let pods = prop::collection::vec(pod, 0..50);
    (pods, 1usize..8, 0usize..4, prop::bool::ANY).prop_map(|(pods, max, routing, dual)| {
        let families = if dual {
            json!(["IPv4", "IPv6"])
        } else {
            json!(["IPv4"])
        };
        let mut town = town_of(json!({"ipFamilies": families})).max(max);
        let mut pods: BTreeMap<usize, Pod> = pods
            .into_iter()
            .map(|(number, node, ready, usual)| {
                let (node, port) = (["a1", "a2", "b1"][node], if usual { 8080 } else { 9090 });
                (number, pod_with(number, node, port, ready))
            })
            .collect();
        town.pods.extend(std::mem::take(&mut pods).into_values());
        let shares = [("a".to_owned(), 0.4), ("b".to_owned(), 0.6)];
        town.routing = [
            Routing::Anywhere,
            Routing::SameZone,
            Routing::SameNode,
            Routing::Auto(Ok(shares.into())),
        ][routing]
            .clone();
        town
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_change_of_pods_settles_with_each_endpoint_once(first in some_town(), second in some_town()) {
        let mut town = first;
        town.settle();
        town.pods = second.pods;
        town.service = second.service;
        town.routing = second.routing;
        town.settle();
        for slice in &town.slices {
            prop_assert!(count(slice) <= town.max);
        }
        let families = endpoint::families(&town.service);
        for family in &families {
            let slices: Vec<_> = town.slices.iter().filter(|s| s.address_type == family.as_str()).collect();
            let found = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
            let mut found: Vec<_> = found.flat_map(|endpoint| endpoint.addresses.clone()).collect();
            let mut wanted: Vec<_> = town.pods.iter().flat_map(|pod| endpoint::addresses(pod, *family)).collect();
            found.sort();
            wanted.sort();
            prop_assert_eq!(found, wanted);
            let empty = slices.iter().filter(|slice| count(slice) == 0).count();
            prop_assert_eq!(empty, usize::from(town.pods.is_empty()));
        }
        let strange = town.slices.iter().filter(|s| !families.iter().any(|f| f.as_str() == s.address_type));
        prop_assert_eq!(strange.count(), 0);
    }

    #[test]
    fn new_services_have_the_fewest_slices_that_hold_them(town in some_town()) {
        let mut town = town;
        town.settle();
        let families = endpoint::families(&town.service).len();
        let of_port = |port: i32| town.pods.iter().filter(|pod| {
            pod.spec.as_ref().unwrap().containers[0].ports.as_ref().unwrap()[0].container_port == port
        }).count();
        let least = of_port(8080).div_ceil(town.max) + of_port(9090).div_ceil(town.max);
        prop_assert_eq!(town.slices.len(), families * least.max(1));
    }

    #[test]
    fn the_order_of_lists_does_not_matter(first in some_town(), second in some_town()) {
        let mut town = first;
        town.settle();
        town.pods = second.pods;
        let mut turned = town.clone();
        turned.pods.reverse();
        turned.slices.reverse();
        prop_assert_eq!(town.plan().to_string(), turned.plan().to_string());
        let steps = |plan: &Plan| {
            let objects = plan.actions().filter_map(|action| match &action.verb {
                Verb::Create(object) | Verb::Replace(object) => object.read::<EndpointSlice>(),
                _ => None,
            });
            objects.collect::<Vec<_>>()
        };
        prop_assert_eq!(steps(&town.plan()), steps(&turned.plan()));
    }
}
