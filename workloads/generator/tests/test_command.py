"""Commands as a host starts them: in a separate process, judged by their messages and exit code."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import FakeRegistry, HostFiles
from containers import RealKafka, Topics
from fake_store import FakeStore

from generator.event_schema import AVRO_SCHEMA, TRIP_SCHEMA
from generator.month import Month
from generator.month_versions import CurrentVersion, read_month
from generator.synthesis import SyntheticTrips

PARSED_SCHEMA = fastavro.parse_schema(json.loads(AVRO_SCHEMA))
MONTH = Month(2024, 1)
NAME = "yellow_tripdata_2024-01.parquet"
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
    "events_resumed",
    "events_in_version",
    "source",
    "source_version",
    "source_name",
    "unknown_columns",
}


@pytest.fixture
def topics(real_kafka: RealKafka) -> Topics:
    """The topics of one test."""
    return real_kafka.new_topics()


@pytest.fixture
def burst(topics: Topics) -> dict[str, Any]:
    """Extras of a step."""
    return {
        "topic": topics.events,
        "versions_topic": topics.versions,
        "source": "file_or_synthetic",
        "mode": "burst",
        "events": 250,
        "seed": 42,
    }


@pytest.fixture
def environment(real_kafka: RealKafka, registry: FakeRegistry, store: FakeStore) -> dict[str, str]:
    """The image's environment, with an empty landing zone."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": real_kafka.address,
        "SCHEMA_REGISTRY_URL": registry.url,
        **store.environment,
    }


def land(store: FakeStore, folder: Path, seed: int, events: int) -> pa.Table:
    """Land a file of the month."""
    (batch,) = SyntheticTrips(MONTH, seed=seed, events=events).batches()
    trips = pa.table(batch)
    table = trips.select([name for name in TRIP_SCHEMA.names if trips[name].null_count < events])
    pq.write_table(table, folder / NAME)
    store.put(NAME, (folder / NAME).read_bytes())
    return trips


def read_events(kafka: RealKafka, topics: Topics) -> list[dict[str, Any]]:
    """Read the topic as a consumer does: first the framing, then the record by the schema."""
    events = []
    for record in kafka.read_all(topics.events):
        value = record.value()
        assert value is not None
        assert value[:5] == b"\x00\x00\x00\x00\x07"
        event = fastavro.schemaless_reader(io.BytesIO(value[5:]), PARSED_SCHEMA, None)
        assert isinstance(event, dict)
        assert record.key() == event["event_id"].encode()
        events.append(event)
    return events


def read_current(kafka: RealKafka, topics: Topics) -> CurrentVersion:
    """Return the month's current version, which must not be one that is being sent too."""
    records = read_month(kafka.broker, topics.versions, MONTH)
    assert records.sending is None
    assert records.current is not None
    return records.current


def ids_of(seed: int, events: int) -> Counter[str]:
    """Return the event ids of synthetic trips, some of which repeat."""
    batches = SyntheticTrips(MONTH, seed=seed, events=events).batches()
    return Counter(id_ for batch in batches for id_ in batch[0].to_pylist())


def test_a_synthetic_month_arrives_whole_and_is_reported_with_every_number(
    real_kafka: RealKafka, topics: Topics, host: HostFiles, environment: dict[str, str], burst: dict[str, Any]
) -> None:
    """A consumer decodes exactly what the step reports: ids, framing, and each promised number."""
    code, stderr = host.run("produce", burst, "2024-01", environment)
    assert code == 0, stderr
    events = read_events(real_kafka, topics)
    assert Counter(event["event_id"] for event in events) == ids_of(42, 250)
    assert {event["trip_month"] for event in events} == {"2024-01"}
    metadata = host.metadata
    assert set(metadata) == METADATA
    assert metadata["events_produced"] == metadata["events_acknowledged"] == metadata["events_committed"] == 250
    assert (metadata["events_resumed"], metadata["events_in_version"]) == (0, 250)
    assert metadata["schema_id"] == 7
    assert (metadata["duplicates_sent"], metadata["invalid_sent"]) == (2, 4)
    assert (metadata["source"], metadata["source_name"]) == ("synthetic", "synthetic, seed 42, 250 events")
    assert metadata["unknown_columns"] == {}
    assert metadata["bytes_produced"] == sum(len(r.value() or b"") for r in real_kafka.read_all(topics.events))
    current = read_current(real_kafka, topics)
    assert {event["source_version"] for event in events} == {metadata["source_version"], current.source_version}
    assert metadata["offsets"] == {partition: list(span) for partition, span in current.offsets.items()}
    assert (current.topic, current.topic_id) == (topics.events, real_kafka.broker.topic_id(topics.events))
    assert len(current.topic_id) == 22
    assert not {"+", "/"}.intersection(current.topic_id)


