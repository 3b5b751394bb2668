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
        # What it printed on standby was before its step began.
        ("idle_timeout_s", None, 90.0, 104.9, False),
    ],
)
def test_each_limit_counts_from_its_own_event(
    limit: str, opened_at: float | None, active_at: float | None, now: float, *, reached: bool
) -> None:
    limits = TimeLimits(StepSettings.model_validate({limit: 5}), started_at=100.0)
    found = limits.reached(now, caught_up_at=99.0, opened_at=opened_at, last_activity_at=active_at)
    assert (found is not None) is reached
    if found is not None:
        assert (found.setting, found.limit_s) == (limit, 5)


def test_the_next_check_is_due_at_the_nearest_deadline() -> None:
    limits = TimeLimits(StepSettings(timeout_s=50, idle_timeout_s=3), started_at=100.0)
    assert limits.wait_s(101.0, caught_up_at=99.0, opened_at=None, last_activity_at=None) == 2.0


@pytest.mark.parametrize("limit", ["start_timeout_s", "idle_timeout_s"])
def test_what_an_adopted_container_did_before_is_read_first(limit: str) -> None:
    """Nothing can be said of its start or its silence before; 100,000 old messages may take longer than the limit."""
    limits = TimeLimits(StepSettings.model_validate({limit: 5}), started_at=100.0)
    assert limits.reached(900.0, caught_up_at=None, opened_at=None, last_activity_at=None) is None
    assert limits.wait_s(900.0, caught_up_at=None, opened_at=None, last_activity_at=None) == 60.0
    assert limits.reached(904.9, caught_up_at=900.0, opened_at=None, last_activity_at=None) is None
    reached = limits.reached(905.0, caught_up_at=900.0, opened_at=None, last_activity_at=None)
    assert reached is not None
    assert reached.setting == limit


def test_the_limit_of_the_whole_step_never_waits() -> None:
    limits = TimeLimits(StepSettings(timeout_s=5, start_timeout_s=1), started_at=100.0)
    assert limits.wait_s(102.0, caught_up_at=None, opened_at=None, last_activity_at=None) == 3.0
    reached = limits.reached(105.0, caught_up_at=None, opened_at=None, last_activity_at=None)
    assert reached is not None
    assert reached.setting == "timeout_s"
