"""The pipeline returns the known numbers for real trips, in any order and when run again.

The expected figures come from the files themselves: 10,000 rows each, of which those with a fare below zero are
rejected.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from stack import Stack

pytestmark = pytest.mark.stack

MONTHS = {
    "2019-01": {"silver": 9_993, "rejected": 7, "total_amount_usd": Decimal("157365.02"), "days": 31},
    "2019-02": {"silver": 9_985, "rejected": 15, "total_amount_usd": Decimal("185056.70"), "days": 28},
}


def _fact(stack: Stack, month: str) -> dict[str, Any]:
    rows = stack.marts(
        "select count(*) as trips, sum(total_amount_usd) as total_amount_usd, count(distinct pickup_date) as days "  # noqa: S608 - a constant of this module
        f"from core.fct_trips where trip_month = '{month}'"
    )
    return rows[0]


def _content(stack: Stack) -> dict[str, list[str]]:
    """Return silver, rejected rows and marts as sorted text, to compare before and after."""
    content = {
        f"{table} {month}": [str(row) for row in stack.table_rows(table, month)]
        for table in ("silver.cleaned_trips", "silver.rejected_trips")
        for month in MONTHS
    }
    # Staging and the receipts hold the month that was built last; they are not marts.
    return content | stack.marts_tables(without=("staging", "audit"))


@pytest.mark.parametrize("month", MONTHS)
def test_every_event_is_acknowledged_and_committed(real_months: Stack, month: str) -> None:
    """Produced = acknowledged = what an independent reader of the topic sees."""
    reported = real_months.materialization("generate_events", month)
    assert reported["events_produced"] == 10_000
    assert reported["events_acknowledged"] == 10_000
    # A retry in this session may have sent the month again, always as a whole.
    assert real_months.committed_events(month) % 10_000 == 0


@pytest.mark.parametrize("month", MONTHS)
def test_bronze_holds_each_committed_record_once(real_months: Stack, month: str) -> None:
    """No offset is in bronze twice, and bronze has as many rows as the topic has records."""
    rows = real_months.table_rows("bronze.raw_trips", month)
    offsets = [(row["kafka_topic_id"], row["kafka_partition"], row["kafka_offset"]) for row in rows]
    assert len(set(offsets)) == len(offsets) == real_months.committed_events(month)
    assert real_months.materialization("bronze/raw_trips", month)["dagster/row_count"] == len(rows)


@pytest.mark.parametrize("month", MONTHS)
def test_silver_and_rejected_rows_account_for_the_month(real_months: Stack, month: str) -> None:
    """Trips with a fare below zero are rejected for that reason; all others are kept."""
    expected = MONTHS[month]
    silver = real_months.table_rows("silver.cleaned_trips", month)
    rejected = real_months.table_rows("silver.rejected_trips", month)
    assert len(silver) == expected["silver"]
    assert len({row["trip_id"] for row in silver}) == expected["silver"]
    assert {row["event_id"] for row in silver}.isdisjoint(row["event_id"] for row in rejected)
    assert len({row["event_id"] for row in rejected}) == len(rejected) == expected["rejected"]
    assert all(row["fare_amount"] < 0 and "fare" in row["rejection_reason"] for row in rejected)


@pytest.mark.parametrize("month", MONTHS)
def test_facts_and_revenue_are_exact(real_months: Stack, month: str) -> None:
    """Revenue is exact to the cent on each day of the month."""
    expected = MONTHS[month]
    fact = _fact(real_months, month)
    assert fact["trips"] == expected["silver"]
    assert Decimal(str(fact["total_amount_usd"])) == expected["total_amount_usd"]
    assert fact["days"] == expected["days"]


def test_revenue_is_equal_from_silver_to_daily_revenue(real_months: Stack) -> None:
    """No step loses or invents money."""
    silver = sum(
        (row["total_amount_usd"] for month in MONTHS for row in real_months.table_rows("silver.cleaned_trips", month)),
        Decimal(0),
    )
    in_months = "strftime(pickup_date, '%Y-%m') in ('2019-01', '2019-02')"
    daily = real_months.marts(
        f"select sum(total_amount_usd) as total_amount_usd from analytics.daily_revenue where {in_months}"  # noqa: S608 - a constant
    )
    assert Decimal(str(daily[0]["total_amount_usd"])) == silver


def test_running_january_again_changes_nothing_but_bronze(real_months: Stack) -> None:
    """A rerun sends its trips again and bronze keeps each arrival, but nothing downstream changes."""
    before = _content(real_months)
    arrivals = len(real_months.table_rows("bronze.raw_trips", "2019-01"))
    launch = real_months.launch("2019-01")
    assert launch.exit_code == 0, launch.output
    assert len(real_months.table_rows("bronze.raw_trips", "2019-01")) == arrivals + 10_000
    assert real_months.materialization("silver/cleaned_trips", "2019-01")["duplicates"] == arrivals
    assert _content(real_months) == before


def test_no_step_container_is_left(real_months: Stack) -> None:
    """Steps and run workers are gone once their run is over."""
    real_months.assert_nothing_is_left()
