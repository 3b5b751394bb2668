"""Where a container's output goes can fail: the output is read to its end, and what is lost is in the verdict."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from contract_steps import GREEN, Deployment, materialize, on_each_engine, shell, step, wait_until

from drayage import DrayageClient

pytestmark = [pytest.mark.engine, on_each_engine]

HERE = Path(__file__).parent
DEADLINE_S = 240.0
# More than a pipe, the engine's buffers and the console's queue hold together.
LOUD = f"opened; yes {'x' * 99} | head -c 5000000; {GREEN.removeprefix('opened; ')}"
LOUD_BYTES = 5_000_000


def run_host(folder: Path, deployment: Deployment, script: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start a host whose standard output is a pipe to here."""
    paths = os.pathsep.join([str(HERE.parent / "contract"), os.environ.get("PYTHONPATH", "")])
    arguments = [str(folder / "outcome.json"), str(deployment.exchange_root), deployment.name, script]
    return subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, str(HERE / "printing_host.py"), *arguments],
        env={**os.environ, **deployment.environment, "PYTHONPATH": paths, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def logged_by(folder: Path) -> str:
    """Return what a host's run has in its event log; the run must have succeeded."""
    outcome = json.loads((folder / "outcome.json").read_text())
    assert outcome["success"], outcome["logged"]
    logged = outcome["logged"]
    assert isinstance(logged, str)
    return logged


def attempt_of(deployment: Deployment) -> Path:
    (attempt,) = deployment.exchange_root.glob("*/report/*")
    return attempt


def test_a_closed_pipe_leaves_the_log_whole_and_a_note(tmp_path: Path, deployment: Deployment) -> None:
    """As in ``python example.py | head -1``."""
    host = run_host(tmp_path, deployment, LOUD)
    assert host.stdout is not None
    assert host.stdout.readline() == b"x" * 99 + b"\n"
    host.stdout.close()
    assert host.wait(DEADLINE_S) == 0
    logged = logged_by(tmp_path)
    attempt = attempt_of(deployment)
    assert (attempt / "stdout.log").stat().st_size == LOUD_BYTES
    (note,) = json.loads((attempt / "verdict.json").read_text())["notes"]
    assert "BrokenPipeError" in note
    assert str(attempt / "stdout.log") in note
    assert note in logged


def test_a_pipe_that_nobody_reads_ends_neither_step_nor_host_late(tmp_path: Path, deployment: Deployment) -> None:
    host = run_host(tmp_path, deployment, LOUD)
    assert host.stdout is not None
    with host.stdout:
        assert host.wait(DEADLINE_S) == 0, "not aborted by a thread that still holds the stream"
    logged_by(tmp_path)
    attempt = attempt_of(deployment)
    assert (attempt / "stdout.log").stat().st_size == LOUD_BYTES
    assert "it stalled for 3 s" in json.loads((attempt / "verdict.json").read_text())["notes"][0]


def test_a_stalled_pipe_does_not_hold_up_a_cancel(tmp_path: Path, deployment: Deployment) -> None:
    host = run_host(tmp_path, deployment, f"opened; yes {'x' * 99}")
    assert host.stdout is not None
    with host.stdout:
        wait_until(lambda: deployment.starts() > 0, what="the container's start", deadline_s=DEADLINE_S)
        host.terminate()
        host.wait(DEADLINE_S)
    assert not json.loads((tmp_path / "outcome.json").read_text())["success"]
    assert deployment.left_behind() == []


def test_an_ascii_console_shows_escapes(tmp_path: Path, deployment: Deployment) -> None:
    host = run_host(tmp_path, deployment, f"echo für; {GREEN}", PYTHONIOENCODING="ascii")
    printed, _ = host.communicate(timeout=DEADLINE_S)
    assert printed == b"f\\xfcr\n"
    logged_by(tmp_path)
    assert json.loads((attempt_of(deployment) / "verdict.json").read_text())["notes"] == []


@pytest.fixture
def small_disk(deployment: Deployment) -> Iterator[Path]:
    """Put the exchange root on a disk of 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    deployment.exchange_root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(deployment.exchange_root)]
    subprocess.run(command, check=True)  # noqa: S603 - ours
    try:
        yield deployment.exchange_root
    finally:
        deployment.remove_everything()
        subprocess.run(["umount", "--lazy", str(deployment.exchange_root)], check=True)  # noqa: S603, S607 - ours


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_a_reason_and_the_workload_runs_to_its_end(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment
) -> None:
    # Where the workload's messages are as big as a page already, they have room to the end.
    room = 'i=0; while [ $i -lt 20 ]; do i=$((i+1)); log "$i"; done'
    found = materialize(instance, client, step(shell(f"opened; {room}; yes | head -c 5000000; exit 7")))
    description, metadata = found.failure
    assert metadata["exit_code"] == 7, "it was not blocked by its own output"
    log = attempt_of(deployment) / "stdout.log"
    assert f"some of its output was lost: {log} took no more after {log.stat().st_size} bytes" in description
    assert "No space left on device" in description
    assert "verdict.json cannot be written: No space left on device" in description


@pytest.mark.usefixtures("small_disk")
def test_a_time_limit_acts_on_a_full_disk(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment
) -> None:
    found = materialize(instance, client, step(shell("opened; yes"), timeout_s=3, stop_grace_s=0, keep="never"))
    description, _ = found.failure
    assert "it did not end within 3 s (timeout_s)" in description.splitlines()[0]
    assert "some of its output was lost" in description
    assert deployment.left_behind() == []


def test_a_disk_that_is_full_from_the_start_starts_nothing(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment, small_disk: Path
) -> None:
    with (small_disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(b"x" * 4096)
        except OSError:
            pass
    found = materialize(instance, client, step(shell(GREEN)))
    assert "No space left on device. Free some space there" in found.failure[0]
    assert deployment.starts() == 0
    assert deployment.left_behind() == []


def test_output_beyond_the_limit_is_noted_and_the_step_green(
    instance: dg.DagsterInstance, client: DrayageClient, deployment: Deployment
) -> None:
    script = f"seq 1 100000; echo error >&2; {GREEN}"
    found = materialize(instance, client, step(shell(script), output_bytes="100k"))
    assert found.success, found.failure
    attempt = attempt_of(deployment)
    lines = (attempt / "stdout.log").read_text().splitlines()
    assert lines[:3] == ["1", "2", "3"]
    assert lines[-2:] == ["99999", "100000"]
    assert (attempt / "stdout.log").stat().st_size < 110_000
    assert (attempt / "stderr.log").read_text().splitlines()[-1] == "error"
    notes = json.loads((attempt / "verdict.json").read_text())["notes"]
    assert all("longer than output_bytes, 102400 bytes" in note and note in found.logged for note in notes)
    assert len(notes) == 2
