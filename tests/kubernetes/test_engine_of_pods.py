"""What holds on a cluster in place of what cannot (``tests/contract/engine_differences.py`` lists that)."""

from pathlib import Path
from typing import Any

import pytest
from cluster_steps import DEADLINE_S, USER, ClusterDeployment
from contract_steps import SHELL_IMAGE, wait_until

from drayage.engine import START, ContainerSpec
from drayage.identity import DEPLOYMENT, EXCHANGE
from drayage.kubernetes import KubernetesEngine

FREEDOMS = """
touch /written 2> /dev/null && echo writable_root
grep -q '^NoNewPrivs:.*1' /proc/self/status || echo new_privileges
grep -q '^CapEff:.*[1-9a-f]' /proc/self/status && echo capabilities
:
"""


def run(cluster: ClusterDeployment, engine: KubernetesEngine, script: str, **spec: Any) -> bytes:
    """Run a script to its end, and return its output."""
    labels = {DEPLOYMENT: cluster.name}
    created = engine.create(ContainerSpec(SHELL_IMAGE, command=["sh", "-c", script], labels=labels, **spec))
    output = engine.follow(created.id)
    engine.start(created.id)
    written = b"".join(chunk for _, chunk in output)
    end = engine.await_end(created.id, DEADLINE_S)
    assert end is not None
    assert (end.exit_code, output.lost) == (0, None)
    again = b"".join(chunk for _, chunk in engine.follow(created.id, START))
    assert again == written, "it is kept until the pod is removed"
    return written


@pytest.mark.parametrize(
    ("restriction", "free"),
    [
        ({}, {"writable_root", "new_privileges", "capabilities"}),
        ({"read_only_root": True}, {"new_privileges", "capabilities"}),
        ({"no_new_privileges": True}, {"writable_root", "capabilities"}),
        ({"cap_drop": ("ALL",)}, {"writable_root", "new_privileges"}),
    ],
    ids=str,
)
def test_each_restriction_holds_by_itself(
    cluster: ClusterDeployment, restriction: dict[str, Any], free: set[str]
) -> None:
    engine = cluster.engine(restricted=False)
    assert set(run(cluster, engine, FREEDOMS, **restriction).decode().split()) == free


def test_a_restricted_workload_has_no_freedom(cluster: ClusterDeployment) -> None:
    assert run(cluster, cluster.engine(), FREEDOMS, user=USER) == b""


def test_much_output_of_both_streams_is_complete_and_can_be_read_again(cluster: ClusterDeployment) -> None:
    script = "seq --format %01000.0f 3000; seq --format %01000.0f 300 >&2"
    lines = run(cluster, cluster.engine(), script, user=USER).splitlines(keepends=True)
    assert len(lines) == 3300
    assert {len(line) for line in lines} == {1001}


def test_a_workload_that_stands_by_gets_its_context_when_it_comes(cluster: ClusterDeployment) -> None:
    engine, folder = cluster.engine(), Path(cluster.folder) / "io"
    folder.mkdir()
    labels = {DEPLOYMENT: cluster.name, EXCHANGE: "run/step/0"}
    mailbox = engine.mailbox(folder, labels=labels, waits=True)
    script = "cat /drayage/io/context.json >> /drayage/io/messages.jsonl"
    spec = ContainerSpec(SHELL_IMAGE, command=["sh", "-c", script], labels=labels, user=USER)
    created = engine.create(spec)
    engine.start(created.id)
    cluster.wait_for_pod()
    assert mailbox.read(0, timeout_s=1) == b""
    mailbox.put_context(b'{"asset_keys": []}\n')
    end = engine.await_end(created.id, DEADLINE_S)
    assert end is not None
    assert end.exit_code == 0
    assert mailbox.read(0, timeout_s=DEADLINE_S) == b'{"asset_keys": []}\n'
    assert mailbox.size_bytes() == 19
    mailbox.collect()
    wait_until(lambda: cluster.pods()[0].status.phase == "Succeeded", what="the pod's end: its messages were read")
    engine.remove(created.id)
    assert cluster.pods() == []


def test_nobody_can_make_the_pod_of_an_attempt_twice(cluster: ClusterDeployment) -> None:
    labels = {DEPLOYMENT: cluster.name, EXCHANGE: "run/step/0"}
    spec = ContainerSpec(SHELL_IMAGE, command=["sleep", "60"], labels=labels, user=USER)
    first, second = cluster.engine(), cluster.engine()
    first.start(first.create(spec).id)
    with pytest.raises(Exception, match="already exists"):
        second.start(second.create(spec).id)
