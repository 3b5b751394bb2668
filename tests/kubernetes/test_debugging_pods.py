"""`drayage shell` and `drayage replay` on a cluster: in a step's pod, beside it, and in a new one like it."""

import contextlib
import json
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_steps import ClusterDeployment
from command_line import HIDDEN, CommandLine
from contract_steps import GREEN, SHELL_IMAGE, Deployment, materialize, shell, step, wait_until
from kubernetes import client as official
from kubernetes_namespace import Namespace
from stack import REPOSITORY

from drayage import EnvSecret
from drayage.mailbox import relay_image

# ruff: noqa: S606 - a terminal's program is run as people run it

DEBUGGING = REPOSITORY / "deploy" / "kubernetes" / "debugging.yaml"
WAITS = "opened; while [ ! -e /tmp/go ]; do sleep 0.1; done; "
FAILED = "opened; echo to-stdout; log broken; closed; exit 3"


@contextlib.contextmanager
def running(cluster: ClusterDeployment, script: str = WAITS + GREEN[8:], **run: Any) -> Iterator[Any]:
    """Yield the pod of a step that runs until the block is left, and is green then."""
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(cluster.run, script, **run)
        pod = cluster.wait_for_pod()
        try:
            yield pod
        finally:
            cluster.execute(pod.metadata.name, "touch", "/tmp/go")  # noqa: S108 - in the pod
        assert outcome.result().success, outcome.result().failure


def test_a_shell_in_the_running_pod_changes_the_step_itself(cluster: ClusterDeployment, cli: CommandLine) -> None:
    with running(cluster, env={"LIMIT": "12"}) as pod:
        said = cli(
            "shell", "last", "report", "-c", "echo $LIMIT; echo bad >&2; touch /tmp/seen; id -u; exit 7", exits=7
        )
        assert f"In the running container {pod.metadata.name}" in said
        assert "12\n10001\n" in said
        assert "bad\n" in said
        assert "/tmp/seen" in cluster.execute(pod.metadata.name, "ls", "/tmp/seen")  # noqa: S108 - in the pod


class Terminal:
    """The command line at a terminal of its own."""

    def __init__(self, words: list[str], height: int, width: int) -> None:
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.execv(words[0], words)
        self.resize(height, width)
        self.said = b""

    def resize(self, height: int, width: int) -> None:
        ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.file, keys.encode())

    def read_until(self, wanted: str) -> None:
        while wanted.encode() not in self.said:
            ready, _, _ = select.select([self.file], [], [], 120)
            assert ready, self.said
            self.said += os.read(self.file, 65536)

    def exit_code(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        os.close(self.file)
        return os.waitstatus_to_exitcode(status)


def test_a_shell_at_a_terminal_takes_keys_and_knows_its_size(cluster: ClusterDeployment, cli: CommandLine) -> None:
    with running(cluster):
        terminal = Terminal(cli.words("shell", "last", "report"), 31, 97)
        terminal.read_until("$ ")
        terminal.type("echo $((6 * 7)) $(stty size)\n")
        terminal.read_until("42 31 97\r\n")
        terminal.resize(20, 60)
        terminal.type("sleep 1; stty size\n")
        terminal.read_until("20 60\r\n")
        terminal.type("sleep 100\n")
        time.sleep(1)
        terminal.type("\x03")
        terminal.read_until("^C")
        terminal.type("echo ünter; exit 5\n")
        terminal.read_until("\r\nünter\r\n")
        assert terminal.exit_code() == 5, terminal.said


def test_a_shell_of_a_removed_pod_has_its_context_and_leaves_nothing(
    cluster: ClusterDeployment, cli: CommandLine
) -> None:
    cluster.run(GREEN, env={"LIMIT": "12"}, extras={"limit": 5})
    assert cluster.nothing_is_left()
    script = "id -u; echo limit $LIMIT; cat /drayage/io/context.json; echo x >> /drayage/io/messages.jsonl; exit 7"
    said = cli("shell", "last", "report", "-c", script, exits=7)
    assert "In a new container of debian:trixie-slim;" in said
    assert "10001\nlimit 12\n" in said
    assert '"limit": 5' in said
    (kept,) = cluster.exchange_root.glob("*/report/0/io/messages.jsonl")
    assert "x\n" not in kept.read_text(), "the step's own evidence stays as it was"
    assert cluster.pods() == []
    assert list(cluster.exchange_root.glob("replays/*/*/*")) == []


def test_a_shell_of_a_kept_pod_is_a_new_one_at_a_terminal(cluster: ClusterDeployment, cli: CommandLine) -> None:
    cluster.run(FAILED)
    terminal = Terminal(cli.words("shell", "last", "report"), 24, 80)
    terminal.read_until("$ ")
    terminal.type("test -s /drayage/io/context.json && echo ha''ve; exit 4\n")
    terminal.read_until("have\r\n")
    assert terminal.exit_code() == 4, terminal.said
    assert len(cluster.pods()) == 1, "the kept one"


def test_a_shell_has_the_secrets_of_the_step(
    cluster: ClusterDeployment, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTER_SECRET", HIDDEN)
    client = cluster.client(secrets={"key": EnvSecret("CLUSTER_SECRET")})
    cluster.run(GREEN, client=client, secrets=["key"])
    assert "20\n" in cli("shell", "last", "report", "-c", "wc -c < /run/secrets/key")


def test_a_shell_of_a_pod_that_cannot_start_says_why(cluster: ClusterDeployment, cli: CommandLine) -> None:
    cluster.run(GREEN, image="no-such-image")
    said = cli("shell", "last", "report", "-c", "true", exits=2)
    assert "no-such-image" in said
    assert "cannot be pulled" in said


@pytest.fixture
def toolbox_rights(namespace: Namespace) -> Iterator[None]:
    """Give the host's account what only a toolbox beside a running step needs."""
    rights = official.RbacAuthorizationV1Api(namespace.admin.api_client)
    role = yaml.safe_load(DEBUGGING.read_text(encoding="utf-8"))
    name = role["metadata"]["name"]
    rights.create_namespaced_role(namespace.name, role)
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "host", "namespace": namespace.name}],
    }
    rights.create_namespaced_role_binding(namespace.name, binding)
    yield
    rights.delete_namespaced_role_binding(name, namespace.name)
    rights.delete_namespaced_role(name, namespace.name)


