"""Removes containers, run workers, exchange directories and compute logs that are past their retention.

Steps clean up after themselves. The sweeper removes what a killed host left behind and what was kept for inspection.
What it cannot read or remove is an error in its report, and never stops the rest.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg

from drayage.dagster_internals import compute_logs_folder
from drayage.engine import Engine, Found
from drayage.exchange.directory import REPLAYS, Exchange
from drayage.exchange.trial_folder import is_abandoned, trial_folders
from drayage.identity import EXCHANGE, INSTANCE
from drayage.sweeper.compute_logs import ComputeLogSweep
from drayage.sweeper.containers import EngineSweep
from drayage.sweeper.directories import DirectorySweep
from drayage.sweeper.limits import SweepLimits, SweepReport
from drayage.sweeper.retention import SIZES, Sizes
from drayage.sweeper.runs import Runs
from drayage.sweeper.tree import remove_tree


class Sweeper:
    """Removes what the steps of one deployment left behind.

    It touches only what belongs to its Dagster instance: containers of runs that the instance knows, of runs that the
    instance started, and of processes that worked under the same exchange root without a record in Dagster.

    Args:
        engine: The engine that runs the deployment's containers.
        exchange: The root of its exchange directories.
        deployment: Name of the deployment.
        instance: Dagster's instance, which knows which runs are over.
        limits: Retention limits.
        clock: Returns the current time in seconds since the epoch.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        exchange: Exchange,
        deployment: str,
        instance: dg.DagsterInstance,
        limits: SweepLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._exchange = exchange
        self._deployment = deployment
        self._instance = instance
        self._limits = limits or SweepLimits()
        self._clock = clock

    def sweep(self) -> SweepReport:
        """Sweep once.

        Returns:
            What was removed, and what could not be.

        Raises:
            EngineError: The engine does not answer. What it only refuses to remove is in the report.
        """
        report, root, now_s = SweepReport(), self._exchange.root, self._clock()
        runs = Runs(self._instance, root, grace_s=self._limits.orphan_grace_s, clock=self._clock)
        containers = EngineSweep(
            engine=self._engine,
            exchange=self._exchange,
            deployment=self._deployment,
            runs=runs,
            now_s=now_s,
            lost_age_s=self._limits.attempt_age_s,
            report=report,
        )
        present = containers.sweep()
        sizes = Sizes(root / SIZES, now_s, report)
        DirectorySweep(
            root=root,
            runs=runs,
            now_s=now_s,
            limits=self._limits,
            report=report,
            in_use=frozenset(it.labels.get(EXCHANGE, "") for it in present),
            origins=frozenset(it.labels.get(INSTANCE, "") for it in present),
        ).sweep(sizes)
        for folder in trial_folders(root):
            report.attempt(lambda folder=folder: _sweep_trial(folder, containers, present), folder.name)  # type: ignore[misc]
        if logs := compute_logs_folder(self._instance):
            ComputeLogSweep(root=logs, runs=runs, now_s=now_s, limits=self._limits, report=report).sweep(sizes)
        report.attempt(sizes.save, SIZES)
        return report


def _sweep_trial(folder: Path, containers: EngineSweep, present: Sequence[Found]) -> None:
    if not is_abandoned(folder):
        return
    containers.remove_deployment(present, folder.name)
    if problems := remove_tree(folder):
        containers.report.fail(folder.name, problems[0])
    else:
        containers.report.directories.append(f"{REPLAYS}/{folder.name}")
