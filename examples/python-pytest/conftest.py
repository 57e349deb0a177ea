"""A cluster for tests: the one that $KUBECONFIG names, or one of `corten up` for as long as the tests take."""

import os
import pathlib
import subprocess
import time

import pytest
from kubernetes import client, config


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory):
    """The path of a kubeconfig."""
    given = os.environ.get("KUBECONFIG")
    if given:
        yield given
        return
    data = tmp_path_factory.mktemp("corten")
    environment = {**os.environ, "CORTEN_DATA_DIR": str(data)}
    up = subprocess.run(
        ["corten", "up", "--detach"], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    yield pathlib.Path(up.stdout.splitlines()[-1])
    subprocess.run(["corten", "down"], env=environment, check=True)


@pytest.fixture
def api(kubeconfig):
    """A client of that cluster."""
    with config.new_client_from_config(str(kubeconfig)) as api:
        yield api


@pytest.fixture
def namespace(api):
    """A namespace of the test's own, in which pods can be made."""
    core = client.CoreV1Api(api)
    made = core.create_namespace({"metadata": {"generateName": "test-"}})
    name = made.metadata.name
    eventually(lambda: core.read_namespaced_service_account("default", name))
    yield name
    core.delete_namespace(name)


def eventually(look, patience=30.0):
    """What `look` gives once it gives something; what it raises if that never happens."""
    end = time.monotonic() + patience
    while True:
        try:
            if found := look():
                return found
            error = AssertionError("not within %s s" % patience)
        except client.ApiException as refusal:
            error = refusal
        if time.monotonic() > end:
            raise error
        time.sleep(0.05)
