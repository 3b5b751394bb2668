"""Draws from a few values with unequal shares."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_CELLS: Final = 4096
"""Equal parts of 0 to 1, for each of which the first value is known: few draws then need a search. A power of
two, so that a draw's cell is exact."""


class Shares:
    """Values and how often each is drawn.

    Args:
        shares: Relative frequency, 0 or more, of each value; they need not add up to 1.
    """

    def __init__(self, shares: Mapping[Any, float]) -> None:
        self._values = np.array(list(shares))
        edges = np.cumsum(list(shares.values()), dtype=np.float64)
        self._edges = edges / edges[-1]
        self._first = np.searchsorted(self._edges, np.arange(_CELLS) / _CELLS, side="right")

    def draw(self, random: np.random.Generator, count: int) -> npt.NDArray[Any]:
        """Draw values independently of each other.

        Returns:
            An array of `count` values.
        """
        drawn = random.random(count)
        place = self._first[(drawn * _CELLS).astype(np.intp)]
        beyond = np.flatnonzero(self._edges[place] <= drawn)
        place[beyond] = np.searchsorted(self._edges, drawn[beyond], side="right")
        return self._values[place]
