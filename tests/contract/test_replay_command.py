"""`drayage replay` and `drayage capsule`: the step again, with the same context or with changes."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from command_line import FAILED, HIDDEN, CommandLine, listed, messages_of
from contract_steps import GREEN, Deployment, materialize, shell, step

from drayage import DrayageClient, EnvSecret

# ruff: noqa: S603, S607, S106 - commands are run as people run them, with made-up passwords

pytestmark = pytest.mark.engine


def test_a_replay_gets_the_same_context_and_writes_nothing_to_dagster(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine
) -> None:
    outcome = materialize(instance, client, step(shell(FAILED), extras={"limit": 5}))
    entries, before = len(outcome.entries), messages_of(deployment)
    said = cli("replay", "last", "report", "--yes", exits=1)
    assert "The replay is red: it exited with code 3" in said
    assert "INFO     broken" in said
    assert "to-stderr" in said
    assert len(instance.all_logs(outcome.run_id)) == entries
    assert messages_of(deployment) == before
    (directory,) = deployment.exchange_root.glob("replays/*/report/*")
    (own,) = deployment.exchange_root.glob("*/report/*/io/context.json")
    assert json.loads((directory / "io" / "context.json").read_text()) == json.loads(own.read_text())
    assert len(deployment.containers()) == 1, "only the kept one"
    assert [row["run"] for row in listed(cli, "runs")] == [outcome.run_id], "a replay is not a run"


def test_a_replay_with_changes_shows_the_fix(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine, tmp_path: Path
) -> None:
    script = "opened; grep -q '\"limit\": 7' /drayage/io/context.json; cat /fix/file; report '{}'; closed"
    materialize(instance, client, step(shell(script), extras={"limit": 5, "other": "kept"}))
    (tmp_path / "fix").mkdir()
    (tmp_path / "fix" / "file").write_text("fixed")
    changes = ["--set", "limit=7", "--mount", f"{tmp_path}/fix:/fix:ro"]
    said = cli("replay", "last", "report", "--yes", *changes)
    assert "The replay is green" in said
    assert "MATERIALIZED report" in said
    assert "red" in cli("replay", "last", "report", "--yes", exits=1), "without them it fails as it did"


def test_an_interrupted_replay_ends_its_container(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine
) -> None:
    waits = "while grep -q '\"wait\": true' /drayage/io/context.json; do sleep 0.1; done"
    script = f"trap 'log stopping; exit 143' TERM; opened; log waiting; {waits}; report '{{}}'; closed"
    materialize(instance, client, step(shell(script), extras={"wait": False}, stop_grace_s=60))
    replay = subprocess.Popen(
        cli.words("replay", "last", "report", "--yes", "--set", "wait=true"), stdout=subprocess.PIPE, text=True
    )
    assert replay.stdout is not None
    said = next(line for line in replay.stdout if "waiting" in line)
    replay.send_signal(signal.SIGINT)
    said += replay.communicate()[0]
    assert replay.returncode == 130
    assert "stopping" in said
    assert deployment.left_behind() == []


def test_a_replay_that_cannot_start_says_why_and_leaves_nothing(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(["no-such-program"], init=False))
    assert "The command cannot be started" in cli("replay", "last", "report", "--yes", exits=2)
    assert deployment.left_behind() == []


def test_a_replay_asks_before_it_repeats_side_effects(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(shell(GREEN)))
    starts = deployment.starts()
    assert "written again" in cli("replay", "last", "report", answer="n\n", exits=2)
    assert "--yes" in cli("replay", "last", "report", exits=2)
    assert deployment.starts() == starts
    assert "green" in cli("replay", "last", "report", answer="y\n")


def test_a_replay_names_broken_promises_and_unknown_messages(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine
) -> None:
    promised = {"drayage/promises": {"rows": {"types": ["int"], "required": True}}}
    script = "opened; send dance '{}'; report '{}'; closed"
    materialize(instance, client, step(shell(script), asset={"metadata": promised}))
    said = cli("replay", "last", "report", "--yes", exits=1)
    assert "unknown method 'dance'" in said
    assert "'rows' (int) is missing" in said


def test_a_replay_reads_its_secrets_again_and_shows_none(
    instance: dg.DagsterInstance, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, cli: CommandLine
) -> None:
    monkeypatch.setenv("SOME_PASSWORD", HIDDEN)
    client = deployment.client(secrets={"password": EnvSecret("SOME_PASSWORD")})
    script = "opened; cat /run/secrets/password; log $(cat /run/secrets/password); report '{}'; closed"
    environment = {"S3_SECRET_ACCESS_KEY": "never-recorded", "PLAIN": "recorded"}
    materialize(instance, client, step(shell(script), secrets=["password"], env=environment))
    missing = cli("replay", "last", "report", "--yes", exits=2)
    assert "S3_SECRET_ACCESS_KEY" in missing
    said = cli("replay", "last", "report", "--yes", S3_SECRET_ACCESS_KEY="never-recorded")
    assert "INFO     [secret]" in said
    assert HIDDEN not in said
    assert deployment.left_behind() == []
    capsule = str(deployment.exchange_root / "capsule.tar.gz")
    cli("capsule", "last", "report", "-o", capsule)
    written = [path.read_bytes() for path in deployment.exchange_root.rglob("*") if path.is_file()]
    unpacked = subprocess.run(["gzip", "-dc", capsule], check=True, capture_output=True).stdout
    for secret in (HIDDEN.encode(), b"never-recorded"):
        assert secret not in b"".join(written) + unpacked
    assert b"recorded" in unpacked
    monkeypatch.delenv("SOME_PASSWORD")
    assert "SOME_PASSWORD is not set" in cli("replay", "last", "report", "--yes", exits=2, S3_SECRET_ACCESS_KEY="x")


def test_a_capsule_is_replayed_where_the_run_is_unknown(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine, tmp_path: Path
) -> None:
    materialize(instance, client, step(shell(FAILED)))
    file = str(tmp_path / "step.tar.gz")
    assert f"drayage replay {file}" in cli("capsule", "last", "report", "-o", file)
    elsewhere = [sys.executable, "-m", "drayage.cli", "--exchange-root", str(tmp_path / "elsewhere"), "replay"]
    done = subprocess.run([*elsewhere, file, "--yes"], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "it exited with code 3" in done.stdout
    (tmp_path / "other").write_text("no capsule")
    assert "is not a capsule" in cli("replay", str(tmp_path / "other"), "--yes", exits=2)
    assert "There is no capsule" in cli("replay", str(tmp_path / "none"), "--yes", exits=2)
