"""Draw from a few values with unequal shares."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_CELLS: Final = 4096
"""Number of equal parts of 0 to 1 whose first value is precomputed, so that few draws need a search. A power of two, so
that a draw's cell is exact."""


class Shares:
    """Values and their relative frequencies.

    Args:
        shares: The relative frequency of each value, 0 or more; they need not add up to 1.
    """

    def __init__(self, shares: Mapping[Any, float]) -> None:
        self._values = np.array(list(shares))
        edges = np.cumsum(list(shares.values()), dtype=np.float64)
        self._edges = edges / edges[-1]
        self._first = np.searchsorted(self._edges, np.arange(_CELLS) / _CELLS, side="right")

    def draw(self, random: np.random.Generator, count: int) -> npt.NDArray[Any]:
        """Draw values independently of each other.

        Args:
            random: The source of random numbers.
            count: Number of values.

        Returns:
            An array of ``count`` values.
        """
        drawn = random.random(count)
        place = self._first[(drawn * _CELLS).astype(np.intp)]
        beyond = np.flatnonzero(self._edges[place] <= drawn)
        place[beyond] = np.searchsorted(self._edges, drawn[beyond], side="right")
        return self._values[place]
