"""The commands on a finished step, on a running one, and on a removed one beside a kept one."""

import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from command_line import CommandLine
from contract_steps import GREEN, SHELL_IMAGE, Deployment, materialize, shell, step, wait_until

from drayage import DrayageClient

pytestmark = pytest.mark.engine

FAILED = "opened; echo to-stdout; closed; exit 3"


def test_a_finished_step_whose_container_is_gone_still_shows_its_output(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(shell(f"echo printed; {GREEN}")))
    assert deployment.left_behind() == []
    for follow in ((), ("-f",)):
        assert "printed" in cli("logs", "last", "report", *follow)
        assert cli("messages", "last", "report", *follow).splitlines()[-1] == "CLOSED"


def test_a_running_step_can_be_packed_in_a_capsule_and_replayed(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine, tmp_path: Path
) -> None:
    cli = replace(cli, apart=True)
    waits = 'while [ -z "${GO:-}" ] && [ ! -e /go ]; do sleep 0.1; done'
    script = f"opened; {waits}; report '{{}}'; closed"
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(materialize, instance, client, step(shell(script), timeout_s=300))
        messages = "*/report/*/io/messages.jsonl"
        wait_until(
            lambda: [file for file in deployment.exchange_root.glob(messages) if file.stat().st_size],
            what="the step's first message",
        )
        assert [row["status"] for row in json.loads(cli("runs", "--json"))] == ["running"]
        cli("capsule", "last", "report", "-o", str(tmp_path / "step.tar.gz"))
        assert "The replay is green" in cli("replay", "last", "report", "--yes", "--env", "GO=now")
        assert [row["status"] for row in json.loads(cli("steps", "--json"))] == ["running"]
        deployment.release()
        assert outcome.result().success
    with tarfile.open(tmp_path / "step.tar.gz") as capsule:
        assert "verdict.json" not in capsule.getnames(), "it has not been judged yet"


def test_a_capsule_holds_what_made_the_container(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine, tmp_path: Path
) -> None:
    materialize(instance, client, step(shell(GREEN), memory="64m"))
    cli("capsule", "last", "report", "-o", str(tmp_path / "step.tar.gz"))
    with tarfile.open(tmp_path / "step.tar.gz") as capsule:
        files = {name: capsule.extractfile(name).read() for name in capsule.getnames()}  # type: ignore[union-attr]
    made = json.loads(files["container.json"])
    assert made["image"] == SHELL_IMAGE
    assert made["image_id"].startswith("sha256:")
    assert made["settings"]["memory"]
    assert {"dagster", "drayage"} <= made["versions"].keys()
    assert {"io/context.json", "io/messages.jsonl", "stdout.log", "verdict.json"} <= files.keys()


def test_a_replay_accepts_another_image_variable_and_network(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine, python_image: str
) -> None:
    script = """
opened
[ "$GREETING" = hello ] || log "no greeting"
command -v python3 > /dev/null || log "no python"
ls /sys/class/net | grep --quiet eth0 || log "no network"
report '{}'; closed
"""
    materialize(instance, client, step(shell(script), env={"GREETING": "bye"}))
    lacks = ("no greeting", "no python", "no network")
    plain = cli("replay", "last", "report", "--yes")
    assert [text for text in lacks if text in plain] == list(lacks)
    changes = ("--image", python_image, "--env", "GREETING=hello", "--network", "bridge")
    changed = cli("replay", "last", "report", "--yes", *changes)
    assert [text for text in lacks if text in changed] == []


def test_a_shell_of_a_removed_container_uses_the_image_that_the_step_had(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, cli: CommandLine
) -> None:
    """The name may refer to another image by now."""
    moved = "drayage/contract-moved:latest"
    image = deployment.engine.images.get(SHELL_IMAGE)
    image.tag(moved)
    try:
        materialize(instance, client, step(shell(GREEN), image=moved))
        assert deployment.left_behind() == []
        deployment.engine.images.get("drayage/python").tag(moved)
        assert "absent" in cli("shell", "last", "report", "-c", "command -v python3 || echo absent")
    finally:
        deployment.engine.images.remove(moved)


def test_sweeping_leaves_a_kept_step_to_every_command(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine, tmp_path: Path
) -> None:
    gone = materialize(instance, client, step(shell(GREEN))).run_id
    kept = materialize(instance, client, step(shell(FAILED))).run_id
    (tmp_path / "dagster" / "dagster.yaml").touch()
    cli("sweep", "--max-age-days", "0", "--orphan-grace-s", "-1", DAGSTER_HOME=str(tmp_path / "dagster"))
    assert [row["run"] for row in json.loads(cli("runs", "--json"))] == [kept]
    assert "Older ones were swept" in cli("steps", gone[:8], exits=2)
    assert "to-stdout" in cli("logs", "last", "report")
    assert "to-stdout" in cli("replay", "last", "report", "--yes", exits=1)
    assert "exchange directories" in cli("prune", DAGSTER_HOME=str(tmp_path / "dagster")), "the command's name in 0.1.0"
