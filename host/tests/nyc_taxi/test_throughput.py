"""The comparison of the last runs, read from a real event log."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from nyc_taxi.assets.throughput import throughput
from nyc_taxi.keys import THROUGHPUT
from nyc_taxi.partitions import MONTHS
from nyc_taxi.rates import read_rates

FCT_TRIPS = dg.AssetKey(["core", "fct_trips"])


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@dg.asset(partitions_def=MONTHS)
def generate_events(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    rate = {"2019-01": 5_000.0, "2019-02": 6_000.0}[context.partition_key]
    return dg.MaterializeResult(metadata={"events_acknowledged": 10_000, "events_per_second": rate})


@dg.asset(key=["bronze", "raw_trips"], partitions_def=MONTHS, deps=[generate_events])
def raw_trips() -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(metadata={"rows_read": 10_000, "rows_per_second": 700.5})


@dg.asset(key=["silver", "cleaned_trips"], partitions_def=MONTHS, deps=[raw_trips])
def cleaned_trips() -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(metadata={"rows_read": 10_000, "rows_per_second": 800})


@dg.multi_asset(
    name="dbt_build",
    specs=[dg.AssetSpec(FCT_TRIPS, deps=[cleaned_trips])],
    partitions_def=MONTHS,
)
def dbt_build() -> Iterator[dg.MaterializeResult[Any]]:
    yield dg.MaterializeResult(FCT_TRIPS, metadata={"dagster/row_count": 9_993})


# The asset requires the resource that tags the run, and does not use it.
RESOURCES = {"services": dg.ResourceDefinition.none_resource()}

STAGES = [generate_events, raw_trips, cleaned_trips, dbt_build]


def compare(instance: dg.DagsterInstance) -> dict[str, Any]:
    result = dg.materialize([throughput], instance=instance, selection=[THROUGHPUT], resources=RESOURCES)
    (materialization,) = result.asset_materializations_for_node("throughput")
    return {name: value.value for name, value in materialization.metadata.items()} | {
        "records": [dict(record.data) for record in getattr(materialization.metadata["last_runs"], "records", ())]
    }


def test_each_run_is_a_row_with_every_stage(instance: dg.DagsterInstance) -> None:
    first = dg.materialize(STAGES, instance=instance, partition_key="2019-01").run_id
    second = dg.materialize(STAGES, instance=instance, partition_key="2019-02").run_id
    rows = compare(instance)["records"]
    assert [(row["run"], row["month"], row["generator/s"]) for row in rows] == [
        (second[:8], "2019-02", 6_000.0),
        (first[:8], "2019-01", 5_000.0),
    ]
    assert {(row["bronze/s"], row["silver/s"]) for row in rows} == {(700.5, 800.0)}
    stats = {step.step_key: step for step in instance.get_run_step_stats(second)}
    took_s = stats["dbt_build"].end_time - stats["dbt_build"].start_time
    assert rows[0]["marts/s"] == pytest.approx(9_993 / took_s, abs=0.1)


def test_a_run_of_some_stages_leaves_the_others_out(instance: dg.DagsterInstance) -> None:
    """`make generate` alone must not break the comparison, nor show a zero that was never measured."""
    dg.materialize([generate_events], instance=instance, partition_key="2019-01")
    found = compare(instance)
    (row,) = found["records"]
    assert row["generator/s"] == 5_000.0
    assert row["bronze/s"] is None
    assert "bronze_per_second" not in found


def test_the_picture_shows_a_bar_for_every_number(instance: dg.DagsterInstance) -> None:
    for month in ("2019-01", "2019-02"):
        dg.materialize(STAGES, instance=instance, partition_key=month)
    pictures = re.findall(r"!\[[^]]+\]\(data:image/svg\+xml;base64,([^)]+)\)", compare(instance)["picture"])
    rates, seconds = (base64.b64decode(picture).decode() for picture in pictures)
    for stage in ("generator", "bronze", "silver", "marts"):
        assert f">{stage}<" in rates
        assert f">{stage}<" in seconds
    assert rates.count('class="rect reactive tooltip-trigger"') == 8
    assert 'href="http' not in rates + seconds, "nothing may be loaded from elsewhere"


def test_only_the_last_runs_are_read(instance: dg.DagsterInstance) -> None:
    runs = [dg.materialize([generate_events], instance=instance, partition_key="2019-01").run_id for _ in range(3)]
    assert [run.run_id for run in read_rates(instance, last=2)] == runs[1:]


def test_without_any_run_the_failure_says_what_to_do(instance: dg.DagsterInstance) -> None:
    with pytest.raises(dg.Failure, match="taxi_pipeline"):
        dg.materialize([throughput], instance=instance, resources=RESOURCES)
