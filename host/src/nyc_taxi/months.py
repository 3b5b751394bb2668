"""The months that have a partition. Nothing here imports Dagster, so that the launcher starts at once."""

import re
from datetime import UTC, datetime

FIRST_MONTH = "2009-01"
"""The first month with a partition, which is that of the TLC's first yellow file."""

MONTH_FORMAT = "%Y-%m"
PARTITION_TAG = "dagster/partition"
"""The tag with which Dagster marks a run of one month."""

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class MonthError(ValueError):
    """The text is not a month, or the month has no partition."""


def last_month(now: datetime | None = None) -> str:
    """Return the last month that is over, which is the last one with a partition.

    Args:
        now: The moment to take as the present; by default the current time.

    Returns:
        A month such as ``2024-01``, in UTC like the partitions.
    """
    moment = (now or datetime.now(tz=UTC)).astimezone(UTC)
    year, month = (moment.year, moment.month - 1) if moment.month > 1 else (moment.year - 1, 12)
    return f"{year:04d}-{month:02d}"


def require_month(text: str, *, now: datetime | None = None) -> str:
    """Return the month unchanged if the pipeline has a partition for it.

    Args:
        text: The month as it was typed.
        now: The moment to take as the present; by default the current time.

    Returns:
        The same text.

    Raises:
        MonthError: The text is not a month, or the month has no partition.
    """
    last = last_month(now)
    if not _MONTH.fullmatch(text):
        raise MonthError(f"'{text}' is not a month: write it as year and month, from {FIRST_MONTH} to {last}.")
    if not FIRST_MONTH <= text <= last:
        raise MonthError(f"The pipeline has no month {text}: choose one from {FIRST_MONTH} to {last}.")
    return text
