"""One month of each era of the TLC's files, in the shape of its time, from the landing zone to the marts."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from era_files import ERAS, TRIPS, EraFile
from stack import Stack

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("make", ERAS, ids=lambda make: make.__name__)
def test_a_month_of_each_era_reaches_the_marts_whole(
    stack: Stack, tmp_path: Path, make: Callable[[Path], EraFile]
) -> None:
    era = make(tmp_path)
    month = era.path.name.split("_")[2][:7]
    with stack.landed(era.path):
        launch = stack.launch(month, "--source", "file")
    assert launch.exit_code == 0, launch.output
    silver = stack.table_rows("silver.cleaned_trips", month)
    for rows in (silver, stack.table_rows("marts.fct_trips", month)):
        assert len(rows) == TRIPS
        assert sum((row["total_amount_usd"] for row in rows), Decimal(0)) == era.total
    for row in silver:
        assert (row["pickup_location_id"] is not None) == era.zones
        assert (row["pickup_longitude"], row["dropoff_latitude"]) == (
            (None, None) if era.zones else (-73.991957, 40.695922)
        )
    if era.vendor_id is not None:
        assert {row["vendor_id"] for row in silver} == {era.vendor_id}
    assert stack.materialization("audit", month)["checks_failed"] == 0
