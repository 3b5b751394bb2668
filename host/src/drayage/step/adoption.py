"""Finds the container that an interrupted run left behind, running or finished, so that its retry can adopt it.

A retry after the host died must not start the same work a second time. Dagster's event log decides what has been
logged already; the exchange directory decides what has been judged.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from drayage.dagster_internals import metadata_from_pipes
from drayage.engine import ContainerState, Engine
from drayage.exchange.directory import Attempt, Exchange
from drayage.exchange.record import ContainerRecord, VerdictRecord
from drayage.identity import EXCHANGE, RUN, slug
from drayage.request import StepRequest
from drayage.step.lineage import Lineage
from drayage.verdict.results import AlreadyLogged


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
    """

    attempt: Attempt
    state: ContainerState
    finished: bool
    already_logged: AlreadyLogged
    created_at_s: float
    measures: Mapping[str, dg.MetadataValue]


def find_adoptable(
    request: StepRequest, *, engine: Engine, exchange: Exchange, fingerprint: str, standby_id: str | None
) -> Adopted | None:
    """Find a container that an earlier run in this chain of retries left for the same step.

    Remove containers of the step that cannot be adopted: those that never got a context, have failed since, or were
    started for another request.

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
    identity, log = request.identity, request.context.log
    lineage = Lineage(request.context, identity.step)
    found = [engine.state(it.id) for it in engine.find(identity.lineage_labels()) if it.id != standby_id]
    for state in sorted(found, key=lambda state: -state.started_at_s):
        if state.status == "gone":
            continue
        attempt, run_id = exchange.open(state.labels.get(EXCHANGE, "")), state.labels[RUN]
        if attempt is None and state.status == "created":
            # It was created to hold secrets, or its directory is gone: it will never be started.
            engine.remove(state.id)
        if attempt is None or not _is_open(lineage, run_id, VerdictRecord.read(attempt)):
            continue
        obstacle = _adoption_obstacle(state, attempt, fingerprint)
        if obstacle is None:
            log.info("adopting container %s, which run %s started", state.short_id, run_id)
            return _adopted(lineage, attempt, state, finished=False)
        log.warning("container %s of run %s is not adopted: %s", state.short_id, run_id, obstacle)
        engine.remove(state.id)
        VerdictRecord(green=False, judged_at_s=time.time(), reasons=(f"not adopted: {obstacle}",)).write(attempt)
    finished = _find_finished(lineage, exchange, slug(identity.step), call=identity.call, fingerprint=fingerprint)
    if finished is not None:
        log.info("adopting the finished work of container %s", finished.state.short_id)
    return finished


def _adoption_obstacle(state: ContainerState, attempt: Attempt, fingerprint: str) -> str | None:
    if state.status == "created":
        return "it was never started"
    if attempt.awaits_context:
        return "it was on standby, and its step never started"
    record = ContainerRecord.read(attempt)
    if record is None or record.fingerprint != fingerprint:
        return "the step's image, command, extras, environment or partition has changed since"
    if state.ended and state.exit_code != 0:
        return f"it has failed since, with exit code {state.exit_code}"
    return None


def _is_open(lineage: Lineage, run_id: str, verdict: VerdictRecord | None) -> bool:
    """Return whether a container's result is still wanted: it is not red, and Dagster does not have it yet."""
    if verdict is not None and not verdict.green:
        return False
    return lineage.is_open(run_id, judged_at_s=verdict.judged_at_s if verdict else None)


def _find_finished(
    lineage: Lineage, exchange: Exchange, step_folder: str, *, call: int, fingerprint: str
) -> Adopted | None:
    """Find an attempt that was judged green and whose container was removed before Dagster recorded the result."""
    for run_id in lineage.earlier_runs():
        for path in sorted((exchange.root / run_id / step_folder).glob("*")):
            attempt = exchange.open(str(path.relative_to(exchange.root)))
            record = ContainerRecord.read(attempt) if attempt else None
            verdict = VerdictRecord.read(attempt) if attempt else None
            if attempt is None or record is None or verdict is None or verdict.state is None:
                continue
            same = record.fingerprint == fingerprint and record.identity.call == call
            if same and _is_open(lineage, run_id, verdict):
                return _adopted(lineage, attempt, verdict.state, finished=True)
    return None


def _adopted(lineage: Lineage, attempt: Attempt, state: ContainerState, *, finished: bool) -> Adopted:
    record, verdict = ContainerRecord.read(attempt), VerdictRecord.read(attempt)
    return Adopted(
        attempt=attempt,
        state=state,
        finished=finished,
        already_logged=lineage.already_logged(state.labels[RUN], state.id),
        created_at_s=record.created_at_s if record else state.started_at_s,
        measures=metadata_from_pipes(verdict.measures if verdict else {}),
    )
