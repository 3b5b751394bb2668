"""Ids of events: the same trip of the same source always has the same id."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ROW_DIGITS: Final = 9


def event_ids(prefix: str, rows: npt.NDArray[np.int64]) -> pa.StringArray:
    """Return the ids of events, which name their source and row.

    Args:
        prefix: The month and source in ASCII, for example ``2024-01.s42``.
        rows: Each event's row in its source, 1 to 999,999,999.

    Returns:
        ``<prefix>.<row with nine digits>`` for each row.
    """
    head = f"{prefix}.".encode("ascii")
    width = len(head) + ROW_DIGITS
    characters = np.empty((len(rows), width), np.uint8)
    characters[:, : len(head)] = np.frombuffer(head, np.uint8)
    rest: npt.NDArray[Any] = rows.astype(np.uint32)
    for place in range(width - 1, len(head) - 1, -1):
        rest, digit = np.divmod(rest, np.uint32(10))
        characters[:, place] = digit + ord("0")
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(characters)))
