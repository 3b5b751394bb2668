"""The walk from a red step to a fixed replay works as written: same commands, same output."""

import re
import shlex
import subprocess
import sys
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
'{"asset_key":"silver/cleaned_trips","metadata":{"rows_written":{"raw_value":9876,"type":"__infer__"}},"data_version":null}'
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
    """Return lines without what differs between runs: ids, numbers, times and the width of columns."""
    plain = re.sub(r"\b[0-9a-f]{6,}\b|\d+(\.\d+)*|(?<=\s)-(?=\s)", "#", text)
    return [" ".join(line.split()) for line in plain.splitlines()]


def test_every_command_of_the_walk_prints_what_the_page_shows(
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


# Each inline command and option of the page, how it is completed, how it exits and what it prints.
STEP = "silver/cleaned_trips"
SHELL, REPLAY = f"drayage shell last {STEP}", f"drayage replay last {STEP} --yes"
INLINE = {
    "drayage logs": (f"drayage logs last {STEP}", 0, "max_fare is negative"),
    "drayage shell last silver/cleaned_trips": (f"{SHELL} --command 'echo $((6 * 7))'", 0, "42"),
    "--command": (f"{SHELL} --command 'cat /drayage/io/context.json'", 0, "max_fare"),
    "--toolbox IMAGE": (f"{SHELL} --toolbox IMAGE --command 'exit 7'", 7, "a copy of the kept container"),
    "--image": (f"{REPLAY} --image {SHELL_IMAGE}", 1, "max_fare is negative"),
    "--mount ./src:/app/src": (f"{REPLAY} --mount ./src:/app/src", 1, "max_fare is negative"),
    "--env NAME=value": (f"{REPLAY} --env NAME=value", 1, "max_fare is negative"),
    "--env NAME": (f"{REPLAY} --env NAME", 2, "NAME is not set here"),
    "--secret NAME=env:VARIABLE": (f"{REPLAY} --secret NAME=env:VARIABLE", 2, "VARIABLE"),
    "--network": (f"{REPLAY} --network none", 1, "max_fare is negative"),
    "drayage capsule RUN STEP -o FILE": ("drayage capsule RUN STEP -o FILE", 0, "To run it elsewhere"),
    "drayage replay FILE": ("drayage replay FILE --yes", 1, "max_fare is negative"),
    "drayage replay RUN STEP --debugpy": ("drayage replay RUN STEP --debugpy --yes", 2, "Python"),
    "--debugpy-port": (f"{REPLAY} --debugpy --debugpy-port 5679", 2, "Python"),
    "--least-disk": ("drayage doctor --least-disk 2g", 0, "good  disk"),
    "--least-memory": ("drayage doctor --least-memory 512m", 0, "good  memory"),
    "--json": ("drayage runs --json", 0, '"status": "failed"'),
}


def is_in(line: str, got: str, *, of: str) -> bool:
    if of == "doctor":
        # Before the colon stands what is examined, after it the machine's own figures.
        return line.split(":", maxsplit=1)[0] in [found.split(":")[0] for found in got.splitlines()]
    if "…" in line:
        return line.split("…", maxsplit=1)[0].rsplit(" ", 1)[0] in got
    return all(part in alike(got) for part in alike(line))


def test_every_inline_command_and_option_of_the_walk_exists(
    instance: dg.DagsterInstance,
    deployment: Deployment,
    cli: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are taken from the page, so that no renamed or added option goes untested."""
    page = " ".join(WALK.read_text(encoding="utf-8").split())
    named = set(re.findall(r"`(drayage (?!--)[^`]+|--[a-z][^`]*)`", page))
    assert named == INLINE.keys()
    materialize(instance, deployment.client(), cleaned_trips)
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path)
    places = {"RUN": "last", "STEP": STEP, "FILE": "step.tar.gz", "IMAGE": SHELL_IMAGE}
    for name, (command, exits, says) in INLINE.items():
        assert name in command
        words = [places.get(word, word) for word in shlex.split(command)[1:]]
        assert says in cli(*words, exits=exits), name


def test_the_completion_is_installed_as_the_walk_says(tmp_path: Path) -> None:
    """In a home directory of the test's own, since it edits the shell's settings."""
    assert "`drayage --install-completion`" in WALK.read_text(encoding="utf-8")
    program = Path(sys.executable).with_name("drayage")
    done = subprocess.run(  # noqa: S603 - ours
        ["bash", "-c", f"{shlex.quote(str(program))} --install-completion; exit $?"],  # noqa: S607
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "bash completion installed" in done.stdout
    assert "drayage" in (tmp_path / ".bashrc").read_text(encoding="utf-8")