@contextlib.contextmanager
def running_without_shell(cluster: ClusterDeployment) -> Iterator[Any]:
    """Yield the pod of a step whose image has one program and no shell."""
    asset = step(["stay", "--dir", "/drayage/io"], image=relay_image(), user="10001", timeout_s=300)
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(materialize, cluster.instance, cluster.client(), asset)
        pod = cluster.wait_for_pod()
        try:
            yield pod
        finally:
            cluster.namespace.admin.delete_namespaced_pod(pod.metadata.name, cluster.namespace.name)
        assert not outcome.result().success


@pytest.mark.usefixtures("toolbox_rights")
def test_an_image_without_a_shell_gets_a_toolbox_beside_it(cluster: ClusterDeployment, cli: CommandLine) -> None:
    with running_without_shell(cluster):
        assert "--toolbox" in cli("shell", "last", "report", "-c", "true", exits=2)
        script = "cat /proc/*/cmdline | tr '\\0' ' '; ls /proc/1/root/drayage/io; echo bad >&2; id -u; exit 9"
        said = cli("shell", "last", "report", "--toolbox", SHELL_IMAGE, "-c", script, exits=9)
        assert "stay --dir /drayage/io" in said
        assert "context.json" in said
        assert "10001\n" in said
        assert "bad\n" in said
        terminal = Terminal(cli.words("shell", "last", "report", "--toolbox", SHELL_IMAGE), 24, 80)
        terminal.read_until("$ ")
        terminal.type("stty size; exit 5\n")
        terminal.read_until("24 80\r\n")
        assert terminal.exit_code() == 5, terminal.said
        assert "no-such-image" in cli("shell", "last", "report", "--toolbox", "no-such-image", "-c", "true", exits=2)


def test_a_toolbox_without_its_rights_names_what_grants_them(cluster: ClusterDeployment, cli: CommandLine) -> None:
    with running_without_shell(cluster):
        said = cli("shell", "last", "report", "--toolbox", SHELL_IMAGE, "-c", "true", exits=2)
    assert "ephemeralcontainers" in said
    assert "deploy/kubernetes/debugging.yaml" in said


def test_an_ended_step_without_a_shell_gets_a_new_pod_of_the_toolbox(
    cluster: ClusterDeployment, cli: CommandLine
) -> None:
    materialize(cluster.instance, cluster.client(), step(["usage"], image=relay_image(), user="10001"))
    assert "--toolbox" in cli("shell", "last", "report", "-c", "true", exits=2)
    said = cli("shell", "last", "report", "--toolbox", SHELL_IMAGE, "-c", "cat /drayage/io/context.json")
    assert '"asset_keys": ["report"]' in said


