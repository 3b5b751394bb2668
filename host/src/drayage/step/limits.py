"""Limits of time: for the step, for its start, and for its silence."""

from dataclasses import dataclass

from drayage.settings import StepSettings
from drayage.verdict.judge import LimitReached

_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class TimeLimits:
    """The limits of one step; all times are of the monotonic clock, in seconds.

    Args:
        settings: Holds the limits.
        started_at: When the container was started (or adopted).
    """

    settings: StepSettings
    started_at: float

    def reached(self, now: float, *, opened_at: float | None, last_activity_at: float | None) -> LimitReached | None:
        """Tell which limit is reached, if any.

        Args:
            now: The time.
            opened_at: When the workload opened Pipes; None if it did not yet.
            last_activity_at: When the last message or line came; None if none did yet.
        """
        for deadline, limit in self._deadlines(opened_at=opened_at, last_activity_at=last_activity_at):
            if now >= deadline:
                return limit
        return None

    def wait_s(self, now: float, *, opened_at: float | None, last_activity_at: float | None) -> float:
        """How long nothing needs to be looked at, if nothing happens."""
        deadlines = self._deadlines(opened_at=opened_at, last_activity_at=last_activity_at)
        return max(0.0, min([_LONGEST_WAIT_S, *(deadline - now for deadline, _ in deadlines)]))

    def _deadlines(
        self, *, opened_at: float | None, last_activity_at: float | None
    ) -> list[tuple[float, LimitReached]]:
        settings, deadlines = self.settings, []
        if settings.timeout_s is not None:
            limit = LimitReached("timeout_s", settings.timeout_s, "it did not end")
            deadlines.append((self.started_at + settings.timeout_s, limit))
        if settings.start_timeout_s is not None and opened_at is None:
            limit = LimitReached("start_timeout_s", settings.start_timeout_s, "it did not open Dagster Pipes")
            deadlines.append((self.started_at + settings.start_timeout_s, limit))
        if settings.idle_timeout_s is not None:
            last = max(self.started_at, last_activity_at or 0.0)
            limit = LimitReached("idle_timeout_s", settings.idle_timeout_s, "it sent no message and no log line")
            deadlines.append((last + settings.idle_timeout_s, limit))
        return deadlines
