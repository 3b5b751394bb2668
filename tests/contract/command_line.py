"""The `drayage` command as people call it, on what a test's deployment left."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg
from contract_steps import Deployment, StepOutcome, materialize, shell, step, wait_until
from typer.testing import CliRunner

from drayage import DrayageClient
from drayage.cli.app import app

PROGRAM = [sys.executable, "-m", "drayage.cli"]
READING = frozenset({"runs", "steps", "logs", "messages"})

HIDDEN = "hush-hush-0123456789"
FAILED = "opened; echo to-stdout; echo to-stderr >&2; touch /left-behind; log broken; closed; exit 3"


@dataclass(frozen=True)
class CommandLine:
    """The command as people call it; commands that only read run in this process, which has already loaded Dagster."""

    deployment: Deployment
    # For while a step runs in a thread of this process, whose threads share one standard output.
    apart: bool = False

    def __call__(self, *words: str, exits: int = 0, answer: str = "", **environment: str) -> str:
        if words[0] in READING and not environment and not self.apart:
            result = CliRunner().invoke(app, self.words(*words)[len(PROGRAM) :], env={"COLUMNS": "200"})
            assert result.exit_code == exits, result.output
            return result.output
        done = subprocess.run(  # noqa: S603 - ours
            self.words(*words),
            input=answer,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "200", **environment},
        )
        assert done.returncode == exits, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def words(self, *words: str) -> list[str]:
        where = ["--exchange-root", str(self.deployment.exchange_root), "--deployment", self.deployment.name]
        return [*PROGRAM, *where, *words]


def listed(cli: CommandLine, *words: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(cli(*words, "--json"))
    return rows


def messages_of(deployment: Deployment) -> str:
    return "".join(path.read_text() for path in deployment.exchange_root.glob("*/report/*/io/messages.jsonl"))


@contextmanager
def running_step(
    instance: dg.DagsterInstance, deployment: Deployment, client: DrayageClient, before: str = "opened", **run: object
) -> Iterator[list[StepOutcome]]:
    """Run a step until the block is left; the list then holds its outcome."""
    ended: list[StepOutcome] = []
    script = f"{before}; while [ ! -e /go ]; do sleep 0.1; done; report '{{}}'; closed"
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(materialize, instance, client, step(shell(script), timeout_s=300, **run))
        try:
            wait_until(deployment.running, what="the step's container")
            wait_until(lambda: "opened" in messages_of(deployment), what="the step's first message")
            yield ended
        finally:
            deployment.release()
        ended.append(outcome.result())
