"""The audit's definition, and the receipts that it gets."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from drayage.dagster_internals import RANGE_TAGS
from nyc_taxi.assets.audit import CHECKS, read_publications, read_receipts
from nyc_taxi.dbt_manifest import Publication
from nyc_taxi.keys import AUDIT, BRONZE, GENERATE_EVENTS, SILVER
from nyc_taxi.partitions import MONTHS

MONTH = "2024-01"


def report(instance: dg.DagsterInstance, key: dg.AssetKey, metadata: Mapping[str, Any], month: str = MONTH) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(asset_key=key, metadata=metadata, partition=month))


def test_the_receipts_are_the_last_of_the_month_and_missing_ones_are_left_out() -> None:
    version = {"source": "tlc_file", "source_version": "sha256-0123456789abcdef.01234567"}
    silver = {
        **dict.fromkeys(("rows_read", "rows_written", "rows_rejected", "duplicates", "rows_superseded"), 1),
        "rows_rounded": 0,
        "rows_without_vendor": 0,
        "snapshot_id": "4",
        **version,
        "source_name": "yellow_tripdata_2024-01.parquet",
    }
    with dg.DagsterInstance.ephemeral() as instance:
        report(instance, GENERATE_EVENTS, {"events_in_version": 8, "offsets": {"0": [0, 7]}, **version})
        report(instance, GENERATE_EVENTS, {"events_in_version": 9, "offsets": {"0": [0, 8]}, **version})
        report(instance, SILVER, silver)
        report(instance, SILVER, {**silver, "rows_read": 1}, month="2024-02")
        report(instance, BRONZE, {"duration_s": 1.5, "dagster/row_count": 3}, month="2024-02")
        receipts = read_receipts(instance, MONTH)
    assert all(receipt.pop("recorded_at_s") > 0 for receipt in receipts.values())
    assert receipts == {
        "generate_events": {"events_in_version": 9, "offsets": {"0": [0, 8]}, **version},
        "silver/cleaned_trips": {name: silver[name] for name in silver if name != "snapshot_id"},
    }


def test_a_materialization_without_numbers_is_not_a_receipt() -> None:
    """Such a materialization comes from "Report materialization" in the UI."""
    with dg.DagsterInstance.ephemeral() as instance:
        version = {"source": "synthetic", "source_version": "seed-42-events-8.01234567"}
        report(instance, GENERATE_EVENTS, {"events_in_version": 8, "offsets": {"0": [0, 7]}, **version})
        assert set(read_receipts(instance, MONTH)) == {"generate_events"}
        report(instance, GENERATE_EVENTS, {})
        assert read_receipts(instance, MONTH) == {}


def publication(name: str, *, by_month: bool) -> Publication:
    return Publication(mart=dg.AssetKey(["core", name]), by_month=by_month, description="A mart.", columns={})


PUBLICATIONS = [
    publication("fct_trips", by_month=True),
    publication("dim_dates", by_month=False),
    publication("dim_locations", by_month=False),
]


def test_the_receipt_of_a_publication_says_which_months_it_counts() -> None:
    """A table that is published as a whole has no months; a table that was not published has no receipt."""
    with dg.DagsterInstance.ephemeral() as instance:
        for name, rows in (("fct_trips", 7), ("dim_dates", 31)):
            numbers = {"dagster/row_count": rows, "snapshot_id": "4", "rows_written": 0}
            report(instance, dg.AssetKey(["marts", name]), numbers)
        receipts = read_publications(instance, PUBLICATIONS, MONTH)
    assert [receipt.pop("recorded_at_s") > 0 for receipt in receipts.values() if receipt] == [True, True]
    assert receipts == {
        "marts/fct_trips": {"dagster/row_count": 7, "snapshot_id": "4", "months": [MONTH]},
        "marts/dim_dates": {"dagster/row_count": 31, "snapshot_id": "4", "months": None},
        "marts/dim_locations": None,
    }


def test_a_publication_of_several_months_in_one_run_names_them_all() -> None:
    """Each month's materialization has the same number: the sum of all their rows."""

    @dg.asset(key=["marts", "fct_trips"], partitions_def=MONTHS, backfill_policy=dg.BackfillPolicy.single_run())
    def published() -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(metadata={"dagster/row_count": 30, "snapshot_id": "4"})

    with dg.DagsterInstance.ephemeral() as instance:
        tags = dict(zip(RANGE_TAGS, ("2023-12", "2024-02"), strict=True))
        assert dg.materialize([published], instance=instance, tags=tags).success
        receipt = read_publications(instance, PUBLICATIONS, MONTH)["marts/fct_trips"]
    assert receipt is not None
    assert receipt["months"] == ["2023-12", "2024-01", "2024-02"]


def test_every_failed_check_of_the_audit_fails_its_run(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    blocking = {
        key.name: graph.get_check_spec(key).blocking for key in graph.asset_check_keys if key.asset_key == AUDIT
    }
    assert blocking == dict.fromkeys(CHECKS, True)
