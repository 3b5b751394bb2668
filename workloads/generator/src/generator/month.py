"""A month, the partition that one step sends."""

import calendar
import datetime as dt
import re
from dataclasses import dataclass
from typing import Final, Self

from generator.errors import RequestError

_KEY: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month in New York.

    Args:
        year: Four digits.
        number: 1 to 12.
    """

    year: int
    number: int

    @classmethod
    def parse(cls, key: str) -> Self:
        """Parse a partition key.

        Args:
            key: ``YYYY-MM``.

        Returns:
            The month.

        Raises:
            RequestError: The key has another form.
        """
        match = _KEY.fullmatch(key)
        if match is None:
            raise RequestError(
                "the partition key is not a month",
                expected="YYYY-MM, for example 2024-01",
                got=repr(key),
                todo="materialize one partition of a monthly asset",
            )
        return cls(int(match[1]), int(match[2]))

    @property
    def first_day(self) -> dt.date:
        """The month's first day."""
        return dt.date(self.year, self.number, 1)

    @property
    def day_count(self) -> int:
        """Number of days, 28 to 31."""
        return calendar.monthrange(self.year, self.number)[1]

    def __str__(self) -> str:
        """Return the partition key."""
        return f"{self.year:04d}-{self.number:02d}"
