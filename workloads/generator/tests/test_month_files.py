"""Which file of the landing zone a month is read from, and which names only resemble one."""

import datetime as dt
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from trip_files import MONTH

from generator.errors import TripFileError
from generator.month import Month
from generator.month_files import FileChoice, choose_file, resembled_months

NOON = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)
# The host's tests read the same table: what lands and what a step takes are judged alike.
NAMES: dict[str, Any] = json.loads((Path(__file__).parents[3] / "tests/landed_names.json").read_text())


def landed(names: Iterable[str], *, apart: bool = True) -> dict[str, dt.datetime]:
    """Return when names landed, one after another or all at one moment."""
    return {name: NOON + dt.timedelta(milliseconds=place * apart) for place, name in enumerate(names)}


@pytest.mark.parametrize("first", ["parquet", "csv", "csv.gz"])
@pytest.mark.parametrize("last", ["parquet", "csv", "csv.gz"])
def test_a_month_is_read_from_what_landed_last_and_the_choice_is_said(first: str, last: str) -> None:
    """Whoever landed a month's file means it to be read, whatever its format; the log names the file not taken."""
    names = list(dict.fromkeys(f"yellow_tripdata_2019-01.{ending}" for ending in (first, last)))
    others = ["yellow_tripdata_2019-02.parquet", "green_tripdata_2019-01.csv"]
    choice = choose_file(landed([*names, *others]), MONTH, "s3://x/")
    note = f"2019-01 is read from {names[-1]}, which landed last, not from {names[0]}"
    assert choice == FileChoice(names[-1], note if len(names) > 1 else "")


def test_of_files_that_landed_at_one_moment_the_preferred_format_is_read() -> None:
    """The object store's clock has a resolution, and two steps must not read different files."""
    names = [f"yellow_tripdata_2019-01.{ending}" for ending in ("csv.gz", "parquet", "csv")]
    for order in (names, names[::-1]):
        choice = choose_file(landed(order, apart=False), MONTH, "s3://x/")
        assert choice is not None
        assert choice.name.endswith(".parquet")
        assert choice.note.endswith("not from yellow_tripdata_2019-01.csv or yellow_tripdata_2019-01.csv.gz")


def test_a_month_without_a_file_has_none() -> None:
    """Other months, services and documents are not taken for it, whatever their digits."""
    others = ["yellow_tripdata_2019-10.parquet", "yellow_tripdata_2019-11 (1).csv", "green_tripdata_2019-01.parquet"]
    others += ["yellow_tripdata_2019-12.csv", "yellow_tripdata_2018-01.parquet", "readme.txt", "fhv_2019-01.csv"]
    assert choose_file(landed(others), MONTH, "s3://x/") is None
    assert choose_file({}, MONTH, "s3://x/") is None


@pytest.mark.parametrize(("name", "months"), NAMES["resembling"].items())
def test_a_name_that_resembles_a_months_file_is_named_for_these_months(name: str, months: list[str]) -> None:
    """Passing over it would send another month than the one that its owner put there."""
    assert resembled_months(name) == {Month.parse(month) for month in months}
    for month in months:
        for others in ([], [f"yellow_tripdata_{month}.parquet"]):
            with pytest.raises(TripFileError, match=rf"s3://x/.*expected yellow_tripdata_{month}.parquet") as caught:
                choose_file(landed([*others, name]), Month.parse(month), "s3://x/")
            # An error is one line.
            assert " ".join(repr(name).split()) in str(caught.value)
            assert "to do: give the month's file its name" in str(caught.value)


@pytest.mark.parametrize(("name", "month"), NAMES["files"].items())
def test_a_months_file_resembles_no_other(name: str, month: str) -> None:
    """A folder has many of them."""
    assert resembled_months(name) == set()
    assert choose_file(landed([name]), Month.parse(month), "s3://x/") == FileChoice(name, "")


@pytest.mark.parametrize("name", NAMES["others"])
def test_other_names_are_passed_over(name: str) -> None:
    """The landing zone may hold what is none of the yellow trips, and what other systems keep beside a file."""
    assert resembled_months(name) == set()
