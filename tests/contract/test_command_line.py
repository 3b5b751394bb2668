"""What the commands have in common: JSON, completion, and clear errors if a step or the engine is gone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from command_line import FAILED, CommandLine
from contract_steps import GREEN, Deployment, materialize, shell, step

from drayage import DrayageClient

# ruff: noqa: S603 - commands are run as people run them

pytestmark = pytest.mark.engine


def test_every_command_prints_json_for_programs(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine, tmp_path: Path
) -> None:
    run_id = materialize(instance, client, step(shell(FAILED))).run_id
    lines = [json.loads(line) for line in cli("logs", "last", "report", "--json").splitlines()]
    assert {"stream": "stdout", "line": "to-stdout"} in lines
    assert {"stream": "stderr", "line": "to-stderr"} in lines
    capsule = json.loads(cli("capsule", "last", "report", "-o", str(tmp_path / "step.tar.gz"), "--json"))
    assert (capsule["run"], capsule["step"]) == (run_id, "report")
    assert capsule["size_bytes"] == (tmp_path / "step.tar.gz").stat().st_size
    replayed = subprocess.run(
        cli.words("replay", "last", "report", "--yes", "--json"), capture_output=True, text=True, check=False
    )
    verdict = json.loads(replayed.stdout)
    assert (verdict["green"], verdict["reasons"]) == (False, ["it exited with code 3"])
    assert "to-stdout" in replayed.stderr
    (tmp_path / "dagster" / "dagster.yaml").touch()
    home = str(tmp_path / "dagster")
    swept = json.loads(cli("sweep", "--max-age-days", "0", "--orphan-grace-s", "-1", "--json", DAGSTER_HOME=home))
    assert len(swept["directories"]) == 1, "only the replay's: the failed step's container is still kept"
    assert swept["errors"] == []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("drayage st", "steps"),
        ("drayage steps la", "last"),
        ("drayage logs last re", "report"),
        ("drayage replay last report --deb", "--debugpy"),
        ("drayage new trips --language ja", "java"),
    ],
)
def test_a_shell_completes_commands_runs_and_steps(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, typed: str, offered: str
) -> None:
    materialize(instance, client, step(shell(GREEN)))
    environment = {
        **os.environ,
        "_DRAYAGE_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
        "DRAYAGE_EXCHANGE_ROOT": str(deployment.exchange_root),
    }
    program = str(Path(sys.executable).with_name("drayage"))
    done = subprocess.run([program], capture_output=True, text=True, check=False, env=environment)
    assert offered in done.stdout.splitlines(), done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("steps",),
        ("logs",),
        ("messages",),
        ("shell", "-c", "true"),
        ("replay", "--yes"),
        ("capsule", "-o", "x.tar.gz"),
    ],
    ids=lambda words: words[0],
)
def test_a_swept_step_is_reported_as_gone(
    instance: dg.DagsterInstance,
    client: DrayageClient,
    cli: CommandLine,
    tmp_path: Path,
    words: tuple[str, ...],
) -> None:
    run_id = materialize(instance, client, step(shell(GREEN))).run_id
    which = [run_id[:8]] if words[0] == "steps" else [run_id[:8], "report"]
    home = str(tmp_path / "dagster")
    (tmp_path / "dagster" / "dagster.yaml").touch()
    report = cli("sweep", "--max-age-days", "0", "--orphan-grace-s", "-1", DAGSTER_HOME=home)
    assert "1 exchange directories" in report
    assert "No step is recorded" in cli(words[0], *which, *words[1:], exits=2)
    assert not Path("x.tar.gz").exists()


def test_an_engine_that_is_down_is_reported_in_one_sentence(
    instance: dg.DagsterInstance, client: DrayageClient, cli: CommandLine
) -> None:
    materialize(instance, client, step(shell(GREEN)))
    assert "systemctl start docker" in cli("steps", exits=2, DOCKER_HOST="unix:///no/such/socket")
    assert "succeeded" in cli("runs", DOCKER_HOST="unix:///no/such/socket"), "what was judged is all recorded"
