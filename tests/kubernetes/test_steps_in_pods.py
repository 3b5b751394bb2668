"""Whole steps run as pods: judged as everywhere, and nothing is left of them."""

import json
import time
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from cluster_steps import ClusterDeployment, metadata
from contract_steps import GREEN, wait_until

from drayage import EnvSecret
from drayage.kubernetes import api, execution

HUSH = "hush-hush-7f3a"


def test_a_green_step_is_reported_and_removed(cluster: ClusterDeployment) -> None:
    outcome = cluster.run(GREEN)
    assert outcome.success, outcome.failure
    assert metadata(outcome)["rows"] == 3
    assert cluster.nothing_is_left()


def test_every_message_of_many_and_of_a_long_one_arrives(cluster: ClusterDeployment) -> None:
    script = """
    opened
    seq 20000 | sed 's/.*/{"__dagster_pipes_version":"0.1","method":"report_custom_message","params":{"payload":&}}/' \\
        >> "$messages"
    long=$(head -c 3000000 /dev/zero | tr '\\0' x)
    printf '{"__dagster_pipes_version":"0.1","method":"report_custom_message","params":{"payload":"%s"}}\\n' "$long" \\
        >> "$messages"
    report '{"rows":{"raw_value":3,"type":"__infer__"}}'; closed
    """
    outcome = cluster.run(script)
    assert outcome.success, outcome.failure
    (kept,) = cluster.exchange_root.glob("*/report/0/io/messages.jsonl")
    payloads = [json.loads(line)["params"].get("payload") for line in kept.read_text(encoding="utf-8").splitlines()]
    assert payloads[1:20001] == list(range(1, 20001))
    assert payloads[20001] == "x" * 3_000_000
    assert len(payloads) == 20004


@pytest.mark.parametrize("size_bytes", [10, 300_000], ids=["in the pod", "by the relay"])
def test_a_context_of_any_size_arrives(cluster: ClusterDeployment, size_bytes: int) -> None:
    script = f"test $(wc -c < /drayage/io/context.json) -gt {size_bytes}; " + GREEN
    outcome = cluster.run(script, extras={"large": "x" * size_bytes})
    assert outcome.success, outcome.failure


def test_a_red_step_keeps_its_pod_and_its_last_lines(cluster: ClusterDeployment) -> None:
    outcome = cluster.run("opened; echo the last words; exit 3")
    text, shown = outcome.failure
    assert "it exited with code 3" in text
    assert "the last words" in text
    assert shown["exit_code"] == 3
    (pod,) = cluster.pods()
    assert pod.metadata.name in text
    phase = lambda: cluster.pods()[0].status.phase == "Failed"  # noqa: E731 - named below
    assert wait_until(phase, what="the end of the kept pod: it needs no node any more")


def test_a_step_without_pipes_is_red(cluster: ClusterDeployment) -> None:
    outcome = cluster.run("echo nothing to say")
    assert "never opened Dagster Pipes" in outcome.failure[0]


def test_output_on_both_streams_is_kept_whole(cluster: ClusterDeployment) -> None:
    """As one: a node keeps no other record."""
    outcome = cluster.run(f"seq 5000; seq 5001 6000 >&2; {GREEN}")
    assert outcome.success, outcome.failure
    (log,) = cluster.exchange_root.glob("*/report/0/stdout.log")
    assert sorted(map(int, log.read_text(encoding="utf-8").split())) == list(range(1, 6001))


def test_an_adapted_program_needs_no_relay(cluster: ClusterDeployment) -> None:
    outcome = cluster.run("echo rows=3", adapter="key_value")
    assert outcome.success, outcome.failure
    assert metadata(outcome)["rows"] == "3" or metadata(outcome)["rows"] == 3


def test_a_secret_arrives_and_is_in_no_object_of_the_cluster(
    cluster: ClusterDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTER_SECRET", HUSH)
    client = cluster.client(secrets={"key": EnvSecret("CLUSTER_SECRET")})
    script = (
        f"test $(wc -c < /run/secrets/key) = {len(HUSH)}; opened; while [ ! -e /tmp/go ]; do sleep 0.1; done; "
        + GREEN[8:]
    )
    seen: list[str] = []

    def look() -> None:
        pod = cluster.wait_for_pod()
        seen.append(str(cluster.namespace.admin.read_namespaced_pod(pod.metadata.name, cluster.namespace.name)))
        seen.append(cluster.execute(pod.metadata.name, "stat", "--file-system", "--format", "%T", "/run/secrets"))
        cluster.execute(pod.metadata.name, "touch", "/tmp/go")  # noqa: S108 - in the pod

    looking = Thread(target=look)
    looking.start()
    outcome = cluster.run(script, client=client, secrets=["key"])
    looking.join()
    assert outcome.success, outcome.failure
    assert HUSH not in seen[0]
    assert seen[1].strip() == "tmpfs"


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return what this process asks of the cluster."""
    asked: list[str] = []
    send, begin = api.Cluster._send, execution.Execution.__init__  # noqa: SLF001 - to be counted

    def counted_send(self: Any, method: str, path: str, *arguments: Any, **more: Any) -> Any:
        asked.append(f"{method} {path}")
        return send(self, method, path, *arguments, **more)

    def counted_begin(self: Any, cluster: Any, pod: str, container: str, command: Any, **more: Any) -> None:
        asked.append(f"EXEC {' '.join(command)}")
        begin(self, cluster, pod, container, command, **more)

    monkeypatch.setattr(api.Cluster, "_send", counted_send)
    monkeypatch.setattr(execution.Execution, "__init__", counted_begin)
    yield asked
    monkeypatch.undo()


def test_an_idle_step_asks_nothing_of_the_cluster(cluster: ClusterDeployment, requests: list[str]) -> None:
    """One watch and one program in the relay stay open, and the log: nothing is polled."""
    counts: list[int] = []

    def look() -> None:
        pod = cluster.wait_for_pod()
        time.sleep(5)
        counts.append(len(requests))
        time.sleep(20)
        counts.append(len(requests))
        cluster.execute(pod.metadata.name, "touch", "/tmp/go")  # noqa: S108 - in the pod

    looking = Thread(target=look)
    looking.start()
    outcome = cluster.run("opened; while [ ! -e /tmp/go ]; do sleep 0.2; done; " + GREEN[8:])
    looking.join()
    assert outcome.success, outcome.failure
    assert counts[0] == counts[1], requests
    assert sum("--follow" in each for each in requests) == 1
