"""Commands as a host starts them: in a separate process, judged by their messages and exit code."""

import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import TOPIC, FakeRegistry, HostFiles, MockKafka

from generator.event_schema import AVRO_SCHEMA
from generator.month import Month
from generator.synthesis import SyntheticTrips

PARSED_SCHEMA = fastavro.parse_schema(json.loads(AVRO_SCHEMA))
BURST = {"topic": TOPIC, "mode": "burst", "events": 250, "seed": 42}
METADATA = {
    "events_produced",
    "events_acknowledged",
    "events_committed",
    "events_per_second",
    "bytes_produced",
    "offsets",
    "schema_id",
    "produce_s",
    "transactions",
    "duplicates_sent",
    "invalid_sent",
    "source",
    "source_file",
}


@pytest.fixture
def environment(kafka: MockKafka, registry: FakeRegistry, tmp_path: Path) -> dict[str, str]:
    """The image's environment, with an empty folder of trips."""
    folder = tmp_path / "trips"
    folder.mkdir()
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.address,
        "SCHEMA_REGISTRY_URL": registry.url,
        "TRIPS_DIR": str(folder),
    }


def read_events(kafka: MockKafka) -> list[dict[str, Any]]:
    """Read the topic as a consumer does: first the framing, then the record by the schema."""
    events = []
    for record in kafka.read_all():
        value = record.value()
        assert value is not None
        assert value[:5] == b"\x00\x00\x00\x00\x07"
        event = fastavro.schemaless_reader(io.BytesIO(value[5:]), PARSED_SCHEMA, None)
        assert isinstance(event, dict)
        assert record.key() == event["event_id"].encode()
        events.append(event)
    return events


def test_a_synthetic_month_arrives_whole_and_is_reported_with_every_number(
    kafka: MockKafka, host: HostFiles, environment: dict[str, str]
) -> None:
    """A consumer decodes exactly what the step reports: ids, framing, and each promised number."""
    code, stderr = host.run("produce", BURST, "2024-01", environment)
    assert code == 0, stderr
    events = read_events(kafka)
    expected = [
        id_ for batch in SyntheticTrips(Month(2024, 1), seed=42, events=250).batches() for id_ in batch[0].to_pylist()
    ]
    assert Counter(event["event_id"] for event in events) == Counter(expected)
    assert {event["trip_month"] for event in events} == {"2024-01"}
    metadata = host.metadata
    assert set(metadata) == METADATA
    assert metadata["events_produced"] == metadata["events_acknowledged"] == metadata["events_committed"] == 250
    assert metadata["schema_id"] == 7
    assert (metadata["duplicates_sent"], metadata["invalid_sent"]) == (2, 4)
    assert (metadata["source"], metadata["source_file"]) == ("synthetic", "")
    assert metadata["bytes_produced"] == sum(len(record.value() or b"") for record in kafka.read_all())


def test_a_month_with_a_file_is_replayed_whatever_the_extras_would_synthesise(
    kafka: MockKafka, host: HostFiles, environment: dict[str, str]
) -> None:
    """Real trips take precedence over synthetic ones, and none of them is changed."""
    (trips,) = SyntheticTrips(Month(2019, 1), seed=9, events=123).batches()
    path = Path(environment["TRIPS_DIR"]) / "yellow_tripdata_2019-01.parquet"
    pq.write_table(pa.table(trips).drop_columns(["event_id"]), path)
    code, stderr = host.run("produce", BURST, "2019-01", environment)
    assert code == 0, stderr
    events = sorted(read_events(kafka), key=lambda event: str(event["event_id"]))
    assert [event["total_amount"] for event in events] == trips["total_amount"].to_pylist()
    metadata = host.metadata
    assert metadata["events_acknowledged"] == 123
    assert (metadata["source"], metadata["source_file"]) == ("file", path.name)
    assert (metadata["duplicates_sent"], metadata["invalid_sent"]) == (0, 0)


