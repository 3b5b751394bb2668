"""Sensors and schedules, as the code server evaluates them; these tests switch none of them on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from stack import Stack

pytestmark = pytest.mark.stack

REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "nyc_taxi"}
STATUSES = """
query Statuses($repository: RepositorySelector!) {
  sensorsOrError(repositorySelector: $repository) { ... on Sensors { results { name sensorState { status } } } }
  schedulesOrError(repositorySelector: $repository) { ... on Schedules { results { name scheduleState { status } } } }
}
"""
LOOK = """
mutation Look($sensor: SensorSelector!, $cursor: String) {
  sensorDryRun(selectorData: $sensor, cursor: $cursor) {
    ... on DryRunInstigationTick {
      evaluationResult { cursor error { message } runRequests { runKey tags { key value } } }
    }
  }
}
"""


def test_only_the_clean_up_is_switched_on(stack: Stack) -> None:
    """A new stack starts no run by itself."""
    found = stack.query(STATUSES, repository=REPOSITORY)
    sensors = {each["name"]: each["sensorState"]["status"] for each in found["sensorsOrError"]["results"]}
    schedules = {each["name"]: each["scheduleState"]["status"] for each in found["schedulesOrError"]["results"]}
    assert sensors["drayage_sweeper"] == "RUNNING"
    assert (sensors["new_monthly_file"], sensors["marts_follow_silver"]) == ("STOPPED", "STOPPED")
    assert schedules == {"newest_month": "STOPPED"}


def test_the_sensor_sees_the_files_of_the_landing_zone(stack: Stack) -> None:
    first = _look(stack, None)
    second = _look(stack, first["cursor"])
    assert second["runRequests"] == []
    months = {
        tag["value"] for request in first["runRequests"] for tag in request["tags"] if tag["key"] == "dagster/partition"
    }
    assert months >= {"2019-01", "2019-02"}
    assert json.loads(second["cursor"])["2019-01"].startswith("yellow_tripdata_2019-01.parquet ")


def _look(stack: Stack, cursor: str | None) -> dict[str, Any]:
    tick = stack.query(LOOK, sensor={**REPOSITORY, "sensorName": "new_monthly_file"}, cursor=cursor)
    result: dict[str, Any] = tick["sensorDryRun"]["evaluationResult"]
    assert result["error"] is None, result
    return result
