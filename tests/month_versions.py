"""Versions of a month for the chaos test, and what each of them holds, read from the file itself."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from trip_cases import dearer, replaced, valid_trips

SEED = 42
LARGE, SMALL, ORIGINAL, CORRECTED = "large", "small", "original", "corrected"
SYNTHETIC = {LARGE: 300, SMALL: 200}
"""Number of events of each synthetic version."""
REFUND_EVERY = 20

# Each of the four follows each other one once, and then it starts over: it begins after the small one and ends with it.
_CIRCUIT = (
    *(ORIGINAL, CORRECTED, ORIGINAL, LARGE, ORIGINAL, SMALL),
    *(LARGE, CORRECTED, LARGE, SMALL, CORRECTED, SMALL),
)
_HASH_DIGITS, _ID_DIGITS, _ROW_DIGITS = 16, 8, 9
# Who sent an event, and when, is no part of what was sent.
_OF_SENDING = {"sent_at", "source_version"}

Event = tuple[tuple[str, Any], ...]
"""An event's values by name, without those that are null and those that sending adds."""

Trip = tuple[dt.datetime, Decimal, Decimal]
"""Pickup, fare and total of a valid trip."""


@dataclass(frozen=True)
class Version:
    """A version of a month as it is sent, and what its record in the topic of versions has to say.

    Args:
        name: What the tests call it.
        source: `tlc_file` or `synthetic`.
        source_name: The file's name, or a description of the synthetic trips.
        content: The first part of its `source_version`.
        events: Number of events.
        sha256: Hash of the file's content; None without a file.
        seed: The seed; None with a file.
        file: The file; None without one.
    """

    name: str
    source: str
    source_name: str
    content: str
    events: int
    sha256: str | None = None
    seed: int | None = None
    file: Path | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """Return the launcher's options that ask for this version."""
        if self.file is not None:
            return ("--source", "file")
        return ("--source", "synthetic", "--events", str(self.events), "--seed", str(self.seed))


@dataclass(frozen=True)
class Contents:
    """What a version holds.

    Args:
        events: Its events, and how often each is sent.
        trips: Its valid trips by the id of their event.
        rejected: The ids of the events that are rejected.
    """

    events: Counter[Event]
    trips: dict[str, Trip]
    rejected: frozenset[str]

    @property
    def money(self) -> Decimal:
        """Return the sum of the valid trips' totals."""
        return sum((total for _, _, total in self.trips.values()), Decimal(0))


def versions_in_turn(rounds: int) -> Iterator[tuple[str, str]]:
    """Yield the version of each round, and the one before it; before the first round that is the small one."""
    before = SMALL
    for version in islice(cycle(_CIRCUIT), rounds):
        yield version, before
        before = version


def all_versions(month: str, folder: Path) -> dict[str, Version]:
    """Return the four versions of a month by name; the files of two of them are written to a folder."""
    original = _with_refunds(valid_trips(month, 150), first=5)
    corrected = dearer(original, 60).slice(0, 120)
    files = [_file_version(month, ORIGINAL, original, folder), _file_version(month, CORRECTED, corrected, folder)]
    synthetic = [_synthetic_version(name, events) for name, events in SYNTHETIC.items()]
    return {version.name: version for version in (*files, *synthetic)}


def file_contents(month: str, path: Path) -> Contents:
    """Read a month's file: its events, its valid trips and the others, which have a fare below zero."""
    events: Counter[Event] = Counter()
    trips: dict[str, Trip] = {}
    rejected = set()
    prefix = f"{month}.{_sha256(path)[:_ID_DIGITS]}"
    for number, row in enumerate(pq.read_table(path).to_pylist(), start=1):
        event_id = f"{prefix}.{number:0{_ROW_DIGITS}d}"
        events[as_sent(row | {"event_id": event_id, "trip_month": month})] += 1
        if row["fare_amount"] < 0:
            rejected.add(event_id)
        else:
            trips[event_id] = (row["tpep_pickup_datetime"], _cents(row["fare_amount"]), _cents(row["total_amount"]))
    return Contents(events, trips, frozenset(rejected))


def as_sent(event: Mapping[str, Any]) -> Event:
    """Return an event in a form that can be compared and counted."""
    values = {
        name: tuple(sorted(value.items())) if isinstance(value, dict) else value
        for name, value in event.items()
        if value is not None and name not in _OF_SENDING
    }
    return tuple((name, values[name]) for name in sorted(values))


def _with_refunds(table: pa.Table, *, first: int) -> pa.Table:
    """Return a table in which the first fare, and each ``REFUND_EVERY``-th after it, is below zero."""
    paid: list[Any] = table["fare_amount"].to_pylist()
    fares = [-fare if row % REFUND_EVERY == first else fare for row, fare in enumerate(paid)]
    return replaced(table, fare_amount=fares)


def _file_version(month: str, name: str, table: pa.Table, folder: Path) -> Version:
    path = folder / name / f"yellow_tripdata_{month}.parquet"
    path.parent.mkdir()
    pq.write_table(table, path)
    sha256 = _sha256(path)
    content = f"sha256-{sha256[:_HASH_DIGITS]}"
    return Version(name, "tlc_file", path.name, content, table.num_rows, sha256=sha256, file=path)


def _synthetic_version(name: str, events: int) -> Version:
    source_name = f"synthetic, seed {SEED}, {events} events"
    return Version(name, "synthetic", source_name, f"seed-{SEED}-events-{events}", events, seed=SEED)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _cents(amount: float) -> Decimal:
    return Decimal(f"{amount:.2f}")
