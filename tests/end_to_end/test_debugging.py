"""The tutorial's way from a red step to its reason, on the stack, with the commands of the tutorial and of the step."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from stack import REPOSITORY, Stack

pytestmark = pytest.mark.stack

MONTH = "2019-01"
FAILING_MONTH = "2014-08"


def run_inside(stack: Stack, command: str) -> subprocess.CompletedProcess[str]:
    """Run a pasted command in this stack's webserver, without a terminal."""
    words = shlex.split(command.replace("docker exec -it p09-", f"docker exec -it {stack.project}-"))
    assert words[:3] == ["docker", "exec", "-it"]
    return subprocess.run(  # noqa: S603 - ours
        ["docker", "exec", *words[3:]],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def month(stack: Stack) -> Stack:
    launch = stack.launch(MONTH, "--select", "kafka,lake")
    assert launch.exit_code == 0, launch.output
    return stack


def test_every_debugging_command_of_the_tutorial_works(month: Stack) -> None:
    tutorial = (REPOSITORY / "docs" / "tutorial.md").read_text(encoding="utf-8")
    commands = re.findall(r"^ {4}(docker exec -it p09-dagster-webserver drayage .*)$", tutorial, re.MULTILINE)
    assert len(commands) >= 3
    said = {command: run_inside(month, command) for command in commands}
    assert {command: done.stderr for command, done in said.items() if done.returncode} == {}
    text = "".join(done.stdout for done in said.values())
    for expected in ("bronze__raw_trips", "MATERIALIZED silver/cleaned_trips", f"service {month.project}-kafka"):
        assert expected in text
    assert "BAD" not in text


@pytest.fixture
def red_step(stack: Stack, tmp_path: Path) -> Iterator[str]:
    """Return what the launcher prints about a step that fails on a bad file, which stays until the test ends."""
    file = tmp_path / f"yellow_tripdata_{FAILING_MONTH}.csv"
    file.write_text("VendorID,fare\n1,2\n")
    with stack.landed(file):
        red = stack.launch(FAILING_MONTH, "--select", "kafka_topics,generate_events")
        assert red.exit_code != 0
        yield red.output


def test_the_commands_of_a_red_step_show_the_same_reason_again(stack: Stack, red_step: str) -> None:
    """As pasted from the message: the replay fails on the same file, and the shell has the step's settings."""
    pasted = dict(re.findall(r"^ *(docker exec -it .* drayage (replay|shell) .*)$", red_step, re.MULTILINE))
    commands = {verb: command for command, verb in pasted.items()}
    replayed = run_inside(stack, f"{commands['replay']} --yes")
    assert replayed.returncode == 1, replayed.stderr
    assert "The replay is red" in replayed.stdout
    assert f"yellow_tripdata_{FAILING_MONTH}.csv" in replayed.stdout
    looked = run_inside(stack, f"{commands['shell']} --command 'printenv LANDING_URL'")
    assert looked.returncode == 0, looked.stderr
    assert "s3://landing/yellow/" in looked.stdout
