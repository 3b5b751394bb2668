"""The judge of the chaos test: it needs no stack, accepts what is right, and notices each single fault."""

from __future__ import annotations

import copy
import datetime as dt
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from avro_reader import decode, framed_schema_id
from month_judge import Found, Row, Sent, contents_of, judge
from month_versions import CORRECTED, LARGE, ORIGINAL, SMALL, Contents, all_versions, file_contents, versions_in_turn
from trip_cases import money

MONTH = "2016-06"
TOPIC_ID = "a-topic"
VALID = 142
REJECTED = 8
OLD = 3
"""Events of another version in bronze."""

SCHEMA: dict[str, Any] = {
    "fields": [
        {"name": "event_id", "type": "string"},
        {"name": "sent_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "VendorID", "type": ["null", "long"]},
        {"name": "fare_amount", "type": ["null", "double"]},
        {"name": "unknown_columns", "type": ["null", {"type": "map", "values": "string"}]},
        {"name": "source_version", "type": ["null", "string"]},
    ]
}
EVENT = b"".join(
    (
        b"\x00\x00\x00\x00\x07",
        b"\x04id",
        b"\xe8\x07",  # 500 ms
        b"\x02\x81\x01",  # -65
        b"\x02" + struct.pack("<d", 6.5),
        b"\x02\x02\x06fee\x06\xc3\xa9!\x00",
        b"\x00",
    )
)


def test_an_event_is_decoded() -> None:
    assert framed_schema_id(EVENT) == 7
    assert decode(EVENT, SCHEMA) == {
        "event_id": "id",
        "sent_at": dt.datetime(1970, 1, 1, microsecond=500_000),  # noqa: DTZ001 - wall clock
        "VendorID": -65,
        "fare_amount": 6.5,
        "unknown_columns": {"fee": "é!"},
        "source_version": None,
    }


@pytest.mark.parametrize("message", [EVENT + b"\x00", EVENT[:-1]], ids=["a byte too many", "a byte too few"])
def test_an_event_of_another_length_is_refused(message: bytes) -> None:
    with pytest.raises(AssertionError):
        decode(message, SCHEMA)


def test_each_version_follows_each_other_once_before_any_change_is_repeated() -> None:
    turns = list(versions_in_turn(24))
    assert turns[0][1] == SMALL
    assert all(before == last for (last, _), (_, before) in pairwise(turns))
    assert all(version != before for version, before in turns)
    assert len(set(turns[:12])) == 12
    assert turns[12:] == turns[:12]


def test_the_first_rounds_replace_synthetic_trips_and_correct_a_file_and_its_first_form_comes_back() -> None:
    assert [version for version, _ in versions_in_turn(3)] == [ORIGINAL, CORRECTED, ORIGINAL]


def test_the_correction_is_a_smaller_and_dearer_file_of_the_same_name(tmp_path: Path) -> None:
    versions = all_versions(MONTH, tmp_path)
    original, corrected = versions[ORIGINAL], versions[CORRECTED]
    assert original.source_name == corrected.source_name == f"yellow_tripdata_{MONTH}.parquet"
    assert len({version.content for version in versions.values()}) == 4
    first, second = (file_contents(MONTH, file) for file in (original.file, corrected.file) if file is not None)
    assert (len(first.trips), len(first.rejected)) == (VALID, REJECTED)
    assert (len(second.trips), len(second.rejected)) == (114, 6)
    assert not set(first.trips) & set(second.trips)
    kept = sum((total for event_id, (_, _, total) in first.trips.items() if int(event_id[-3:]) <= 120), Decimal(0))
    assert second.money == kept + 57, "the valid ones of the first 60 trips cost a dollar more"
    assert versions[LARGE].events > versions[SMALL].events > original.events > corrected.events


def test_a_files_money_is_that_of_its_valid_trips(tmp_path: Path) -> None:
    file = all_versions(MONTH, tmp_path)[ORIGINAL].file
    assert file is not None
    table = pq.read_table(file)
    is_valid = [fare is not None and fare >= 0 for fare in table["fare_amount"].to_pylist()]
    assert file_contents(MONTH, file).money == money(table.filter(is_valid))


class Case:
    """The original as a right pipeline leaves it, sent twice, after three events of a synthetic version."""

    def __init__(self, folder: Path) -> None:
        self.versions = all_versions(MONTH, folder)
        self.version = self.versions[ORIGINAL]
        assert self.version.file is not None
        self.contents = file_contents(MONTH, self.version.file)
        self.source_version = f"{self.version.content}.0123abcd"
        # As many as the small version has events, so that it is whole.
        self.versions[SMALL] = replace(self.versions[SMALL], events=OLD)
        self.found = self._found()

    def judge(self) -> None:
        judge(self.found, MONTH, self.version, self.contents, known=self.versions.values())

    def _found(self) -> Found:
        old = [(("event_id", f"{MONTH}.s42.{number:09d}"),) for number in range(1, OLD + 1)]
        old_version = f"{self.versions[SMALL].content}.0123abcd"
        events = [*((old_version, event) for event in old)]
        events += [(self.source_version, event) for event in self.contents.events] * 2
        # Two partitions, and a gap after each record, as aborted events and markers leave them.
        sent = [
            Sent((number % 2, 2 * (number // 2)), 7, version, event) for number, (version, event) in enumerate(events)
        ]
        last = sent[-self.version.events :]
        offsets = {
            str(partition): [min(found), max(found)]
            for partition in (0, 1)
            if (found := [one.place[1] for one in last if one.place[0] == partition])
        }
        record = {
            "month": MONTH,
            "source": "tlc_file",
            "source_version": self.source_version,
            "source_name": self.version.source_name,
            "sha256": self.version.sha256,
            "seed": None,
            "events": self.version.events,
            "schema_id": 7,
            "topic": "taxi.raw_trips",
            "topic_id": TOPIC_ID,
            "offsets": offsets,
            "completed_at": "2026-01-01T00:00:00+00:00",
        }
        trips: list[Row] = [
            {"event_id": event_id, "pickup_at": pickup, "fare_amount_usd": fare, "total_amount_usd": total}
            for event_id, (pickup, fare, total) in self.contents.trips.items()
        ]
        names = {name: record[name] for name in ("source", "source_version", "source_name")}
        counted = {"rows_read": OLD + 300, "rows_written": VALID, "rows_rejected": REJECTED, "rows_superseded": OLD}
        sending = {"events_in_version": 150, "events_committed": 100, "events_resumed": 50, "offsets": offsets}
        return Found(
            topic_id=TOPIC_ID,
            records={MONTH: record},
            sent=sent,
            committed=Counter(one.place for one in sent),
            ingested=Counter(one.place for one in sent),
            bronze=[_bronze_row(one) for one in sent],
            silver=trips,
            rejected=[{"event_id": event_id} for event_id in self.contents.rejected],
            marts=copy.deepcopy(trips),
            receipts={
                "generate_events": {**names, **copy.deepcopy(sending)},
                "silver/cleaned_trips": {**names, **counted, "duplicates": 150},
            },
        )


def _bronze_row(sent: Sent) -> Row:
    return {
        "event_id": dict(sent.event)["event_id"],
        "source_version": sent.source_version,
        "kafka_topic_id": TOPIC_ID,
        "kafka_partition": sent.place[0],
        "kafka_offset": sent.place[1],
    }


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("right"))


@pytest.fixture
def case(right: Case) -> Case:
    """Return a copy that a test may spoil."""
    return copy.deepcopy(right)


def test_what_is_right_is_accepted(case: Case) -> None:
    case.judge()
    assert contents_of(case.found, MONTH) == case.contents


def _record(found: Found) -> dict[str, Any]:
    record: dict[str, Any] = found.records[MONTH]
    return record


def _still_sending(found: Found) -> None:
    found.records[f"{MONTH}/sending"] = {}


def _another_event(found: Found) -> None:
    found.sent[-1] = replace(found.sent[-1], event=found.sent[-2].event)


def _event_with_another_value(found: Found) -> None:
    event = dict(found.sent[-1].event)
    event["tip_amount"] += 1
    found.sent[-1] = replace(found.sent[-1], event=tuple(sorted(event.items())))


def _event_of_another_version(found: Found) -> None:
    found.sent[-1] = replace(found.sent[-1], source_version=found.sent[0].source_version)


def _content_of_another_version(found: Found) -> None:
    """Let everything name the large version, of as many events as both sendings have: only the file tells."""
    content = "seed-42-events-300.0123abcd"
    before = _record(found)["source_version"]
    found.sent[:] = [
        replace(one, source_version=content) if one.source_version == before else one for one in found.sent
    ]
    found.bronze[:] = map(_bronze_row, found.sent)
    for names in (_record(found), *found.receipts.values()):
        names["source_version"] = content


def _move_offset(found: Found, end: int, by: int) -> None:
    """Let the receipt have the same."""
    for names in (_record(found), found.receipts["generate_events"]):
        names["offsets"]["0"][end] += by


def _half_a_version(found: Found) -> None:
    """Remove an event of the first sending everywhere."""
    gone = found.sent.pop(OLD + 2)
    found.bronze.remove(_bronze_row(gone))
    for places in (found.committed, found.ingested):
        del places[gone.place]
    found.receipts["silver/cleaned_trips"]["duplicates"] -= 1
    found.receipts["silver/cleaned_trips"]["rows_read"] -= 1


def _all_in_bronze_twice(found: Found) -> None:
    found.ingested.update(found.committed)


FAULTS: dict[str, Callable[[Found], Any]] = {
    "no record": lambda found: found.records.clear(),
    "still sending": _still_sending,
    "another source": lambda found: _record(found).update(source="synthetic"),
    "another content": lambda found: _record(found).update(source_version="seed-42-events-200.0123abcd"),
    "another hash": lambda found: _record(found).update(sha256="0" * 64),
    "another number of events": lambda found: _record(found).update(events=151),
    "another topic": lambda found: _record(found).update(topic_id="another"),
    "another schema": lambda found: _record(found).update(schema_id=8),
    "content of another version": _content_of_another_version,
    "not completed": lambda found: _record(found).update(completed_at=""),
    "offsets begin earlier": lambda found: _move_offset(found, 0, -1),
    "offsets begin with the sending before": lambda found: _move_offset(found, 0, -2),
    "offsets begin too late": lambda found: _move_offset(found, 0, 1),
    "offsets end too early": lambda found: _move_offset(found, 1, -1),
    "offsets end too late": lambda found: _move_offset(found, 1, 1),
    "another event": _another_event,
    "another value": _event_with_another_value,
    "another version's event": _event_of_another_version,
    "half a version": _half_a_version,
    "bronze lacks a record": lambda found: found.ingested.popitem(),
    "bronze has all twice": _all_in_bronze_twice,
    "bronze row of another version": lambda found: found.bronze[-1].update(source_version=None),
    "bronze row of another event": lambda found: found.bronze[-1].update(event_id="another"),
    "bronze lacks a row": lambda found: found.bronze.pop(),
    "silver lacks a trip": lambda found: found.silver.pop(),
    "silver has a trip twice": lambda found: found.silver.append(found.silver[0]),
    "silver has an older trip": lambda found: found.silver.append(found.silver[0] | {"event_id": "2016-06.s42.1"}),
    "silver has another fare": lambda found: found.silver[0].update(fare_amount_usd=Decimal(1)),
    "marts lack a trip": lambda found: found.marts.pop(),
    "marts have another total": lambda found: found.marts[0].update(total_amount_usd=Decimal(1)),
    "a rejected trip is missing": lambda found: found.rejected.pop(),
    "a rejected trip is there twice": lambda found: found.rejected.append(found.rejected[0]),
    **{
        f"another {name} of {step}": lambda found, step=step, name=name: found.receipts[step].update({name: "another"})
        for step in ("generate_events", "silver/cleaned_trips")
        for name in ("source", "source_version", "source_name")
    },
    **{
        f"one more in {name}": lambda found, step=step, name=name: found.receipts[step].update(
            {name: found.receipts[step][name] + 1}
        )
        for step, names in {
            "generate_events": ("events_in_version", "events_committed", "events_resumed"),
            "silver/cleaned_trips": (
                *("rows_read", "rows_written", "rows_rejected", "rows_superseded"),
                "duplicates",
            ),
        }.items()
        for name in names
    },
    "other offsets were reported": lambda found: found.receipts["generate_events"].update(offsets={}),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_each_fault_is_noticed(case: Case, fault: Callable[[Found], Any]) -> None:
    fault(case.found)
    with pytest.raises((AssertionError, KeyError)):
        case.judge()


def test_a_version_without_valid_trips_judges_nothing(case: Case) -> None:
    case.contents = Contents(case.contents.events, {}, case.contents.rejected)
    case.found.silver.clear()
    case.found.marts.clear()
    case.found.receipts["silver/cleaned_trips"].update(rows_written=0, duplicates=150 + VALID)
    with pytest.raises(AssertionError):
        case.judge()


def test_a_version_without_rejected_trips_judges_nothing(case: Case) -> None:
    case.contents = Contents(case.contents.events, case.contents.trips, frozenset())
    case.found.rejected.clear()
    case.found.receipts["silver/cleaned_trips"].update(rows_rejected=0, duplicates=150 + REJECTED)
    with pytest.raises(AssertionError):
        case.judge()
