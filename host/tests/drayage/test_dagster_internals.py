"""Dagster may move what it does not call public; these tests name the piece that moved."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from drayage import dagster_internals


def test_the_step_key_of_an_executing_step_is_still_where_it_was() -> None:
    seen: list[str | bool] = []

    @dg.asset(op_tags={"team": "a"})
    def one(context: dg.AssetExecutionContext) -> None:
        seen.append(dagster_internals.step_key(context))
        seen.append(dagster_internals.op_tags(context)["team"])
        first, second = (dagster_internals.step_context(context) for _ in range(2))
        seen.append(first is second)

    assert dg.materialize([one]).success
    assert seen == ["one", "a", True], "OpExecutionContext.get_step_execution_context() has changed"


def test_pipes_metadata_is_still_read_by_dagsters_own_function() -> None:
    metadata = dagster_internals.metadata_from_pipes(
        {"a": 1, "b": {"raw_value": "http://x", "type": "url"}, "c": {"d": 1}}
    )
    assert metadata == {
        "a": dg.MetadataValue.int(1),
        "b": dg.MetadataValue.url("http://x"),
        "c": dg.MetadataValue.json({"d": 1}),
    }, "dagster._core.definitions.metadata.metadata_map_from_external has changed"


def test_a_silent_result_still_satisfies_the_output_and_records_nothing() -> None:
    @dg.asset(check_specs=[dg.AssetCheckSpec("whole", asset="one")])
    def one(context: dg.AssetExecutionContext) -> object:
        yield dagster_internals.silent_materialization(dg.AssetKey("one"))
        yield dagster_internals.silent_check(context, dg.AssetCheckKey(dg.AssetKey("one"), "whole"))

    @dg.asset(deps=[one])
    def two() -> None: ...

    result = dg.materialize([one, two])
    assert result.success
    assert result.asset_materializations_for_node("one") == [], (
        "SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION has changed"
    )
    assert len(result.asset_materializations_for_node("two")) == 1
    assert result.get_asset_check_evaluations() == [], "AssetLayer.get_op_output_name has changed"


def test_the_events_of_a_step_are_still_read_from_the_log() -> None:
    @dg.asset
    def one() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([one], instance=instance)
        events = list(dagster_internals.step_events(instance, result.run_id, "one"))
        began_s = instance.get_run_records()[0].create_timestamp.timestamp()
    assert [event.event_type for _, event in events] == [
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        dg.DagsterEventType.STEP_SUCCESS,
    ]
    assert all(at_s > began_s - 1 for at_s, _ in events), "EventLogEntry.timestamp has changed"


def test_log_messages_are_still_stored_in_batches_as_dagster_stores_each(capfd: pytest.CaptureFixture[str]) -> None:
    @dg.asset
    def one(context: dg.AssetExecutionContext) -> None:
        context.log.warning("100 %s")
        dagster_internals.EventLogWriter(context).write(
            [("warn", "100 %s", 1.5), *(("DEBUG", str(number), 2.0) for number in range(3000))]
        )

    with dg.DagsterInstance.ephemeral() as instance:
        run_id = dg.materialize([one], instance=instance).run_id
        alone, *batch = [entry for entry in instance.all_logs(run_id) if entry.dagster_event is None][-3002:]
    assert batch[0] == alone._replace(timestamp=1.5), "a log message's entry has changed"
    assert [entry.message for entry in batch[1:]] == [str(number) for number in range(3000)]
    printed = capfd.readouterr().err
    assert printed.count("100 %s") == 2, "DagsterLogManager's handlers have moved"
    assert printed.count("DEBUG") >= 3000


def test_log_messages_below_the_level_of_the_instance_are_not_stored() -> None:
    @dg.asset
    def one(context: dg.AssetExecutionContext) -> None:
        dagster_internals.EventLogWriter(context).write([("INFO", "low", 1.0), ("ERROR", "high", 1.0)])

    with (
        tempfile.TemporaryDirectory() as home,
        dg.DagsterInstance.local_temp(home, overrides={"python_logs": {"python_log_level": "WARNING"}}) as instance,
    ):
        run_id = dg.materialize([one], instance=instance).run_id
        messages = [entry.message for entry in instance.all_logs(run_id)]
    assert "high" in messages
    assert "low" not in messages


def test_whoever_listens_to_a_run_hears_of_log_messages() -> None:
    heard: list[str] = []

    @dg.asset
    def one(context: dg.AssetExecutionContext) -> None:
        context.instance.add_event_listener(context.run.run_id, lambda entry: heard.append(entry.message))
        dagster_internals.EventLogWriter(context).write([("INFO", "a", 1.0), ("INFO", "b", 1.0)])

    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([one], instance=instance)
    assert heard[:2] == ["a", "b"], "DagsterInstance._subscribers has moved"


def test_log_messages_of_a_direct_call_go_to_the_console(capfd: pytest.CaptureFixture[str]) -> None:
    @dg.asset
    def one(context: dg.AssetExecutionContext) -> None:
        dagster_internals.EventLogWriter(dagster_internals.executing(context)).write([("INFO", "said", 1.0)])

    one(dg.build_asset_context())
    assert "said" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["DagsterExecutionInterruptedError", "PipesSession", "PipesMessageHandler"])
def test_what_drayage_considers_public_still_is(name: str) -> None:
    assert hasattr(dg, name)


def test_definitions_are_still_loaded_from_a_state() -> None:
    class Loader(dagster_internals.StateBackedDefinitionsLoader[list[str]]):
        defs_key = "drayage/test"

        def fetch_state(self) -> list[str]:
            return ["found"]

        def defs_from_state(self, state: list[str]) -> dg.Definitions:
            return dg.Definitions(assets=[dg.AssetSpec(name) for name in state])

    keys = Loader().build_defs().resolve_all_asset_keys()
    assert list(keys) == [dg.AssetKey("found")], "StateBackedDefinitionsLoader has changed"


def test_a_run_over_a_range_of_partitions_is_still_known_by_its_tags() -> None:
    months = dg.StaticPartitionsDefinition(["2019-01", "2019-02", "2019-03"])
    seen = []

    @dg.asset(partitions_def=months, backfill_policy=dg.BackfillPolicy.single_run())
    def one(context: dg.AssetExecutionContext) -> None:
        seen.append((dagster_internals.partition_range(context.run.tags), context.partition_keys))

    tags = dict(zip(dagster_internals.RANGE_TAGS, ("2019-01", "2019-02"), strict=True))
    assert dg.materialize([one], tags=tags).success
    assert dg.materialize([one], partition_key="2019-03").success
    assert seen == [(("2019-01", "2019-02"), ["2019-01", "2019-02"]), (None, ["2019-03"])], "RANGE_TAGS have changed"


def test_code_that_is_called_directly_has_a_run_of_its_own() -> None:
    seen = []

    @dg.asset(op_tags={"team": "a"}, partitions_def=dg.StaticPartitionsDefinition(["x"]))
    def one(context: dg.AssetExecutionContext) -> None:
        inner = dagster_internals.executing(context)
        seen.append(inner)
        assert dagster_internals.step_key(inner) == "one"
        assert dagster_internals.op_tags(inner) == {"team": "a"}
        assert dagster_internals.next_steps(inner) == []
        assert (inner.retry_number, inner.run.parent_run_id, inner.run.tags) == (0, None, {"tag": "b"})
        assert inner.partition_key == "x"

    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            one(dg.build_asset_context(partition_key="x", run_tags={"tag": "b"}, instance=instance))
    assert seen[0].run.run_id != seen[1].run.run_id, "DirectAssetExecutionContext has changed"


def test_what_is_no_context_is_refused() -> None:
    with pytest.raises(TypeError, match="expected the context of an op, an asset or an asset check, got 5"):
        dagster_internals.executing(5)  # type: ignore[arg-type]


def test_the_next_steps_are_those_that_nothing_else_holds_up() -> None:
    found: dict[str, list[list[str]]] = {}

    def step(name: str, *deps: str) -> dg.AssetsDefinition:
        @dg.asset(name=name, deps=deps)
        def made(context: dg.AssetExecutionContext) -> None:
            found[name] = dagster_internals.next_steps(context)

        return made

    # a - b - c - d, with d below a too; e and f fork below d, g waits for both of them and h for nothing.
    steps = [step("a"), step("b", "a"), step("c", "b"), step("d", "c", "a"), step("e", "d"), step("f", "d")]
    assert dg.materialize([*steps, step("g", "e", "f"), step("h")]).success
    assert found == {
        "a": [["b"], ["c"], ["d"], ["e", "f"]],
        "b": [["c"], ["d"], ["e", "f"]],
        "c": [["d"], ["e", "f"]],
        "d": [["e", "f"]],
        "e": [],
        "f": [],
        "g": [],
        "h": [],
    }, "ExecutionPlan has changed"
    # Of a subset, what is not executed has been.
    assert dg.materialize([*steps, step("g", "e", "f"), step("h")], selection=["f", "g"]).success
    assert found["f"] == [["g"]]


@dg.asset
def _first() -> None: ...


@dg.asset(deps=[_first])
def _second() -> None:
    raise RuntimeError


def _work() -> dg.JobDefinition:
    return dg.Definitions(
        assets=[_first, _second], jobs=[dg.define_asset_job("work", executor_def=dg.in_process_executor)]
    ).resolve_job_def("work")


def test_a_retry_from_failure_still_differs_from_a_run_of_all_steps(tmp_path: Path) -> None:
    """``execute_job`` gives it no tag; the UI and automatic retries do."""
    job = dg.reconstructable(_work)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:

        def continued(options: dg.ReexecutionOptions | None, **tags: str) -> str | None:
            result = dg.execute_job(job, instance, reexecution_options=options, tags=tags)
            run = instance.get_run_by_id(result.run_id)
            assert run is not None
            parent = dagster_internals.continued_run(instance, run)
            return None if parent is None else parent.run_id

        assert continued(None) is None
        failed = instance.get_runs()[0].run_id
        assert continued(dg.ReexecutionOptions.from_failure(failed, instance)) == failed, "parent_state has changed"
        assert continued(dg.ReexecutionOptions(failed)) is None
        # As the UI does where somebody selected steps.
        selected = {"dagster/step_selection": "_second"}
        assert continued(dg.ReexecutionOptions.from_failure(failed, instance), **selected) is None
        for tag in dagster_internals.FROM_FAILURE_TAGS:
            assert continued(dg.ReexecutionOptions(failed), **{tag: "true"}) == failed
            assert continued(dg.ReexecutionOptions(failed), **{tag: "false"}) is None


def test_what_a_step_launched_is_still_found_in_the_log() -> None:
    found: list[str | None] = []

    @dg.asset
    def one(context: dg.AssetExecutionContext) -> None:
        dagster_internals.record_launch(context, "a", "first")
        dagster_internals.record_launch(context, "a", "second")
        dagster_internals.record_launch(context, "b", "other")
        found.extend(dagster_internals.last_launch(context, client, context.run) for client in ("a", "b", "c"))

    assert dg.materialize([one]).success
    assert found == ["second", "other", None], "record_external_launch or find_latest_launch_handle_for_run has changed"


def test_materializations_of_some_partitions_are_still_logged_as_dagster_logs_them() -> None:
    partitions = dg.StaticPartitionsDefinition(["x", "y", "z"])

    @dg.asset(partitions_def=partitions, backfill_policy=dg.BackfillPolicy.single_run(), code_version="7")
    def one(context: dg.AssetExecutionContext) -> Iterator[Any]:
        key = dg.AssetKey("one")
        context.add_asset_metadata({"part": "of y"}, asset_key=key, partition_key="y")
        assert list(dagster_internals.partitions_of(context, key)) == ["x", "y", "z"]
        result: dg.MaterializeResult[Any] = dg.MaterializeResult(
            asset_key=key, metadata={"rows": 3}, data_version=dg.DataVersion("v"), tags={"t": "u"}
        )
        if context.run.tags.get("some"):
            dagster_internals.log_materializations(context, result, key, ["x", "y"])
            yield dagster_internals.silent_materialization(key)
        else:
            yield result

    tags = dict(zip(dagster_internals.RANGE_TAGS, ("x", "z"), strict=True))
    logged = [
        dg.materialize([one], tags={**tags, **more}).asset_materializations_for_node("one")
        for more in ({}, {"some": "y"})
    ]
    whole, some = ({event.partition: (event.metadata, event.tags) for event in events} for events in logged)
    assert whole.keys() == {"x", "y", "z"}
    assert some == {key: whole[key] for key in ("x", "y")}, "_get_output_asset_events has changed"


def test_an_asset_without_partitions_has_none() -> None:
    @dg.asset
    def one(context: dg.AssetExecutionContext) -> None:
        assert list(dagster_internals.partitions_of(context, dg.AssetKey("one"))) == []

    assert dg.materialize([one]).success
