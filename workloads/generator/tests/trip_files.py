"""Read trip files in the TLC's formats as the step does."""

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from generator.errors import TripFileError
from generator.month import Month
from generator.trip_file import TripFile

MONTH = Month(2019, 1)
ROWS = 300

Write = Callable[[pa.Table], Path]


def read(path: Path) -> pa.Table:
    """Read a file as the step does."""
    return pa.Table.from_batches(TripFile(MONTH, path).batches())


def refused(path: Path, kind: type[TripFileError]) -> str:
    """Read a file that must be refused, and return the error's text."""
    with pytest.raises(kind, match=re.escape(str(path))) as caught:
        TripFile(MONTH, path)
    text = str(caught.value)
    assert "\n" not in text
    assert "to do:" in text
    return text
