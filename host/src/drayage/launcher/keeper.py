"""Keeps run workers ready: makes those that are missing, and dismisses those that are too old for a run."""

import logging
import time
from collections.abc import Callable, Collection
from threading import Event

import dagster as dg

from drayage.dagster_internals import launching, run_tags
from drayage.errors import DrayageError
from drayage.identity import STANDBY_S
from drayage.launcher.blueprint import Blueprint
from drayage.launcher.pool import LOGGER, Pool, Worker

_PERIOD_S = 3.0
_SHORT_PERIOD_S = 1.0
# How long a run that has begun its steps has the processors for itself, and how long any run is waited for.
_HEAD_START_S = 3.0
_PATIENCE_S = 30.0
_LONGEST_LOADING_S = 180.0
# After which part of its longest wait a run worker is renewed, before it ends by itself.
_LONGEST_USE = 0.9
# How long they pause after one that died, and how old the others must be to be no reason for a longer pause.
_PROVEN_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 300.0

_log = logging.getLogger(LOGGER)


class Keeper:
    """Keeps the run workers of one instance ready; one process of an instance has one.

    Args:
        pool: The run workers.
        blueprints: Returns what they are to be made from now.
        instance: The instance, whose runs have precedence.
        standby: How many are kept ready of each blueprint.
        clock: Returns the current time in seconds since the epoch.
    """

    def __init__(
        self,
        pool: Pool,
        blueprints: Callable[[], Collection[Blueprint]],
        instance: dg.DagsterInstance,
        *,
        standby: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pool = pool
        self._blueprints = blueprints
        self._instance = instance
        self._standby = standby
        self._clock = clock
        self._counted: set[str] = set()
        self._missing_since_s: float | None = None
        self._deaths = 0
        self._pause_until_s = 0.0
        self._complaint = ""

    def run(self, ended: Event) -> None:
        """Keep them ready until an event is set; what goes wrong is logged once, and tried again.

        Args:
            ended: The event.
        """
        while not ended.is_set():
            try:
                is_complete = self.tend()
                self._complaint = ""
            except Exception as error:  # noqa: BLE001 - run workers on standby are a convenience: runs are launched anyway
                is_complete = True
                self._complain(f"Run workers on standby could not be looked after: {error}")
            ended.wait(_PERIOD_S if is_complete else _SHORT_PERIOD_S)

    def tend(self) -> bool:
        """Look after the run workers once.

        Returns:
            Whether as many are there as there should be, loading ones included.

        Raises:
            DrayageError: The engine does not answer, or cannot make one.
        """
        now_s = self._clock()
        wanted = {it.key: it for it in self._blueprints()}
        kept: dict[str, list[Worker]] = {key: [] for key in wanted}
        for worker in self._pool.workers():
            if self._is_fit(worker, kept.get(worker.key)):
                kept[worker.key].append(worker)
        self._notice_deaths({it.found.id for workers in kept.values() for it in workers})
        missing = [wanted[key] for key, workers in kept.items() if len(workers) < self._standby]
        if not missing:
            self._missing_since_s = None
            if all(now_s - it.found.created_at_s > _PROVEN_S for workers in kept.values() for it in workers):
                self._deaths = 0
            return True
        self._missing_since_s = self._missing_since_s or now_s
        if now_s < self._pause_until_s:
            return True
        if now_s - self._missing_since_s < _PATIENCE_S and self._is_run_starting(now_s):
            return False
        for blueprint in missing:
            self._make(blueprint)
        return False

    def _make(self, blueprint: Blueprint) -> None:
        try:
            made = self._pool.make(blueprint, self._standby)
        except DrayageError:
            self._pause()
            raise
        if made is not None:
            self._counted.add(made)
            _log.info("Run worker %s is made, to stand by for runs of image %s.", made[:12], blueprint.image)

    def _is_fit(self, worker: Worker, same: list[Worker] | None) -> bool:
        """Return whether a run worker may stay; one that may not is dismissed, and one with a run gets its name."""
        short_id = worker.found.short_id
        if worker.condition == "taken":
            self._pool.name_after_run(worker)
            self._counted.discard(worker.found.id)
            return False
        if worker.condition == "ended":
            self._counted.discard(worker.found.id)
            self._note_death(short_id, self._pool.remove(worker))
            return False
        if worker.condition == "loading":
            if self._clock() - worker.found.created_at_s < _LONGEST_LOADING_S:
                # One that is too old is dismissed when it can hear.
                return same is not None
            self._counted.discard(worker.found.id)
            said = self._pool.remove(worker)
            self._note_death(short_id, f"it had not loaded after {_LONGEST_LOADING_S:.0f} s. {said}")
            return False
        is_young = self._clock() - worker.found.created_at_s < _LONGEST_USE * STANDBY_S
        if same is not None and len(same) < self._standby and is_young:
            return True
        self._counted.discard(worker.found.id)
        if self._pool.dismiss(worker):
            reason = (
                "its image, definitions or settings are no longer current" if same is None else "it is one too many"
            )
            _log.info("Run worker %s is dismissed: %s.", short_id, reason if is_young else "it has waited long")
        return False

    def _notice_deaths(self, present: set[str]) -> None:
        """Notice run workers that are gone without a trace, as those are that the engine removes by itself."""
        gone = sorted(self._counted - present)
        with_runs = run_tags.containers_with_runs(self._instance, gone)
        for container_id in gone:
            if container_id not in with_runs:
                self._note_death(container_id[:12], "the engine removed it with its output")
        self._counted = set(present)

    def _note_death(self, short_id: str, said: str) -> None:
        _log.warning("Run worker %s on standby ended without a run: %s", short_id, said or "it said nothing")
        self._pause()

    def _pause(self) -> None:
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self._deaths)
        self._deaths += 1
        self._pause_until_s = self._clock() + pause_s

    def _is_run_starting(self, now_s: float) -> bool:
        """Return whether a run is on its way to its first steps, and needs the processors more."""
        statuses = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
        for record in self._instance.get_run_records(dg.RunsFilter(statuses=statuses)):
            if record.dagster_run.status == dg.DagsterRunStatus.STARTING:
                return True
            if record.start_time is None or now_s - record.start_time > _PATIENCE_S:
                continue
            began_s = launching.first_step_at_s(self._instance, record.dagster_run.run_id)
            if began_s is None or now_s - began_s < _HEAD_START_S:
                return True
        return False

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            _log.warning("%s", complaint)
        self._complaint = complaint
