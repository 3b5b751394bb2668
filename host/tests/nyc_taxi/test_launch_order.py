import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from launch_fakes import URL, FakeDagster, FakeRun, checked, event, failed, materialized, started, succeeded
from rich.console import Console

from nyc_taxi.launch.errors import CodeLocationError, RequestRefusedError, RunStuckError, WebserverUnreachableError
from nyc_taxi.launch.follow import Patience
from nyc_taxi.launch.order import Order, execute

PATIENCE = Patience(poll_s=0.0, start_s=0.0, load_s=10.0, retry_s=0.0, silence_s=0.0)
SYNTHETIC = {"source": "synthetic", "source_name": "synthetic, seed 42, 10000 events"}
FILE = {"source": "tlc_file", "source_name": "yellow_tripdata_2019-01.parquet"}
GREEN = FakeRun(
    pages=[
        [started("kafka_topics", 1), succeeded("kafka_topics", 2)],
        [
            started("generate_events", 2),
            materialized("generate_events", events_acknowledged=10_000, events_per_second=98_765.4, **SYNTHETIC),
            succeeded("generate_events", 3.5),
            started("silver__cleaned_trips", 4),
            materialized("silver__cleaned_trips", rows_written=9_993, rows_per_second=30_000.0, flink_job_id="f00"),
            succeeded("silver__cleaned_trips", 6),
            started("dbt_build", 6),
            materialized("dbt_build", dbt_status="success", execution_s=0.5),
            checked("dbt_build", "unique_trip_id", passed=True),
            checked("dbt_build", "trips_take_time", passed=False, severity="WARN", description="8 rows"),
            succeeded("dbt_build", 12),
            started("publish_marts", 12),
            materialized("publish_marts", rows_written=31),
            materialized("publish_marts", rows_written=208, rows_per_second=416.0),
            checked("publish_marts", "published_rows_are_the_marts", passed=True),
            succeeded("publish_marts", 14),
        ],
    ]
)


def carry_out(dagster: FakeDagster, order: Order | None = None, patience: Patience = PATIENCE) -> tuple[bool, str, str]:
    """Carry out an order; return whether it succeeded, and what was written to a pipe."""
    out, err = (Console(file=io.StringIO(), width=120) for _ in range(2))
    success = execute(order or Order("2019-01"), dagster.webserver(), console=out, errors=err, patience=patience)
    return success, *(console.file.getvalue() for console in (out, err))  # type: ignore[attr-defined]


def line(text: str, beginning: str) -> str:
    """Return the last line that begins with a text, with single spaces."""
    return " ".join([found for found in text.splitlines() if found.strip().startswith(beginning)][-1].split())


def test_a_green_run_ends_with_a_table_of_its_steps_and_the_address_of_the_ui() -> None:
    success, out, err = carry_out(FakeDagster([GREEN]))
    assert (success, err) == (True, "")
    assert line(out, "kafka_topics") == "kafka_topics ok 1.0"
    assert line(out, "generate_events").startswith("generate_events ok 1.5 10,000 events 98,765")
    assert line(out, "silver/cleaned_trips") == "silver/cleaned_trips ok 2.0 9,993 rows 30,000 f00"
    assert line(out, "dbt_build") == "dbt_build ok 6.0 1 built; tests: 1 passed, 1 warned"
    # Of many assets, the rows of the last one are not the step's amount.
    assert line(out, "publish_marts") == "publish_marts ok 2.0 2 built; tests: 1 passed"
    assert "Warning: core/fct_trips trips_take_time: 8 rows" in out
    assert out.rstrip().endswith(f"In the UI: {URL}/runs/0")


def silver_of(version: dict[str, str]) -> FakeRun:
    """Return a run of silver that left rows out."""
    silver = "silver__cleaned_trips"
    counts = {"rows_written": 9_993, "rows_rejected": 7, "rows_superseded": 11_000}
    made = materialized(silver, **counts, flink_job_id="f00", **version)
    return FakeRun([[started(silver, 1), made, succeeded(silver, 2)]], steps=[silver])


def test_the_table_names_the_file_and_counts_the_rows_that_were_left_out() -> None:
    _, out, _ = carry_out(FakeDagster([silver_of(FILE)]))
    table = [" ".join(found.split()) for found in out.splitlines()]
    first = table.index("silver/cleaned_trips ok 1.0 9,993 rows yellow_tripdata_2019-01.parquet")
    assert table[first + 1 : first + 3] == ["7 rejected, 11,000 superseded", "f00"]
    assert "9,993 rows, 7 rejected, 11,000 superseded, from yellow_tripdata_2019-01.parquet, Flink job f00" in out


