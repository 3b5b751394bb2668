"""The marts as Dagster and other engines see them: published tables, receipts, parts of the graph, parallel months.

Tests that need their own marts file run with this process as the Dagster host, and with the stack's lake.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pyarrow.compute as pc
import pytest
from contract_steps import StepOutcome, outcome_of
from pyiceberg.table import Table
from stack import Stack

from nyc_taxi.definitions import build_definitions
from nyc_taxi.images import find_image_ids, inspect_images
from nyc_taxi.settings import DisplaySettings, Images

pytestmark = pytest.mark.stack

JANUARY, FEBRUARY = "2019-01", "2019-02"
MONTHS = {JANUARY: (9_993, Decimal("157365.02")), FEBRUARY: (9_985, Decimal("185056.70"))}
PUBLISHED = {
    "fct_trips",
    "daily_revenue",
    "hourly_demand",
    "location_performance",
    "dim_dates",
    "dim_locations",
    "dim_payment_types",
}
# The sources of the published facts.
TO_FACTS = (
    *(f"seeds/{name}" for name in ("taxi_zones", "rate_codes", "payment_types")),
    *(f"staging/stg_{name}" for name in ("zones", "rate_codes", "payment_types", "trips")),
    "intermediate/int_trip_metrics",
    "core/dim_dates",
    "core/dim_locations",
    "core/dim_payment_types",
    "core/fct_trips",
    "marts/fct_trips",
)
STEPS = """
query Steps($run: ID!) { runOrError(runId: $run) { ... on Run { creationTime stepStats { startTime endTime } } } }
"""


def _tables(stack: Stack) -> dict[str, Table]:
    catalog = stack.catalog()
    return {name: catalog.load_table(f"marts.{name}") for _namespace, name in catalog.list_tables("marts")}


def _snapshots(stack: Stack) -> dict[str, list[int]]:
    return {name: [snapshot.snapshot_id for snapshot in table.snapshots()] for name, table in _tables(stack).items()}


def test_months_at_the_same_time_take_turns_at_the_duckdb_file(real_months: Stack) -> None:
    """Only one process can have it open; the pool ensures that, and neither run fails."""
    with ThreadPoolExecutor() as pool:
        launched = list(pool.map(lambda month: real_months.launch(month, "--select", "dbt_build"), (FEBRUARY, JANUARY)))
    assert [launch.exit_code for launch in launched] == [0, 0], [launch.output for launch in launched]
    runs = [real_months.query(STEPS, run=launch.run_id)["runOrError"] for launch in launched]
    first, second = sorted(runs, key=lambda run: run["stepStats"][0]["startTime"])
    assert second["creationTime"] < first["stepStats"][0]["endTime"], "it had to wait"
    assert second["stepStats"][0]["startTime"] >= first["stepStats"][0]["endTime"]


@pytest.mark.parametrize("month", MONTHS)
def test_other_engines_read_the_published_months(real_months: Stack, month: str) -> None:
    """Pyiceberg knows nothing about DuckDB: the tables are for any engine."""
    trips, total = MONTHS[month]
    tables = _tables(real_months)
    assert set(tables) == PUBLISHED
    rows = tables["fct_trips"].scan(row_filter=f"trip_month = '{month}'").to_arrow()
    assert (rows.num_rows, pc.sum(rows["total_amount_usd"]).as_py()) == (trips, total)
    revenue = tables["daily_revenue"].scan(row_filter=f"trip_month = '{month}'").to_arrow()
    assert pc.sum(revenue["total_amount_usd"]).as_py() == total
    assert tables["dim_dates"].scan().to_arrow().num_rows == 11_322


def test_publication_reports_the_snapshot_and_the_months_rows(real_months: Stack) -> None:
    reported = {month: real_months.materialization("marts/fct_trips", month) for month in MONTHS}
    snapshots = [str(snapshot_id) for snapshot_id in _snapshots(real_months)["fct_trips"]]
    assert {report["snapshot_id"] for report in reported.values()} <= set(snapshots)
    assert {month: report["dagster/row_count"] for month, report in reported.items()} == {
        month: trips for month, (trips, _total) in MONTHS.items()
    }
    assert reported[JANUARY]["dagster/table_name"] == "marts.fct_trips"
    assert all(column["description"] for column in reported[JANUARY]["dagster/column_schema"]["columns"])


def test_publishing_again_commits_nothing(real_months: Stack) -> None:
    """A rerun leaves nothing but its receipts."""
    before = _snapshots(real_months)
    again = real_months.launch(JANUARY, "--select", "dbt_build,publish_marts")
    assert again.exit_code == 0, again.output
    assert _snapshots(real_months) == before
    assert real_months.materialization("marts/fct_trips", JANUARY)["rows_written"] == 0


def test_selected_models_run_alone(real_months: Stack, tmp_path: Path) -> None:
    """Only with their own tests; nothing else is built or published."""
    before = _snapshots(real_months)
    report = tmp_path / "run.json"
    chosen = "staging/stg_trips,intermediate/int_trip_metrics"
    launched = real_months.launch(JANUARY, "--select", chosen, "--json", str(report))
    assert launched.exit_code == 0, launched.output
    (step,) = json.loads(report.read_text())["steps"]
    assert (step["step"], step["status"], step["assets"]) == ("dbt_build", "ok", 2)
    assert step["checks"]["passed"] > 10
    assert _snapshots(real_months) == before


class Host:
    """This process as the Dagster host, with its own marts volume.

    Args:
        stack: The stack whose lake is read.
        instance: The instance that records the runs.
        definitions: The code location.
    """

    def __init__(self, stack: Stack, instance: dg.DagsterInstance, definitions: dg.Definitions) -> None:
        self.stack = stack
        self.instance = instance
        self.definitions = definitions

    def materialize(self, assets: Sequence[str] | None = None, **tags: str) -> StepOutcome:
        """Materialize assets of the marts; without any, all that the dbt image makes."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        made = self.definitions.resolve_job_def("build_marts").asset_layer.selected_asset_keys
        keys = made if assets is None else {dg.AssetKey(asset.split("/")) for asset in assets}
        result = job.get_subset(asset_selection=keys).execute_in_process(
            instance=self.instance, tags=tags, raise_on_error=False
        )
        return outcome_of(self.instance, result.run_id)


