"""Which months the pipeline knows, without Dagster, so that the launcher starts at once."""

import re
from datetime import UTC, datetime

FIRST_MONTH = "2011-01"
"""The first month offered: from here on the TLC's yellow files carry the columns that the pipeline reads."""

MONTH_FORMAT = "%Y-%m"
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class MonthError(ValueError):
    """A month that is badly written, or that no partition stands for."""


def last_month(now: datetime | None = None) -> str:
    """Tell the last month that is over, which is the last that has a partition.

    Args:
        now: The moment to judge by; by default the present.

    Returns:
        A month such as ``2024-01``, in UTC like the partitions.
    """
    moment = (now or datetime.now(tz=UTC)).astimezone(UTC)
    year, month = (moment.year, moment.month - 1) if moment.month > 1 else (moment.year - 1, 12)
    return f"{year:04d}-{month:02d}"


def require_month(text: str, *, now: datetime | None = None) -> str:
    """Return the month unchanged if the pipeline has a partition for it.

    Args:
        text: What somebody typed.
        now: The moment to judge by; by default the present.

    Returns:
        The same text.

    Raises:
        MonthError: It is not a month, or none of the pipeline's.
    """
    last = last_month(now)
    if not _MONTH.fullmatch(text):
        raise MonthError(f"'{text}' is not a month: write it as year and month, from {FIRST_MONTH} to {last}.")
    if not FIRST_MONTH <= text <= last:
        raise MonthError(f"The pipeline has no month {text}: choose one from {FIRST_MONTH} to {last}.")
    return text
