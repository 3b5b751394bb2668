from typing import Any

import dagster as dg
import pytest

from nyc_taxi import receipts


def materialization(**metadata: Any) -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(metadata={name: dg.MetadataValue.int(value) for name, value in metadata.items()})


def test_as_many_acknowledged_as_produced_passes() -> None:
    assert receipts.check_acknowledged(materialization(events_produced=5, events_acknowledged=5)).passed


def test_an_event_that_nobody_acknowledged_fails() -> None:
    check = receipts.check_acknowledged(materialization(events_produced=5, events_acknowledged=4))
    assert not check.passed
    assert check.description == "5 events produced, 4 acknowledged by the broker."


def test_rows_that_all_went_somewhere_pass() -> None:
    result = materialization(rows_read=10, rows_written=7, rows_rejected=2, duplicates=1)
    assert receipts.check_accounted_for(result).passed


@pytest.mark.parametrize(("written", "unaccounted"), [(6, 1), (8, -1)])
def test_a_row_lost_or_invented_fails_with_the_difference(written: int, unaccounted: int) -> None:
    result = materialization(rows_read=10, rows_written=written, rows_rejected=2, duplicates=1)
    check = receipts.check_accounted_for(result)
    assert not check.passed
    assert f"{unaccounted} unaccounted for" in str(check.description)


def test_a_check_goes_out_with_its_materialization_and_the_workloads_own() -> None:
    own = dg.AssetCheckResult(check_name="own", passed=True)
    result = dg.MaterializeResult(
        asset_key="a", metadata={"n": 1}, check_results=[own], data_version=dg.DataVersion("v1")
    )
    added = dg.AssetCheckResult(check_name="added", passed=False)
    both = receipts.with_checks(result, added)
    assert both.check_results == [own, added]
    assert (both.asset_key, both.metadata, both.data_version) == (result.asset_key, {"n": 1}, dg.DataVersion("v1"))
