"""Dagster hosts in processes of their own, for the tests that kill them."""

import os
import subprocess
import sys
from pathlib import Path

from cluster_steps import DEADLINE_S, ClusterDeployment
from contract_steps import StepOutcome, outcome_of, wait_until

HOST = Path(__file__).with_name("cluster_host.py")


class Hosts:
    """Hosts in processes of their own, over one Dagster home."""

    def __init__(self, cluster: ClusterDeployment) -> None:
        self._cluster = cluster
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, job: str, retried: str = "", **variables: str) -> subprocess.Popen[bytes]:
        home = self._cluster.folder / "dagster"
        command = [sys.executable, str(HOST), job, str(home), str(self._cluster.exchange_root), self._cluster.name]
        environment = {**os.environ, "CONTRACT_SECRET": "hush-hush", **variables}
        process = subprocess.Popen([*command, *([retried] if retried else [])], env=environment)  # noqa: S603 - ours
        self.processes.append(process)
        return process

    def wait_for_message(self, text: str) -> None:
        def came() -> bool:
            assert self.processes[-1].poll() is None, "the host ended first"
            files = self._cluster.exchange_root.glob("*/report/*/io/messages.jsonl")
            return any(text in file.read_text(encoding="utf-8") for file in files)

        wait_until(came, what=f"{text!r} among the messages", deadline_s=DEADLINE_S)

    def kill(self, process: subprocess.Popen[bytes]) -> str:
        """Kill a host, and mark its run as failed, as Dagster's run monitor does."""
        process.kill()
        process.wait()
        run = self._cluster.instance.get_runs(limit=1)[0]
        self._cluster.instance.report_run_failed(run)
        return run.run_id

    def finish(self, process: subprocess.Popen[bytes]) -> StepOutcome:
        process.wait(timeout=DEADLINE_S)
        return outcome_of(self._cluster.instance, self._cluster.instance.get_runs(limit=1)[0].run_id)
