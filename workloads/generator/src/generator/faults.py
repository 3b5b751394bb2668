"""Faults for the pipeline to find: choose which synthetic trips are sent twice, and which are invalid.

Of every hundred events, one repeats an earlier valid event of the same hundred, including the event id, and two break
exactly one rule each. Their positions are random; their number is fixed.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from generator.drawing import MONEY_COLUMNS, TripColumns

GROUP_ROWS: Final = 100
DUPLICATES_PER_GROUP: Final = 1
"""Number of events in each hundred that repeat an earlier one, with its event id."""

INVALID_PER_GROUP: Final = 2
"""Number of invalid events in each hundred; the kinds take turns."""

INVALID_KINDS: Final = ("negative fare", "negative distance", "missing time", "outside the month")

_CLEAN_ROWS: Final = 50
"""Rows without faults at the start of each hundred, from which repeats are taken."""

_OUTSIDE_SHIFT_DAYS: Final = 35
"""Longer than any month, and whole weeks, which keeps the weekday."""

Array = npt.NDArray[Any]


class FaultCount(NamedTuple):
    """The numbers of repeated and invalid events."""

    duplicates: int
    invalid: int


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of one block.

    Args:
        duplicates: Rows that repeat another row.
        originals: The earlier row that each of them repeats.
        invalid: Rows that are invalid; the kinds take turns.
    """

    duplicates: Array
    originals: Array
    invalid: Array

    @classmethod
    def plan(cls, random: np.random.Generator, row_count: int) -> "Faults":
        """Draw the positions of the faults.

        Args:
            random: The source of random numbers.
            row_count: Number of rows in the block, a multiple of 100.

        Returns:
            The faults.
        """
        starts = np.arange(0, row_count, GROUP_ROWS)[:, np.newaxis]
        order = random.random((len(starts), GROUP_ROWS - _CLEAN_ROWS)).argsort(axis=1)
        places = starts + _CLEAN_ROWS + order[:, : DUPLICATES_PER_GROUP + INVALID_PER_GROUP]
        originals = starts + random.integers(_CLEAN_ROWS, size=(len(starts), DUPLICATES_PER_GROUP))
        return cls(
            duplicates=places[:, :DUPLICATES_PER_GROUP].ravel(),
            originals=originals.ravel(),
            invalid=places[:, DUPLICATES_PER_GROUP:].ravel(),
        )

    def count(self, row_count: int) -> FaultCount:
        """Count the faults among the block's first ``row_count`` rows."""
        return FaultCount(
            duplicates=int((self.duplicates < row_count).sum()),
            invalid=int((self.invalid < row_count).sum()),
        )

    def source_rows(self, row_count: int) -> npt.NDArray[np.int64]:
        """Return, for each row of the block, the row whose trip it carries: itself, or an earlier row."""
        rows = np.arange(row_count)
        rows[self.duplicates] = self.originals
        return rows

    def spoil(self, trips: TripColumns) -> None:
        """Break one rule in each invalid row."""
        kinds = [self.invalid[turn :: len(INVALID_KINDS)] for turn in range(len(INVALID_KINDS))]
        negative_fare, negative_distance, missing_time, outside = kinds
        for name in MONEY_COLUMNS:
            trips.values[name][negative_fare] *= -1
        trips.values["trip_distance"][negative_distance] *= -1
        trips.mark_missing("tpep_pickup_datetime", missing_time[0::2])
        trips.mark_missing("tpep_dropoff_datetime", missing_time[1::2])
        shift = np.timedelta64(_OUTSIDE_SHIFT_DAYS, "D")
        for name in ("tpep_pickup_datetime", "tpep_dropoff_datetime"):
            trips.values[name][outside] -= shift

    def repeat(self, trips: TripColumns) -> None:
        """Copy the originals to the rows that repeat them."""
        for column in (*trips.values.values(), *trips.missing.values()):
            column[self.duplicates] = column[self.originals]
