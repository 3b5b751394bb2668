"""`drayage` as people call it, against what a test's deployment left."""

import os
import subprocess
import sys
from dataclasses import dataclass

from contract_steps import Deployment
from typer.testing import CliRunner

from drayage.cli import app

PROGRAM = [sys.executable, "-m", "drayage.cli"]
READING = frozenset({"runs", "steps", "logs", "messages"})


@dataclass(frozen=True)
class CommandLine:
    """The command as people call it; what only reads runs in this process, which has loaded Dagster already."""

    deployment: Deployment
    # While a step runs in a thread of this process, which has one standard output for all.
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
