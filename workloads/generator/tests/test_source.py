import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import HostFiles
from fake_store import URL, FakeStore
from test_month_versions import current

from generator.errors import (
    LandedFileChangedError,
    LandingUnreachableError,
    SyntheticRefusedError,
    TripFileMissingError,
)
from generator.event_schema import AVRO_SCHEMA
from generator.month import Month
from generator.request import read_produce_request
from generator.source import MonthSource, SourceChoice, open_source, refuse_replacement
from generator.synthesis import SyntheticTrips

NAME = "yellow_tripdata_2024-01.parquet"
CSV = "yellow_tripdata_2024-01.csv"
MONTH = Month(2024, 1)
EXTRAS = {"topic": "t", "versions_topic": "v", "mode": "burst", "events": 50, "seed": 4}
SCHEMA = hashlib.sha256(AVRO_SCHEMA.encode()).hexdigest()[:8]


def trip_file(folder: Path, events: int = 20, **columns: list[Any]) -> bytes:
    """Return a file of trips, with more columns."""
    (batch,) = SyntheticTrips(MONTH, seed=9, events=events).batches()
    known = [name for name in batch.schema.names if batch.column(name).null_count < events and name != "event_id"]
    table = batch.select(known)
    for name, values in columns.items():
        table = table.append_column(name, values)
    path = folder / "x.parquet"
    pq.write_table(pa.table(table), path)
    return path.read_bytes()


def open_with(
    host: HostFiles, store: FakeStore, folder: Path, monkeypatch: pytest.MonkeyPatch, source: SourceChoice
) -> MonthSource:
    """Open the month's source as the command does."""
    environment = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "SCHEMA_REGISTRY_URL": "http://registry"}
    for name, value in (environment | store.environment).items():
        monkeypatch.setenv(name, value)
    with host.open_pipes(EXTRAS | {"source": source}, "2024-01") as pipes:
        return open_source(read_produce_request(pipes), folder)


@pytest.mark.parametrize("choice", ["file", "file_or_synthetic"])
def test_the_months_file_is_the_source(
    host: HostFiles, store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: SourceChoice
) -> None:
    """Its version is its content, whatever its name; real trips take precedence over synthetic ones."""
    content = trip_file(tmp_path)
    store.put(NAME, content)
    source = open_with(host, store, tmp_path, monkeypatch, choice)
    digest = hashlib.sha256(content).hexdigest()
    assert (source.kind, source.name, source.seed) == ("tlc_file", NAME, None)
    assert source.version == f"sha256-{digest[:16]}.{SCHEMA}"
    version = source.describe(schema_id=3, topic="t", topic_id="AAAA")
    assert (version.sha256, version.events, version.month) == (digest, 20, "2024-01")


@pytest.mark.parametrize("choice", ["synthetic", "file_or_synthetic"])
def test_a_month_without_a_file_is_synthesised(
    host: HostFiles, store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: SourceChoice
) -> None:
    """Its version is the seed and the number of events."""
    source = open_with(host, store, tmp_path, monkeypatch, choice)
    assert (source.kind, source.name) == ("synthetic", "synthetic, seed 4, 50 events")
    assert source.version == f"seed-4-events-50.{SCHEMA}"
    assert (source.trips.events, source.trips.sha256) == (50, None)


