"""The text of a failed step: the reason first, then commands and links that work."""

import json
import shlex
import subprocess
import sys

import dagster as dg
import pytest
from command_line import FAILED
from contract_steps import SHELL_IMAGE, Deployment, materialize, on_docker_and_kubernetes, shell, step

from drayage import DrayageClient

# ruff: noqa: S603 - commands are run as people run them

pytestmark = [pytest.mark.engine, on_docker_and_kubernetes]


def test_a_failure_says_the_reason_then_commands_that_work(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason comes first, then the commands to copy, and no two commands do the same thing."""
    text, _ = materialize(instance, client, step(shell(FAILED))).failure
    reason, _, replay, shell_command, where = text.splitlines()[:5]
    assert reason == f"{SHELL_IMAGE}: it exited with code 3."
    assert where.startswith("Container ")
    assert "docker run" not in text
    assert replay.startswith("  drayage --exchange-root ")
    assert runs_as_it_stands(replay, "--yes").returncode == 1
    looked = runs_as_it_stands(shell_command, "--command", "ls /left-behind")
    assert looked.stdout == "/left-behind\n", looked.stderr
    monkeypatch.setenv("DRAYAGE_CLI_PREFIX", "docker exec -it webserver")
    text, _ = materialize(instance, deployment.client(), step(shell("exit 1"))).failure
    assert "\n  docker exec -it webserver drayage " in text


def runs_as_it_stands(command: str, *more: str) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command)[1:]
    return subprocess.run(
        [sys.executable, "-m", "drayage.cli", *words, *more], capture_output=True, text=True, check=False
    )


def test_a_failure_links_the_page_that_the_workload_named_last(
    instance: dg.DagsterInstance, client: DrayageClient
) -> None:
    first, last = (json.dumps({"kind": "flink_job", "url": f"http://127.0.0.1:8081/#/job/{job}"}) for job in "ab")
    text, metadata = materialize(
        instance, client, step(shell(f"opened; custom '{first}'; custom '{last}'; closed; exit 1"))
    ).failure
    assert "\nIts flink job: http://127.0.0.1:8081/#/job/b\n" in text
    assert metadata["flink_job_url"] == "http://127.0.0.1:8081/#/job/b"
