"""Reads what Dagster has logged of a step in a chain of runs that retry each other."""

from collections.abc import Iterator

import dagster as dg

from drayage.dagster_internals import Context, step_events
from drayage.verdict.results import AlreadyLogged

_LONGEST_CHAIN = 64


class Lineage:
    """One step in the chain of runs that ends with the executing run.

    Args:
        context: Dagster's context of the executing step.
        step: The step key.
    """

    def __init__(self, context: Context, step: str) -> None:
        self._context = context
        self._step = step

    def earlier_runs(self) -> Iterator[str]:
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

    def is_open(self, run_id: str, *, judged_at_s: float | None) -> bool:
        """Return whether Dagster still lacks the result of a container.

        Args:
            run_id: Id of the run that started the container.
            judged_at_s: Time of the green verdict, in seconds since the epoch; None if there is no verdict.
        """
        for at_s, event in self._events_since(run_id):
            if event.event_type == dg.DagsterEventType.STEP_SUCCESS:
                return False
            # A step that failed after a green verdict failed in the asset's own code, so it starts over. A failure
            # before the verdict means that the host could not follow the container to its end.
            failed = event.event_type in {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.STEP_UP_FOR_RETRY}
            if failed and judged_at_s is not None and at_s > judged_at_s:
                return False
        return True

    def already_logged(self, run_id: str, container_id: str) -> AlreadyLogged:
        """Return the results of a container that are in the event log.

        Args:
            run_id: Id of the run that started the container.
            container_id: Id of the container.
        """
        assets, checks = set(), set()
        for _, event in self._events_since(run_id):
            if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
                if event.asset_key is not None and _container_id(event) == container_id:
                    assets.add(event.asset_key)
            elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                checks.add(event.asset_check_evaluation_data.asset_check_key)
        return AlreadyLogged(frozenset(assets), frozenset(checks))

    def _events_since(self, run_id: str) -> Iterator[tuple[float, dg.DagsterEvent]]:
        """Yield the step's events, with their times, in a run and in every retry of it.

        A retry that adopted the container may have died as well, after it had logged some of the results.
        """
        for run in dict.fromkeys((run_id, *self.earlier_runs(), self._context.run.run_id)):
            yield from step_events(self._context.instance, run, self._step)


def _container_id(event: dg.DagsterEvent) -> object:
    value = event.step_materialization_data.materialization.metadata.get("container_id")
    return None if value is None else value.value
