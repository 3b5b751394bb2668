"""`drayage replay` and `drayage capsule`: the step again, with the same context or with changes."""

import json
import shlex
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


def capsule_of(cli: CommandLine, path: Path) -> str:
    """Write the last step to a capsule."""
    cli("capsule", "last", "report", "-o", str(path))
    return str(path)


def test_a_capsule_is_shown_before_it_runs(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine, tmp_path: Path
) -> None:
    materialize(instance, client, step(shell(GREEN), env={"PLAIN": "1"}, user="1000"))
    file, starts = capsule_of(cli, tmp_path / "step.tar.gz"), deployment.starts()
    said = cli("replay", file, answer="n\n", exits=2)
    assert "image: sha256:" in said
    assert "which the capsule calls debian:trixie-slim" in said
    assert "messages=/drayage/io/messages.jsonl" in said, "the command"
    assert "user: 1000" in said
    assert 'networks: ["none"]' in said
    assert "PLAIN" in said
    assert deployment.starts() == starts
    assert "The replay is green" in cli("replay", file, answer="y\n")


def test_a_capsule_gets_of_this_machine_what_is_named_and_nothing_else(
    instance: dg.DagsterInstance,
    deployment: Deployment,
    cli: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The refusal prints the command line that allows everything: pasted, it runs."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("of-the-host")
    monkeypatch.setenv("SOME_PASSWORD", HIDDEN)
    script = """
    opened; grep -q of-the-host /data/file; test "$SOME_API_KEY" = from-here; test -s /run/secrets/password
    log "capabilities $(grep CapEff /proc/self/status | tr -d '\\t')"; report '{}'; closed
    """
    client = deployment.client(secrets={"password": EnvSecret("SOME_PASSWORD")})
    outcome = materialize(
        instance,
        client,
        step(
            shell(script),
            secrets=["password"],
            env={"SOME_API_KEY": "from-here"},
            mounts=[{"source": f"{tmp_path}/data", "target": "/data"}],
            container_kwargs={"cap_add": ["SYS_PTRACE"]},
        ),
    )
    assert outcome.success, outcome.failure
    file, starts = capsule_of(cli, tmp_path / "step.tar.gz"), deployment.starts()
    before = sorted(deployment.exchange_root.rglob("*"))
    refused = cli("replay", file, "--yes", exits=2, SOME_API_KEY="from-here")
    assert deployment.starts() == starts
    assert sorted(deployment.exchange_root.rglob("*")) == before
    words = shlex.split(refused.partition("with all of this: ")[2])
    assert words[words.index(file) + 1 :] == [
        "--yes",
        "--mount",
        f"{tmp_path}/data:/data:ro",
        "--env",
        "SOME_API_KEY",
        "--secret",
        "password=env:SOME_PASSWORD",
        "--allow",
        'cap_add=["SYS_PTRACE"]',
    ]
    said = cli(*words[words.index("replay") :], SOME_API_KEY="from-here")
    assert "The replay is green" in said
    assert "CapEff" in said
    assert HIDDEN not in said
    for left_out in ("--mount", "--env", "--secret", "--allow"):
        at = words.index(left_out)
        less = [*words[:at], *words[at + 2 :]]
        again = cli(*less[less.index("replay") :], exits=2, SOME_API_KEY="from-here")
        assert f"{left_out} {shlex.quote(words[at + 1])}" in again
    assert deployment.left_behind() == []


def test_labels_of_a_capsule_order_nothing(
    instance: dg.DagsterInstance, deployment: Deployment, cli: CommandLine, tmp_path: Path
) -> None:
    """The sweeper would take the container for another deployment's, or for a run's worker, and act on it."""
    labels = {"drayage/deployment": "another", "drayage/run_id": "x", "dagster/run_id": "x", "own": "x"}
    client = deployment.client()
    materialize(instance, client, step(shell(GREEN)))
    (record,) = deployment.exchange_root.glob("*/report/*/container.json")
    content = json.loads(record.read_text())
    content["settings"]["labels"] = labels
    content["container_kwargs"] = {"labels": labels, "name": "taken"}
    record.write_text(json.dumps(content))
    file, starts = capsule_of(cli, tmp_path / "step.tar.gz"), deployment.starts()
    assert "The replay is green" in cli("replay", file, "--yes")
    assert deployment.starts() == starts + 1, "it carries this deployment's name"
    carried = deployment.events.heard("start")[-1]["Actor"]["Attributes"]
    assert carried["drayage/run_id"].startswith("replay-")
    assert not {"dagster/run_id", "own"} & set(carried)


def test_options_of_a_wrong_type_are_refused_in_words(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine, tmp_path: Path
) -> None:
    materialize(instance, client, step(shell(GREEN)))
    (record,) = deployment.exchange_root.glob("*/report/*/container.json")
    content = json.loads(record.read_text())
    for name, value in {"tmpfs": 5, "environment": 5}.items():
        record.write_text(json.dumps({**content, "container_kwargs": {name: value}}))
        cli("replay", capsule_of(cli, tmp_path / f"{name}.tar.gz"), "--yes", exits=2)
    assert deployment.left_behind() == []
