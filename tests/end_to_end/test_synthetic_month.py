"""A month without a file is synthesised, and silver finds exactly the faults that were put in."""

from __future__ import annotations

import pytest
from stack import Stack

pytestmark = pytest.mark.stack

MONTH = "2024-03"
EVENTS = 2_000
TO_SILVER = ("--events", str(EVENTS), "--select", "kafka,lake")


@pytest.fixture(scope="module")
def month(stack: Stack) -> Stack:
    """Run a synthesised month up to silver once."""
    launch = stack.launch(MONTH, *TO_SILVER)
    assert launch.exit_code == 0, launch.output
    return stack


def test_silver_finds_the_faults_that_the_generator_put_in(month: Stack) -> None:
    """The known shares of duplicate and invalid trips appear as duplicates and rejected rows."""
    sent = month.materialization("generate_events", MONTH)
    silver = month.materialization("silver/cleaned_trips", MONTH)
    assert sent["events_acknowledged"] == EVENTS
    assert sent["duplicates_sent"] > 0
    assert sent["invalid_sent"] > 0
    assert silver["duplicates"] == sent["duplicates_sent"]
    assert silver["rows_rejected"] == sent["invalid_sent"]
    assert silver["rows_written"] == EVENTS - sent["duplicates_sent"] - sent["invalid_sent"]


def test_the_same_seed_yields_the_same_ids(month: Stack) -> None:
    """Synthesising a month again sends the same events, so silver does not change."""
    before = month.table_rows("silver.cleaned_trips", MONTH)
    launch = month.launch(MONTH, *TO_SILVER)
    assert launch.exit_code == 0, launch.output
    assert month.table_rows("silver.cleaned_trips", MONTH) == before


def test_a_month_without_a_file_is_synthesised(month: Stack) -> None:
    """The folder has files of other months."""
    assert month.materialization("generate_events", MONTH)["source"].startswith("synthe")
