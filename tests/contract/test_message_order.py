"""Green means right, in whatever order messages come, and whatever is in them."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import pytest
from contract_steps import SHELL_IMAGE, StepOutcome, materialize, on_each_engine, outcome_of, python, shell, step

from drayage import DrayageClient

pytestmark = [pytest.mark.engine, on_each_engine]

# The short words of a workload that is only an order of messages.
WORDS = r"""
o() { send opened '{}'; }
c() { send closed '{}'; }
m() { report "$1"; }
fail() {
  send closed "{\"exception\":{\"message\":\"$1\",\"name\":\"E\",\"stack\":[],\"cause\":null,\"context\":null}}"
}
check() {
  send report_asset_check \
    "{\"asset_key\":\"report\",\"check_name\":\"$1\",\"passed\":true,\"severity\":\"ERROR\",\"metadata\":{}}"
}
"""
WHOLE = {"check_specs": [dg.AssetCheckSpec("whole", asset="report")]}
RESTARTED = {"restart_policy": {"Name": "on-failure", "MaximumRetryCount": 3}}


def words(script: str) -> list[str]:
    return shell(WORDS + script)


@pytest.mark.parametrize(
    "script",
    [
        "o; c; o; m '{}'; c; c",
        "log early; o; m '{}'; c; custom 3; log late",
    ],
)
def test_sessions_that_are_whole_are_green(instance: dg.DagsterInstance, client: DrayageClient, script: str) -> None:
    outcome = materialize(instance, client, step(words(script)))
    assert outcome.success, outcome.failure
    assert len(outcome.materializations) == 1
    assert "unexpected message" not in outcome.logged
    shown = {entry.user_message for entry in outcome.entries}
    assert {text for text in ("early", "late") if text in script} == shown & {"early", "late"}


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("o; fail lost; o; m '{}'; c", "the workload failed with E: lost"),
        ("o; c; o; m '{}'", "it opened Dagster Pipes 2 times, and did not close it 1 of these times"),
        ("o; c; m '{}'", 'it reported a materialization of "report" after it had closed Dagster Pipes (message 3)'),
        ("c; o; m '{}'", "it closed Dagster Pipes before it opened it"),
    ],
)
def test_what_comes_outside_a_session_is_red(
    instance: dg.DagsterInstance, client: DrayageClient, script: str, says: str
) -> None:
    outcome = materialize(instance, client, step(words(script)))
    assert not outcome.success
    assert says in outcome.failure[0]
    assert outcome.materializations == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        # Killed in its first life, whole in its second.
        ("if mkdir /tmp/once; then o; kill -9 $$; fi; o; m '{}'; c", None),
        ("if mkdir /tmp/once; then o; kill -9 $$; fi; o; m '{}'; c; m '{}'", "after it had closed Dagster Pipes"),
        ("if mkdir /tmp/once; then o; kill -9 $$; fi; o; m '{}'", "did not close it 1 of these times"),
    ],
)
def test_only_a_crash_that_the_engine_answered_excuses_an_open_session(
    instance: dg.DagsterInstance, client: DrayageClient, script: str, reason: str | None
) -> None:
    # Process 1 cannot kill itself.
    asset = step(words(script), container_kwargs={**RESTARTED, "init": True})
    outcome = materialize(instance, client, asset)
    assert outcome.success == (reason is None), outcome.failure
    if reason is not None:
        assert reason in outcome.failure[0]
        assert outcome.materializations == []


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("o; m '{}'; m '{}'; c", "report was reported as materialized twice"),
        ("o; m '{}'; c", "the check 'whole' of report was declared and not reported"),
        ("o; m '{}'; check whole; check whole; c", "the check 'whole' of report was reported twice"),
        ("o; m '{}'; check whole; check other; c", "a check 'other' of report was reported, which is not declared"),
        ("o; check whole; c", "no materialization of report was reported, which this step makes"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_what_dagster_would_refuse_is_judged_and_explained_here(
    instance: dg.DagsterInstance, client: DrayageClient, script: str, says: str, *, streaming: bool
) -> None:
    asset = streamed(words(script)) if streaming else step(words(script), asset=WHOLE)
    outcome = materialize(instance, client, asset)
    assert not outcome.success
    description = outcome.failure[0]
    assert says in description
    assert " replay " in description
    assert " shell " in description
    # What is streamed is recorded when it comes: nothing is recorded twice.
    assert len(outcome.materializations) == (1 if streaming and "m '{}'" in script else 0)
    assert len(outcome.checks) == (1 if streaming and "check whole" in script else 0)


def test_an_asset_that_the_step_does_not_make_is_not_observed_either(
    instance: dg.DagsterInstance, client: DrayageClient
) -> None:
    """An observation of an unknown asset would create it."""
    foreign = """send report_asset_materialization '{"asset_key":"other","metadata":{},"data_version":null}'"""
    outcome = materialize(instance, client, step(words(f"o; m '{{}}'; {foreign}; c")))
    assert not outcome.success
    assert "a materialization of other was reported, which is not one of the step's assets" in outcome.failure[0]
    assert instance.get_latest_materialization_event(dg.AssetKey("other")) is None
    assert dg.AssetKey("other") not in instance.all_asset_keys()


def test_a_check_that_the_host_evaluates_is_left_out_of_what_is_reported(
    instance: dg.DagsterInstance, client: DrayageClient
) -> None:
    @dg.asset(name="report", **WHOLE)
    def asset(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> Any:
        run = drayage.run(
            context=context, image=SHELL_IMAGE, command=words("o; m '{}'; c"), reports=[context.asset_key]
        )
        yield from run.get_results()
        yield dg.AssetCheckResult(check_name="whole", passed=True)

    outcome = materialize(instance, client, asset)
    assert outcome.success, outcome.failure
    assert outcome.checks == [("whole", True)]


@pytest.mark.parametrize("streaming", [False, True])
def test_assets_that_come_in_the_wrong_order(
    instance: dg.DagsterInstance, client: DrayageClient, *, streaming: bool
) -> None:
    """Dagster takes no asset after one that is made from it."""
    send = """send report_asset_materialization '{"asset_key":"%s","metadata":{},"data_version":null}'"""

    @dg.multi_asset(specs=[dg.AssetSpec("first"), dg.AssetSpec("second", deps=["first"])])
    def report(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> Any:
        run = {
            "context": context,
            "image": SHELL_IMAGE,
            "command": words(f"o; {send % 'second'}; {send % 'first'}; c"),
        }
        yield from drayage.stream(**run) if streaming else drayage.run(**run).get_results()

    outcome = materialize(instance, client, report)
    assert outcome.success is not streaming
    assert len(outcome.materializations) == (1 if streaming else 2)
    if streaming:
        assert "first was reported after second, which is made from it" in outcome.failure[0]


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ('{"x":{"type":"json","raw_value":{"x":NaN}}}', "params.metadata.x.raw_value.x is NaN"),
        ('{"x":{"type":"json","raw_value":[9007199254740993]}}', "params.metadata.x.raw_value[0] is 9007199254740993"),
        ('{"__source_asset_observation__":{"type":"bool","raw_value":true}}', "Dagster records no materialization"),
    ],
)
def test_values_that_cannot_be_stored_or_shown_are_refused_by_name(
    instance: dg.DagsterInstance, client: DrayageClient, metadata: str, says: str
) -> None:
    outcome = materialize(instance, client, step(words(f"o; m '{metadata}'; c")))
    assert not outcome.success
    assert says in outcome.failure[0]
    assert outcome.materializations == []


@pytest.mark.parametrize(
    ("message", "where"),
    [
        (r"""log '{"message":"caf\udce9.csv","level":"INFO"}'""", "params.message holds a lone surrogate"),
        (
            r"""report_asset_materialization '{"asset_key":"report","metadata":{},"data_version":"\u0000"}'""",
            "params.data_version holds NUL",
        ),
    ],
)
def test_text_that_no_storage_holds_is_refused_and_the_run_can_be_read(
    instance: dg.DagsterInstance, client: DrayageClient, message: str, where: str
) -> None:
    """Python's library sends such text of a file's name; the page of the run answered with an error for ever."""
    outcome = materialize(instance, client, step(words(f"o; send {message}; c")))
    assert not outcome.success
    assert where in outcome.failure[0]
    # Served as UTF-8.
    assert outcome_of(instance, outcome.run_id).logged.encode()


def test_extras_that_are_not_json_start_nothing(instance: dg.DagsterInstance, client: DrayageClient) -> None:
    outcome = materialize(instance, client, step(words("o; m '{}'; c"), extras={"rates": (1.0, float("nan"))}))
    assert not outcome.success
    assert "extras.rates[1]: expected a finite number, got nan" in outcome.failure[0]
    assert "Nothing was started" in outcome.failure[0]


def test_a_reported_number_with_a_name_of_the_runners_is_kept_beside_it(
    instance: dg.DagsterInstance, client: DrayageClient
) -> None:
    outcome = materialize(
        instance, client, step(words("""o; m '{"duration_s":{"type":"float","raw_value":99.5}}'; c"""))
    )
    assert outcome.success, outcome.failure
    (metadata,) = outcome.materializations
    assert metadata["reported/duration_s"] == 99.5
    assert 0 < metadata["duration_s"] < 99


@pytest.mark.parametrize(
    ("closing", "says"),
    [
        ('{"exception":"boom"}', "the workload failed with boom"),
        ('{"exception":{"message":"boom","name":3,"stack":7,"cause":"spark","context":false}}', "failed with 3: boom"),
    ],
)
def test_an_exception_of_any_form_is_shown(
    instance: dg.DagsterInstance, client: DrayageClient, closing: str, says: str
) -> None:
    outcome = materialize(instance, client, step(words(f"o; send closed '{closing}'; exit 1")))
    assert not outcome.success
    description, metadata = outcome.failure
    assert says in description
    assert "it exited with code 1" in description
    assert "not understood" in description, "and the mistake is named too"
    assert ("spark" in metadata["pipes_exception"]) == ("spark" in closing)


def python_step(image: str, script: str) -> Sequence[Any]:
    whole = f"""