def test_a_synthetic_source_is_shown_in_capitals() -> None:
    """Nobody may take synthetic trips for the TLC's."""
    for run in (GREEN, silver_of(SYNTHETIC)):
        _, out, _ = carry_out(FakeDagster([run]))
        assert ", from SYNTHETIC, seed 42, 10000 events" in out
        assert any(found.endswith("SYNTHETIC, seed 42, 10000 events") for found in map(str.rstrip, out.splitlines()))
        assert "synthetic" not in out


def test_a_webserver_that_hangs_up_does_not_lose_the_run() -> None:
    died = FakeRun([[started("kafka_topics", 1)]], "FAILURE", tags={"dagster/will_retry": "true"})
    dagster = FakeDagster([died, GREEN], hangs_up_on={"Plan", "Run", "Events", "Retries"})
    success, out, err = carry_out(dagster, patience=replace(PATIENCE, silence_s=10.0))
    assert (success, err, dagster.hangs_up_on) == (True, "", set())
    assert line(out, "generate_events").startswith("generate_events ok 1.5 10,000 events 98,765")


def test_a_webserver_that_no_longer_answers_is_reported() -> None:
    with pytest.raises(WebserverUnreachableError, match=r"Server disconnected.*the run goes on without it: .*/runs/0"):
        carry_out(FakeDagster([GREEN], is_away=True))


def test_a_failed_check_says_what_it_found() -> None:
    found = checked("dbt_build", "money_is_the_same_everywhere", passed=False, description="1 days have other sums")
    events = [started("dbt_build", 1), found, failed("dbt_build", "1 blocking asset checks failed", 2)]
    success, out, err = carry_out(FakeDagster([FakeRun([events], "FAILURE")]))
    assert not success
    assert "Check failed: core/fct_trips money_is_the_same_everywhere: 1 days have other sums" in err
    assert line(out, "dbt_build") == "dbt_build failed 1.0 checks: 1 failed"


def test_a_pipe_gets_a_line_when_a_step_begins_and_when_it_ends() -> None:
    _, out, _ = carry_out(FakeDagster([GREEN]))
    assert "generate_events: running\ngenerate_events: ok after 1.5 s, 10,000 events, 98,765/s, from " in out


def test_the_run_is_launched_as_the_ui_launches_it() -> None:
    dagster = FakeDagster([GREEN])
    carry_out(dagster, Order("2019-01", generate={"source": "file", "events": 500}))
    assert dagster.launched == [
        {
            "selector": {
                "repositoryLocationName": "nyc_taxi",
                "repositoryName": "__repository__",
                "pipelineName": "taxi_pipeline",
            },
            "mode": "default",
            "runConfigData": {"ops": {"generate_events": {"config": {"source": "file", "events": 500}}}},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "2019-01"}]},
        }
    ]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (("silver/cleaned_trips",), [["silver", "cleaned_trips"]]),
        (("lake",), [["bronze", "raw_trips"], ["silver", "cleaned_trips"]]),
        (("dbt_build",), [["core", "fct_trips"], ["analytics", "daily_revenue"]]),
    ],
)
def test_a_part_is_selected_by_asset_group_or_step(wanted: tuple[str, ...], expected: list[list[str]]) -> None:
    dagster = FakeDagster([GREEN])
    carry_out(dagster, Order("2019-01", wanted=wanted, generate={"events": 500}))
    assert [asset["path"] for asset in dagster.launched[0]["selector"]["assetSelection"]] == expected
    # Dagster refuses configuration of a step that is not part of the run.
    assert dagster.launched[0]["runConfigData"] == {}


def test_the_topic_alone_is_launched_without_a_month() -> None:
    dagster = FakeDagster([GREEN])
    carry_out(dagster, Order("2019-01", wanted=("kafka_topics",)))
    assert dagster.launched[0]["executionMetadata"]["tags"] == []


def test_a_part_that_does_not_exist_is_refused_with_those_that_do() -> None:
    dagster = FakeDagster([GREEN])
    with pytest.raises(RequestRefusedError, match=r"'gold'. Steps: .*dbt_build.* Groups: kafka, lake, marts"):
        carry_out(dagster, Order("2019-01", wanted=("lake", "gold")))
    assert not dagster.launched


