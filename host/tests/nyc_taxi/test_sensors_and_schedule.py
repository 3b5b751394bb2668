import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

SILVER = dg.AssetKey(["silver", "cleaned_trips"])
SERVICES = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "SCHEMA_REGISTRY_URL": "http://registry",
    "FLINK_SQL_GATEWAY_URL": "http://gateway",
    "FLINK_JOBMANAGER_URL": "http://jobmanager",
    "FLINK_UI_URL": "http://127.0.0.1:8081",
    "ICEBERG_CATALOG_URI": "http://catalog",
    "ICEBERG_WAREHOUSE": "s3://warehouse/",
    "S3_ENDPOINT": "http://store",
    "S3_REGION": "us-east-1",
    "S3_ACCESS_KEY_ID": "key",
    "S3_SECRET_ACCESS_KEY": "secret",
    "TAXI_MARTS_VOLUME": "marts",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, and the environment that names it."""
    folder = tmp_path / "trips"
    folder.mkdir()
    for name, value in {**SERVICES, "TAXI_DATA_DIR": str(folder)}.items():
        monkeypatch.setenv(name, value)
    return folder


def look(definitions: dg.Definitions, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    """Evaluate the sensor once, as the daemon does."""
    sensor = definitions.resolve_sensor_def("new_monthly_file")
    with dg.build_sensor_context(
        cursor=cursor, definitions=definitions, resources={"services": definitions.resources["services"]}
    ) as context:
        result: Any = sensor(context)
    return result  # type: ignore[no-any-return]


def requested(result: dg.SensorResult | dg.SkipReason) -> dict[str | None, str | None]:
    assert isinstance(result, dg.SensorResult)
    return {request.partition_key: request.run_key for request in result.run_requests or ()}


def test_nothing_starts_a_run_until_it_is_switched_on(definitions: dg.Definitions) -> None:
    """A new stack must not start with a hundred months."""
    repository = definitions.get_repository_def()
    statuses = {sensor.name: sensor.default_status for sensor in repository.sensor_defs}
    # The sweeper only cleans up.
    assert statuses.pop("drayage_sweeper") == dg.DefaultSensorStatus.RUNNING
    assert statuses == dict.fromkeys(("new_monthly_file", "marts_follow_silver"), dg.DefaultSensorStatus.STOPPED)
    assert {schedule.name: schedule.default_status for schedule in repository.schedule_defs} == {
        "newest_month": dg.DefaultScheduleStatus.STOPPED
    }


def test_a_file_is_requested_once_it_no_longer_grows(definitions: dg.Definitions, folder: Path) -> None:
    """Half a file would be a wrong month."""
    (folder / "yellow_tripdata_2019-01.parquet").write_bytes(b"half")
    first = look(definitions)
    assert requested(first) == {}
    (folder / "yellow_tripdata_2019-01.parquet").write_bytes(b"half and half")
    second = look(definitions, _cursor(first))
    assert requested(second) == {}
    third = look(definitions, _cursor(second))
    assert list(requested(third)) == ["2019-01"]


def test_a_changed_file_is_a_new_request_and_an_unchanged_one_the_same(
    definitions: dg.Definitions, folder: Path
) -> None:
    """Dagster runs each run key once."""
    path = folder / "yellow_tripdata_2019-02.csv"
    path.write_bytes(b"trips")
    os.utime(path, (1, 1))
    settled = look(definitions, _cursor(look(definitions)))
    again = look(definitions, _cursor(settled))
    assert requested(again) == requested(settled) != {}
    os.utime(path, (2, 2))
    touched = look(definitions, _cursor(look(definitions, _cursor(again))))
    assert requested(touched) != requested(again)


def test_only_files_of_months_with_a_partition_count(definitions: dg.Definitions, folder: Path) -> None:
    for name in (
        "yellow_tripdata_2019-13.parquet",
        "yellow_tripdata_1999-01.parquet",
        "green_tripdata_2019-01.parquet",
        "yellow_tripdata_2019-01.parquet.part",
        "yellow_tripdata_2019-03.parquet",
    ):
        (folder / name).write_bytes(b"trips")
    assert list(requested(look(definitions, _cursor(look(definitions))))) == ["2019-03"]


def test_a_missing_folder_is_reported(definitions: dg.Definitions, folder: Path) -> None:
    folder.rmdir()
    skipped = look(definitions)
    assert isinstance(skipped, dg.SkipReason)
    assert str(folder) in (skipped.skip_message or "")


def test_the_schedule_requests_the_month_that_has_just_ended(definitions: dg.Definitions) -> None:
    schedule = definitions.resolve_schedule_def("newest_month")
    with dg.build_schedule_context(
        scheduled_execution_time=datetime(2024, 3, 1, 6, tzinfo=UTC), repository_def=definitions.get_repository_def()
    ) as context:
        requests = schedule.evaluate_tick(context).run_requests or []
    assert schedule.cron_schedule == "0 6 1 * *"
    assert [request.partition_key for request in requests] == ["2024-02"]


def test_new_silver_of_a_month_requests_the_marts_of_that_month_alone(
    definitions: dg.Definitions, specs: Mapping[str, dg.AssetSpec]
) -> None:
    """And only once: what was requested is not requested again."""
    following = {key for key, spec in specs.items() if spec.automation_condition}
    models = {"staging/stg_trips", "core/fct_trips", "analytics/daily_revenue"}
    assert following == models | {"marts/fct_trips", "marts/daily_revenue"}
    with dg.DagsterInstance.ephemeral() as instance:
        before = dg.evaluate_automation_conditions(definitions, instance)
        assert before.total_requested == 0
        instance.report_runless_asset_event(dg.AssetMaterialization(SILVER, partition="2019-01"))
        asked = dg.evaluate_automation_conditions(definitions, instance, cursor=before.cursor)
        months = {key: asked.get_requested_partitions(dg.AssetKey(key.split("/"))) for key in following}
        assert months == {key: {"2019-01"} for key in following}
        again = dg.evaluate_automation_conditions(definitions, instance, cursor=asked.cursor)
        assert again.total_requested == 0


def _cursor(result: dg.SensorResult | dg.SkipReason) -> str:
    assert isinstance(result, dg.SensorResult)
    assert result.cursor is not None
    assert json.loads(result.cursor)
    return result.cursor
