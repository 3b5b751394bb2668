from typing import Any

import dagster as dg
import pytest

from nyc_taxi import row_checks

FILE = {"source": "tlc_file", "source_name": "yellow_tripdata_2019-01.parquet"}
SYNTHETIC = {"source": "synthetic", "source_name": "synthetic, seed 42, 10000 events"}


def materialization(**metadata: Any) -> dg.MaterializeResult[Any]:
    kinds = {int: dg.MetadataValue.int, str: dg.MetadataValue.text, dict: dg.MetadataValue.json}
    return dg.MaterializeResult(metadata={name: kinds[type(value)](value) for name, value in metadata.items()})


def test_equal_counts_of_produced_acknowledged_and_committed_events_pass() -> None:
    """An attempt that goes on where another stopped sends only what is left of the version."""
    counts = {"events_produced": 5, "events_acknowledged": 5, "events_committed": 5}
    assert row_checks.check_committed(materialization(**counts, events_resumed=0, events_in_version=5, **FILE)).passed
    check = row_checks.check_committed(materialization(**counts, events_resumed=3, events_in_version=8, **SYNTHETIC))
    assert check.passed
    assert str(check.description).endswith("8 in the version. They are from SYNTHETIC, seed 42, 10000 events.")


@pytest.mark.parametrize(("acknowledged", "committed", "version"), [(4, 4, 7), (5, 4, 7), (5, 5, 8), (5, 5, 6)])
def test_an_event_that_was_not_acknowledged_or_not_committed_fails(
    acknowledged: int, committed: int, version: int
) -> None:
    counts = {"events_produced": 5, "events_acknowledged": acknowledged, "events_committed": committed}
    check = row_checks.check_committed(materialization(**counts, events_resumed=2, events_in_version=version, **FILE))
    assert not check.passed
    assert f"{acknowledged} acknowledged by the broker, {committed} committed" in str(check.description)


def test_unknown_columns_warn_with_their_names_and_counts() -> None:
    """The trips are sound, and what is left out of silver must be seen."""
    unknown = {"tip_split": 3, "ehail_fee": 10}
    check = row_checks.check_unknown_columns(materialization(unknown_columns=unknown, **FILE))
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "yellow_tripdata_2019-01.parquet has unknown columns: ehail_fee (10 values), tip_split" in str(
        check.description
    )
    assert check.metadata["unknown_columns"].value == unknown
    known = row_checks.check_unknown_columns(materialization(unknown_columns={}, **SYNTHETIC))
    assert known.passed
    assert known.description == "All columns of SYNTHETIC, seed 42, 10000 events are known."
    assert not row_checks.unknown_columns_spec(dg.AssetKey("a")).blocking


def test_rows_that_are_all_accounted_for_pass() -> None:
    result = materialization(rows_read=10, rows_written=7, rows_rejected=2, duplicates=1, rows_undecodable=0)
    assert row_checks.check_accounted_for(result, row_checks.BRONZE_FATES).passed


def test_superseded_rows_are_accounted_for_in_silver() -> None:
    result = materialization(rows_read=25, rows_written=7, rows_rejected=2, duplicates=1, rows_superseded=15)
    check = row_checks.check_accounted_for(result, row_checks.SILVER_FATES)
    assert check.passed
    assert "rows_superseded 15: 0 unaccounted for" in str(check.description)


@pytest.mark.parametrize(("written", "unaccounted"), [(6, 1), (8, -1)])
def test_a_lost_or_surplus_row_fails_with_the_difference(written: int, unaccounted: int) -> None:
    result = materialization(rows_read=10, rows_written=written, rows_rejected=1, duplicates=1, rows_superseded=1)
    check = row_checks.check_accounted_for(result, row_checks.SILVER_FATES)
    assert not check.passed
    assert f"{unaccounted} unaccounted for" in str(check.description)


def test_undecodable_records_are_accounted_for_in_bronze() -> None:
    result = materialization(rows_read=10, rows_written=7, rows_rejected=0, duplicates=0, rows_undecodable=3)
    assert row_checks.check_accounted_for(result, row_checks.BRONZE_FATES).passed
    assert not row_checks.check_accounted_for(result, row_checks.CURRENT_FATES).passed


@pytest.mark.parametrize(("missing", "repeated", "passed"), [(0, 0, True), (1, 0, False), (0, 1, False), (1, 1, False)])
def test_a_record_without_exactly_one_row_fails_and_gaps_do_not(missing: int, repeated: int, *, passed: bool) -> None:
    result = materialization(rows_read=10, records_missing=missing, rows_repeated=repeated, offset_gaps=4)
    check = row_checks.check_complete(result)
    assert check.passed is passed
    assert "4 offsets without a record" in str(check.description)


def test_undecodable_records_warn_with_their_number() -> None:
    """They must be seen, and must not block the months."""
    check = row_checks.check_decodable(materialization(rows_undecodable=2, rows_in_quarantine=5))
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "2 records could not be decoded; bronze.quarantine shows 5 in all."
    assert row_checks.check_decodable(materialization(rows_undecodable=0, rows_in_quarantine=5)).passed
    assert not row_checks.decodable_spec(dg.AssetKey("a")).blocking


def test_the_hosts_checks_are_added_to_the_workloads_own() -> None:
    own = dg.AssetCheckResult(check_name="own", passed=True)
    result = dg.MaterializeResult(
        asset_key="a", metadata={"n": 1}, check_results=[own], data_version=dg.DataVersion("v1")
    )
    added = dg.AssetCheckResult(check_name="added", passed=False)
    both = row_checks.with_checks(result, added)
    assert both.check_results == [own, added]
    assert (both.asset_key, both.metadata, both.data_version) == (result.asset_key, {"n": 1}, dg.DataVersion("v1"))
