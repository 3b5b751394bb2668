from datetime import UTC, datetime

import pytest

from nyc_taxi.months import FIRST_MONTH, MonthError, last_month, require_month
from nyc_taxi.partitions import MONTHS

NOW = datetime(2024, 3, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2024, 3, 1, tzinfo=UTC), "2024-02"),
        (datetime(2024, 1, 31, 23, 59, tzinfo=UTC), "2023-12"),
    ],
)
def test_the_last_month_is_the_last_one_that_is_over(now: datetime, expected: str) -> None:
    assert last_month(now) == expected


def test_the_launcher_and_dagster_know_the_same_months() -> None:
    """The launcher refuses a month at once, without asking Dagster; both must agree."""
    keys = MONTHS.get_partition_keys(current_time=NOW)
    assert (keys[0], keys[-1]) == (FIRST_MONTH, last_month(NOW))


@pytest.mark.parametrize("month", [FIRST_MONTH, "2019-01", "2024-02"])
def test_a_month_with_a_partition_is_accepted(month: str) -> None:
    assert require_month(month, now=NOW) == month


@pytest.mark.parametrize("text", ["2019-13", "2019-1", "January", "", "2019-01-01", "2019-01\n"])
def test_a_text_that_is_not_a_month_is_refused_with_the_range(text: str) -> None:
    with pytest.raises(MonthError, match=r"is not a month: .* from 2009-01 to 2024-02"):
        require_month(text, now=NOW)


@pytest.mark.parametrize("month", ["2008-12", "2024-03", "2099-01"])
def test_a_month_without_a_partition_is_refused_with_the_range(month: str) -> None:
    with pytest.raises(MonthError, match=f"no month {month}: choose one from 2009-01 to 2024-02"):
        require_month(month, now=NOW)
