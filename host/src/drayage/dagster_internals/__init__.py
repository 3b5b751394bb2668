"""Holds every use of Dagster's non-public API, and says why each is needed; ``runs`` holds what the executor needs.

- The executing step's key is half of a container's identity. No public property returns it, or the steps that come
  after it in its run. Code that is called directly, without a run, has neither: a stand-in completes its context.
- Metadata in custom messages has the same wire form as Pipes' own, which only Pipes' handler can read.
- Dagster also records checks that a run did not select; all that a step declares have no public name.
- A check's output name, and the marker for an output that logs no event: a retry that adopts a container must give
  Dagster every output again without recording a materialization or a check twice.
- ``StateBackedDefinitionsLoader`` passes what a code server found out while loading (the images' ids, say) to its run
  workers, so that a worker's definitions are those with which the run was planned.
- Of a materialization over several partitions, of which an interrupted run recorded some, the others' events are made
  by Dagster's own function, since Dagster itself records all or none.
- A run over a range of partitions is identified by two tags that have no public names.
- Log messages are stored one at a time, at most some hundreds a second; tens of thousands may come at once.
- Dagster's own record of what a Pipes client launched (``dagster/_core/pipes/reattach.py``) tells a retry from failure
  which container its step had last. The tags of such a retry have no public names, and one that ``execute_job`` makes
  has none: its plan takes over the state of its parent.
- No public property identifies an instance, or says in which folder the compute logs are.
- ``PipesClient._is_dagster_maintained`` is overridden in ``client.py``, because Dagster's telemetry reads it.

``tests/drayage/test_dagster_internals.py`` fails by name if Dagster moves one of them.
"""

import logging
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg
from dagster._core.definitions import definitions_load_context as load_context
from dagster._core.definitions.assets.definition.asset_spec import AssetExecutionType
from dagster._core.definitions.metadata import metadata_map_from_external
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.execution.context.invocation import BaseDirectExecutionContext
from dagster._core.execution.plan.execute_step import _get_output_asset_events
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.instance.types import _EventListenerLogHandler
from dagster._core.log_manager import DagsterLogHandler, DagsterLogManager
from dagster._core.pipes import reattach
from dagster._core.storage import tags as storage_tags
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from dagster._core.utils import coerce_valid_log_level

Context = dg.OpExecutionContext | dg.AssetExecutionContext
AnyContext = Context | dg.AssetCheckExecutionContext

_INSTANCE_KEY = "drayage/instance"
_instance_ids: WeakKeyDictionary[dg.DagsterInstance, str] = WeakKeyDictionary()

