from typing import Any

import dagster as dg
import pytest

from nyc_taxi import row_checks


def materialization(**metadata: Any) -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(metadata={name: dg.MetadataValue.int(value) for name, value in metadata.items()})


def test_equal_counts_of_produced_acknowledged_and_committed_events_pass() -> None:
    result = materialization(events_produced=5, events_acknowledged=5, events_committed=5)
    assert row_checks.check_committed(result).passed


@pytest.mark.parametrize(("acknowledged", "committed"), [(4, 4), (5, 4)])
def test_an_event_that_was_not_acknowledged_or_not_committed_fails(acknowledged: int, committed: int) -> None:
    result = materialization(events_produced=5, events_acknowledged=acknowledged, events_committed=committed)
    check = row_checks.check_committed(result)
    assert not check.passed
    assert f"{acknowledged} acknowledged by the broker, {committed} committed" in str(check.description)


def test_rows_that_are_all_accounted_for_pass() -> None:
    result = materialization(rows_read=10, rows_written=7, rows_rejected=2, duplicates=1, rows_undecodable=0)
    assert row_checks.check_accounted_for(result).passed
    assert row_checks.check_accounted_for(result, row_checks.BRONZE_FATES).passed


@pytest.mark.parametrize(("written", "unaccounted"), [(6, 1), (8, -1)])
def test_a_lost_or_surplus_row_fails_with_the_difference(written: int, unaccounted: int) -> None:
    result = materialization(rows_read=10, rows_written=written, rows_rejected=2, duplicates=1)
    check = row_checks.check_accounted_for(result)
    assert not check.passed
    assert f"{unaccounted} unaccounted for" in str(check.description)


def test_undecodable_records_are_accounted_for_in_bronze() -> None:
    result = materialization(rows_read=10, rows_written=7, rows_rejected=0, duplicates=0, rows_undecodable=3)
    assert row_checks.check_accounted_for(result, row_checks.BRONZE_FATES).passed
    assert not row_checks.check_accounted_for(result).passed


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
