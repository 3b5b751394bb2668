"""`drayage runs`, `steps`, `logs` and `messages`, while a step runs and after it."""

import json
import subprocess
from dataclasses import replace

import dagster as dg
import pytest
from command_line import FAILED, HIDDEN, CommandLine, listed, messages_of, running_step
from contract_steps import GREEN, SHELL_IMAGE, Deployment, materialize, shell, step, wait_until

from drayage import DrayageClient, EnvSecret

# ruff: noqa: S603 - commands are run as people run them

pytestmark = pytest.mark.engine


def test_runs_and_steps_show_how_each_ended(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine
) -> None:
    green = materialize(instance, client, step(shell(GREEN)))
    red = materialize(instance, client, step(shell(FAILED)))
    assert [(row["run"], row["status"]) for row in listed(cli, "runs")] == [
        (red.run_id, "failed"),
        (green.run_id, "succeeded"),
    ]
    (finished,) = listed(cli, "steps", green.run_id[:8])
    (failed,) = listed(cli, "steps", "last")
    assert (finished["status"], finished["exit"], finished["container"]) == ("succeeded", 0, "removed")
    assert (failed["status"], failed["exit"], failed["container"]) == ("failed", 3, "kept")
    assert isinstance(failed["seconds"], float)
    assert failed["image"] == SHELL_IMAGE
    assert "failed" in cli("runs")
    assert SHELL_IMAGE in cli("steps")


def test_a_running_step_is_listed_followed_and_entered(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine
) -> None:
    cli = replace(cli, apart=True)
    with running_step(instance, deployment, client, "opened; echo early; log first") as ended:
        assert [row["status"] for row in listed(cli, "steps")] == ["running"]
        assert listed(cli, "steps")[0]["container"] == "running"
        follower = subprocess.Popen(cli.words("logs", "last", "report", "-f"), stdout=subprocess.PIPE, text=True)
        listener = subprocess.Popen(cli.words("messages", "last", "report", "-f"), stdout=subprocess.PIPE, text=True)
        assert follower.stdout is not None
        assert listener.stdout is not None
        assert follower.stdout.readline() == "early\n"
        assert [listener.stdout.readline() for _ in range(2)] == ["OPENED\n", "INFO     first\n"]
        assert "early-file" in cli("shell", "last", "report", "--command", "touch /early-file; ls /early-file")
        assert "early-file" in cli("shell", "last", "report", "--command", "ls /early-file"), "the same container"
    assert ended[0].success, ended[0].failure
    assert follower.communicate(timeout=60)[0] == ""
    assert listener.communicate(timeout=60)[0].splitlines()[-1] == "CLOSED"


def test_logs_and_messages_of_a_failed_step_stay(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(shell(FAILED)))
    assert cli("logs", "last", "report", "--stream", "stdout") == "to-stdout\n"
    assert "to-stderr" in cli("logs", "last", "report")
    assert cli("messages", "last", "report").splitlines() == ["OPENED", "INFO     broken", "CLOSED"]
    lines = cli("messages", "last", "report", "--json").splitlines()
    assert [json.loads(line)["method"] for line in lines] == ["opened", "log", "closed"]


def test_live_messages_show_no_secret(
    instance: dg.DagsterInstance, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, cli: CommandLine
) -> None:
    monkeypatch.setenv("SOME_PASSWORD", HIDDEN)
    client = deployment.client(secrets={"password": EnvSecret("SOME_PASSWORD")})
    cli = replace(cli, apart=True)
    with running_step(instance, deployment, client, "opened; log $(cat /run/secrets/password)", secrets=["password"]):
        wait_until(lambda: HIDDEN in messages_of(deployment), what="the leak")
        assert "INFO     [secret]" in cli("messages", "last", "report")
        monkeypatch.delenv("SOME_PASSWORD")
        assert "its secrets are not known here" in cli("messages", "last", "report", exits=2)
