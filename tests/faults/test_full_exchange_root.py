"""The disk of the exchange root fills up while a step works, and its messages find no room."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from contract_steps import Deployment, materialize, on_engines, shell, step

from drayage import Mount

# ruff: noqa: S603, S607 - `mount` and `umount`, of a folder of the test's own

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system"),
]

BEGIN = """
opened; report '{"rows":{"raw_value":3,"type":"__infer__"}}'
long() { custom "\\"$(printf '%10000s' x)\\""; }
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 1 MiB."""
    disk = tmp_path / "small"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        # Something may still be looking into it.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        pytest.param("while :; do long; done", "it exited with code", id="a workload that stops"),
        pytest.param(
            "set +e; for _ in $(seq 300); do long; done 2> /dev/null; closed 2> /dev/null; exit 0",
            "it opened Dagster Pipes and never closed it",
            id="a workload that does not look",
        ),
    ],
)
def test_messages_that_find_no_room_are_red_and_what_came_before_is_kept(
    instance: dg.DagsterInstance, deployment: Deployment, small_disk: Path, script: str, says: str
) -> None:
    client = deployment.client(exchange_root=small_disk)
    outcome = materialize(instance, client, step(shell(BEGIN + script), timeout_s=120))
    text, _ = outcome.failure
    assert says in text
    assert "the workload died while writing a message, or its disk was full" in text
    assert "No space left on device. Free some space there" in text, "nor has the verdict any room"
    assert outcome.materializations == []
    (observation,) = outcome.observations
    assert (observation["rows"], observation["drayage/partial"]) == (3, True)


@on_engines("remote-docker", "kubernetes")
def test_a_copy_of_messages_that_finds_no_room_is_red_and_what_came_before_is_kept(
    instance: dg.DagsterInstance, deployment: Deployment, small_disk: Path
) -> None:
    """The workload's own messages have room on the engine's disk, so that it notices nothing."""
    client = deployment.client(exchange_root=small_disk)
    script = f"{BEGIN} for _ in $(seq 300); do long; done; closed; exit 3"
    outcome = materialize(instance, client, step(shell(script), timeout_s=120, keep="never"))
    text, metadata = outcome.failure
    assert metadata["exit_code"] == 3, "it went on to its end"
    assert re.search(r"/io/messages\.jsonl cannot be written: No space left on device\. Free some space there", text)
    (observation,) = outcome.observations
    assert (observation["rows"], observation["drayage/partial"]) == (3, True)
    assert deployment.left_behind() == []


def test_a_message_that_is_cut_is_red_although_there_is_room_again_for_the_close(
    instance: dg.DagsterInstance, deployment: Deployment, small_disk: Path
) -> None:
    (small_disk / "own").mkdir()
    fill = "dd if=/dev/zero of=/own/filler bs=4096 2> /dev/null"
    script = f"{BEGIN} set +e; {fill}; long 2> /dev/null; rm /own/filler; closed; exit 0"
    client = deployment.client(exchange_root=small_disk / "exchange")
    mounts = [Mount(str(small_disk / "own"), "/own", read_only=False)]
    outcome = materialize(instance, client, step(shell(script), mounts=mounts, timeout_s=120))
    assert "a message was not understood" in outcome.failure[0]
    assert [observation["rows"] for observation in outcome.observations] == [3]
