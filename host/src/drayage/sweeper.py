"""Removes containers, secrets' volumes, run workers and exchange directories that are past their retention.

Steps clean up after themselves. The sweeper removes what a killed host left behind and what was kept for inspection.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import dagster as dg

from drayage.engine import ContainerState, Engine
from drayage.errors import EngineError
from drayage.exchange.directory import REPLAYS, Attempt, Exchange
from drayage.exchange.record import VerdictRecord
from drayage.exchange.trial_folder import find_abandoned
from drayage.identity import DEPLOYMENT, EXCHANGE, FORWARD, KEEP, KEEP_S, ROOT_RUN, RUN

# The label that dagster-docker's run launcher puts on its run workers.
_RUN_WORKER_LABEL = "dagster/run_id"
_ROOT_RUN_TAG = "dagster/root_run_id"

_Subject = TypeVar("_Subject")


@dataclass(frozen=True)
class SweepLimits:
    """Retention limits.

    Args:
        attempt_age_s: Age beyond which exchange directories are removed, in seconds.
        attempts_bytes: Total size beyond which the oldest exchange directories are removed, in bytes.
        orphan_grace_s: Time after the end of its runs during which a container may still be adopted, in seconds.
    """

    attempt_age_s: float = 7 * 24 * 3600.0
    attempts_bytes: int = 10 * 2**30
    orphan_grace_s: float = 300.0


@dataclass
class SweepReport:
    """The result of a sweep.

    Args:
        stopped: Ids of containers that were stopped because their run was over.
        removed: Ids of containers that were removed.
        run_workers: Ids of run workers' containers that were removed.
        volumes: Names of secrets' volumes that were removed.
        directories: Names of exchange directories that were removed.
        errors: What could not be removed, and why.
    """

    stopped: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    run_workers: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return a summary in one line."""
        return (
            f"stopped {len(self.stopped)} containers; removed {len(self.removed)} containers, "
            f"{len(self.run_workers)} run workers, {len(self.volumes)} volumes and {len(self.directories)} "
            f"exchange directories" + (f"; {len(self.errors)} errors: {'; '.join(self.errors)}" if self.errors else "")
        )


class Sweeper:
    """Removes what the steps of one deployment left behind.

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
        self._report = SweepReport()

    def sweep(self) -> SweepReport:
        """Sweep once.

        Returns:
            What was removed, and what could not be.

        Raises:
            EngineError: The engine does not answer. What it only refuses to remove is in the report.
        """
        self._report = SweepReport()
        # Run workers may carry the deployment's label too, but only containers of steps carry the label of a run.
        steps = self._engine.find({DEPLOYMENT: self._deployment, RUN: ""})
        present = [state for state in steps if not self._sweep(self._engine.state(state.id))]
        self._sweep_run_workers()
        self._sweep_directories({state.labels.get(EXCHANGE, "") for state in present})
        for folder in find_abandoned(self._exchange.root):
            self._try(self._remove_abandoned, folder, folder.name)
        return self._report

    def _remove_abandoned(self, folder: Path) -> None:
        for state in self._engine.find({DEPLOYMENT: folder.name}):
            self._engine.remove(state.id)
            self._report.removed.append(state.id)
        shutil.rmtree(folder)
        self._report.directories.append(f"{REPLAYS}/{folder.name}")

    def _sweep(self, state: ContainerState) -> bool:
        """Stop or remove a container if that is due; return whether it is gone."""
        over = self._is_over(state.labels.get(RUN, ""), state.labels.get(ROOT_RUN, ""))
        if not state.ended and state.status != "created":
            wanted = state.labels.get(FORWARD) == "false" and not self._stands_by(state)
            if over and not wanted and self._try(self._stop, state, state.short_id):
                self._report.stopped.append(state.id)
            return False
        if not self._is_past_its_time(state, over=over):
            return False
        removed = self._try(self._engine.remove, state.id, state.short_id)
        if removed:
            self._report.removed.append(state.id)
        return removed

    def _is_past_its_time(self, state: ContainerState, *, over: bool) -> bool:
        attempt = self._exchange.open(state.labels.get(EXCHANGE, ""))
        verdict = VerdictRecord.read(attempt) if attempt else None
        if verdict is None and not over:
            return False
        if state.status == "created" or self._stands_by(state):
            return over
        if verdict is not None and verdict.green and state.labels.get(KEEP) != "always":
            return over
        return self._clock() - state.finished_at_s > float(state.labels.get(KEEP_S, 0))

    def _stands_by(self, state: ContainerState) -> bool:
        """Return whether the container was started ahead of its step, and the step never started."""
        attempt = self._exchange.open(state.labels.get(EXCHANGE, ""))
        return attempt is not None and attempt.awaits_context

    def _stop(self, state: ContainerState) -> None:
        self._engine.stop(state.id, "SIGKILL", 0)

    def _is_over(self, run_id: str, root_run_id: str) -> bool:
        """Return whether every run of the chain has ended, and the time for a retry has passed."""
        filters = [dg.RunsFilter(run_ids=[run_id, root_run_id]), dg.RunsFilter(tags={_ROOT_RUN_TAG: root_run_id})]
        records = [record for runs in filters for record in self._instance.get_run_records(runs)]
        ended_s = max((record.end_time or 0.0 for record in records), default=0.0)
        finished = all(record.dagster_run.is_finished for record in records)
        return finished and self._clock() - ended_s > self._limits.orphan_grace_s

    def _sweep_run_workers(self) -> None:
        for state in self._engine.find({_RUN_WORKER_LABEL: ""}):
            run = self._instance.get_run_by_id(state.labels[_RUN_WORKER_LABEL])
            # The instance does not know another deployment's runs, so their workers are left alone.
            elsewhere = state.labels.get(DEPLOYMENT, self._deployment) != self._deployment
            if run is None or not run.is_finished or state.status != "ended" or elsewhere:
                continue
            if self._try(self._engine.remove, state.id, state.short_id):
                self._report.run_workers.append(state.id)

    def _sweep_directories(self, in_use: set[str]) -> None:
        attempts = sorted(self._attempts(), key=lambda found: found[0])
        total_bytes = sum(size_bytes for _, size_bytes, _ in attempts)
        for changed_s, size_bytes, attempt in attempts:
            too_old = self._clock() - changed_s > self._limits.attempt_age_s
            if not too_old and total_bytes <= self._limits.attempts_bytes:
                continue
            if attempt.name in in_use or not self._is_over(attempt.name.split("/", 1)[0], ""):
                continue
            if self._try(shutil.rmtree, attempt.path, attempt.name):
                total_bytes -= size_bytes
                self._report.directories.append(attempt.name)
                for parent in (attempt.path.parent, attempt.path.parent.parent):
                    if not any(parent.iterdir()):
                        parent.rmdir()

    def _attempts(self) -> Iterator[tuple[float, int, Attempt]]:
        root = self._exchange.root
        for io in (*root.glob("*/*/*/io"), *root.glob(f"{REPLAYS}/*/*/*/io")):
            path = io.parent
            files = [file.stat() for file in path.rglob("*") if file.is_file()]
            changed_s = max((status.st_mtime for status in files), default=path.stat().st_mtime)
            yield changed_s, sum(s.st_size for s in files), Attempt(path, str(path.relative_to(self._exchange.root)))

    def _try(self, action: Callable[[_Subject], object], subject: _Subject, name: str) -> bool:
        try:
            action(subject)
        except (EngineError, OSError) as error:
            self._report.errors.append(f"{name}: {error}")
            return False
        return True