def test_a_month_with_a_file_is_replayed_whatever_the_extras_would_synthesise(
    real_kafka: RealKafka,
    topics: Topics,
    host: HostFiles,
    environment: dict[str, str],
    burst: dict[str, Any],
    store: FakeStore,
    tmp_path: Path,
) -> None:
    """Real trips take precedence over synthetic ones, and none of them is changed."""
    trips = land(store, tmp_path, seed=9, events=123)
    code, stderr = host.run("produce", burst, "2024-01", environment)
    assert code == 0, stderr
    events = sorted(read_events(real_kafka, topics), key=lambda event: str(event["event_id"]))
    assert [event["total_amount"] for event in events] == trips["total_amount"].to_pylist()
    metadata = host.metadata
    assert metadata["events_acknowledged"] == 123
    assert (metadata["source"], metadata["source_name"]) == ("tlc_file", NAME)
    assert metadata["source_version"].startswith("sha256-")
    assert (metadata["duplicates_sent"], metadata["invalid_sent"]) == (0, 0)


def test_the_version_sent_last_is_current_and_synthetic_trips_replace_a_file_only_by_name(
    real_kafka: RealKafka,
    topics: Topics,
    host: HostFiles,
    environment: dict[str, str],
    burst: dict[str, Any],
    store: FakeStore,
    tmp_path: Path,
) -> None:
    """Real after synthetic, corrected after original, and back; a landing zone that lost the file changes nothing."""

    def produce(source: str) -> tuple[int, str]:
        (host.folder / "messages.jsonl").write_text("")
        return host.run("produce", burst | {"source": source}, "2024-01", environment)

    assert produce("file")[0] == 1
    assert host.exception["name"] == "TripFileMissingError"
    assert produce("file_or_synthetic")[0] == 0
    versions = [read_current(real_kafka, topics).source_version]
    for seed in (1, 2, 1):
        land(store, tmp_path, seed=seed, events=100 + seed)
        assert produce("file")[0] == 0
        versions.append(read_current(real_kafka, topics).source_version)
    assert versions[1] == versions[3]
    assert len(set(versions)) == 3
    store.objects.clear()
    code, stderr = produce("file_or_synthetic")
    assert (code, host.exception["name"]) == (1, "SyntheticRefusedError")
    assert "ask for source synthetic" in stderr
    assert read_current(real_kafka, topics).source_version == versions[3]
    assert produce("synthetic")[0] == 0
    assert read_current(real_kafka, topics).source_version == versions[0]
    assert len(read_events(real_kafka, topics)) == 250 + 101 + 102 + 101 + 250


@pytest.mark.parametrize(
    ("extras", "transactions"),
    [
        ({"mode": "batch", "batch_size": 100, "pause_s": 0.01}, 3),
        ({"mode": "realtime", "events_per_second": 100_000}, 1),
    ],
)
def test_the_other_modes_send_the_same_events(
    real_kafka: RealKafka,
    topics: Topics,
    host: HostFiles,
    environment: dict[str, str],
    burst: dict[str, Any],
    extras: dict[str, Any],
    transactions: int,
) -> None:
    """A mode decides when events are sent, not which."""
    code, stderr = host.run("produce", burst | extras, "2024-01", environment)
    assert code == 0, stderr
    assert len(real_kafka.read_all(topics.events)) == host.metadata["events_acknowledged"] == 250
    assert host.metadata["transactions"] == transactions


def test_a_bad_file_ends_the_step_before_its_first_event(
    real_kafka: RealKafka,
    topics: Topics,
    host: HostFiles,
    environment: dict[str, str],
    burst: dict[str, Any],
    store: FakeStore,
) -> None:
    """Half a month in the topic would look like a whole month; stderr has one readable line."""
    store.put("yellow_tripdata_2024-01.csv", b"VendorID,trip_distance\n1,2\n")
    code, stderr = host.run("produce", burst, "2024-01", environment)
    assert code == 1
    assert host.exception["name"] == "TripColumnError"
    assert stderr.startswith("TripColumnError: ")
    assert "s3://landing/yellow/yellow_tripdata_2024-01.csv, landed from /home/me/" in stderr
    assert stderr.count("\n") == 1
    assert real_kafka.read_all(topics.events) == real_kafka.read_all(topics.versions) == []


def test_a_refused_schema_ends_the_step_before_its_first_event(
    real_kafka: RealKafka,
    topics: Topics,
    registry: FakeRegistry,
    host: HostFiles,
    environment: dict[str, str],
    burst: dict[str, Any],
) -> None:
    """Records that readers cannot decode must not reach the topic."""
    registry.answer = (409, b'{"error_code": 409, "message": "incompatible"}')
    code, _ = host.run("produce", burst, "2024-01", environment)
    assert code == 1
    assert host.exception["name"] == "SchemaRefusedError"
    assert real_kafka.read_all(topics.events) == []


def test_topics_reports_what_was_there(real_kafka: RealKafka, topics: Topics, host: HostFiles) -> None:
    """The command line works with the session for ``topics`` too."""
    extras = {"topic": topics.events, "partitions": 2, "versions_topic": topics.versions}
    code, stderr = host.run("topics", extras, None, {"KAFKA_BOOTSTRAP_SERVERS": real_kafka.address})
    assert code == 0, stderr
    assert host.metadata == {"topics_created": 0, "topics_existing": 2, "partitions": 3}


