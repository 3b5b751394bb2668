"""Whatever keeps a pod from its end is named in the step's failure, within seconds, in the cluster's own words."""

import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from cluster_steps import ClusterDeployment
from contract_steps import GREEN, StepOutcome, wait_until
from kubernetes import client as kubernetes_client

from drayage import Mount

WAITS = "opened; while true; do sleep 0.1; done"
# The wait for what may pass, and a busy machine's own.
NAMED_WITHIN_S = 45.0


def beside(cluster: ClusterDeployment, act: Callable[[str], None], script: str = WAITS, **run: Any) -> StepOutcome:
    """Run a step, and do something to its pod meanwhile."""
    acting = Thread(target=lambda: act(cluster.wait_for_pod().metadata.name))
    acting.start()
    outcome = cluster.run(script, timeout_s=180, **run)
    acting.join()
    return outcome


def reason(outcome: StepOutcome) -> str:
    """Return a failed step's first line."""
    return str(outcome.failure[0]).splitlines()[0]


def test_lack_of_memory_with_the_limit(cluster: ClusterDeployment) -> None:
    outcome = cluster.run("opened; head -c 200m /dev/zero | tail > /dev/null; exit 137", memory="64m")
    text, shown = outcome.failure
    assert "out of memory" in text
    assert "64 MiB" in text
    assert shown["memory_limit_mib"] == 64


def test_a_signal(cluster: ClusterDeployment) -> None:
    assert "SIGABRT" in reason(cluster.run("opened; exit 134"))


def test_a_command_that_is_not_there(cluster: ClusterDeployment) -> None:
    from contract_steps import materialize, step  # noqa: PLC0415 - a command of its own

    asset = step(["/no-such-program"], user="10001")
    text = reason(materialize(cluster.instance, cluster.client(), asset))
    assert "127" in text
    assert "no-such-program" in text


@pytest.mark.parametrize("pull", ["never", "missing"])
def test_an_image_that_is_not_there(cluster: ClusterDeployment, pull: str) -> None:
    begun_at = time.monotonic()
    outcome = cluster.run(GREEN, image="registry.invalid/none:1", pull=pull)
    text = reason(outcome)
    assert "registry.invalid/none:1" in text
    assert "image" in text
    assert time.monotonic() - begun_at < 2 * NAMED_WITHIN_S
    assert "never started" in text or "no exit code" in text


def test_a_pod_that_no_node_takes(cluster: ClusterDeployment) -> None:
    begun_at = time.monotonic()
    client = cluster.client(cluster.engine(requests={"memory": "900Gi"}, limits={}))
    text = reason(cluster.run(GREEN, client=client))
    assert "Insufficient memory" in text
    assert time.monotonic() - begun_at < NAMED_WITHIN_S


def test_a_node_label_that_no_node_has(cluster: ClusterDeployment) -> None:
    text = reason(cluster.run(GREEN, client=cluster.client(cluster.engine(node_selector={"disk": "none"}))))
    assert "node" in text
    assert "selector" in text or "affinity" in text


def test_a_secret_of_the_cluster_that_is_not_there(cluster: ClusterDeployment) -> None:
    volume = {"name": "keys", "target": "/keys", "source": {"secret": {"secretName": "no-such-secret"}}}
    begun_at = time.monotonic()
    text = reason(cluster.run(GREEN, client=cluster.client(cluster.engine(volumes=[volume]))))
    assert "no-such-secret" in text
    assert time.monotonic() - begun_at < NAMED_WITHIN_S


def test_a_volume_that_is_not_there(cluster: ClusterDeployment) -> None:
    text = reason(cluster.run(GREEN, mounts=(Mount("no-such-claim", "/data", kind="volume"),)))
    assert "no-such-claim" in text


def test_an_image_that_runs_as_root_where_it_may_not(cluster: ClusterDeployment) -> None:
    assert "runAsNonRoot" in reason(cluster.run(GREEN, user=None))


def test_an_eviction(cluster: ClusterDeployment) -> None:
    def evict(name: str) -> None:
        body = kubernetes_client.V1Eviction(metadata={"name": name})
        cluster.namespace.admin.create_namespaced_pod_eviction(name, cluster.namespace.name, body)

    text = reason(beside(cluster, evict))
    assert "evicted" in text
    assert "EvictionByEvictionAPI" in text


def test_a_deletion_by_somebody_keeps_the_exit_code_and_every_message(cluster: ClusterDeployment) -> None:
    def delete(name: str) -> None:
        cluster.namespace.admin.delete_namespaced_pod(name, cluster.namespace.name)

    script = "trap 'custom 77; exit 143' TERM; opened; while true; do sleep 0.1; done"
    text = reason(beside(cluster, delete, script))
    assert "code 143" in text
    assert "somebody deleted the pod" in text
    (kept,) = cluster.exchange_root.glob("*/report/0/io/messages.jsonl")
    assert '"payload":77' in kept.read_text(encoding="utf-8")


def test_a_deadline(cluster: ClusterDeployment) -> None:
    client = cluster.client(cluster.engine(pod={"spec": {"activeDeadlineSeconds": 4}}))
    assert "DeadlineExceeded" in reason(cluster.run(WAITS, client=client))


def test_a_pod_that_must_make_way_for_another(cluster: ClusterDeployment) -> None:
    scheduling = kubernetes_client.SchedulingV1Api(cluster.namespace.admin.api_client)
    high = f"{cluster.name}-high"
    scheduling.create_priority_class({"metadata": {"name": high}, "value": 1000})
    nodes = cluster.namespace.admin.list_node().items
    free = max(int(node.status.allocatable["cpu"]) for node in nodes)
    # More than half of the largest node: no two fit there.
    size = f"{free * 1000 * 6 // 10}m"
    selector = {"kubernetes.io/hostname": nodes[0].metadata.labels["kubernetes.io/hostname"]}

    def preempt(name: str) -> None:
        pod = cluster.namespace.admin.read_namespaced_pod(name, cluster.namespace.name)
        spec = {
            "priorityClassName": high,
            "nodeName": None,
            "nodeSelector": selector,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "workload",
                    "image": pod.spec.containers[0].image,
                    "command": ["sleep", "1"],
                    "resources": {"requests": {"cpu": size}},
                }
            ],
        }
        labels = dict(pod.metadata.labels)
        body = {"metadata": {"name": f"{cluster.name}-high", "labels": labels}, "spec": spec}
        cluster.namespace.admin.create_namespaced_pod(cluster.namespace.name, body)

    try:
        client = cluster.client(cluster.engine(requests={"cpu": size}, node_selector=selector))
        assert "PreemptionByScheduler" in reason(beside(cluster, preempt, client=client))
    finally:
        scheduling.delete_priority_class(high)


def test_a_time_limit_is_still_the_reason_when_the_engine_ends_the_pod(cluster: ClusterDeployment) -> None:
    text = reason(cluster.run(WAITS, timeout_s=3))
    assert "within 3 s (timeout_s)" in text
    assert "somebody" not in text


def test_a_pod_that_did_not_start_never_starts_afterwards(cluster: ClusterDeployment) -> None:
    client = cluster.client(cluster.engine(node_selector={"disk": "none"}))
    cluster.run(GREEN, client=client)

    def leaves() -> bool:
        return all(pod.metadata.deletion_timestamp for pod in cluster.pods())

    assert wait_until(leaves, what="the deletion of the pod that was given up")
