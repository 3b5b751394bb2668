"""An independent reader of one month: what topic, lake and receipts say, and whether that is one version exactly."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from avro_reader import decode, framed_schema_id
from month_versions import Contents, Event, Trip, Version, as_sent
from stack import Stack
from topic_reader import TOPIC, committed_records, topic_id, version_records

Place = tuple[int, int]
"""Partition and offset of a record."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """A committed record of the month: where it is, what it was sent with, and the event."""

    place: Place
    schema_id: int
    source_version: str
    event: Event


@dataclass(frozen=True)
class Found:
    """What the services hold.

    Args:
        topic_id: Id of the current topic.
        records: The month's records in the topic of versions, by key.
        sent: The month's committed records in the topic.
        committed: The places of all committed records of the topic, of any month.
        ingested: The places of all rows of bronze that came from this topic.
        bronze: The month's rows of bronze.
        silver: Its cleaned trips.
        rejected: Its rejected trips.
        marts: Its published trips.
        receipts: The numbers that each step last reported for the month.
    """

    topic_id: str
    records: dict[str, Any]
    sent: list[Sent]
    committed: Counter[Place]
    ingested: Counter[Place]
    bronze: list[Row]
    silver: list[Row]
    rejected: list[Row]
    marts: list[Row]
    receipts: dict[str, dict[str, Any]]


def look(stack: Stack, month: str) -> Found:
    """Read topic, lake and receipts."""
    messages = list(committed_records(stack.kafka_address))
    prefix = f"{month}.".encode()
    schemas: dict[int, dict[str, Any]] = {}
    return Found(
        topic_id=topic_id(stack.kafka_address),
        records=version_records(stack.kafka_address, month),
        sent=[_sent(stack, message, schemas) for message in messages if (message.key() or b"").startswith(prefix)],
        committed=Counter(_place_of(message) for message in messages),
        ingested=Counter(stack.ingested_offsets()),
        bronze=stack.table_rows("bronze.raw_trips", month),
        silver=stack.table_rows("silver.cleaned_trips", month),
        rejected=stack.table_rows("silver.rejected_trips", month),
        marts=stack.table_rows("marts.fct_trips", month),
        receipts={step: stack.materialization(step, month) for step in ("generate_events", "silver/cleaned_trips")},
    )


def contents_of(found: Found, month: str) -> Contents:
    """Return what a month holds after a run that nothing disturbed."""
    return Contents(
        events=Counter(sent.event for sent in _between_offsets(found, found.records[month])),
        trips=_trips(found.silver),
        rejected=frozenset(row["event_id"] for row in found.rejected),
    )


def judge(found: Found, month: str, version: Version, contents: Contents, *, known: Iterable[Version]) -> None:
    """Check that the month is this version and nothing else, and that each record is where it belongs, once.

    Args:
        found: What the services hold.
        month: The month.
        version: The version that was sent last.
        contents: What it holds.
        known: All versions of the month that were ever sent.
    """
    _judge_record(found, month, version)
    source_version = found.records[month]["source_version"]
    _judge_topic(found, month, source_version, contents, known)
    _judge_bronze(found)
    _judge_trips(found, contents)
    _judge_receipts(found, month, version, source_version, contents)


def _judge_record(found: Found, month: str, version: Version) -> None:
    assert set(found.records) == {month}, "the month has no version, or one that is still being sent"
    record = found.records[month]
    expected = {
        "month": month,
        "source": version.source,
        "source_name": version.source_name,
        "sha256": version.sha256,
        "seed": version.seed,
        "events": version.events,
        "topic": TOPIC,
        "topic_id": found.topic_id,
    }
    assert {name: record[name] for name in expected} == expected
    assert re.fullmatch(re.escape(version.content) + r"\.[0-9a-f]{8}", record["source_version"])
    assert record["completed_at"]


def _judge_topic(found: Found, month: str, source_version: str, contents: Contents, known: Iterable[Version]) -> None:
    record = found.records[month]
    between = _between_offsets(found, record)
    assert {(sent.source_version, sent.schema_id) for sent in between} == {(source_version, record["schema_id"])}
    assert Counter(sent.event for sent in between) == contents.events, "not each event of the version, once"
    assert _ends(between) == record["offsets"]
    sizes = {version.content: version.events for version in known}
    for sent, records in Counter(sent.source_version for sent in found.sent).items():
        assert records % sizes[sent.partition(".")[0]] == 0, f"a part of {sent} is visible"


def _judge_bronze(found: Found) -> None:
    assert found.ingested == found.committed, "bronze lacks a record, or has one twice"
    rows = [row for row in found.bronze if row["kafka_topic_id"] == found.topic_id]
    arrived = Counter((_place(row), row["event_id"], row["source_version"]) for row in rows)
    assert arrived == Counter((sent.place, dict(sent.event)["event_id"], sent.source_version) for sent in found.sent)


def _judge_trips(found: Found, contents: Contents) -> None:
    assert contents.trips
    assert contents.rejected
    for rows in (found.silver, found.marts):
        assert _trips(rows) == contents.trips
        assert sum(row["total_amount_usd"] for row in rows) == contents.money
    assert sorted(row["event_id"] for row in found.rejected) == sorted(contents.rejected)


def _judge_receipts(found: Found, month: str, version: Version, source_version: str, contents: Contents) -> None:
    names = {"source": version.source, "source_version": source_version, "source_name": version.source_name}
    generated, cleaned = found.receipts["generate_events"], found.receipts["silver/cleaned_trips"]
    for receipt in (generated, cleaned):
        assert {name: receipt[name] for name in names} == names
    assert generated["events_in_version"] == version.events
    assert generated["events_committed"] + generated["events_resumed"] == version.events
    assert generated["offsets"] == found.records[month]["offsets"]
    superseded = sum(row["source_version"] != source_version for row in found.bronze)
    fates = {
        "rows_written": len(contents.trips),
        "rows_rejected": len(contents.rejected),
        "rows_superseded": superseded,
        "duplicates": len(found.bronze) - superseded - len(contents.trips) - len(contents.rejected),
    }
    assert {name: cleaned[name] for name in fates} == fates
    assert cleaned["rows_read"] == len(found.bronze) == sum(cleaned[name] for name in fates)


def _between_offsets(found: Found, record: Mapping[str, Any]) -> list[Sent]:
    offsets = {int(partition): ends for partition, ends in record["offsets"].items()}

    def is_between(place: Place) -> bool:
        first, last = offsets.get(place[0], (0, -1))
        return bool(first <= place[1] <= last)

    return [sent for sent in found.sent if is_between(sent.place)]


def _ends(records: Iterable[Sent]) -> dict[str, list[int]]:
    """Return the first and last offset of each partition, as the record of a version has them."""
    offsets: dict[str, list[int]] = {}
    for sent in records:
        offsets.setdefault(str(sent.place[0]), []).append(sent.place[1])
    return {partition: [min(found), max(found)] for partition, found in offsets.items()}


def _trips(rows: list[Row]) -> dict[str, Trip]:
    trips = {row["event_id"]: (row["pickup_at"], row["fare_amount_usd"], row["total_amount_usd"]) for row in rows}
    assert len(trips) == len(rows), "an event has two rows"
    return trips


def _place(row: Row) -> Place:
    return (row["kafka_partition"], row["kafka_offset"])


def _place_of(message: Any) -> Place:
    return (message.partition(), message.offset())


def _sent(stack: Stack, message: Any, schemas: dict[int, dict[str, Any]]) -> Sent:
    schema_id = framed_schema_id(message.value())
    if schema_id not in schemas:
        schemas[schema_id] = _registered_schema(stack, schema_id)
    event = decode(message.value(), schemas[schema_id])
    assert message.key().decode() == event["event_id"]
    return Sent(_place_of(message), schema_id, event["source_version"], as_sent(event))


def _registered_schema(stack: Stack, schema_id: int) -> dict[str, Any]:
    answer = httpx.get(f"{stack.url('REGISTRY_PORT')}/apis/ccompat/v7/schemas/ids/{schema_id}", timeout=30)
    answer.raise_for_status()
    schema: dict[str, Any] = json.loads(answer.json()["schema"])
    return schema