def test_synthetic_trips_that_were_asked_for_need_no_landing_zone(
    host: HostFiles, store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a file there nor a store that is down matters."""
    store.answer = 500, b""
    assert open_with(host, store, tmp_path, monkeypatch, "synthetic").kind == "synthetic"


def test_a_landing_zone_that_fails_is_no_month_without_a_file(
    host: HostFiles, store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Synthetic trips in place of a file that cannot be seen would be a lie."""
    store.answer = 500, b""
    with pytest.raises(LandingUnreachableError):
        open_with(host, store, tmp_path, monkeypatch, "file_or_synthetic")


def test_a_file_that_was_asked_for_and_is_missing_is_an_error(
    host: HostFiles, store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to land where."""
    with pytest.raises(TripFileMissingError, match=rf"no file of 2024-01 \({URL}\).*{NAME}.*make land DATA="):
        open_with(host, store, tmp_path, monkeypatch, "file")


def test_columns_that_nobody_knows_are_warned_of(
    host: HostFiles,
    store: FakeStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The TLC adds columns from time to time."""
    store.put(NAME, trip_file(tmp_path, congestion_zone=["a"] * 15 + [None] * 5))
    with caplog.at_level(logging.WARNING):
        source = open_with(host, store, tmp_path, monkeypatch, "file")
    assert source.trips.unknown_columns == {"congestion_zone": 15}
    assert f"{URL}{NAME}, landed from /home/me/{NAME} has unknown columns" in caplog.text
    assert "congestion_zone (15 values)" in caplog.text


LandingChange = Callable[[FakeStore], object]
CHANGES: list[tuple[LandingChange, str]] = [
    (lambda store: store.put(NAME, b"corrected"), f"got another file of it .*expected {NAME} with .*got {NAME} with"),
    (lambda store: store.put(CSV, b"later", later_s=2), f"got another file of it .*got {CSV} with .*sends what the"),
    (lambda store: store.objects.clear(), r"vanished from the landing zone .*got no file; to do: land the"),
]


@pytest.mark.parametrize(("change", "says"), CHANGES)
@pytest.mark.parametrize("choice", ["file", "file_or_synthetic"])
def test_a_file_is_confirmed_until_the_landing_zone_has_another(
    host: HostFiles,
    store: FakeStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    choice: SourceChoice,
    change: LandingChange,
    says: str,
) -> None:
    """A step that was overtaken would make the former file current again; the same content is no other file."""
    store.put(NAME, content := trip_file(tmp_path))
    source = open_with(host, store, tmp_path, monkeypatch, choice)
    store.put("yellow_tripdata_2024-02.parquet", b"another month", later_s=2)
    store.put(NAME, content, later_s=1)
    source.confirm()
    change(store)
    with pytest.raises(LandedFileChangedError, match=says):
        source.confirm()


def test_a_file_that_lands_meanwhile_takes_precedence_over_synthetic_trips(
    host: HostFiles, store: FakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless they were asked for by name."""
    either = open_with(host, store, tmp_path, monkeypatch, "file_or_synthetic")
    by_name = open_with(host, store, tmp_path, monkeypatch, "synthetic")
    either.confirm()
    store.put(NAME, b"landed")
    with pytest.raises(LandedFileChangedError, match=rf"expected no file; got {NAME} with .*materialize again"):
        either.confirm()
    by_name.confirm()


def nothing() -> None:
    """Confirm any source."""


@pytest.mark.parametrize(
    ("choice", "current_source", "file_before", "refused"),
    [
        ("file_or_synthetic", "tlc_file", None, True),
        ("file_or_synthetic", "synthetic", None, False),
        ("file_or_synthetic", None, None, False),
        ("synthetic", "tlc_file", None, False),
        # The topic of month versions was lost, and the lake was not.
        ("file_or_synthetic", None, NAME, True),
        ("synthetic", None, NAME, False),
        # What the topic says was written in one transaction with the events: it knows better than the host.
        ("file_or_synthetic", "synthetic", NAME, False),
    ],
)
def test_synthetic_trips_replace_those_of_a_file_only_by_name(
    choice: SourceChoice, current_source: str | None, file_before: str | None, *, refused: bool
) -> None:
    """A landing zone that lost a file must not turn a real month into an invented one."""
    source = MonthSource(MONTH, "synthetic", SyntheticTrips(MONTH, seed=1, events=9), "synthetic", "seed-1", 1, nothing)
    known = None if current_source is None else current(source=current_source, source_name=NAME)
    if not refused:
        refuse_replacement(choice, source, known, file_before)
        return
    with pytest.raises(SyntheticRefusedError, match=f"2024-01 holds the trips of a file.*{NAME}.*ask for source synth"):
        refuse_replacement(choice, source, known, file_before)


def test_a_file_replaces_another_file() -> None:
    """The TLC publishes corrected months."""
    source = MonthSource(MONTH, "tlc_file", SyntheticTrips(MONTH, seed=1, events=9), NAME, "sha256-1", None, nothing)
    refuse_replacement("file_or_synthetic", source, current(source="tlc_file"), NAME)
