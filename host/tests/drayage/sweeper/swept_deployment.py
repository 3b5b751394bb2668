"""A deployment on an engine in memory, for the tests of the sweeper."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from fake_engine import FakeEngine
from fake_process import Process

from drayage import Sweeper, SweepLimits, SweepReport
from drayage.engine import ContainerSpec
from drayage.exchange.directory import Attempt, Exchange
from drayage.identity import EXCHANGE, FORWARD, KEEP, KEEP_S, Identity


def works(process: Process) -> Any:
    process.handled = {"SIGTERM"}
    yield
    return 0


@dataclass
class Swept:
    """What the tests of the sweeper work on."""

    root: Path
    instance: dg.DagsterInstance
    engine: FakeEngine
    clock: Callable[[], float] = time.time

    def run(self, *, ended: bool = True, **arguments: Any) -> str:
        """Record a run in Dagster, and return its id."""
        run = self.instance.create_run_for_job(dg.job(name="swept")(lambda: None), **arguments)
        if ended:
            self.instance.report_run_failed(run)
        return run.run_id

    def attempt(
        self, run_id: str, *, age_s: float = 0.0, size_bytes: int = 0, prefix: str = "", step: str = "step"
    ) -> Attempt:
        """Make the exchange directory of an attempt that was last changed some time ago."""
        attempt = Exchange(self.root).create(f"{prefix}{run_id}/{step}/0")
        attempt.stdout.write_bytes(b"x" * size_bytes)
        attempt.messages.touch()
        changed_s = time.time() - age_s
        for path in (*attempt.path.rglob("*"), attempt.path, attempt.path.parent, attempt.path.parent.parent):
            os.utime(path, (changed_s, changed_s))
        return attempt

    def container(
        self, run_id: str, *, instance: str = "", program: str = "ends", is_started: bool = True, **labels: str
    ) -> str:
        """Create a step's container, start it if asked for, and return its id."""
        identity = Identity("d", run_id, run_id, "step", 0, 0, instance)
        own = {**identity.labels(), EXCHANGE: identity.directory, KEEP: "on_failure", KEEP_S: "0", FORWARD: "true"}
        made = self.engine.create(ContainerSpec("image", command=[program], labels={**own, **labels}))
        if is_started:
            self.engine.start(made.id)
        return made.id

    def sweep(self, **limits: Any) -> SweepReport:
        """Sweep with no time for retries."""
        return Sweeper(
            engine=self.engine,
            exchange=Exchange(self.root),
            deployment="d",
            instance=self.instance,
            clock=self.clock,
            limits=SweepLimits(**{"orphan_grace_s": -1.0, **limits}),
        ).sweep()
