"""Reads what Dagster has recorded of a step in a chain of runs that retry each other."""

from collections.abc import Collection, Iterable, Iterator

import dagster as dg

from drayage.dagster_internals import Context, DirectContext, continued_run, last_launch, record_launch, step_events
from drayage.exchange.directory import Attempt
from drayage.identity import Identity
from drayage.verdict.results import AlreadyLogged

_LONGEST_CHAIN = 64
_CLIENT = "drayage"


def record_attempt(context: Context, attempt: Attempt, *, call: int) -> None:
    """Record in Dagster's event log that the executing step launches, or adopts, the container of an attempt.

    Before the container is started: whenever the host is killed, a retry finds the container that may be at work.

    Args:
        context: Dagster's context of the executing step.
        attempt: The attempt.
        call: Number of the client's call within the step.
    """
    record_launch(context, _client_name(call), attempt.name)


class Lineage:
    """One call of the client in one step, in the chain of runs that ends with the executing run.

    Args:
        context: Dagster's context of the executing step.
        identity: The step and the call.
    """

    def __init__(self, context: Context, identity: Identity) -> None:
        self._context = context
        self._identity = identity

    def last_attempt(self) -> str | None:
        """Return the name of the attempt that this run, or one that it continues, was the last to launch or adopt.

        A retry from failure continues its parent; a run that does all steps again continues nothing.
        """
        if isinstance(self._context, DirectContext):
            return None
        run: dg.DagsterRun | None = self._context.run
        for _ in range(_LONGEST_CHAIN):
            if run is None:
                return None
            if name := last_launch(self._context, _client_name(self._identity.call), run):
                return name
            run = continued_run(self._context.instance, run)
        return None

    def may_take(self, owners: Iterable[str]) -> bool:
        """Return whether the executing run may adopt or remove a container.

        Args:
            owners: Ids of the runs that have owned the container.
        """
        return self.present_owner(owners) is None

    def present_owner(self, owners: Iterable[str]) -> str | None:
        """Return the id of the first run that may still follow a container; None if there is none.

        A run that Dagster does not know, or that it considers running, may have a host that still follows it.

        Args:
            owners: Ids of the runs that have owned the container.
        """
        for run_id in owners:
            if run_id != self._identity.run_id:
                run = self._context.instance.get_run_by_id(run_id)
                if run is None or not run.is_finished:
                    return run_id
        return None

    def is_open(self, owners: Collection[str], *, created_at_s: float, judged_at_s: float | None) -> bool:
        """Return whether Dagster still lacks the result of a container.

        Args:
            owners: Ids of the runs that have owned the container.
            created_at_s: When it was created, in seconds since the epoch.
            judged_at_s: Time of the green verdict, in seconds since the epoch; None if there is no verdict.
        """
        for at_s, event in self._events(owners, since_s=created_at_s):
            if event.event_type == dg.DagsterEventType.STEP_SUCCESS:
                return False
            # A step that failed after a green verdict failed in the asset's own code, so it starts over. A failure
            # before the verdict means that the host could not follow the container to its end.
            failed = event.event_type in {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.STEP_UP_FOR_RETRY}
            if failed and judged_at_s is not None and at_s > judged_at_s:
                return False
        return True

    def already_logged(self, owners: Collection[str], container_id: str, *, created_at_s: float) -> AlreadyLogged:
        """Return the results of a container that are in the event log.

        Args:
            owners: Ids of the runs that have owned it.
            container_id: Id of the container, which its materializations carry.
            created_at_s: When it was created, in seconds since the epoch.
        """
        logged = AlreadyLogged()
        for _, event in self._events(owners, since_s=created_at_s):
            if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
                if event.asset_key is not None and _container_id(event) == container_id:
                    logged.assets.add((event.asset_key, event.partition))
            elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                logged.checks.add(event.asset_check_evaluation_data.asset_check_key)
        return logged

    def _events(self, owners: Collection[str], *, since_s: float) -> Iterator[tuple[float, dg.DagsterEvent]]:
        """Yield the step's events, with their times, in every run that may have recorded a container's results.

        What is older than the container is about another one: an earlier attempt, or a run before an earlier retry.
        """
        for run_id in dict.fromkeys((*owners, *self._ancestors(), self._identity.run_id)):
            for at_s, event in step_events(self._context.instance, run_id, self._identity.step):
                if at_s >= since_s:
                    yield at_s, event

    def _ancestors(self) -> Iterator[str]:
        """Yield the ids of the runs that the executing run retries, latest first."""
        run = self._context.run
        for _ in range(_LONGEST_CHAIN):
            if run.parent_run_id is None:
                return
            yield run.parent_run_id
            parent = self._context.instance.get_run_by_id(run.parent_run_id)
            if parent is None:
                return
            run = parent


def _client_name(call: int) -> str:
    """Return the name under which a call is recorded: Dagster finds the last launch of each name."""
    return _CLIENT if call == 0 else f"{_CLIENT}, call {call + 1}"


def _container_id(event: dg.DagsterEvent) -> object:
    value = event.step_materialization_data.materialization.metadata.get("container_id")
    return None if value is None else value.value
