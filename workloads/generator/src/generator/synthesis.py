"""Synthesise a month of trips from a seed.

The same seed gives the same trips and ids, and a smaller number of events gives the first ones of a larger number.
Trips are made in blocks of fixed size, each with its own random numbers, seeded by month, seed and block. Valid trips
are drawn first; ``faults`` then makes some invalid and repeats others.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from generator.drawing import MONEY_COLUMNS, TripColumns, draw_trips
from generator.event_id import event_ids
from generator.event_schema import TRIP_SCHEMA, TRIP_WITH_ID_SCHEMA
from generator.faults import FaultCount, Faults
from generator.month import Month

BLOCK_ROWS: Final = 10_000
"""Number of rows in one block; whole hundreds, because each hundred has a fixed number of faults."""

CENTS_PER_DOLLAR: Final = 100
_TRIPS, _FAULTS = 0, 1
"""Separate streams of random numbers, so that a block's faults are known without drawing its trips."""


class SyntheticTrips:
    """The trips of a month without a file.

    Args:
        month: The month of the pickups.
        seed: The seed, 0 or more.
        events: Number of events to send, including repeated and invalid ones.
    """

    sha256: str | None = None

    def __init__(self, month: Month, *, seed: int, events: int) -> None:
        self.month = month
        self.seed = seed
        self.events = events
        self.unknown_columns: dict[str, int] = {}

    @property
    def faults(self) -> FaultCount:
        """The numbers of repeated and invalid events."""
        blocks, rest = divmod(self.events, BLOCK_ROWS)
        whole = self._plan_faults(0).count(BLOCK_ROWS)
        last = self._plan_faults(blocks).count(rest)
        return FaultCount(
            duplicates=blocks * whole.duplicates + last.duplicates,
            invalid=blocks * whole.invalid + last.invalid,
        )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Make the trips, one block after another.

        Yields:
            ``event_id`` and the trip's columns.
        """
        for start in range(0, self.events, BLOCK_ROWS):
            yield self._make_block(start // BLOCK_ROWS).slice(0, self.events - start)

    def _make_block(self, block: int) -> pa.RecordBatch:
        trips = draw_trips(self._random(block, _TRIPS), self.month, BLOCK_ROWS)
        faults = self._plan_faults(block)
        faults.spoil(trips)
        faults.repeat(trips)
        rows = faults.source_rows(BLOCK_ROWS) + block * BLOCK_ROWS + 1
        ids = event_ids(f"{self.month}.s{self.seed}", rows)
        columns = [_arrow_column(trips, field) for field in TRIP_SCHEMA]
        return pa.RecordBatch.from_arrays([ids, *columns], schema=TRIP_WITH_ID_SCHEMA)

    def _plan_faults(self, block: int) -> Faults:
        return Faults.plan(self._random(block, _FAULTS), BLOCK_ROWS)

    def _random(self, block: int, stream: int) -> np.random.Generator:
        entropy = [self.seed, self.month.year, self.month.number, block, stream]
        return np.random.Generator(np.random.PCG64(entropy))


def _arrow_column(trips: TripColumns, field: pa.Field) -> pa.Array:
    if field.name not in trips.values:
        return pa.nulls(BLOCK_ROWS, field.type)
    values = trips.values[field.name]
    if field.name in MONEY_COLUMNS:
        values = values / CENTS_PER_DOLLAR
    return pa.array(values, mask=trips.missing.get(field.name)).cast(field.type)
