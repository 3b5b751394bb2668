"""Every test here has a deployment of its own in the session's namespace, with the rights of ``role.yaml``."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import dagster as dg
import pytest
from cluster_hosts import Hosts
from cluster_steps import ClusterDeployment, new_name
from command_line import CommandLine
from contract_steps import Deployment
from kubernetes_namespace import Namespace

from drayage.kubernetes.names import pod_labels


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: each needs a cluster."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.kubernetes)


@pytest.fixture
def cluster(
    namespace: Namespace, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ClusterDeployment]:
    """Return a deployment whose pods are removed at the end, also after a failure."""
    monkeypatch.setenv("KUBECONFIG", str(namespace.kubeconfig))
    deployment = ClusterDeployment(new_name(), tmp_path, namespace, instance)
    try:
        yield deployment
    finally:
        namespace.remove(pod_labels({"drayage/deployment": deployment.name}))


@pytest.fixture
def hosts(cluster: ClusterDeployment) -> Iterator[Hosts]:
    """Return hosts that are ended with the test."""
    hosts = Hosts(cluster)
    yield hosts
    for process in hosts.processes:
        process.kill()
        process.wait()


@pytest.fixture
def cli(cluster: ClusterDeployment, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Return the command line of the deployment, on the cluster."""
    monkeypatch.setenv("DRAYAGE_ENGINE", "kubernetes")
    return CommandLine(cast("Deployment", cluster))
