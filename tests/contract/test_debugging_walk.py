"""The walk from a red step to a fixed replay is walked as it is written: same commands, same answers."""

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from command_line import CommandLine
from contract_steps import PIPES_SHELL, SHELL_IMAGE, Deployment, materialize
from dagster_docker import PipesDockerClient

pytestmark = pytest.mark.engine

WALK = Path(__file__).resolve().parents[2] / "docs" / "debugging.md"
SCRIPT = """
opened
log 'reading the rules'
if grep -q '"max_fare": -' /drayage/io/context.json; then echo 'rules.csv: max_fare is negative' >&2; exit 3; fi
send report_asset_materialization \
'{"asset_key":"silver/cleaned_trips","metadata":{"rows_written":9876},"data_version":null}'
closed
"""


@dg.asset(key=["silver", "cleaned_trips"])
def cleaned_trips(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[PipesDockerClient]) -> Any:
    command = ["sh", "-c", PIPES_SHELL + SCRIPT]
    extras = {"max_fare": -5}
    yield from drayage.run(context=context, image=SHELL_IMAGE, command=command, extras=extras).get_results()


def blocks() -> list[str]:
    found: list[str] = re.findall(r"```text\n(.*?)```", WALK.read_text(encoding="utf-8"), re.DOTALL)
    return found


def alike(text: str) -> list[str]:
    """Lines without what differs from run to run: ids, numbers, times and the width of columns."""
    plain = re.sub(r"\b[0-9a-f]{6,}\b|\d+(\.\d+)*|(?<=\s)-(?=\s)", "#", text)
    return [" ".join(line.split()) for line in plain.splitlines()]


def test_every_command_of_the_walk_answers_as_it_is_written(
    instance: dg.DagsterInstance, deployment: Deployment, cli: CommandLine
) -> None:
    failure, *sessions = blocks()
    said, _ = materialize(instance, deployment.client(), cleaned_trips).failure
    said = re.sub(r"drayage --exchange-root \S+ --deployment \S+", "drayage", said)
    for line in alike(failure):
        assert line.startswith("Container") or line in alike(said), said
    commands = [line for session in sessions for line in re.findall(r"^\$ drayage (.*)\n", session, re.MULTILINE)]
    assert {command.split()[0] for command in commands} == {"runs", "steps", "messages", "replay", "doctor"}
    for session in sessions:
        for command, answer in re.findall(r"^\$ drayage (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE):
            got = cli(*command.split())
            for line in answer.splitlines():
                assert is_in(line, got, of=command), got


def is_in(line: str, got: str, *, of: str) -> bool:
    if of == "doctor":
        # What is examined stands before the colon, and the machine's own figures behind it.
        return line.split(":", maxsplit=1)[0] in [found.split(":")[0] for found in got.splitlines()]
    if "…" in line:
        return line.split("…", maxsplit=1)[0].rsplit(" ", 1)[0] in got
    return all(part in alike(got) for part in alike(line))
