"""Finds the container that an interrupted run left behind, running or finished, so that its retry can adopt it.

A retry after the host died must not start the same work a second time. Four records decide, each about one thing:

- Dagster's event log says which attempt the step launched last, in this run or in one that it continues. A run that
  does all steps again continues none, so it adopts nothing.
- The attempt's file of owners, and Dagster's record of these runs, say whether another run may still follow the
  container, and the lock on that file whether another process does (``exchange/owner_lock.py``). Such a container is
  left alone: it is neither adopted nor removed.
- The exchange directory says whether the container has been judged, and what it was made for.
- Dagster's event log says which of its results are recorded.

Whatever else runs for the step, for runs that have ended, is removed: its work would meet that of the new container.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from drayage.dagster_internals import metadata_from_pipes
from drayage.engine import ContainerState, Engine, Found
from drayage.exchange.directory import Attempt, Exchange
from drayage.exchange.owner_lock import OwnerLock, lock_attempt
from drayage.exchange.record import ContainerRecord, VerdictRecord
from drayage.identity import EXCHANGE, RUN, slug
from drayage.request import StepRequest
from drayage.step.lineage import Lineage
from drayage.verdict.results import AlreadyLogged

_STOOD_BY = "it was on standby, and its step never started"
_NEVER_STARTED = "it was never started"
_CHANGED = "what the container is made of, or what its step asks for, has changed since"


@dataclass(frozen=True)
class Adopted:
    """A container that a retry adopts, or what is left of one.

    Args:
        attempt: The container's exchange directory.
        state: State of the container; its last state, if it has been removed.
        finished: Whether the container has been removed: it was judged green, and the host died before Dagster knew.
        already_logged: Results that must not be logged again.
        created_at_s: Time of creation, in seconds since the epoch.
        measures: The numbers that were recorded with its verdict, if it has one.
        lock: The lock on the attempt, which this process holds.
    """

    attempt: Attempt
    state: ContainerState
    finished: bool
    already_logged: AlreadyLogged
    created_at_s: float
    measures: Mapping[str, dg.MetadataValue]
    lock: OwnerLock


def find_adoptable(
    request: StepRequest, *, engine: Engine, exchange: Exchange, fingerprint: str, standby_id: str | None
) -> Adopted | None:
    """Find the container that this run, or a run that it continues, left for the same step, and take it over.

    Remove containers of the step that cannot be adopted and that no other run may follow: those that never got a
    context, have failed since, were started for another request, or belong to a run that this one does not continue.

    Args:
        request: What the step asks for now.
        engine: The engine that runs the containers.
        exchange: The root of their exchange directories.
        fingerprint: Fingerprint of the request.
        standby_id: Id of the container on standby for the step in this process, if there is one; it is left alone.

    Returns:
        The container to adopt; None if there is none.

    Raises:
        DrayageError: The engine does not answer, or a record cannot be read.
    """
    identity = request.identity
    lineage = Lineage(request.context, identity)
    found = [each for each in engine.find(identity.lineage_labels()) if each.id != standby_id]
    has_begun = (exchange.root / identity.run_id / slug(identity.step)).exists()
    # Most steps are new: for them, Dagster's log need not be read.
    last = lineage.last_attempt() if found or has_begun or request.context.run.parent_run_id else None
    search = _Search(request, engine, lineage, fingerprint)
    left: Found | None = None
    for each in found:
        if last is not None and each.labels.get(EXCHANGE) == last:
            left = each
        else:
            search.remove(exchange.open(each.labels.get(EXCHANGE, "")), each)
    attempt = exchange.open(last) if last is not None else None
    return None if attempt is None else search.take(attempt, left)


class _Search:
    """Decides about the containers that earlier attempts at a step left.

    Args:
        request: What the step asks for now.
        engine: The engine that runs the containers.
        lineage: What Dagster has recorded of the step.
        fingerprint: Fingerprint of the request.
    """

    def __init__(self, request: StepRequest, engine: Engine, lineage: Lineage, fingerprint: str) -> None:
        self._run_id = request.identity.run_id
        self._secrets = request.secrets
        self._log = request.context.log
        self._engine = engine
        self._lineage = lineage
        self._fingerprint = fingerprint

    def take(self, attempt: Attempt, found: Found | None) -> Adopted | None:
        """Take an attempt over, if its container can be adopted; remove the container if it never can be.

        Args:
            attempt: The attempt.
            found: Its container; None if it has been removed.
        """
        lock = self._lock(attempt)
        if lock is None:
            return None
        adopted = None
        try:
            # Another run may have removed the container before the lock was taken.
            state = None if found is None else self._present(found.id)
            adopted = self._take_locked(attempt, lock, state)
        finally:
            if adopted is None:
                lock.release()
        return adopted

    def remove(self, attempt: Attempt | None, found: Found) -> None:
        """Remove a container that this run does not continue, unless it is kept, or another run may follow it."""
        if attempt is None:
            # It was created to hold secrets, or its directory is gone: nothing can follow it.
            if found.status != "ended" and self._lineage.may_take([found.labels[RUN]]):
                self._engine.remove(found.id)
            return
        lock = self._lock(attempt)
        if lock is None:
            return
        try:
            if VerdictRecord.read(attempt) is None:
                self._refuse(
                    attempt, found, _STOOD_BY if attempt.awaits_context else f"run {self._run_id} does not continue it"
                )
        finally:
            lock.release()

    def _take_locked(self, attempt: Attempt, lock: OwnerLock, state: ContainerState | None) -> Adopted | None:
        record, verdict = ContainerRecord.read(attempt), VerdictRecord.read(attempt)
        created_at_s = record.created_at_s if record else 0.0
        owners = lock.owners()
        if not _is_open(self._lineage, owners, created_at_s, verdict):
            return None
        if state is not None:
            obstacle = self._obstacle(state, attempt, record)
            if obstacle is not None:
                self._refuse(attempt, state, obstacle)
                return None
            self._log.info("adopting container %s, which run %s started", state.short_id, owners[0])
            left = state
        elif verdict is not None and verdict.state is not None and self._is_same(record):
            # It was judged green, and removed before Dagster recorded the result.
            left = verdict.state
            self._log.info("adopting the finished work of container %s", left.short_id)
        else:
            return None
        lock.add_owner(self._run_id)
        return Adopted(
            attempt=attempt,
            state=left,
            finished=state is None,
            already_logged=self._lineage.already_logged(owners, left.id, created_at_s=created_at_s),
            created_at_s=created_at_s,
            measures=metadata_from_pipes(verdict.measures if verdict else {}),
            lock=lock,
        )

    def _lock(self, attempt: Attempt) -> OwnerLock | None:
        """Lock an attempt; None if it is another run's, or another process's."""
        lock = lock_attempt(attempt)
        reason = "another process follows it"
        if lock is not None:
            owner = self._lineage.present_owner(lock.owners())
            if owner is None:
                return lock
            reason = f"run {owner} has not ended"
            lock.release()
        self._log.info("the container of %s is left alone: %s", attempt.name, reason)
        return None

    def _present(self, container_id: str) -> ContainerState | None:
        state = self._engine.state(container_id)
        return None if state.status == "gone" else state

    def _obstacle(self, state: ContainerState, attempt: Attempt, record: ContainerRecord | None) -> str | None:
        if attempt.awaits_context:
            return _STOOD_BY
        if not self._is_same(record):
            return _CHANGED if record else _NEVER_STARTED
        if state.ended and state.exit_code != 0:
            return f"it has failed since, with exit code {state.exit_code}"
        if state.status == "created" and not self._engine.finish_start(
            state.id, secrets=self._secrets, context=attempt.read_context()
        ):
            return _NEVER_STARTED
        return None

    def _is_same(self, record: ContainerRecord | None) -> bool:
        return record is not None and record.fingerprint == self._fingerprint

    def _refuse(self, attempt: Attempt, found: Found | ContainerState, obstacle: str) -> None:
        self._log.warning("container %s of %s is not adopted: %s", found.short_id, attempt.name, obstacle)
        self._engine.remove(found.id)
        VerdictRecord(green=False, judged_at_s=time.time(), reasons=(f"not adopted: {obstacle}",)).write(attempt)


def _is_open(lineage: Lineage, owners: tuple[str, ...], created_at_s: float, verdict: VerdictRecord | None) -> bool:
    """Return whether a container's result is still wanted: it is not red, and Dagster does not have it yet."""
    if verdict is not None and not verdict.green:
        return False
    judged_at_s = verdict.judged_at_s if verdict else None
    return lineage.is_open(owners, created_at_s=created_at_s, judged_at_s=judged_at_s)
