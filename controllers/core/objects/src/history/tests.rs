#![allow(clippy::unwrap_used)]

use k8s_openapi::apimachinery::pkg::runtime::RawExtension;

use super::*;

fn web() -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "volumes": [{"name": "v", "emptyDir": {}}],
            "containers": [
                {"name": "c", "image": "nginx", "args": ["a<b>&c"], "resources": {"limits": {"memory": "1Gi"}}},
                {"name": "d"},
            ],
        },
    })
}

fn data_of(template: Value) -> Value {
    data(&serde_json::from_value(template).unwrap())
}

fn storing(data: Value) -> ControllerRevision {
    ControllerRevision {
        data: Some(RawExtension(data)),
        ..ControllerRevision::default()
    }
}

/// Number, creation, name.
fn numbered(revision: i64, created: i64, name: &str) -> ControllerRevision {
    serde_json::from_value(json!({
        "metadata": {"name": name, "creationTimestamp": jiff::Timestamp::new(created, 0).unwrap().to_string()},
        "revision": revision,
    }))
    .unwrap()
}

fn names(revisions: &[&ControllerRevision]) -> Vec<String> {
    revisions
        .iter()
        .map(|revision| meta::name(&revision.metadata).to_owned())
        .collect()
}

#[test]
fn data_and_hash_are_what_go_makes_of_the_same_template() {
    let data = data_of(web());
    assert_eq!(
        go_json(&data),
        concat!(
            r#"{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"web"}},"spec":{"containers":["#,
            r#"{"args":["a\u003cb\u003e\u0026c"],"image":"nginx","name":"c","resources":{"limits":{"memory":"1Gi"}}},"#,
            r#"{"name":"d","resources":{}}],"volumes":[{"emptyDir":{},"name":"v"}]}}}}"#
        )
    );
    // Made by upstream's functions.
    for (count, expected) in [
        (None, "6574576866"),
        (Some(0), "6cc5cf99db"),
        (Some(7), "6cc5cf99df"),
    ] {
        assert_eq!(hash(&data, count), expected);
    }
}

#[test]
fn structs_that_go_never_leaves_out_are_stored() {
    let data = data_of(json!({"spec": {
        "containers": [],
        "initContainers": [{"name": "i"}],
        "volumes": [{"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}}],
    }}));
    assert_eq!(
        data,
        json!({"spec": {"template": {"$patch": "replace", "metadata": {}, "spec": {
            "containers": [],
            "initContainers": [{"name": "i", "resources": {}}],
            "volumes": [{"name": "e", "ephemeral": {"volumeClaimTemplate": {
                "metadata": {}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {}},
            }}}],
        }}}})
    );
}

#[test]
fn a_template_is_read_back() {
    let template: PodTemplateSpec = serde_json::from_value(web()).unwrap();
    let back = super::template(&storing(data(&template))).unwrap();
    assert_eq!(data(&back), data(&template));
    for junk in [
        Value::Null,
        json!({"spec": 1}),
        json!({"spec": {"template": []}}),
    ] {
        assert_eq!(super::template(&storing(junk)), None);
    }
    assert_eq!(super::template(&ControllerRevision::default()), None);
}

#[test]
fn revisions_are_equal_by_what_they_mean() {
    let data = data_of(web());
    let other_version = |change: fn(&mut Value)| {
        let mut stored = data.clone();
        change(&mut stored["spec"]["template"]);
        storing(stored)
    };
    let same = [
        storing(data.clone()),
        other_version(|template| template["metadata"]["creationTimestamp"] = Value::Null),
        other_version(|template| template["spec"]["containers"][1]["resources"] = Value::Null),
        other_version(|template| {
            template["spec"]["containers"][0]["resources"]["limits"]["memory"] = json!("1024Mi");
        }),
    ];
    assert_eq!(find_equal(&same, &data).len(), same.len());
    let others = [
        ControllerRevision::default(),
        storing(Value::Null),
        other_version(|template| template["spec"]["containers"][0]["image"] = json!("nginx:2")),
        other_version(|template| template["metadata"]["labels"]["app"] = json!("api")),
        other_version(|template| {
            template["spec"]["volumes"][0]
                .as_object_mut()
                .unwrap()
                .remove("emptyDir");
        }),
    ];
    assert!(find_equal(&others, &data).is_empty());
}

#[test]
fn names_have_room_for_their_hash() {
    assert_eq!(name("web", "5c5"), "web-5c5");
    assert_eq!(name(&"x".repeat(253), "6574576866").len(), 234);
    assert!(name(&"é".repeat(200), "6574576866").len() <= 253);
}

#[test]
fn the_order_is_number_then_creation_then_name() {
    let mut revisions = [
        numbered(2, 1, "d"),
        numbered(1, 2, "b"),
        numbered(1, 2, "a"),
        numbered(1, 1, "c"),
    ];
    revisions.sort_by(order);
    assert_eq!(names(&revisions.each_ref()), ["c", "a", "b", "d"]);
    assert_eq!(next_revision(&revisions), 3);
    assert_eq!(next_revision::<ControllerRevision>(&[]), 1);
    assert_eq!(next_revision(&[numbered(i64::MAX, 0, "e")]), i64::MAX);
}

#[test]
fn the_oldest_beyond_the_limit_go_but_for_those_alive() {
    let revisions = [
        numbered(3, 0, "c"),
        numbered(1, 0, "a"),
        numbered(4, 0, "d"),
        numbered(2, 0, "b"),
    ];
    let gone = |limit, live: &[&str]| {
        let is_live =
            |revision: &ControllerRevision| live.contains(&meta::name(&revision.metadata));
        names(&beyond_limit(&revisions, limit, is_live))
    };
    assert_eq!(gone(2, &[]), ["a", "b"]);
    assert_eq!(gone(2, &["a"]), ["b", "c"]);
    assert_eq!(gone(0, &["a", "b", "c"]), ["d"]);
    assert!(gone(4, &[]).is_empty());
    assert!(gone(i32::MAX, &[]).is_empty());
    assert!(gone(-1, &[]).is_empty());
}