def test_a_step_that_is_stopped_reports_it_and_the_next_one_sends_the_rest(
    real_kafka: RealKafka, topics: Topics, host: HostFiles, environment: dict[str, str], burst: dict[str, Any]
) -> None:
    """A cancelled step reports its cancellation, and the events committed before stay."""
    slow = burst | {"source": "synthetic", "mode": "batch", "batch_size": 50, "pause_s": 3600.0}
    process = host.start("produce", slow, "2024-01", environment)
    try:
        while len(real_kafka.read_all(topics.events)) < 50:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 143
    assert stderr.endswith("TerminatedError: " + str(host.exception["message"]).partition(": ")[2])
    assert "Traceback" not in stderr
    assert len(real_kafka.read_all(topics.events)) == 50
    assert read_month(real_kafka.broker, topics.versions, MONTH).current is None
    (host.folder / "messages.jsonl").write_text("")
    assert host.run("produce", burst, "2024-01", environment)[0] == 0
    metadata = host.metadata
    assert (metadata["events_resumed"], metadata["events_committed"], metadata["events_in_version"]) == (50, 200, 250)
    assert len(real_kafka.read_all(topics.events)) == 250


def test_a_step_that_a_newer_file_overtook_does_not_bring_the_former_one_back(
    real_kafka: RealKafka,
    topics: Topics,
    host: HostFiles,
    environment: dict[str, str],
    burst: dict[str, Any],
    store: FakeStore,
    tmp_path: Path,
) -> None:
    """It has the former file's copy, and would complete last: what landed last is what a user expects to be valid."""
    land(store, tmp_path, seed=1, events=150)
    slow = burst | {"source": "file", "mode": "batch", "batch_size": 50, "pause_s": 0.5}
    process = host.start("produce", slow, "2024-01", environment)
    try:
        while len(real_kafka.read_all(topics.events)) < 50:
            assert process.poll() is None
        land(store, tmp_path, seed=2, events=120)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    assert stderr.splitlines()[-1].startswith("LandedFileChangedError: while 2024-01 was sent, the landing zone got ")
    records = read_month(real_kafka.broker, topics.versions, MONTH)
    assert records.current is None
    assert records.sending is not None
    assert records.sending.events_sent == 100
    (host.folder / "messages.jsonl").write_text("")
    code, stderr = host.run("produce", burst | {"source": "file"}, "2024-01", environment)
    assert code == 0, stderr
    assert read_current(real_kafka, topics).events == host.metadata["events_committed"] == 120


def test_a_month_is_sent_once_however_often_its_step_is_killed(
    real_kafka: RealKafka, topics: Topics, host: HostFiles, environment: dict[str, str], burst: dict[str, Any]
) -> None:
    """Events and their record are committed together: none is lost, and none is sent twice."""
    total = 60_000
    # A pause between transactions, so that a kill on a busy machine does not come after the last one.
    extras = burst | {"mode": "batch", "batch_size": 2_000, "pause_s": 0.5, "events": total}
    random_ = random.Random(19)  # noqa: S311  when to kill
    for _ in range(4):
        process = host.start("produce", extras, "2024-01", environment)
        before = sent(real_kafka, topics)
        # Not before something more is committed, so that each attempt gets further.
        while process.poll() is None and sent(real_kafka, topics) == before:
            pass
        time.sleep(random_.random() / 10)
        process.kill()
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, stderr
    assert read_month(real_kafka.broker, topics.versions, MONTH).current is None
    (host.folder / "messages.jsonl").write_text("")
    code, stderr = host.run("produce", extras | {"batch_size": 10_000, "pause_s": 0.0}, "2024-01", environment)
    assert code == 0, stderr
    found, expected = Counter(event["event_id"] for event in read_events(real_kafka, topics)), ids_of(42, total)
    # Not compared whole: pytest would spend minutes on the difference.
    assert (len(found - expected), len(expected - found)) == (0, 0)
    current = read_current(real_kafka, topics)
    spans: dict[str, list[int]] = {}
    for record in real_kafka.read_all(topics.events):
        spans.setdefault(str(record.partition()), []).append(record.offset() or 0)
    assert current.offsets == {partition: (min(of_it), max(of_it)) for partition, of_it in spans.items()}
    assert current.events == total
    assert host.metadata["events_resumed"] + host.metadata["events_committed"] == total
    assert host.metadata["events_resumed"] > 0
    assert [r.key() for r in real_kafka.read_all(topics.versions)].count(b"2024-01") == 1


def sent(kafka: RealKafka, topics: Topics) -> int:
    """Return how many events of the version are committed, until it is complete."""
    sending = read_month(kafka.broker, topics.versions, MONTH).sending
    return 0 if sending is None else sending.events_sent


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