@pytest.fixture
def host(
    real_months: Stack, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Host]:
    """Return a host beside the stack's; its volume is removed at the end."""
    project, volume = real_months.project, f"{real_months.project}-marts-{uuid.uuid4().hex[:8]}"
    settings = {
        "DRAYAGE_EXCHANGE_ROOT": str(tmp_path / "exchange"),
        "DRAYAGE_DEPLOYMENT": volume,
        "DRAYAGE_NETWORK": project,
        "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
        "SCHEMA_REGISTRY_URL": "http://schema-registry:8085/apis/ccompat/v7",
        "FLINK_SQL_GATEWAY_URL": "http://flink-sql-gateway:8083",
        "FLINK_JOBMANAGER_URL": "http://flink-jobmanager:8081",
        "FLINK_UI_URL": real_months.url("FLINK_PORT"),
        "ICEBERG_CATALOG_URI": "http://iceberg-rest:8181",
        "ICEBERG_WAREHOUSE": "s3://warehouse/",
        "S3_ENDPOINT": "http://minio:9000",
        "S3_REGION": "us-east-1",
        "S3_ACCESS_KEY_ID": real_months.environment["S3_ACCESS_KEY_ID"],
        "S3_SECRET_ACCESS_KEY": real_months.environment["S3_SECRET_ACCESS_KEY"],
        "LANDING_URL": "s3://landing/yellow/",
        "LANDING_ACCESS_KEY_ID": real_months.environment["LANDING_ACCESS_KEY_ID"],
        "LANDING_SECRET_ACCESS_KEY": real_months.environment["LANDING_SECRET_ACCESS_KEY"],
        "TAXI_MARTS_VOLUME": volume,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    images = Images()
    inspection = inspect_images(images, find_image_ids(images))
    try:
        yield Host(real_months, instance, build_definitions(images, inspection, DisplaySettings()))
    finally:
        for container in real_months.engine.containers.list(
            all=True, ignore_removed=True, filters={"label": f"drayage/deployment={volume}"}
        ):
            container.remove(force=True)
        real_months.engine.volumes.get(volume).remove()


def _materialized(outcome: StepOutcome) -> dict[str, set[str | None]]:
    """Return the partitions of each asset that the run materialized."""
    found: dict[str, set[str | None]] = {}
    for event in outcome.events:
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
            found.setdefault(event.asset_key.to_user_string(), set()).add(event.partition)
    return found


def _steps(outcome: StepOutcome, kind: dg.DagsterEventType) -> set[str | None]:
    return {event.step_key for event in outcome.events if event.event_type == kind}


def test_a_failing_model_is_named_after_green_ones_and_nothing_follows(host: Host) -> None:
    """Two models fail, since fct_trips was never built in this file; the models before them are green."""
    green = ["seeds/taxi_zones", "staging/stg_zones", "core/dim_locations"]
    red = ["analytics/location_performance", "intermediate/int_daily_summary"]
    after = ["analytics/daily_revenue", "marts/location_performance", "marts/daily_revenue"]
    outcome = host.materialize([*green, *red, *after], **{"dagster/partition": JANUARY})
    assert not outcome.success
    assert set(_materialized(outcome)) == set(green)
    reason, _metadata = outcome.failure
    assert "model location_performance:" in reason
    assert "model int_daily_summary:" in reason
    assert "Table with name fct_trips does not exist" in reason
    assert "Skipped because of that: daily_revenue." in reason
    assert _steps(outcome, dg.DagsterEventType.STEP_FAILURE) == {"dbt_build"}
    assert _steps(outcome, dg.DagsterEventType.STEP_START) == {"dbt_build"}
    assert "Dependencies for step publish_marts failed" in outcome.logged


def test_a_range_of_months_is_one_run_with_one_container_per_step(host: Host) -> None:
    """A single-run backfill: its numbers cover all its months, and each month is materialized."""
    span = {"dagster/asset_partition_range_start": JANUARY, "dagster/asset_partition_range_end": FEBRUARY}
    outcome = host.materialize(**span)
    assert outcome.success, outcome.failure
    materialized = _materialized(outcome)
    assert materialized["core/fct_trips"] == materialized["marts/fct_trips"] == set(MONTHS)
    assert len({metadata["container_id"] for metadata in outcome.materializations}) == 2
    trips = {
        m["dagster/row_count"] for m in outcome.materializations if m.get("dbt_unique_id", "").endswith("fct_trips")
    }
    assert trips == {sum(rows for rows, _total in MONTHS.values())}


def test_a_month_that_is_rebuilt_keeps_its_data_versions(host: Host) -> None:
    """They depend on the month's rows alone: a month in between, or the time, makes nothing downstream stale."""
    first = _data_versions(host.materialize(TO_FACTS, **{"dagster/partition": JANUARY}))
    february = _data_versions(host.materialize(TO_FACTS, **{"dagster/partition": FEBRUARY}))
    again = _data_versions(host.materialize(TO_FACTS, **{"dagster/partition": JANUARY}))
    assert again == first
    assert {asset for asset, _month in first} == set(TO_FACTS)
    assert first["marts/fct_trips", JANUARY] != february["marts/fct_trips", FEBRUARY]


def _data_versions(outcome: StepOutcome) -> dict[tuple[str, str | None], str]:
    assert outcome.success, outcome.failure
    return {
        (event.asset_key.to_user_string(), event.partition): (
            event.step_materialization_data.materialization.tags or {}
        )["dagster/data_version"]
        for event in outcome.events
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key
    }
