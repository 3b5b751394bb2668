"""Finds what an interrupted run left behind: a container, running or finished meanwhile, that nobody judged.

A retry after the host died must not start the work a second time. The event log is the arbiter of what was
recorded; the exchange directory, of what was judged.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from drayage.dagster_internals import metadata_from_pipes, step_events
from drayage.engine import ContainerState, Engine, remove_container
from drayage.exchange.directory import Attempt, Exchange
from drayage.exchange.record import ContainerRecord, VerdictRecord
from drayage.identity import EXCHANGE, RUN, slug
from drayage.request import StepRequest
from drayage.verdict.results import AlreadyLogged

_LONGEST_CHAIN = 64


@dataclass(frozen=True)
class Adopted:
    """A container, or what is left of one, that a retry takes over.

    Args:
        attempt: Its exchange directory.
        state: The container; as it ended, if it is removed already.
        removed: Whether the container is removed already: it was judged green, and Dagster died before it knew.
        already_logged: What must not be logged again.
        created_at_s: When it was created, in seconds since the epoch.
        measures: The numbers that were recorded with its verdict, if it has one.
    """

    attempt: Attempt
    state: ContainerState
    removed: bool
    already_logged: AlreadyLogged
    created_at_s: float
    measures: Mapping[str, dg.MetadataValue]


def find_adoptable(
    request: StepRequest, *, engine: Engine, exchange: Exchange, fingerprint: str, standby_id: str | None
) -> Adopted | None:
    """Look for a container of the same step in this run's chain of retries that nobody judged.

    Containers of the step that are of no use any more (never given a context, failed meanwhile, or started for
    another request) are removed on the way.

    Args:
        request: What the step asks for now.
        engine: Where containers run.
        exchange: Where their exchange directories are.
        fingerprint: Of what the step asks for now.
        standby_id: The container that stands by for the step in this process, if there is one; it is left alone.
    """
    identity, log = request.identity, request.context.log
    for state in sorted(engine.find(identity.lineage_labels()), key=lambda found: -found.started_at_s):
        if state.id == standby_id:
            continue
        attempt = exchange.open(state.labels.get(EXCHANGE, ""))
        if attempt is None and state.status == "created":
            # It was made to hold secrets, or its directory is gone: no one will ever start it.
            remove_container(engine, state.labels, state.id)
        if attempt is None or not _is_open(request, attempt, state.labels[RUN]):
            continue
        reason = _adoption_obstacle(state, attempt, fingerprint)
        if reason is None:
            log.info("adopting container %s, which run %s started", state.short_id, state.labels[RUN])
            return _adopted(request, attempt, state, removed=False)
        log.warning("container %s of run %s is not adopted: %s", state.short_id, state.labels[RUN], reason)
        remove_container(engine, state.labels, state.id)
        VerdictRecord(green=False, judged_at_s=time.time(), reasons=(f"not adopted: {reason}",)).write(attempt)
    return _find_judged(request, exchange, fingerprint)


def _adoption_obstacle(state: ContainerState, attempt: Attempt, fingerprint: str) -> str | None:
    if state.status == "created":
        return "it was never started"
    if attempt.awaits_context:
        return "it stood by, and its step never began"
    record = ContainerRecord.read(attempt)
    if record is None or record.fingerprint != fingerprint:
        return "image, command, extras, environment or partition have changed since"
    if state.ended and state.exit_code != 0:
        return f"it failed meanwhile with exit code {state.exit_code}"
    return None


def _is_open(request: StepRequest, attempt: Attempt, run_id: str) -> bool:
    """Whether Dagster still waits for what came out of an attempt."""
    verdict = VerdictRecord.read(attempt)
    if verdict is not None and not verdict.green:
        return False
    for at_s, event in _events_since(request, run_id):
        if event.event_type == dg.DagsterEventType.STEP_SUCCESS:
            return False
        # Judged green, and the step failed afterwards: the asset's own code did, so the step runs afresh. A failure
        # before the judgement is that of a host which could not follow the container to its end.
        failed = event.event_type in {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.STEP_UP_FOR_RETRY}
        if failed and verdict is not None and at_s > verdict.judged_at_s:
            return False
    return True


def _find_judged(request: StepRequest, exchange: Exchange, fingerprint: str) -> Adopted | None:
    """Look for an attempt that was judged green, and whose container is removed, but that Dagster never heard of."""
    for run_id in _earlier_runs(request):
        step = exchange.root / run_id / slug(request.identity.step)
        for path in sorted(step.glob("*")) if step.is_dir() else ():
            attempt = exchange.open(str(path.relative_to(exchange.root)))
            record = ContainerRecord.read(attempt) if attempt else None
            verdict = VerdictRecord.read(attempt) if attempt else None
            if attempt is None or record is None or verdict is None or verdict.state is None:
                continue
            same = record.fingerprint == fingerprint and record.identity.call == request.identity.call
            if same and _is_open(request, attempt, run_id):
                request.context.log.info("adopting the finished work of container %s", verdict.state.short_id)
                return _adopted(request, attempt, verdict.state, removed=True)
    return None


def _earlier_runs(request: StepRequest) -> Iterator[str]:
    """The runs that this one retries, latest first."""
    run = request.context.run
    for _ in range(_LONGEST_CHAIN):
        if run.parent_run_id is None:
            return
        yield run.parent_run_id
        parent = request.context.instance.get_run_by_id(run.parent_run_id)
        if parent is None:
            return
        run = parent


def _adopted(request: StepRequest, attempt: Attempt, state: ContainerState, *, removed: bool) -> Adopted:
    record, verdict = ContainerRecord.read(attempt), VerdictRecord.read(attempt)
    assets, checks = set(), set()
    for _, event in _events_since(request, state.labels[RUN]):
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            if event.asset_key is not None and _container_of(event) == state.id:
                assets.add(event.asset_key)
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            checks.add(evaluation.asset_check_key)
    return Adopted(
        attempt,
        state,
        removed,
        AlreadyLogged(frozenset(assets), frozenset(checks)),
        record.created_at_s if record else state.started_at_s,
        metadata_from_pipes(verdict.measures if verdict else {}),
    )


def _events_since(request: StepRequest, run_id: str) -> Iterator[tuple[float, dg.DagsterEvent]]:
    """What was recorded of the step since a run started its container.

    By that run and by all that retried it: a retry that adopted the container may have died too, after it had
    recorded a part of the results.
    """
    runs = dict.fromkeys((run_id, *_earlier_runs(request), request.identity.run_id))
    for run in runs:
        yield from step_events(request.context.instance, run, request.identity.step)


def _container_of(event: dg.DagsterEvent) -> Any:
    metadata = event.step_materialization_data.materialization.metadata
    value = metadata.get("container_id")
    return None if value is None else value.value
