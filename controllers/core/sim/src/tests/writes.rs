use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, ResourceQuota, Service};
use kube::Api;
use kube::api::PostParams;

use super::*;

#[tokio::test(start_paused = true)]
async fn the_server_fills_in_what_is_left_out() {
    let (_sim, client) = sim();
    let created = api::<Pod>(&client)
        .create(&PostParams::default(), &pod("a"))
        .await
        .unwrap();
    let value = raw(&created);
    let expected = json!({
        "containers": [{
            "name": "c", "image": "nginx:1.27", "imagePullPolicy": "IfNotPresent", "resources": {},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        }],
        "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0, "restartPolicy": "Always", "schedulerName": "default-scheduler",
        "securityContext": {}, "terminationGracePeriodSeconds": 30,
        "tolerations": [
            { "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
            { "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
        ],
    });
    assert_eq!(value["spec"], expected);
    assert_eq!(
        value["status"],
        json!({ "phase": "Pending", "qosClass": "BestEffort" })
    );
    assert_eq!(value["metadata"]["generation"], 1);
    assert_eq!(
        value["metadata"]["creationTimestamp"],
        "2026-01-01T00:00:00Z"
    );

    let created = api::<Deployment>(&client)
        .create(&PostParams::default(), &deployment("d"))
        .await
        .unwrap();
    let spec = &raw(&created)["spec"];
    assert_eq!(spec["replicas"], 1);
    assert_eq!(
        spec["strategy"]["rollingUpdate"],
        json!({ "maxSurge": "25%", "maxUnavailable": "25%" })
    );
    assert_eq!(spec["revisionHistoryLimit"], 10);
    assert_eq!(spec["progressDeadlineSeconds"], 600);

    let created = api::<Service>(&client)
        .create(&PostParams::default(), &service("s"))
        .await
        .unwrap();
    let spec = created.spec.unwrap();
    assert_eq!(spec.cluster_ip.as_deref(), Some("10.96.0.2"));
    assert_eq!(spec.type_.as_deref(), Some("ClusterIP"));
    assert_eq!(
        raw(&spec.ports)[0],
        json!({ "port": 80, "protocol": "TCP", "targetPort": 80 })
    );
}

#[tokio::test(start_paused = true)]
async fn generated_names_have_five_characters_and_differ() {
    let (_sim, client) = sim();
    let mut object = config_map("");
    object.metadata.name = None;
    object.metadata.generate_name = Some("x-".to_owned());
    let maps = api::<ConfigMap>(&client);
    let a = maps
        .create(&PostParams::default(), &object)
        .await
        .unwrap()
        .metadata
        .name
        .unwrap();
    let b = maps
        .create(&PostParams::default(), &object)
        .await
        .unwrap()
        .metadata
        .name
        .unwrap();
    assert_eq!(a.len(), 7);
    assert_ne!(a, b);
}

#[tokio::test(start_paused = true)]
async fn a_name_exists_once_and_an_absent_one_not_at_all() {
    let (_sim, client) = sim();
    let maps = api::<ConfigMap>(&client);
    let given = PostParams::default();
    maps.create(&given, &config_map("a")).await.unwrap();
    assert_eq!(
        refused(maps.create(&given, &config_map("a")).await),
        code(409, "AlreadyExists")
    );
    assert_eq!(refused(maps.get("b").await), code(404, "NotFound"));
    assert_eq!(
        refused(maps.replace("b", &given, &config_map("b")).await),
        code(404, "NotFound")
    );
    let elsewhere: Api<ConfigMap> = Api::namespaced(client, "nowhere");
    assert_eq!(
        refused(elsewhere.create(&given, &config_map("a")).await),
        code(404, "NotFound")
    );
}

#[tokio::test(start_paused = true)]
async fn an_old_version_conflicts_and_an_equal_object_is_no_write() {
    let (sim, client) = sim();
    let maps = api::<ConfigMap>(&client);
    let given = PostParams::default();
    let first = maps.create(&given, &config_map("a")).await.unwrap();
    let same = maps.replace("a", &given, &first).await.unwrap();
    assert_eq!(
        same.metadata.resource_version,
        first.metadata.resource_version
    );
    assert_eq!(sim.history().len(), 1);
    let mut second = first.clone();
    second
        .data
        .as_mut()
        .unwrap()
        .insert("b".to_owned(), "2".to_owned());
    maps.replace("a", &given, &second).await.unwrap();
    let error = maps.replace("a", &given, &second).await.unwrap_err();
    assert!(error.to_string().contains(
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; \
         please apply your changes to the latest version and try again"
    ));
    let mut other = second.clone();
    other.metadata.resource_version = None;
    other.metadata.uid = Some("11111111-1111-1111-1111-111111111111".to_owned());
    assert_eq!(
        refused(maps.replace("a", &given, &other).await),
        code(409, "Conflict")
    );
}

#[tokio::test(start_paused = true)]
async fn some_kinds_want_a_version() {
    let (_sim, client) = sim();
    let leases = api::<Lease>(&client);
    let lease: Lease =
        from(json!({ "metadata": { "name": "l" }, "spec": { "holderIdentity": "a" } }));
    leases
        .replace("l", &PostParams::default(), &lease)
        .await
        .unwrap();
    let answer = leases.replace("l", &PostParams::default(), &lease).await;
    assert_eq!(refused(answer), code(422, "Invalid"));
}

#[tokio::test(start_paused = true)]
async fn status_and_spec_are_written_apart_and_generation_follows_the_spec() {
    let (_sim, client) = sim();
    let sets = api::<ReplicaSet>(&client);
    let given = PostParams::default();
    let mut set = sets.create(&given, &replica_set("r", "web")).await.unwrap();
    set.status.as_mut().unwrap().replicas = 7;
    set.spec.as_mut().unwrap().replicas = Some(3);
    let set = sets.replace("r", &given, &set).await.unwrap();
    assert_eq!(
        (
            set.metadata.generation,
            set.status.as_ref().unwrap().replicas
        ),
        (Some(2), 0)
    );
    let mut set = set;
    set.status.as_mut().unwrap().replicas = 7;
    set.spec.as_mut().unwrap().replicas = Some(5);
    let set = sets.replace_status("r", &given, &set).await.unwrap();
    assert_eq!(
        (
            set.metadata.generation,
            set.status.as_ref().unwrap().replicas
        ),
        (Some(2), 7)
    );
    assert_eq!(set.spec.unwrap().replicas, Some(3));
}

#[tokio::test(start_paused = true)]
async fn invalid_objects_are_refused() {
    let (_sim, client) = sim();
    let given = PostParams::default();
    let sets = api::<ReplicaSet>(&client);
    let answer = sets.create(&given, &replica_set("r", "other")).await;
    assert_eq!(refused(answer), code(422, "Invalid"));
    let mut set = sets.create(&given, &replica_set("r", "web")).await.unwrap();
    set.spec.as_mut().unwrap().selector =
        from(json!({ "matchLabels": { "app": "web", "tier": "x" } }));
    set.spec.as_mut().unwrap().template = Some(from(
        json!({ "metadata": { "labels": { "app": "web", "tier": "x" } }, "spec": template("web")["spec"] }),
    ));
    assert_eq!(
        refused(sets.replace("r", &given, &set).await),
        code(422, "Invalid")
    );
    let pods = api::<Pod>(&client);
    let mut a = pods.create(&given, &pod("a")).await.unwrap();
    a.spec.as_mut().unwrap().containers[0].image = Some("nginx:2".to_owned());
    let mut a = pods.replace("a", &given, &a).await.unwrap();
    assert_eq!(a.metadata.generation, Some(2));
    a.spec.as_mut().unwrap().host_network = Some(true);
    assert_eq!(
        refused(pods.replace("a", &given, &a).await),
        code(422, "Invalid")
    );
    assert_eq!(
        refused(pods.create(&given, &pod("Bad_Name")).await),
        code(422, "Invalid")
    );
}

#[tokio::test(start_paused = true)]
async fn a_terminating_namespace_takes_nothing_new() {
    let (sim, client) = sim();
    sim.create::<Namespace>(from(json!({ "metadata": { "name": "old" } })));
    sim.delete::<Namespace>("", "old");
    let pods: Api<Pod> = Api::namespaced(client, "old");
    let mut a = pod("a");
    a.metadata.namespace = None;
    match pods.create(&PostParams::default(), &a).await.unwrap_err() {
        kube::Error::Api(status) => {
            assert_eq!(status.code, 403);
            assert_eq!(
                status.details.unwrap().causes[0].reason,
                "NamespaceTerminating"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn creates_are_rejected_on_demand() {
    let (sim, client) = sim();
    sim.reject_creates(
        "Pod",
        "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
    );
    let pods = api::<Pod>(&client);
    let error = pods
        .create(&PostParams::default(), &pod("a"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("pods \"a\" is forbidden: exceeded quota: q")
    );
    sim.accept_creates("Pod");
    pods.create(&PostParams::default(), &pod("a"))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_quota_lets_in_what_it_counts_and_no_more() {
    let (sim, client) = sim();
    let quota: ResourceQuota = from(json!({
        "metadata": { "name": "q", "namespace": "default" },
        "spec": { "hard": { "pods": "1" } },
        "status": { "hard": { "pods": "1" } },
    }));
    sim.create(quota);
    let pods = api::<Pod>(&client);
    let create = async |name: &str| pods.create(&PostParams::default(), &pod(name)).await;
    let error = create("a").await.unwrap_err().to_string();
    assert!(
        error.contains("status unknown for quota: q, resources: pods"),
        "{error}"
    );
    sim.update_with::<ResourceQuota>("default", "q", |quota| {
        quota.status = from(json!({ "hard": { "pods": "1" }, "used": { "pods": "0" } }));
    });
    create("a").await.unwrap();
    let used = sim
        .get::<ResourceQuota>("default", "q")
        .unwrap()
        .status
        .unwrap()
        .used
        .unwrap();
    assert_eq!(used["pods"].0, "1");
    let error = create("b").await.unwrap_err().to_string();
    assert!(
        error.contains("exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_changes_nothing() {
    let (sim, client) = sim();
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    api::<Pod>(&client).create(&dry, &pod("a")).await.unwrap();
    assert!(sim.get::<Pod>("default", "a").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_new_node_is_not_ready() {
    let (_sim, client) = sim();
    let nodes: Api<Node> = Api::all(client);
    let node: Node = from(json!({ "metadata": { "name": "n" } }));
    let node = nodes.create(&PostParams::default(), &node).await.unwrap();
    assert_eq!(
        node.spec.unwrap().taints.unwrap()[0].key,
        "node.kubernetes.io/not-ready"
    );
}
