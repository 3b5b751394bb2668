import pytest

from nyc_taxi.landing.names import month_of, preference, why_refused
from nyc_taxi.months import FIRST_MONTH, last_month


@pytest.mark.parametrize("ending", ["parquet", "csv", "csv.gz"])
@pytest.mark.parametrize("month", [FIRST_MONTH, "2019-01", last_month()])
def test_the_tlcs_names_are_months_files(month: str, ending: str) -> None:
    name = f"yellow_tripdata_{month}.{ending}"
    assert month_of(name) == month
    assert why_refused(name) is None


def test_a_run_prefers_parquet_to_csv() -> None:
    names = [f"yellow_tripdata_2019-01.{ending}" for ending in ("csv.gz", "csv", "parquet")]
    assert sorted(names, key=preference) == names[::-1]


LOOK_ALIKE = [
    "yellow_tripdata_2021-03 (1).parquet",
    "yellow_tripdata_2021-03.PARQUET",
    "Yellow_tripdata_2021-03.csv",
    "YELLOW_TRIPDATA_2021-03.CSV.GZ",
    "yellow_tripdata_2021-1.csv",
    "yellow_tripdata_2021_03.csv",
    "yellow_tripdata_2021-3.parquet",
    "yellow_tripdata_202103.parquet",
    "yellow_tripdata_2021-13.csv",
    "yellow_tripdata_2021-03",
    "yellow_tripdata_2021-03.zip",
    "yellow_tripdata_2021-03.csv.bz2",
    "yellow_tripdata_2021-03.parquet ",
    "yellow_tripdata_2021-03.parquet\n",
    "yellow-tripdata-2021-03.parquet",
    "yellow tripdata 2021-03.parquet",
    "Copy of yellow_tripdata_2021-03.parquet",
    "yellow_tripdata_\u0662\u0660\u0661\u0669-01.parquet 2019",
]


@pytest.mark.parametrize("name", LOOK_ALIKE)
def test_a_name_that_looks_like_a_months_file_is_refused_with_what_to_do(name: str) -> None:
    """Passed over, its month would be synthesised."""
    assert month_of(name) is None
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


@pytest.mark.parametrize(
    "name",
    [
        "green_tripdata_2019-01.parquet",
        "fhv_tripdata_2019-01.csv",
        "taxi_zone_lookup.csv",
        "data_dictionary_trip_records_yellow.pdf",
        "yellow_tripdata_schema.txt",
        "._yellow_tripdata_2019-01.parquet",
        "README.md",
        "",
    ],
)
def test_other_names_are_ignored(name: str) -> None:
    assert month_of(name) is None
    assert why_refused(name) is None