@pytest.mark.parametrize(
    ("extras", "transactions"),
    [
        ({"mode": "batch", "batch_size": 100, "pause_s": 0.01}, 3),
        ({"mode": "realtime", "events_per_second": 100_000}, 1),
    ],
)
def test_the_other_modes_send_the_same_events(
    kafka: MockKafka, host: HostFiles, environment: dict[str, str], extras: dict[str, Any], transactions: int
) -> None:
    """A mode decides when events are sent, not which."""
    code, stderr = host.run("produce", BURST | extras, "2024-01", environment)
    assert code == 0, stderr
    assert len(kafka.read_all()) == host.metadata["events_acknowledged"] == 250
    assert host.metadata["transactions"] == transactions


def test_a_bad_file_ends_the_step_before_its_first_event(
    kafka: MockKafka, host: HostFiles, environment: dict[str, str]
) -> None:
    """Half a month in the topic would look like a whole month; stderr has one readable line."""
    path = Path(environment["TRIPS_DIR"]) / "yellow_tripdata_2024-01.csv"
    path.write_text("VendorID,trip_distance\n1,2\n")
    code, stderr = host.run("produce", BURST, "2024-01", environment)
    assert code == 1
    assert host.exception["name"] == "TripColumnError"
    assert stderr.startswith("TripColumnError: column tpep_pickup_datetime, ")
    assert stderr.count("\n") == 1
    assert kafka.read_all() == []


def test_a_refused_schema_ends_the_step_before_its_first_event(
    kafka: MockKafka, registry: FakeRegistry, host: HostFiles, environment: dict[str, str]
) -> None:
    """Records that readers cannot decode must not reach the topic."""
    registry.answer = (409, b'{"error_code": 409, "message": "incompatible"}')
    code, _ = host.run("produce", BURST, "2024-01", environment)
    assert code == 1
    assert host.exception["name"] == "SchemaRefusedError"
    assert kafka.read_all() == []


def test_a_month_with_neither_file_nor_number_of_events_is_an_error(
    host: HostFiles, environment: dict[str, str]
) -> None:
    """An invented number of events could be mistaken for the real month."""
    code, _ = host.run("produce", {"topic": TOPIC, "mode": "burst"}, "2024-01", environment)
    assert code == 1
    assert "there are no trips for 2024-01" in host.exception["message"]


def test_topics_reports_what_was_there(kafka: MockKafka, host: HostFiles) -> None:
    """The command line works with the session for ``topics`` too."""
    code, stderr = host.run(
        "topics", {"topic": TOPIC, "partitions": 3}, None, {"KAFKA_BOOTSTRAP_SERVERS": kafka.address}
    )
    assert code == 0, stderr
    assert host.metadata == {"topics_created": 0, "topics_existing": 1, "partitions": 4}


def test_a_step_that_is_stopped_reports_it_and_commits_nothing_more(
    kafka: MockKafka, host: HostFiles, environment: dict[str, str]
) -> None:
    """A cancelled step reports its cancellation, and the events committed before stay."""
    slow = BURST | {"mode": "batch", "batch_size": 50, "pause_s": 3600.0}
    process = host.start("produce", slow, "2024-01", environment)
    try:
        while len(kafka.read_all()) < 50:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 143
    assert stderr == "TerminatedError: " + str(host.exception["message"]).partition(": ")[2]
    assert len(kafka.read_all()) == 50


def test_a_step_without_a_host_says_how_it_is_started() -> None:
    """A user who runs the image by hand learns why it does nothing."""
    result = subprocess.run(
        [sys.executable, "-m", "generator", "topics"],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert "without a Dagster Pipes session" in result.stderr


def test_an_unknown_command_is_refused(host: HostFiles) -> None:
    """The error for a mistyped command lists the valid ones."""
    code, stderr = host.run("consume", {}, None, {})
    assert code == 2
    assert "topics" in stderr
    assert "produce" in stderr
