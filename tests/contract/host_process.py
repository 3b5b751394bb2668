"""A Dagster host in its own process, started, killed and observed from outside."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from contract_steps import Deployment, StepOutcome, go_on, outcome_of, wait_until

HERE = Path(__file__).parent
# Only a failing test waits this long; the machine may be building images meanwhile.
DEADLINE_S = 240.0


@dataclass
class Host:
    """Runs of `interrupted_host.py` over one Dagster home."""

    home: Path
    instance: dg.DagsterInstance
    deployment: Deployment
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(
        self, job: str, retried: str | None = None, *, steps: str = "failed", **variables: str
    ) -> subprocess.Popen[bytes]:
        root, name = str(self.deployment.exchange_root), self.deployment.name
        command = [sys.executable, str(HERE / "interrupted_host.py"), job, str(self.home), root, name]
        environment = {**os.environ, **self.deployment.environment, "CONTRACT_SECRET": "hush-hush", **variables}
        process = subprocess.Popen(  # noqa: S603 - ours
            [*command, *([retried, steps] if retried else [])], cwd=HERE, env=environment
        )
        self.processes.append(process)
        return process

    def last_run(self) -> dg.DagsterRun:
        return self.instance.get_runs(limit=1)[0]

    def wait_for_output(self, text: str, step: str = "report") -> Path:
        """Wait until the host has recorded this output of the step's container."""

        def said() -> Path | None:
            assert self.processes[-1].poll() is None, "the host ended before its step printed anything"
            for log in self.deployment.exchange_root.glob(f"*/{step}/*/stdout.log"):
                if text in log.read_text(encoding="utf-8"):
                    return log.parent
            return None

        found = wait_until(said, what=f"{text!r} in the output of {step}", deadline_s=DEADLINE_S)
        assert isinstance(found, Path)
        return found

    def wait_for_fan(self, width: int) -> None:
        """Wait until so many steps' containers have said that they started."""

        def working() -> bool:
            assert self.processes[-1].poll() is None, "the host ended before its steps printed anything"
            logs = self.deployment.exchange_root.glob("*/*/*/stdout.log")
            return sum("started" in log.read_text(encoding="utf-8") for log in logs) == width

        wait_until(working, what="the output of all steps", deadline_s=DEADLINE_S)

    def kill(self, process: subprocess.Popen[bytes]) -> str:
        """Send SIGKILL, and mark the run as failed, as Dagster's run monitor does."""
        self.kill_if_running(process)
        return self.last_run().run_id

    def kill_if_running(self, process: subprocess.Popen[bytes]) -> None:
        """Do the same at a moment when there may be no unfinished run."""
        process.kill()
        process.wait()
        for run in self.instance.get_runs(limit=1):
            if not run.is_finished:
                self.instance.report_run_failed(run)

    def release_until_over(self, *processes: subprocess.Popen[bytes], but: str = "") -> None:
        """Let all containers continue but the one with this id, until all hosts have ended."""

        def are_over() -> bool:
            for container in self.deployment.running():
                if container.id != but:
                    go_on(container)
            return all(process.poll() is not None for process in processes)

        wait_until(are_over, what="the hosts' end", deadline_s=DEADLINE_S)

    def finish(self, process: subprocess.Popen[bytes]) -> StepOutcome:
        process.wait(timeout=DEADLINE_S)
        return outcome_of(self.instance, self.last_run().run_id)


def is_standing_by(deployment: Deployment) -> bool:
    """Return whether the second step has a running container; it stands by while the first step goes on."""
    return any(container.labels["drayage/step"] == "second" for container in deployment.running())


def wait_for(condition: Callable[[], Any], what: str) -> None:
    wait_until(condition, what=what, deadline_s=DEADLINE_S)
