"""The audit passes on a sound month, and notices what another tool does to its tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.expressions import And, BooleanExpression, EqualTo
from stack import Stack

pytestmark = pytest.mark.stack

MONTH = "2015-06"
EVENTS = 600
CHECKS = {
    "every_record_is_in_bronze_once",
    "every_bronze_row_is_accounted_for",
    "silver_trip_ids_are_unique",
    "published_trips_are_silvers",
    "money_is_the_same_everywhere",
    "receipts_are_confirmed",
}
PUBLISHED = (
    "fct_trips",
    "dim_dates",
    "dim_locations",
    "dim_payment_types",
    "daily_revenue",
    "hourly_demand",
    "location_performance",
)
FINDINGS = """
query Findings($run: ID!) {
  logsForRun(runId: $run, limit: 1000) {
    ... on EventConnection {
      events {
        ... on AssetCheckEvaluationEvent {
          evaluation { checkName metadataEntries { label ... on TextMetadataEntry { text } } }
        }
      }
    }
  }
}
"""


@pytest.fixture(scope="module")
def month(stack: Stack) -> Stack:
    """Run a small month once, all steps."""
    launch = stack.launch(MONTH, "--events", str(EVENTS))
    assert launch.exit_code == 0, launch.output
    assert stack.checks("audit", launch.run_id) == dict.fromkeys(CHECKS, ("ERROR", True))
    return stack


def test_a_sound_month_passes_with_its_numbers(month: Stack) -> None:
    """The auditor's numbers equal those of the topic, the tables and the receipts, read here independently."""
    audit = month.materialization("audit", MONTH)
    silver = month.table_rows("silver.cleaned_trips", MONTH)
    reported = month.materialization("silver/cleaned_trips", MONTH)
    assert audit["records_audited"] == month.committed_events(MONTH) == EVENTS
    assert audit["rows_in_bronze"] == len(month.table_rows("bronze.raw_trips", MONTH)) == EVENTS
    assert audit["rows_in_silver"] == audit["rows_in_fct_trips"] == len(silver)
    assert audit["rows_rejected"] == len(month.table_rows("silver.rejected_trips", MONTH)) == reported["rows_rejected"]
    assert audit["duplicates"] == reported["duplicates"] > 0
    assert Decimal(audit["total_amount_usd"]) == sum(row["total_amount_usd"] for row in silver)
    assert audit["checks_failed"] == 0


def test_every_published_table_is_listed_with_the_snapshot_that_was_reported(month: Stack) -> None:
    snapshots = month.materialization("audit", MONTH)["snapshots"]
    published = {name: snapshot for name, snapshot in snapshots.items() if name.startswith("marts.")}
    assert published == {
        f"marts.{mart}": month.materialization(f"marts/{mart}", MONTH)["snapshot_id"] for mart in PUBLISHED
    }


def test_the_auditors_image_is_small(stack: Stack) -> None:
    """It is one static program, which a company may admit where it would not admit a language's whole runtime."""
    assert stack.engine.images.get("drayage/auditor").attrs["Size"] < 20_000_000


def test_auditing_again_after_the_month_was_sent_again_passes(month: Stack) -> None:
    """Bronze then has each event twice; nothing else has changed."""
    again = month.launch(
        MONTH, "--events", str(EVENTS), "--select", "kafka_topics,generate_events,bronze/raw_trips,audit"
    )
    assert again.exit_code == 0, again.output
    audit = month.materialization("audit", MONTH)
    assert audit["rows_in_bronze"] == audit["records_audited"] == 2 * EVENTS
    assert audit["rows_in_silver"] == month.materialization("silver/cleaned_trips", MONTH)["rows_written"]


@dataclass(frozen=True)
class Harm:
    """A change that pyiceberg makes to a row of a table, and what the audit then finds.

    Args:
        table: The table.
        key: Columns that identify its rows.
        copies: How many copies of the row there are then.
        findings: Part of the finding of each check that fails.
    """

    table: str
    key: tuple[str, ...]
    copies: int
    findings: dict[str, str]


