"""A host that dies leaves its pod at work: another reads on where it was, one of several, and nothing is lost."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cluster_hosts import Hosts
from cluster_steps import DEADLINE_S, ClusterDeployment
from contract_steps import wait_until

from drayage import SweepLimits
from drayage.errors import EngineError
from drayage.kubernetes.api import Cluster
from drayage.kubernetes.takeover import take_over


def release(cluster: ClusterDeployment) -> None:
    """Let the workload go on to its end."""
    cluster.execute(cluster.wait_for_pod().metadata.name, "touch", "/tmp/go")  # noqa: S108 - in the pod


def test_another_host_goes_on_where_the_first_was_killed(cluster: ClusterDeployment, hosts: Hosts) -> None:
    first = hosts.start("counting")
    hosts.wait_for_message('"payload":50}')
    run_id = hosts.kill(first)
    second = hosts.start("counting", run_id)
    release(cluster)
    outcome = hosts.finish(second)
    assert outcome.success, outcome.failure
    assert "adopting container" in outcome.logged
    (kept,) = cluster.exchange_root.glob("*/report/*/io/messages.jsonl")
    counted = [line for line in kept.read_text(encoding="utf-8").splitlines() if '"payload":' in line]
    numbers = [int(line.rpartition('"payload":')[2].rstrip("}")) for line in counted]
    assert numbers == list(range(1, len(numbers) + 1)), "each once, in order"
    assert cluster.nothing_is_left()


def test_a_workload_that_ended_meanwhile_is_adopted_with_its_messages(cluster: ClusterDeployment, hosts: Hosts) -> None:
    first = hosts.start("counting")
    hosts.wait_for_message('"payload":5}')
    run_id = hosts.kill(first)
    release(cluster)

    def has_ended() -> bool:
        (pod,) = cluster.pods()
        return any(it.name == "workload" and it.state.terminated for it in pod.status.container_statuses)

    wait_until(has_ended, what="the workload's end")
    outcome = hosts.finish(hosts.start("counting", run_id))
    assert outcome.success, outcome.failure
    assert cluster.nothing_is_left()


@pytest.mark.parametrize("moment", ["before secrets", "after secrets"])
def test_a_pod_whose_host_died_about_its_secrets_is_the_only_one(
    cluster: ClusterDeployment, hosts: Hosts, moment: str
) -> None:
    """Whether it has them, and works already, its status may not say yet."""
    first = hosts.start("secretive", CONTRACT_DIES=moment)
    first.wait(timeout=DEADLINE_S)
    (left,) = (pod.metadata.name for pod in cluster.pods())
    outcome = hosts.finish(hosts.start("secretive", hosts.kill(first)))
    assert outcome.success, outcome.failure
    assert "adopting container" in outcome.logged
    assert [made["container_id"] for made in outcome.materializations] == [left]
    assert cluster.nothing_is_left()


def test_a_pod_that_stood_by_gets_the_context_that_its_host_could_not_give(
    cluster: ClusterDeployment, hosts: Hosts
) -> None:
    assert hosts.finish(hosts.start("ahead")).success
    second = hosts.start("ahead", CONTRACT_DIES="before context")
    second.wait(timeout=DEADLINE_S)
    (left,) = (pod.metadata.name for pod in cluster.pods() if "-second-" in pod.metadata.name)
    outcome = hosts.finish(hosts.start("ahead", hosts.kill(second)))
    assert outcome.success, outcome.failure
    assert [made["container_id"] for made in outcome.materializations] == [left]


def test_a_cancel_ends_the_pod_within_seconds_with_its_last_message(cluster: ClusterDeployment, hosts: Hosts) -> None:
    process = hosts.start("patient")
    hosts.wait_for_message('"method":"opened"')
    begun_at = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=DEADLINE_S)
    # A busy machine's own; five seconds where nothing else runs.
    assert time.monotonic() - begun_at < 20
    (kept,) = cluster.exchange_root.glob("*/report/*/io/messages.jsonl")
    assert '"payload":"stopping"' in kept.read_text(encoding="utf-8")
    assert cluster.nothing_is_left()


def test_of_several_that_take_a_pod_over_at_once_exactly_one_does(cluster: ClusterDeployment, hosts: Hosts) -> None:
    """Who comes later is kept off by the lock on the attempt."""
    first = hosts.start("counting")
    hosts.wait_for_message('"payload":5}')
    hosts.kill(first)
    name = cluster.wait_for_pod().metadata.name
    clusters = [Cluster(namespace=None, context=None) for _ in range(6)]
    seen = clusters[0].request("GET", clusters[0].path("pods", name), doing="look at it")

    def take(number: int) -> str | None:
        try:
            take_over(clusters[number], seen, f"host-{number}")
        except EngineError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(len(clusters)) as threads:
        refusals = list(threads.map(take, range(len(clusters))))
    assert refusals.count(None) == 1, refusals
    assert all("another process" in it for it in refusals if it is not None)
    winner = f"host-{refusals.index(None)}"
    assert cluster.pods()[0].metadata.labels["drayage.dev/host"] == winner


def test_the_sweeper_ends_and_removes_what_nobody_follows(cluster: ClusterDeployment, hosts: Hosts) -> None:
    first = hosts.start("counting")
    hosts.wait_for_message('"payload":5}')
    hosts.kill(first)
    limits = SweepLimits(orphan_grace_s=0.0)
    # First it is stopped, and kept as long as its label says; then, its time being over, it is removed.
    stopped = cluster.client().sweeper(cluster.instance, limits).sweep().stopped
    assert stopped == [cluster.pods()[0].metadata.name]
    wait_until(lambda: cluster.pods()[0].status.phase == "Failed", what="the end of the pod")
