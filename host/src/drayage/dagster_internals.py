"""The only place that touches what Dagster does not call public, and why each piece is needed.

- The executing step's key is half of a container's identity, and no public property tells it; nor which steps come
  after it in this process.
- Metadata in custom messages has the wire form of Pipes' own; only Pipes' handler knows how to read it.
- A check's output name, and the mark on an output that logs no event: a retry that adopts a container must hand
  Dagster every output again without recording a materialization or a check twice.
- What a code server found out while it loaded (the images' ids, say), its run workers get as it was then through
  ``StateBackedDefinitionsLoader``: a worker's definitions are those that the run was planned with.
- A run over a range of partitions is known by two tags, which have no public names.
- ``PipesClient._is_dagster_maintained`` is overridden in ``client.py``: Dagster's telemetry asks for it.

``tests/drayage/test_dagster_internals.py`` fails by name when Dagster moves one of them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions import definitions_load_context as load_context
from dagster._core.definitions.metadata import metadata_map_from_external
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

Context = dg.OpExecutionContext | dg.AssetExecutionContext

RANGE_TAGS = (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
"""First and last partition of a run over several, as Dagster tags it."""


def partition_range(tags: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the first and the last partition of a run over a range of partitions.

    Args:
        tags: The tags of the run.

    Returns:
        The two partition keys; None if the run is not over a range.
    """
    first, last = (tags.get(tag) for tag in RANGE_TAGS)
    return None if first is None or last is None else (first, last)


class StateBackedDefinitionsLoader(load_context.StateBackedDefinitionsLoader[load_context.TState]):
    """Builds definitions from a state that the code server fetches once.

    Run workers build theirs from the state as the code server fetched it, even if its source has changed since: a
    run's definitions are those that it was planned with. A subclass defines ``defs_key`` (a name for the state, unique
    in the code location), ``fetch_state()`` and ``defs_from_state(state)``; ``build_defs()`` returns the definitions.

    *Source*: ``StateBackedDefinitionsLoader`` of Dagster 1.13, which Dagster does not export.
    """


def op_context(context: Context) -> dg.OpExecutionContext:
    """The op's context behind an asset's; the context itself if it is one."""
    return context.op_execution_context if isinstance(context, dg.AssetExecutionContext) else context


def step_context(context: Context) -> Any:
    """Dagster's own object of the executing step; the same one throughout an attempt."""
    return op_context(context).get_step_execution_context()


def step_key(context: Context) -> str:
    """The key of the executing step."""
    return str(step_context(context).step.key)


def later_steps(context: Context) -> list[str]:
    """The keys of the steps that this process is to execute after the executing one, in the plan's order."""
    executing = step_context(context)
    keys = [str(step.key) for step in executing.execution_plan.get_steps_to_execute_in_topo_order()]
    return keys[keys.index(str(executing.step.key)) + 1 :]


def op_tags(context: Context) -> Mapping[str, str]:
    """The tags of the executing op, which ``op_tags`` of an asset sets."""
    return dict(op_context(context).op.tags)


def metadata_from_pipes(metadata: Mapping[str, Any]) -> dict[str, dg.MetadataValue]:
    """Read metadata in Pipes' wire form.

    Args:
        metadata: Plain values, or objects with ``raw_value`` and ``type``.
    """
    typed = {
        name: value
        if isinstance(value, Mapping) and set(value) == {"raw_value", "type"}
        else {"raw_value": value, "type": "json" if isinstance(value, Mapping | list) else "__infer__"}
        for name, value in metadata.items()
    }
    return dict(metadata_map_from_external(typed))  # type: ignore[arg-type]  # the TypedDict's literal types


def silent_materialization(asset_key: dg.AssetKey) -> dg.MaterializeResult[Any]:
    """A result that satisfies Dagster's output of an asset and logs no materialization."""
    return dg.MaterializeResult(asset_key, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def silent_check(context: Context, key: dg.AssetCheckKey) -> dg.Output[None] | None:
    """An output that satisfies Dagster's output of a check and logs no evaluation; None if none is expected."""
    name = step_context(context).job_def.asset_layer.get_op_output_name(key)
    return None if name is None else dg.Output(None, output_name=name)


def step_events(instance: dg.DagsterInstance, run_id: str, step: str) -> Iterator[tuple[float, dg.DagsterEvent]]:
    """What a run recorded for a step, each with its time in seconds since the epoch.

    Args:
        instance: Dagster's instance.
        run_id: The run.
        step: The step key.
    """
    wanted = {
        dg.DagsterEventType.STEP_SUCCESS,
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.STEP_UP_FOR_RETRY,
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    }
    for entry in instance.all_logs(run_id, of_type=wanted):
        if entry.dagster_event is not None and entry.dagster_event.step_key == step:
            yield entry.timestamp, entry.dagster_event
