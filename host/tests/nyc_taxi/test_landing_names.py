import json
from pathlib import Path
from typing import Any

import pytest

from nyc_taxi.landing.names import month_of, preference, resembled_months, why_refused
from nyc_taxi.months import FIRST_MONTH, last_month

# The generator's tests read the same table: what lands and what a step takes are judged alike.
NAMES: dict[str, Any] = json.loads((Path(__file__).parents[3] / "tests/landed_names.json").read_text())


@pytest.mark.parametrize("ending", ["parquet", "csv", "csv.gz"])
@pytest.mark.parametrize("month", [FIRST_MONTH, "2019-01", last_month()])
def test_the_tlcs_names_are_months_files(month: str, ending: str) -> None:
    name = f"yellow_tripdata_{month}.{ending}"
    assert month_of(name) == month
    assert why_refused(name) is None


def test_a_run_prefers_parquet_to_csv() -> None:
    names = [f"yellow_tripdata_2019-01.{ending}" for ending in ("csv.gz", "csv", "parquet")]
    assert sorted(names, key=preference) == names[::-1]


@pytest.mark.parametrize(("name", "months"), NAMES["resembling"].items())
def test_a_name_that_resembles_a_months_file_is_refused_with_what_to_do(name: str, months: list[str]) -> None:
    """Passed over, its month would be synthesised, or its step red."""
    assert resembled_months(name) == set(months)
    assert month_of(name) is None
    assert ": " in (why_refused(name) or "")


@pytest.mark.parametrize(("name", "month"), NAMES["files"].items())
def test_a_months_file_resembles_no_other(name: str, month: str) -> None:
    assert (month_of(name), why_refused(name), resembled_months(name)) == (month, None, set())


@pytest.mark.parametrize("name", NAMES["others"])
def test_other_names_are_ignored(name: str) -> None:
    assert (month_of(name), why_refused(name), resembled_months(name)) == (None, None, set())


@pytest.mark.parametrize(
    "name",
    [
        "yellow_tripdata_2021-03 (1).parquet",
        "yellow_2021-03.parquet",
        "yellow_tripdata_2021-13.csv",
        "yellow_tripdata_march_2021.csv",
        "yellow_tripdata_2021.csv",
        "yellow_tripdata_2021-003.parquet",
    ],
)
def test_a_name_of_a_month_that_nobody_can_tell_is_refused_too(name: str) -> None:
    """Its owner means some month by it."""
    assert "rename it" in (why_refused(name) or "")


@pytest.mark.parametrize("ending", ["crdownload", "part", "partial", "download", "tmp"])
def test_a_download_that_has_not_ended_is_said_to_be_one(ending: str) -> None:
    assert "has not ended" in (why_refused(f"yellow_tripdata_2021-03.parquet.{ending}") or "")


@pytest.mark.parametrize("month", ["2008-12", "2999-01"])
def test_a_month_without_a_partition_is_refused_with_the_range(month: str) -> None:
    name = f"yellow_tripdata_{month}.parquet"
    assert month_of(name) is None
    assert f"no month {month}: choose one from {FIRST_MONTH}" in (why_refused(name) or "")


def test_a_file_in_a_folder_of_the_landing_zone_is_refused() -> None:
    assert "in a folder of the landing zone" in (why_refused("2021/yellow_tripdata_2021-03.parquet") or "")
