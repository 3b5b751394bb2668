"""Draws from a few values with unequal shares."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


class Shares:
    """Values and how often each is drawn.

    Args:
        shares: Relative frequency, 0 or more, of each value; they need not add up to 1.
    """

    def __init__(self, shares: Mapping[Any, float]) -> None:
        self._values = np.array(list(shares))
        edges = np.cumsum(list(shares.values()), dtype=np.float64)
        self._edges = edges / edges[-1]

    def draw(self, random: np.random.Generator, count: int) -> npt.NDArray[Any]:
        """Draw values independently of each other.

        Returns:
            An array of `count` values.
        """
        return self._values[np.searchsorted(self._edges, random.random(count), side="right")]
