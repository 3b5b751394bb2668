"""Old snapshots expire, those that a materialization reported stay, and no row changes."""

from __future__ import annotations

from typing import Any

import pytest
from stack import Stack

pytestmark = pytest.mark.stack

MONTH = "2017-02"
TABLES = ("bronze.raw_trips", "silver.cleaned_trips", "silver.rejected_trips", "silver.month_counts")


def _snapshots(stack: Stack) -> dict[str, set[int]]:
    return {name: {one.snapshot_id for one in stack.catalog().load_table(name).snapshots()} for name in TABLES}


def _run_job(stack: Stack, job: str, run_config: dict[str, Any]) -> str:
    """Run a job without partitions to its end; return its status, such as `SUCCESS`."""
    return stack.wait_for_end(stack.start_job(job, run_config))


def test_expiring_keeps_every_row_and_the_snapshots_that_materializations_reported(stack: Stack) -> None:
    """Two runs leave snapshots that no materialization reported: they go with their files, and the rest can be read."""
    for _ in range(2):
        launch = stack.launch(
            MONTH, "--events", "300", "--select", "kafka_topics,generate_events,bronze/raw_trips,silver/cleaned_trips"
        )
        assert launch.exit_code == 0, launch.output
    reported = {
        int(stack.materialization(name, MONTH)["snapshot_id"]) for name in ("bronze/raw_trips", "silver/cleaned_trips")
    }
    before, rows = _snapshots(stack), {name: stack.table_rows(name, MONTH) for name in TABLES[:3]}
    config = {"ops": {"lake__expired_snapshots": {"config": {"older_than_days": 1e-6}}}}
    assert _run_job(stack, "expire_snapshots", config) == "SUCCESS"
    numbers, after = stack.materialization("lake/expired_snapshots", None), _snapshots(stack)
    assert numbers["snapshots_before"] == sum(map(len, before.values()))
    assert numbers["snapshots_after"] == sum(map(len, after.values())) < numbers["snapshots_before"]
    assert numbers["files_deleted"] > 0
    assert len(after["silver.month_counts"]) == 1
    assert reported <= after["bronze.raw_trips"] | after["silver.cleaned_trips"]
    assert {name: stack.table_rows(name, MONTH) for name in TABLES[:3]} == rows
    again = stack.launch(
        MONTH, "--events", "300", "--select", "kafka_topics,generate_events,bronze/raw_trips,silver/cleaned_trips"
    )
    assert again.exit_code == 0, again.output
    assert stack.materialization("silver/cleaned_trips", MONTH)["dagster/row_count"] == len(
        rows["silver.cleaned_trips"]
    )