import sys
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as pipes:
    pipes.report_asset_materialization({{}})
    {script}
"""
    return step(python(whole), image=image)


@pytest.mark.parametrize("end", ["sys.exit(0)", "sys.exit()"])
def test_pythons_clean_exit_is_no_failure(
    instance: dg.DagsterInstance, client: DrayageClient, python_image: str, end: str
) -> None:
    outcome = materialize(instance, client, python_step(python_image, end))
    assert outcome.success, outcome.failure
    assert len(outcome.materializations) == 1
    assert "closed with exception" not in outcome.logged


@pytest.mark.parametrize(
    ("end", "says"), [("sys.exit(3)", "SystemExit: 3"), ("sys.exit('no trips')", "SystemExit: no trips")]
)
def test_any_other_exit_is_one(
    instance: dg.DagsterInstance, client: DrayageClient, python_image: str, end: str, says: str
) -> None:
    outcome = materialize(instance, client, python_step(python_image, end))
    assert not outcome.success
    assert f"the workload failed with {says}" in outcome.failure[0]


def test_a_level_that_dagster_does_not_have_is_shown_with_its_name(
    instance: dg.DagsterInstance, client: DrayageClient
) -> None:
    outcome = materialize(
        instance, client, step(words("""o; send log '{"message":"odd","level":"NOTICE"}'; m '{}'; c"""))
    )
    assert outcome.success, outcome.failure
    (entry,) = [entry for entry in outcome.entries if "[NOTICE] odd" in entry.user_message]
    assert entry.level == 20


def test_custom_messages_are_found_whatever_the_other_lines_say(
    instance: dg.DagsterInstance, client: DrayageClient
) -> None:
    found: list[Any] = []
    escaped = r"""send 'report\u005fcustom_message' '{"payload":2}'"""
    script = f"o; log 'report_custom_message is a method'; custom 1; {escaped}; m '{{}}'; c"

    @dg.asset(name="report")
    def asset(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> Any:
        completed = drayage.run(context=context, image=SHELL_IMAGE, command=words(script))
        found.extend(completed.get_custom_messages())
        return completed.get_materialize_result()

    outcome: StepOutcome = materialize(instance, client, asset)
    assert outcome.success, outcome.failure
    assert found == [1, 2]


def streamed(command: list[str]) -> dg.AssetsDefinition:
    @dg.asset(name="report", **WHOLE)
    def report(context: dg.AssetExecutionContext, drayage: dg.ResourceParam[DrayageClient]) -> Any:
        yield from drayage.stream(context=context, image=SHELL_IMAGE, command=command)

    return report
