"""`drayage shell`: in a kept container, in a copy of a removed one, and beside one without a shell."""

import os
import pty
import select
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import docker
import pytest
from command_line import FAILED, CommandLine, messages_of
from contract_steps import GREEN, SHELL_IMAGE, Deployment, materialize, shell, step, wait_until

from drayage import DrayageClient, Mount

# ruff: noqa: S603, S606, S607 - commands are run as people run them

pytestmark = pytest.mark.engine


def test_a_shell_sees_what_a_kept_container_left_and_leaves_nothing(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(shell(FAILED), env={"LIMIT": "12"}))
    (kept,) = deployment.containers()
    said = cli(
        "shell", "last", "report", "--command", "ls /left-behind; echo limit $LIMIT; cat /drayage/io/context.json"
    )
    assert "/left-behind" in said
    assert "limit 12" in said
    assert '"asset_keys": ["report"]' in said
    assert [container.id for container in deployment.containers()] == [kept.id]
    assert deployment.engine.images.list(all=True, filters={"label": f"drayage/deployment={deployment.name}"}) == []


def test_a_shell_of_a_removed_container_has_the_same_context(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("mounted")
    mounts = [Mount(str(tmp_path / "data"), "/data")]
    materialize(instance, client, step(shell(GREEN), user="12345", mounts=mounts))
    said = cli(
        "shell",
        "last",
        "report",
        "-c",
        "id -u; cat /data/file; echo x >> $DRAYAGE_NO_SUCH/drayage/io/messages.jsonl; exit 7",
        exits=7,
    )
    assert "12345" in said
    assert "mounted" in said
    assert "x\n" not in messages_of(deployment), "the step's own evidence stays as it was"
    assert deployment.left_behind() == []
    assert list(deployment.exchange_root.glob("replays/*/*/*")) == []


def test_a_shell_at_a_terminal_takes_keys(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(shell(FAILED)))
    pid, terminal = pty.fork()
    if pid == 0:
        words = cli.words("shell", "last", "report")
        os.execv(words[0], words)
    said = read_until(terminal, b"# ")
    os.write(terminal, b"echo $((6 * 7)) $(ls /left-behind)\n")
    said = read_until(terminal, b"42 /left-behind")
    os.write(terminal, b"exit 5\n")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 5, said


def read_until(terminal: int, wanted: bytes) -> bytes:
    said = b""
    while wanted not in said:
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, said
        said += os.read(terminal, 65536)
    return said


@pytest.fixture
def shell_less_image(docker_engine: docker.DockerClient, tmp_path: Path) -> Iterator[str]:
    """Build an image with one program and no shell."""
    name = "drayage/contract-without-shell"
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "Dockerfile").write_text(
        f"FROM {SHELL_IMAGE} AS base\nFROM scratch\nCOPY --from=base /usr/bin/sleep /usr/bin/sleep\n"
        "COPY --from=base /usr/lib /usr/lib\nCOPY --from=base /lib64 /lib64\nCOPY --from=base /lib /lib\n"
    )
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", name, str(tmp_path / "image")],
        check=True,
        capture_output=True,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )
    yield name
    docker_engine.images.remove(name, force=True)


def test_an_image_without_a_shell_gets_a_toolbox_beside_it(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine, shell_less_image: str
) -> None:
    asset = step(["/usr/bin/sleep", "600"], image=shell_less_image, timeout_s=120)
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(materialize, instance, client, asset)
        (container,) = wait_until(deployment.running, what="the container")
        refused = cli("shell", "last", "report", "-c", "true", exits=2)
        assert "--toolbox" in refused
        said = cli("shell", "last", "report", "--toolbox", SHELL_IMAGE, "-c", "cat /proc/*/cmdline | tr '\\0' ' '")
        assert "/usr/bin/sleep 600" in said
        container.kill()
        assert not outcome.result().success
    assert "--toolbox" in cli("shell", "last", "report", "-c", "true", exits=2)
    assert "beside" in cli("shell", "last", "report", "-c", "echo beside", DRAYAGE_TOOLBOX_IMAGE=SHELL_IMAGE)
