"""The checks of a month, from what silver reported."""

from typing import Any

import dagster as dg
import pytest

from nyc_taxi import month_checks

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


def silver(
    *, written: int = 90, rejected: int = 0, duplicates: int = 0, source: str = "tlc_file", **more: int
) -> dg.MaterializeResult[Any]:
    counts = {"rows_written": written, "rows_rejected": rejected, "duplicates": duplicates, "rows_superseded": 1000}
    names = {"tlc_file": "yellow_tripdata_2019-01.parquet", "synthetic": "synthetic, seed 42, 10000 events"}
    return dg.MaterializeResult(metadata={**counts, **more, "source": source, "source_name": names[source]})


@pytest.mark.parametrize(
    ("written", "rejected", "duplicates", "passed", "severity"),
    [
        (100, 0, 0, True, ERROR),
        (90, 10, 0, True, ERROR),
        (89, 11, 0, False, WARN),
        (50, 50, 0, False, WARN),
        (49, 51, 0, False, ERROR),
        # Sending the month again adds repeats, and changes no share.
        (89, 11, 100, False, WARN),
        (49, 51, 100, False, ERROR),
        (0, 0, 0, False, ERROR),
        (0, 1, 99, False, ERROR),
    ],
)
def test_the_share_of_rejected_rows_warns_above_a_tenth_and_fails_above_half_or_without_trips(
    written: int, rejected: int, duplicates: int, severity: dg.AssetCheckSeverity, *, passed: bool
) -> None:
    """Superseded rows are of other versions and do not count."""
    check = month_checks.check_rejected_share(silver(written=written, rejected=rejected, duplicates=duplicates))
    assert (check.passed, check.severity) == (passed, severity)
    assert ("silver.rejected_trips" in str(check.description)) is not passed


def test_the_share_of_rejected_rows_says_the_numbers_and_the_source() -> None:
    check = month_checks.check_rejected_share(silver(written=9_993, rejected=7))
    assert check.description == (
        "7 of 10000 rows (less than 0.1%) of yellow_tripdata_2019-01.parquet were rejected; 9993 trips are left."
    )
    assert check.metadata["rejected_share"].value == 0.0007
    none = month_checks.check_rejected_share(silver(written=0, rejected=3, source="synthetic"))
    assert str(none.description).startswith(
        "3 of 3 rows (100.0%) of SYNTHETIC, seed 42, 10000 events were rejected; no trips are left. silver.rejected_"
    )


def test_only_the_share_of_rejected_rows_blocks_what_is_built_from_silver() -> None:
    key = dg.AssetKey("a")
    specs = (month_checks.rejected_share_spec(key), month_checks.vendors_spec(key), month_checks.whole_cents_spec(key))
    assert {spec.name: spec.blocking for spec in specs} == {
        "rejected_share": True,
        "every_row_has_a_vendor": False,
        "amounts_are_whole_cents": False,
    }


def test_trips_without_a_vendor_warn_with_their_number() -> None:
    check = month_checks.check_vendors(silver(rows_without_vendor=9))
    assert (check.passed, check.severity) == (False, WARN)
    assert str(check.description).startswith(
        "9 of 90 trips (10.0%) of yellow_tripdata_2019-01.parquet have no vendor. Look at VendorID and vendor_name"
    )
    assert month_checks.check_vendors(silver(rows_without_vendor=0)).passed


def test_rounded_amounts_warn_with_their_number() -> None:
    check = month_checks.check_whole_cents(silver(rows_rounded=1, source="synthetic"))
    assert (check.passed, check.severity) == (False, WARN)
    assert "1 of 90 trips (1.1%) of SYNTHETIC, seed 42, 10000 events have an amount with more than" in str(
        check.description
    )
    assert month_checks.check_whole_cents(silver(written=0, rows_rounded=0)).passed
