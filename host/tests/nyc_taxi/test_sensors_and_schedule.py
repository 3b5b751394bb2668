from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from fake_store import FakeStore, running_store

from nyc_taxi.landing.errors import ZoneError

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
    "LANDING_URL": "s3://landing/yellow/",
    "LANDING_ACCESS_KEY_ID": "reader",
    "LANDING_SECRET_ACCESS_KEY": "secret",
    "TAXI_MARTS_VOLUME": "marts",
}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStore]:
    """An empty landing zone, and the environment that names it."""
    with running_store() as store:
        for name, value in {**SERVICES, "S3_ENDPOINT": store.address}.items():
            monkeypatch.setenv(name, value)
        yield store


def look(definitions: dg.Definitions, cursor: str | None = None) -> dg.SensorResult:
    """Evaluate the sensor once, as the daemon does."""
    sensor = definitions.resolve_sensor_def("new_monthly_file")
    with dg.build_sensor_context(
        cursor=cursor, definitions=definitions, resources={"services": definitions.resources["services"]}
    ) as context:
        result: Any = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def requested(result: dg.SensorResult) -> dict[str | None, str | None]:
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


def test_a_landed_file_is_requested_at_once_and_only_once(definitions: dg.Definitions, store: FakeStore) -> None:
    """An object is there as a whole or not at all."""
    store.put("yellow_tripdata_2019-01.parquet", b"trips")
    first = look(definitions)
    assert list(requested(first)) == ["2019-01"]
    (request,) = first.run_requests or ()
    assert request.run_config == {"ops": {"generate_events": {"config": {"source": "file"}}}}
    assert request.tags["taxi/file"] == "yellow_tripdata_2019-01.parquet"
    second = look(definitions, first.cursor)
    assert requested(second) == {}
    assert second.skip_reason is not None
    assert "1 months have a file, and none is new" in str(second.skip_reason.skip_message)


def test_a_file_that_is_landed_again_is_another_request_also_with_an_older_content(
    definitions: dg.Definitions, store: FakeStore
) -> None:
    """Dagster runs each run key once, and the older version of a month shall become the current one again."""
    cursor, keys = None, []
    for content in (b"first", b"second", b"first"):
        store.put("yellow_tripdata_2019-02.csv", content)
        store.put("yellow_tripdata_2019-03.csv", b"the same")
        store.written["yellow_tripdata_2019-03.csv"] = datetime(2024, 1, 1, tzinfo=UTC)
        found = look(definitions, cursor)
        keys.append(requested(found)["2019-02"])
        assert ("2019-03" in requested(found)) is (cursor is None)
        cursor = found.cursor
    assert len(set(keys)) == 3


def test_a_month_is_requested_once_whatever_the_number_of_its_formats(
    definitions: dg.Definitions, store: FakeStore
) -> None:
    """Its run reads the one that landed last; of those that landed at one moment, the preferred one."""
    names = [f"yellow_tripdata_2019-01.{ending}" for ending in ("csv", "parquet", "csv.gz")]
    for name in names:
        store.put(name, b"trips")
    found = look(definitions)
    ((month, key),) = requested(found).items()
    assert month == "2019-01"
    assert str(key).startswith("yellow_tripdata_2019-01.csv.gz ")
    store.put("yellow_tripdata_2019-01.csv", b"other trips")
    found = look(definitions, found.cursor)
    assert str(requested(found)["2019-01"]).startswith("yellow_tripdata_2019-01.csv ")
    assert requested(look(definitions, found.cursor)) == {}
    store.written.update(dict.fromkeys(names, datetime(2025, 1, 1, tzinfo=UTC)))
    assert str(requested(look(definitions, found.cursor))["2019-01"]).startswith("yellow_tripdata_2019-01.parquet ")


def test_only_files_of_months_with_a_partition_count_and_the_others_are_named(
    definitions: dg.Definitions, store: FakeStore
) -> None:
    odd = (
        "yellow_tripdata_2019-13.parquet",
        "yellow_tripdata_2008-12.parquet",
        "yellow_tripdata_2019-01 (1).parquet",
        "2019/yellow_tripdata_2019-01.parquet",
    )
    for name in (*odd, "green_tripdata_2019-01.parquet"):
        store.put(name, b"trips")
    skipped = look(definitions)
    assert skipped.skip_reason is not None
    said = str(skipped.skip_reason.skip_message)
    assert [name for name in odd if f"s3://landing/yellow/{name}: " not in said] == []
    assert "green" not in said
    store.put("yellow_tripdata_2019-03.parquet", b"trips")
    assert list(requested(look(definitions, skipped.cursor))) == ["2019-03"]


def test_a_landing_zone_that_cannot_be_read_fails_the_tick(definitions: dg.Definitions, store: FakeStore) -> None:
    store.refuses = "AccessDenied"
    with pytest.raises(ZoneError, match="refuses ListObjectsV2 in s3://landing/yellow/: AccessDenied"):
        look(definitions)


def test_the_schedule_requests_the_month_that_has_just_ended(definitions: dg.Definitions) -> None:
    schedule = definitions.resolve_schedule_def("newest_month")
    with dg.build_schedule_context(
        scheduled_execution_time=datetime(2024, 3, 1, 6, tzinfo=UTC), repository_def=definitions.get_repository_def()
    ) as context:
        requests = schedule.evaluate_tick(context).run_requests or []
    assert schedule.cron_schedule == "0 6 1 * *"
    assert [request.partition_key for request in requests] == ["2024-02"]
    assert requests[0].run_config == {"ops": {"generate_events": {"config": {"source": "file"}}}}


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
