"""A node that is out of reach is no proof that its workload ended: the step fails by name, and nothing starts twice."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_hosts import Hosts
from cluster_steps import DEADLINE_S, ClusterDeployment
from contract_steps import wait_until

_NODE_LOST_S = 3


def docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], check=True, capture_output=True)  # noqa: S603, S607 - the cluster's node


@pytest.fixture
def second_node(cluster: ClusterDeployment) -> Iterator[str]:
    """Return the name of a node that the test may pause, which is the name of its container too."""
    nodes = sorted(node.metadata.name for node in cluster.namespace.admin.list_node().items)
    node = nodes[-1]
    yield node
    subprocess.run(["docker", "unpause", node], check=False, capture_output=True)  # noqa: S603, S607 - if it is paused

    def is_ready() -> bool:
        found = cluster.namespace.admin.read_node(node)
        tainted = {taint.key for taint in found.spec.taints or ()} & {
            "node.kubernetes.io/unreachable",
            "node.kubernetes.io/not-ready",
        }
        return not tainted and any(it.type == "Ready" and it.status == "True" for it in found.status.conditions)

    wait_until(is_ready, what=f"node {node} to be ready again", deadline_s=DEADLINE_S)


def test_a_lost_node_is_named_and_its_work_is_not_started_again(
    cluster: ClusterDeployment, hosts: Hosts, second_node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "kubernetes.yaml"
    settings.write_text(f"node_selector: {{kubernetes.io/hostname: {second_node}}}\nnode_lost_s: {_NODE_LOST_S}\n")
    monkeypatch.setenv("DRAYAGE_KUBERNETES_SETTINGS", str(settings))
    first = hosts.start("counting")
    hosts.wait_for_message('"payload":5}')
    docker("pause", second_node)
    failed = hosts.finish(first)
    text = failed.failure[0]
    assert f"node {second_node} is out of reach" in text
    assert "may still be at work there" in text
    assert "Remove the node from the cluster if it is gone for good" in text
    (lost,) = cluster.pods()

    again = hosts.finish(hosts.start("counting", failed.run_id))
    assert f"node {second_node} is out of reach" in again.failure[0]
    (kept,) = cluster.pods()
    assert kept.metadata.uid == lost.metadata.uid, "the work was started a second time"

    # The node comes back, and ends what the cluster gave up: now it is known that nothing works there.
    docker("unpause", second_node)
    wait_until(
        lambda: (
            not any(status.state.running for pod in cluster.pods() for status in pod.status.container_statuses or ())
        ),
        what="the end of the pod that was given up",
        deadline_s=DEADLINE_S,
    )
    last = hosts.start("counting", again.run_id)
    cluster.execute(cluster.wait_for_pod().metadata.name, "touch", "/tmp/go")  # noqa: S108 - in the pod
    assert hosts.finish(last).success
    assert cluster.nothing_is_left()