def test_a_replay_gets_the_same_context_and_leaves_nothing(cluster: ClusterDeployment, cli: CommandLine) -> None:
    cluster.run(FAILED, extras={"limit": 5})
    (kept,) = cluster.pods()
    said = cli("replay", "last", "report", "--yes", exits=1)
    assert "The replay is red: it exited with code 3" in said
    assert "INFO     broken" in said
    assert "to-stdout" in said
    (directory,) = cluster.exchange_root.glob("replays/*/report/*")
    (own,) = cluster.exchange_root.glob("*/report/*/io/context.json")
    assert json.loads((directory / "io" / "context.json").read_text()) == json.loads(own.read_text())
    assert [pod.metadata.name for pod in cluster.pods()] == [kept.metadata.name]


def test_a_replay_with_changes_shows_the_fix(cluster: ClusterDeployment, cli: CommandLine) -> None:
    script = "opened; grep -q '\"limit\": 7' /drayage/io/context.json; test $MORE = more; report '{}'; closed"
    cluster.run(script, extras={"limit": 5})
    said = cli("replay", "last", "report", "--yes", "--set", "limit=7", "--env", "MORE=more")
    assert "The replay is green" in said


def test_a_replay_with_a_debugger_is_refused_before_anything_starts(
    cluster: ClusterDeployment, cli: CommandLine
) -> None:
    cluster.run(GREEN)
    said = cli("replay", "last", "report", "--yes", "--debugpy", exits=2)
    assert "DRAYAGE_ENGINE=docker" in said


def test_a_path_of_this_machine_is_refused_by_a_replay(
    cluster: ClusterDeployment, cli: CommandLine, tmp_path: Path
) -> None:
    cluster.run(GREEN)
    said = cli("replay", "last", "report", "--yes", "--mount", f"{tmp_path}:/src", exits=2)
    assert "a node has no path of this machine" in said


def capsule(cli: CommandLine, folder: Path) -> str:
    """Pack the last step, and return the path of the file."""
    file = str(folder / "step.tar.gz")
    cli("capsule", "last", "report", "-o", file)
    return file


def test_a_capsule_of_a_cluster_is_replayed_with_docker(
    cluster: ClusterDeployment, cli: CommandLine, tmp_path: Path
) -> None:
    cluster.run(FAILED)
    file = capsule(cli, tmp_path)
    said = cli("replay", file, "--yes", exits=1, DRAYAGE_ENGINE="docker")
    assert "image: debian:trixie-slim\n" in said
    assert "which image debian:trixie-slim was is not recorded: it is sha256:" in said
    assert "The replay is red: it exited with code 3" in said
    assert "to-stdout" in said


def test_a_capsule_of_a_cluster_is_replayed_where_the_run_is_unknown(
    cluster: ClusterDeployment, cli: CommandLine, tmp_path: Path
) -> None:
    cluster.run(GREEN)
    file = capsule(cli, tmp_path)
    # The image is on whichever node ran the step: a capsule may not have one pulled that its user has not named.
    said = cli("replay", file, "--yes", "--image", SHELL_IMAGE, DRAYAGE_EXCHANGE_ROOT=str(tmp_path / "elsewhere"))
    assert "The replay is green" in said


def test_a_capsule_of_docker_is_replayed_on_the_cluster_where_it_can_be(
    cluster: ClusterDeployment, deployment: Deployment, cli: CommandLine, tmp_path: Path
) -> None:
    asset = step(shell(GREEN), user="10001")
    assert materialize(cluster.instance, deployment.client(engine="docker"), asset).success
    file = capsule(CommandLine(deployment), tmp_path)
    refused = cli("replay", file, "--yes", "--image", SHELL_IMAGE, exits=2)
    assert "a pod has the cluster's network" in refused
    assert "--network default" in refused
    said = cli("replay", file, "--yes", "--image", SHELL_IMAGE, "--network", "default")
    assert "The replay is green" in said
    assert cluster.pods() == []


def test_a_shell_whose_pod_is_deleted_ends_as_one_that_was_killed(cluster: ClusterDeployment, cli: CommandLine) -> None:
    cluster.run(GREEN)
    assert cluster.nothing_is_left()
    with ThreadPoolExecutor(1) as pool:
        said = pool.submit(cli, "shell", "last", "report", "-c", "sleep 600", exits=137)
        pod = cluster.wait_for_pod()
        time.sleep(2)
        cluster.namespace.admin.delete_namespaced_pod(pod.metadata.name, cluster.namespace.name)
        assert "In a new container" in said.result()
    wait_until(lambda: not cluster.pods(), what="the removal of the pod")