def test_a_failed_step_is_shown_with_its_own_words() -> None:
    said = "drayage/generator: the workload failed with TripFileCutOffError: the file ends early. [Fetch it again.]"
    events = [started("generate_events", 1), failed("generate_events", said, 3), event("RunFailureEvent", error=None)]
    success, out, err = carry_out(FakeDagster([FakeRun([events], "FAILURE")]))
    assert not success
    assert err == f"generate_events failed: {said}\n"
    assert line(out, "generate_events") == "generate_events failed 2.0"
    assert line(out, "dbt_build") == "dbt_build not run"


def test_a_step_that_raised_is_shown_with_the_innermost_cause() -> None:
    events = [started("dbt_build"), failed("dbt_build", None, cause="drayage.errors.Boom: The engine is down.\n")]
    events[1]["error"]["causes"][0]["className"] = "Boom"
    _, _, err = carry_out(FakeDagster([FakeRun([events], "FAILURE")]))
    assert err == "dbt_build failed: The engine is down.\n"


def test_a_run_that_never_began_is_shown_with_the_error_of_the_engine() -> None:
    engine = event("EngineEvent", error={"message": "NotFound: no such image", "className": "NotFound", "causes": []})
    events = [engine, event("RunFailureEvent", error=None)]
    success, _, err = carry_out(FakeDagster([FakeRun([events], "FAILURE")]))
    assert not success
    assert err == "The run failed: no such image\n"


def test_a_cancelled_run_is_not_a_success() -> None:
    success, _, err = carry_out(FakeDagster([FakeRun([[]], "CANCELED")]))
    assert (success, err) == (False, "The run was cancelled.\n")


def test_dagsters_own_retry_is_followed_to_its_end() -> None:
    """A worker that died is not a failure if the retry succeeds."""
    first = [started("kafka_topics", 1), succeeded("kafka_topics", 2), started("generate_events", 2)]
    second = [started("generate_events", 9), succeeded("generate_events", 10)]
    runs = [
        FakeRun([[*first, event("RunFailureEvent", error=None)]], "FAILURE", {"dagster/will_retry": "true"}),
        FakeRun([second], steps=["generate_events"]),
    ]
    success, out, err = carry_out(FakeDagster(runs))
    assert (success, err) == (True, "")
    assert f"goes on where it stopped: {URL}/runs/1" in out
    assert line(out, "kafka_topics") == "kafka_topics ok 1.0"
    assert line(out, "generate_events") == "generate_events ok 1.0"


def test_a_retry_that_does_not_come_is_reported() -> None:
    with pytest.raises(RunStuckError, match="said that it would retry the run, and has not"):
        carry_out(FakeDagster([FakeRun([[]], "FAILURE", {"dagster/will_retry": "true"})]))


def test_a_run_that_does_not_start_is_not_waited_for_forever() -> None:
    with pytest.raises(RunStuckError, match=f"has not started .* is queued: .*daemon.* {URL}/runs/0"):
        carry_out(FakeDagster([FakeRun([[]], waiting_looks=1_000_000)]))


def test_a_code_location_that_is_still_loading_is_waited_for() -> None:
    success, _, _ = carry_out(FakeDagster([GREEN], loading_looks=2))
    assert success


def test_a_code_location_that_failed_to_load_says_why() -> None:
    with pytest.raises(CodeLocationError, match="no image drayage/dbt-runner here"):
        carry_out(FakeDagster([GREEN], load_error="no image drayage/dbt-runner here"))


def test_a_job_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(CodeLocationError, match="no job 'nightly'; it has taxi_pipeline"):
        carry_out(FakeDagster([GREEN]), Order("2019-01", job="nightly"))


def test_a_refusal_is_reported_in_dagsters_own_words() -> None:
    refusal = {"__typename": "RunConfigValidationInvalid", "errors": [{"message": "events must be positive"}]}
    with pytest.raises(RequestRefusedError, match=r"refuses the run \(RunConfigValidationInvalid\): events must be"):
        carry_out(FakeDagster([GREEN], refusal=refusal))


def test_the_steps_and_their_numbers_are_written_for_programs(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    carry_out(FakeDagster([GREEN]), Order("2019-01", json_file=file))
    written = json.loads(file.read_text())
    assert (written["status"], written["month"], written["run_id"]) == ("SUCCESS", "2019-01", "0")
    generate = {step["step"]: step for step in written["steps"]}["generate_events"]
    assert generate["seconds"] == 1.5
    assert generate["ended_at"] == 3.5
    assert generate["numbers"]["events_acknowledged"] == 10_000
