"""Every run is tagged with its month, and with the code and the images that made it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from drayage.component.provenance import provenance_tags
from nyc_taxi.keys import BRONZE, GENERATE_EVENTS, SILVER
from nyc_taxi.partitions import MONTHS
from nyc_taxi.provenance import file_of_month, tag_run, tag_source

TAGS = provenance_tags({"drayage/generator": f"sha256:{'ab' * 32}"}, "4711abc")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@dg.resource
def services(context: dg.InitResourceContext) -> str:
    tag_run(context, TAGS)
    return "services"


@dg.asset(partitions_def=MONTHS, required_resource_keys={"services"})
def trips() -> None:
    """Stand in for any step."""


def test_a_run_of_a_month_is_tagged_however_it_was_launched(instance: dg.DagsterInstance) -> None:
    run_id = dg.materialize(
        [trips], instance=instance, resources={"services": services}, partition_key="2019-01"
    ).run_id
    run = instance.get_run_by_id(run_id)
    assert run is not None
    found = {name: run.tags.get(name) for name in ("month", "git_revision", "image/generator")}
    assert found == {"month": "2019-01", "git_revision": "4711abc", "image/generator": "sha256:abababababab"}
    assert [found.run_id for found in instance.get_runs(dg.RunsFilter(tags={"git_revision": "4711abc"}))] == [run_id]


def test_a_run_over_several_months_is_tagged_with_the_first_and_the_last(instance: dg.DagsterInstance) -> None:
    tags = {"dagster/asset_partition_range_start": "2019-01", "dagster/asset_partition_range_end": "2019-03"}
    run_id = dg.materialize([trips], instance=instance, resources={"services": services}, tags=tags).run_id
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.tags["month"] == "2019-01...2019-03"


@pytest.mark.parametrize(
    ("source", "name", "expected"),
    [
        ("tlc_file", "yellow_tripdata_2019-01.parquet", "yellow_tripdata_2019-01.parquet"),
        ("synthetic", "synthetic, seed 42, 10000 events", "SYNTHETIC"),
    ],
)
def test_a_run_is_tagged_with_the_source_that_its_step_reported(
    instance: dg.DagsterInstance, source: str, name: str, expected: str
) -> None:
    """A list of runs shows which of them were made from synthetic trips."""

    @dg.asset
    def cleaned_trips(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        result = dg.MaterializeResult(metadata={"source": source, "source_name": name})
        tag_source(context, result)
        return result

    run_id = dg.materialize([cleaned_trips], instance=instance).run_id
    assert [run.run_id for run in instance.get_runs(dg.RunsFilter(tags={"source": expected}))] == [run_id]


def test_dagster_remembers_the_file_whose_trips_a_month_holds(instance: dg.DagsterInstance) -> None:
    """When the broker was lost, synthetic trips would otherwise replace those of a file that is still in the lake."""

    def report(key: dg.AssetKey, month: str, **metadata: str) -> str | None:
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=month, metadata=metadata))
        return file_of_month(instance, "2019-01")

    file = {"source": "tlc_file", "source_name": "yellow_tripdata_2019-01.csv"}
    invented = {"source": "synthetic", "source_name": "synthetic, seed 1, 9 events"}
    assert file_of_month(instance, "2019-01") is None
    assert report(GENERATE_EVENTS, "2019-02", **file) is None
    # By a release that said nothing of the source.
    assert report(SILVER, "2019-01") is None
    assert report(GENERATE_EVENTS, "2019-01", **file) == "yellow_tripdata_2019-01.csv"
    assert report(BRONZE, "2019-01") == "yellow_tripdata_2019-01.csv"
    assert report(GENERATE_EVENTS, "2019-02", **invented) == "yellow_tripdata_2019-01.csv"
    assert report(GENERATE_EVENTS, "2019-01", **invented) is None
    # The step that sent the file was killed before it reported, and silver has it.
    assert report(SILVER, "2019-01", **file | {"source_name": "corrected"}) == "corrected"