RANGE_TAGS = (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
"""The tags with which Dagster marks the first and last partition of a run over several partitions."""
FROM_FAILURE_TAGS = (storage_tags.RESUME_RETRY_TAG, storage_tags.ASSET_RESUME_RETRY_TAG)
"""The tags of a retry that skips what has succeeded, of which one is ``true``."""


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


def executing(context: AnyContext) -> Context:
    """Return the context that a step runs with.

    Args:
        context: Dagster's context of the executing op, asset or check, or one that ``build_asset_context()`` and
            similar functions made for code that is called directly.

    Returns:
        The context of an op or asset. Called directly, code has no run: the context then stands for a run of its own,
        of which Dagster knows nothing, so that two such calls never share a container.

    Raises:
        TypeError: It is not a context of Dagster's.
    """
    known = (dg.OpExecutionContext, dg.AssetExecutionContext, dg.AssetCheckExecutionContext)
    if not isinstance(context, known):
        raise TypeError(f"expected the context of an op, an asset or an asset check, got {context!r}")
    inner = context.op_execution_context if isinstance(context, dg.AssetCheckExecutionContext) else context
    if isinstance(inner, BaseDirectExecutionContext):
        # It stands for such a context wherever one is asked for, and binds no further calls, which is what is abstract.
        return DirectContext(inner)  # type: ignore[abstract,return-value]
    return inner


class DirectContext(BaseDirectExecutionContext):
    """Completes the context of code that is called directly with what only a run has.

    Args:
        context: The context that ``build_asset_context()`` or ``build_op_context()`` made.
    """

    retry_number = 0

    def __init__(self, context: Any) -> None:
        self._context = context
        self.run = dg.DagsterRun(
            job_name=context.op_def.name, run_id=str(uuid.uuid4()), tags=dict(op_context(context).run_tags)
        )

    def __getattr__(self, name: str) -> Any:
        """Return whatever else the context has."""
        return getattr(self._context, name)

    def get_step_execution_context(self) -> Any:
        """Return what Dagster's own Pipes session asks of a step: how its run is partitioned."""
        return SimpleNamespace(
            run_partitions_def=self._context.assets_def.partitions_def if self._context.has_assets_def else None
        )


def op_context(context: Context) -> dg.OpExecutionContext:
    """Return the op context behind an asset context; an op context is returned unchanged."""
    return context.op_execution_context if isinstance(context, dg.AssetExecutionContext) else context


def call_owner(context: Context) -> Any:
    """Return an object that lives as long as the attempt whose calls of the client are counted."""
    return context if isinstance(context, DirectContext) else step_context(context)


def step_context(context: Context) -> Any:
    """Return Dagster's own object for the executing step, the same one throughout an attempt."""
    return op_context(context).get_step_execution_context()


def step_key(context: Context) -> str:
    """Return the key of the executing step."""
    if isinstance(context, DirectContext):
        return str(context.op_def.name)
    return str(step_context(context).step.key)


def next_steps(context: Context) -> list[list[str]]:
    """Return the keys of the steps that follow the current one whatever else the run does.

    Returns:
        The steps that become ready when the current one ends; if it is one step, those that become ready when that one
        ends too, and so on. Only the last list can hold several. A step that waits for others besides is in none.
    """
    if isinstance(context, DirectContext):
        return []
    executing_step = step_context(context)
    plan, key = executing_step.execution_plan, str(executing_step.step.key)
    # Copies: the executor adds the steps of a dynamic output meanwhile.
    planned = {handle.to_key() for handle in list(plan.step_handles_to_execute)}
    needed = {
        str(step.key): step.get_execution_dependency_keys() & planned
        for step in list(plan.step_dict.values())
        if isinstance(step, ExecutionStep) and step.key in planned
    }
    found: list[list[str]] = []
    while True:
        done = _with_all_above(key, needed)
        ready = [step for step, above in needed.items() if key in above and above <= done]
        if ready:
            found.append(ready)
        if len(ready) != 1:
            return found
        (key,) = ready


def _with_all_above(key: str, needed: Mapping[str, Collection[str]]) -> set[str]:
    """Return a step and all steps above it."""
    found: set[str] = set()
    left = [key]
    while left:
        step = left.pop()
        if step not in found:
            found.add(step)
            left += needed.get(step, ())
    return found


def declared_checks(context: Context) -> set[dg.AssetCheckKey]:
    """Return the checks that Dagster takes from the executing step, those that the run did not select included."""
    return {spec.key for spec in context.assets_def.node_check_specs_by_output_name.values()}


def op_tags(context: Context) -> Mapping[str, str]:
    """Return the tags of the executing op, which an asset's ``op_tags`` set."""
    if isinstance(context, DirectContext):
        return dict(context.op_def.tags)
    return dict(op_context(context).op.tags)


def metadata_from_pipes(metadata: Mapping[str, Any]) -> dict[str, dg.MetadataValue]:
    """Convert metadata from Pipes' wire form.

    Args:
        metadata: Plain values, or objects with ``raw_value`` and ``type``, by name.

    Returns:
        Dagster's metadata values, by name.
    """
    typed = {
        name: value
        if isinstance(value, Mapping) and set(value) == {"raw_value", "type"}
        else {"raw_value": value, "type": "json" if isinstance(value, Mapping | list) else "__infer__"}
        for name, value in metadata.items()
    }
    return dict(metadata_map_from_external(typed))  # type: ignore[arg-type]  # the TypedDict's literal types


def silent_materialization(asset_key: dg.AssetKey) -> dg.MaterializeResult[Any]:
    """Return a result that satisfies an asset's output without logging a materialization."""
    return dg.MaterializeResult(asset_key, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def partitions_of(context: Context, asset_key: dg.AssetKey) -> Sequence[str]:
    """Return the partitions of an asset that the executing step makes; empty if it has none."""
    name = context.assets_def.get_output_name_for_asset_key(asset_key)
    has_partitions = step_context(context).has_asset_partitions_for_output(name)
    return op_context(context).asset_partition_keys_for_output(name) if has_partitions else ()


def log_materializations(
    context: Context, result: dg.MaterializeResult[Any], asset_key: dg.AssetKey, partitions: Collection[str]
) -> None:
    """Log the materializations of some of a result's partitions, as Dagster does for all when it gets the result."""
    step, name = step_context(context), context.assets_def.get_output_name_for_asset_key(asset_key)
    output = dg.Output(
        None,
        output_name=name,
        metadata={**(result.metadata or {}), **(step.get_output_metadata(name) or {})},
        data_version=result.data_version,
        tags=result.tags,
    )
    output_def = step.op_def.output_def_named(name)
    for event in _get_output_asset_events(
        asset_key, partitions, output, output_def, {}, step, AssetExecutionType.MATERIALIZATION
    ):
        context.log_event(event)


def silent_check(context: Context, key: dg.AssetCheckKey) -> dg.Output[None] | None:
    """Return an output that satisfies a check's output without logging an evaluation; None if none is expected."""
    if isinstance(context, DirectContext):
        return None
    name = step_context(context).job_def.asset_layer.get_op_output_name(key)
    return None if name is None else dg.Output(None, output_name=name)


def step_events(instance: dg.DagsterInstance, run_id: str, step: str) -> Iterator[tuple[float, dg.DagsterEvent]]:
    """Yield the events that a run recorded for a step: its ends, materializations and check evaluations.

    Args:
        instance: Dagster's instance.
        run_id: The run's id.
        step: The step's key.

    Yields:
        The time of each event, in seconds since the epoch, and the event.
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


class EventLogWriter:
    """Writes log messages of a step to Dagster's event log, many at a time, and to its loggers as usual.

    ``context.log`` stores each message by itself, in a transaction of its own.

    Args:
        context: Dagster's context of the executing step.
    """

    def __init__(self, context: Context) -> None:
        manager = context.log
        # The handlers and loggers behind it have no public names.
        handler = manager._dagster_handler  # noqa: SLF001
        stores = [each for each in handler._handlers if isinstance(each, _EventListenerLogHandler)]  # noqa: SLF001
        handlers = [each for each in handler._handlers if each not in stores]  # noqa: SLF001
        loggers = handler._loggers  # noqa: SLF001
        self._metadata = handler.metadata
        self._instance = context.instance if stores else None
        self._store_level = min((each.level for each in stores), default=0)
        levels = [*(each.level for each in handlers), *(each.level for each in loggers)]
        self._lowest_level = min(levels, default=logging.CRITICAL + 1)
        self._loggers = DagsterLogManager(
            DagsterLogHandler(handler.metadata, loggers=loggers, handlers=handlers), level=manager.level
        )

    def write(self, lines: Sequence[tuple[str, str, float]]) -> None:
        """Write log messages, in their order.

        Args:
            lines: Level, text and time of each, in seconds since the epoch.
        """
        known = [(coerce_valid_log_level(level), text, at_s) for level, text, at_s in lines]
        wanted = [line for line in known if self._loggers.isEnabledFor(line[0])]
        if self._instance is not None:
            _store(self._instance, [self._event(*line) for line in wanted if line[0] >= self._store_level])
        for level, text, _ in wanted:
            if level >= self._lowest_level:
                self._loggers.log(level, text)

    def _event(self, level: int, text: str, at_s: float) -> dg.EventLogEntry:
        return dg.EventLogEntry(  # type: ignore[no-untyped-call]  # Dagster's own constructor has no types
            error_info=None,
            level=level,
            user_message=text,
            run_id=self._metadata["run_id"],
            timestamp=at_s,
            step_key=self._metadata["step_key"],
            job_name=self._metadata["job_name"],
        )


def _store(instance: dg.DagsterInstance, events: Sequence[dg.EventLogEntry]) -> None:
    """Store log events in one transaction; one by one where the storage is no database, or someone listens to each.

    ``EventLogStorage.store_event_batch`` takes some of Dagster's own events and no log messages, and is one by one too.
    """
    if not events:
        return
    storage, run_id = instance.event_log_storage, events[0].run_id
    if not isinstance(storage, SqlEventLogStorage) or instance._subscribers.get(run_id):  # noqa: SLF001
        for event in events:
            instance.handle_new_event(event)
        return
    rows = [storage._event_to_row(event) for event in events]  # noqa: SLF001 - the form of a row is the storage's own
    with storage.run_connection(run_id) as connection:
        connection.execute(SqlEventLogStorageTable.insert(), rows)


def record_launch(context: Context, client_name: str, launched: str) -> None:
    """Record in Dagster's event log what the executing step launches, for a retry of the step to find."""
    if not isinstance(context, DirectContext):
        reattach.record_external_launch(op_context(context), client_name=client_name, external_run_id=launched)


def last_launch(context: Context, client_name: str, run: dg.DagsterRun) -> str | None:
    """Return what a run, or one that it continues, last recorded for the executing step with :func:`record_launch`."""
    handle = reattach.find_latest_launch_handle_for_run(
        instance=context.instance, run=run, step_key=step_key(context), client_name=client_name
    )
    return None if handle is None else handle.external_run_id


def continued_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun | None:
    """Return the run that a run continues: its parent, if it is a retry from failure.

    Args:
        instance: Dagster's instance.
        run: The run.

    Returns:
        The parent; None if the run does all steps again, or those that somebody selected, or is no retry.
    """
    if run.parent_run_id is None:
        return None
    from_failure = "true" in (run.tags.get(tag) for tag in FROM_FAILURE_TAGS)
    if not from_failure and storage_tags.STEP_SELECTION_TAG not in run.tags and run.execution_plan_snapshot_id:
        plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
        known = plan.initial_known_state
        from_failure = known is not None and known.parent_state is not None
    return instance.get_run_by_id(run.parent_run_id) if from_failure else None


def instance_id(instance: dg.DagsterInstance) -> str:
    """Return an id of a Dagster instance, the same in each of its processes on every machine.

    It is kept in the storage of the runs, beside the daemon's cursors, which every storage has: whoever knows the runs
    knows the id.

    Args:
        instance: Dagster's instance.
    """
    if instance not in _instance_ids:
        storage = instance.daemon_cursor_storage
        if _INSTANCE_KEY not in storage.get_cursor_values({_INSTANCE_KEY}):
            storage.set_cursor_values({_INSTANCE_KEY: str(uuid.uuid4())})
        # Read again: another process may have been faster.
        _instance_ids[instance] = storage.get_cursor_values({_INSTANCE_KEY})[_INSTANCE_KEY]
    return _instance_ids[instance]


def recording_instance(context: Context) -> str | None:
    """Return the id of the instance that has a record of the run; None if the run ends with this process.

    Args:
        context: Dagster's context of the executing step.
    """
    if isinstance(context, DirectContext) or context.instance.is_ephemeral:
        return None
    return instance_id(context.instance)


def compute_logs_folder(instance: dg.DagsterInstance) -> Path | None:
    """Return the folder with the compute logs of all runs; None if they are not kept on this machine.

    Args:
        instance: Dagster's instance.
    """
    manager = instance.compute_log_manager
    if not isinstance(manager, LocalComputeLogManager):
        return None
    return Path(manager.get_captured_local_path(["log"], "out")).parent
