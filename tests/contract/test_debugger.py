"""`drayage replay --debugpy` with a real debugger: stop at a line, inspect, change, continue."""

import socket
import subprocess
from pathlib import Path
from typing import IO

import dagster as dg
import pytest
from command_line import CommandLine
from contract_steps import GREEN, Deployment, materialize, shell, step
from debugger import Debugger

from drayage import Mount

pytestmark = pytest.mark.engine

PROGRAM = """\
from dagster_pipes import open_dagster_pipes

with open_dagster_pipes() as pipes:
    limit = pipes.get_extra("limit")
    pipes.log.info(f"the limit is {limit}")
    if limit < 0:
        raise ValueError(f"limit {limit} is negative")
    pipes.report_asset_materialization(metadata={"limit": limit})
"""
FIRST_LINE_THAT_KNOWS_THE_LIMIT = 5


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def read_until(output: IO[str], wanted: str) -> str:
    said = ""
    for line in output:
        said += line
        if wanted in line:
            return said
    pytest.fail(f"{wanted!r} was never said: {said}")


def test_a_debugger_stops_the_step_changes_it_and_lets_it_finish(
    instance: dg.DagsterInstance, deployment: Deployment, python_image: str, cli: CommandLine, tmp_path: Path
) -> None:
    """The bug is found in the step's own image, context and code; only a variable is corrected."""
    source = tmp_path / "src"
    source.mkdir()
    (source / "program.py").write_text(PROGRAM)
    command = ["python3", "/app/src/program.py"]
    asset = step(
        command, image=python_image, extras={"limit": -1}, mounts=[Mount(str(source), "/app/src")], user="10001:10001"
    )
    outcome = materialize(instance, deployment.client(network="bridge"), asset)
    assert "limit -1 is negative" in outcome.failure[0]
    port = free_port()
    words = cli.words("replay", "last", "report", "--yes", "--debugpy", "--debugpy-port", str(port))
    with subprocess.Popen(  # noqa: S603 - ours
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as replay:
        assert replay.stdout is not None
        assert f"127.0.0.1:{port}" in read_until(replay.stdout, "is waiting for a debugger")
        with Debugger(port) as debugger:
            debugger.attach(breakpoints={"/app/src/program.py": [FIRST_LINE_THAT_KNOWS_THE_LIMIT]})
            thread = debugger.wait_for("event", event="stopped")["body"]["threadId"]
            frame = debugger.ask("stackTrace", threadId=thread)["stackFrames"][0]
            assert (frame["source"]["path"], frame["line"]) == ("/app/src/program.py", FIRST_LINE_THAT_KNOWS_THE_LIMIT)
            assert debugger.ask("evaluate", expression="limit", frameId=frame["id"])["result"] == "-1"
            debugger.ask("evaluate", expression="limit = 7", frameId=frame["id"], context="repl")
            debugger.ask("continue", threadId=thread)
            said = replay.stdout.read()
    assert "the limit is 7" in said
    assert "The replay is green" in said
    assert replay.returncode == 0
    assert not list(deployment.exchange_root.glob("replays/**/debugpy")), "the copy of debugpy is gone"


def test_an_image_without_python_is_refused_before_anything_starts(
    instance: dg.DagsterInstance, deployment: Deployment, cli: CommandLine
) -> None:
    materialize(instance, deployment.client(network="bridge"), step(shell(GREEN)))
    starts = deployment.starts()
    said = cli("replay", "last", "report", "--yes", "--debugpy", exits=2)
    assert "has no python3" in said
    assert "drayage shell" in said
    assert deployment.starts() == starts


def test_a_step_that_no_debugger_can_reach_is_refused(
    instance: dg.DagsterInstance, deployment: Deployment, python_image: str, cli: CommandLine
) -> None:
    materialize(instance, deployment.client(network="none"), step(shell(GREEN), image=python_image))
    assert "no debugger can reach it" in cli("replay", "last", "report", "--yes", "--debugpy", exits=2)


def test_a_step_that_starts_no_python_says_so(
    instance: dg.DagsterInstance, deployment: Deployment, python_image: str, cli: CommandLine
) -> None:
    materialize(instance, deployment.client(network="bridge"), step(shell(GREEN), image=python_image))
    options = ["--debugpy", "--debugpy-port", str(free_port())]
    said = cli("replay", "last", "report", "--yes", *options)
    assert "It did not wait for a debugger" in said
    assert "The replay is green" in said
