"""A step's context shares nothing with those of other steps that changes while they are executed."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import dagster as dg
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.state import KnownExecutionState

from drayage.dagster_internals import runs


class State(NamedTuple):
    ready_outputs: set[str]


def test_the_ready_outputs_of_a_step_are_those_when_it_started() -> None:
    """Dagster gives out the set that it changes, and a step that reads it meanwhile would fail."""
    ready, seen = {"a"}, []

    def for_step(_step: Any, state: State) -> Any:
        seen.append(state)
        return SimpleNamespace(log=SimpleNamespace())

    active: Any = SimpleNamespace(get_known_state=lambda: State(ready))
    job_context: Any = SimpleNamespace(for_step=for_step)
    context = runs.prepare_step(job_context, active, None)  # type: ignore[arg-type]
    context._event_loop.close()  # noqa: SLF001 - what prepare_step has set
    ready.add("b")
    assert seen == [State({"a"})]


def test_dagsters_state_still_has_what_is_copied() -> None:
    assert "ready_outputs" in KnownExecutionState._fields
    assert hasattr(ActiveExecution, "get_known_state")
    assert issubclass(dg.DagsterExecutionInterruptedError, BaseException)