HARMS = {
    "a row of bronze is there twice": Harm(
        "bronze.raw_trips",
        ("kafka_topic_id", "kafka_partition", "kafka_offset"),
        2,
        {"every_record_is_in_bronze_once": "1 rows of bronze.raw_trips repeat another row's record (partition "},
    ),
    "a row of silver is gone": Harm(
        "silver.cleaned_trips",
        ("trip_id",),
        0,
        {
            "every_bronze_row_is_accounted_for": "1 trips of bronze are not in silver.cleaned_trips (trip_id ",
            "published_trips_are_silvers": "1 rows of marts.fct_trips match no trip of silver (trip_id ",
            "money_is_the_same_everywhere": "1 days have different sums in the marts and in silver",
            "receipts_are_confirmed": "silver/cleaned_trips reported rows_written",
        },
    ),
    "a row of silver is there twice": Harm(
        "silver.cleaned_trips",
        ("trip_id",),
        2,
        {
            "every_bronze_row_is_accounted_for": "rows of bronze.raw_trips became ",
            "silver_trip_ids_are_unique": "1 rows of silver.cleaned_trips repeat another row's trip_id (trip_id ",
            "money_is_the_same_everywhere": "have trips",
            "receipts_are_confirmed": "silver/cleaned_trips reported rows_written",
        },
    ),
    "a row of the published trips is gone": Harm(
        "marts.fct_trips",
        ("trip_id",),
        0,
        {
            "published_trips_are_silvers": "1 trips of silver are not in marts.fct_trips (trip_id ",
            "money_is_the_same_everywhere": "silver.cleaned_trips and marts.fct_trips have trips",
            "receipts_are_confirmed": "marts/fct_trips had ",
        },
    ),
    "a row of a mart that nothing else is held against is there twice": Harm(
        "marts.hourly_demand",
        ("iso_day_of_week", "pickup_hour"),
        2,
        {"receipts_are_confirmed": "marts/hourly_demand had "},
    ),
}


@contextmanager
def _harmed(stack: Stack, harm: Harm) -> Iterator[None]:
    """Remove or duplicate a row of the month, and restore it at the end."""
    table = stack.catalog().load_table(harm.table)
    of_month = EqualTo("trip_month", MONTH)
    # The most expensive trip: its money is missed.
    rows = table.scan(row_filter=of_month).to_arrow()
    amount = next(name for name in rows.column_names if name.startswith("total_amount"))
    row = rows.take([pc.sort_indices(rows, [(amount, "descending")])[0].as_py()])
    this: BooleanExpression = of_month
    for name in harm.key:
        this = And(this, EqualTo(name, row[name][0].as_py()))

    def leave(copies: int) -> None:
        table.refresh()
        with table.transaction() as transaction:
            transaction.delete(this)
            if copies:
                transaction.append(pa.concat_tables([row] * copies))

    try:
        leave(harm.copies)
        yield
    finally:
        leave(1)
    assert _sorted(table.refresh().scan(row_filter=of_month).to_arrow()) == _sorted(rows)


def _sorted(rows: pa.Table) -> list[str]:
    return sorted(map(str, rows.to_pylist()))


@pytest.mark.parametrize("name", HARMS)
def test_a_change_by_another_tool_makes_the_audit_red(month: Stack, name: str) -> None:
    """Exactly the checks concerned fail, and say what is wrong."""
    harm = HARMS[name]
    with _harmed(month, harm):
        red = month.launch(MONTH, "--select", "audit")
    assert red.exit_code != 0
    assert month.run_status(red.run_id) == "FAILURE"
    outcomes = month.checks("audit", red.run_id)
    assert outcomes == {check: ("ERROR", check not in harm.findings) for check in CHECKS}
    findings = _findings(month, red.run_id)
    for check, finding in harm.findings.items():
        assert finding in findings[check]
        assert finding in red.output
        assert MONTH in findings[check]


def test_a_restored_table_makes_the_audit_green_again(month: Stack) -> None:
    with _harmed(month, HARMS["a row of silver is gone"]):
        pass
    green = month.launch(MONTH, "--select", "audit")
    assert green.exit_code == 0, green.output


def _findings(stack: Stack, run_id: str) -> dict[str, str]:
    """Return the finding of each check of a run, by name."""
    events = stack.query(FINDINGS, run=run_id)["logsForRun"]["events"]
    return {
        event["evaluation"]["checkName"]: entry["text"]
        for event in events
        if "evaluation" in event
        for entry in event["evaluation"]["metadataEntries"]
        if entry["label"] == "finding"
    }
