"""Time limits, tested without waiting for them."""

import pytest

from drayage.settings import StepSettings
from drayage.step.limits import TimeLimits


@pytest.mark.parametrize(
    ("limit", "opened_at", "active_at", "now", "reached"),
    [
        ("timeout_s", 101.0, 104.0, 104.9, False),
        ("timeout_s", 101.0, 104.0, 105.0, True),
        ("start_timeout_s", None, None, 105.0, True),
        ("start_timeout_s", 104.0, 104.0, 200.0, False),
        ("idle_timeout_s", 101.0, 104.0, 108.9, False),
        ("idle_timeout_s", 101.0, 104.0, 109.0, True),
        ("idle_timeout_s", None, None, 105.0, True),
    ],
)
def test_each_limit_counts_from_its_own_event(
    limit: str, opened_at: float | None, active_at: float | None, now: float, *, reached: bool
) -> None:
    limits = TimeLimits(StepSettings.model_validate({limit: 5}), started_at=100.0)
    found = limits.reached(now, opened_at=opened_at, last_activity_at=active_at)
    assert (found is not None) is reached
    if found is not None:
        assert (found.setting, found.limit_s) == (limit, 5)


def test_the_next_check_is_due_at_the_nearest_deadline() -> None:
    limits = TimeLimits(StepSettings(timeout_s=50, idle_timeout_s=3), started_at=100.0)
    assert limits.wait_s(101.0, opened_at=None, last_activity_at=None) == 2.0
