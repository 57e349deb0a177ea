"""What an operator in Python (kopf, for instance) builds on: pods that become ready, and go with their owner."""

from kubernetes import client

from conftest import eventually

WEB = {
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        },
    },
}


def test_pods_come_and_go_with_their_deployment(api, namespace):
    apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
    apps.create_namespaced_deployment(namespace, WEB)
    eventually(lambda: apps.read_namespaced_deployment("web", namespace).status.ready_replicas == 2)
    apps.delete_namespaced_deployment("web", namespace)
    eventually(lambda: not core.list_namespaced_pod(namespace).items)


def test_a_job_ends(api, namespace):
    batch = client.BatchV1Api(api)
    pod = {"restartPolicy": "Never", "containers": [{"name": "sum", "image": "sum"}]}
    # What a container does is said by annotations of its pod.
    template = {"metadata": {"annotations": {"hollow.corten.dev/run-for": "200ms"}}, "spec": pod}
    batch.create_namespaced_job(namespace, {"metadata": {"name": "sum"}, "spec": {"template": template}})
    eventually(lambda: batch.read_namespaced_job("sum", namespace).status.succeeded == 1)
