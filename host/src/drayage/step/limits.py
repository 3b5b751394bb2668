"""Defines when a step reaches a time limit: for its container's life, for its start, or for its silence."""

from dataclasses import dataclass

from drayage.settings import StepSettings
from drayage.verdict.judge import LimitReached

_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class TimeLimits:
    """The time limits of one step; all times are on the monotonic clock, in seconds.

    Args:
        settings: The step's settings, which hold the limits.
        started_at: Time from which the limits count: the container's start, or its step's if it was on standby.
    """

    settings: StepSettings
    started_at: float

    def reached(
        self, now: float, *, caught_up_at: float | None, opened_at: float | None, last_activity_at: float | None
    ) -> LimitReached | None:
        """Return the limit that has been reached; None if there is none.

        Args:
            now: Current time.
            caught_up_at: Since when output is read as it comes; None while what was written before is read. Until
                then nothing is known of the workload's start or silence, and only the limit of the container's life
                counts.
            opened_at: When the workload opened Pipes; None if it has not yet.
            last_activity_at: When the last message or output line arrived; None if none has yet.
        """
        for deadline, limit in self._deadlines(caught_up_at, opened_at, last_activity_at):
            if now >= deadline:
                return limit
        return None

    def wait_s(
        self, now: float, *, caught_up_at: float | None, opened_at: float | None, last_activity_at: float | None
    ) -> float:
        """Return how long the watch may sleep if nothing happens, in seconds; at most 60.

        Args:
            now: Current time.
            caught_up_at: As in :meth:`reached`.
            opened_at: As in :meth:`reached`.
            last_activity_at: As in :meth:`reached`.
        """
        deadlines = self._deadlines(caught_up_at, opened_at, last_activity_at)
        return max(0.0, min([_LONGEST_WAIT_S, *(deadline - now for deadline, _ in deadlines)]))

    def _deadlines(
        self, caught_up_at: float | None, opened_at: float | None, last_activity_at: float | None
    ) -> list[tuple[float, LimitReached]]:
        settings, deadlines = self.settings, []
        if settings.timeout_s is not None:
            limit = LimitReached("timeout_s", settings.timeout_s, "it did not end")
            deadlines.append((self.started_at + settings.timeout_s, limit))
        if caught_up_at is None:
            return deadlines
        followed_at = max(self.started_at, caught_up_at)
        if settings.start_timeout_s is not None and opened_at is None:
            limit = LimitReached("start_timeout_s", settings.start_timeout_s, "it did not open Dagster Pipes")
            deadlines.append((followed_at + settings.start_timeout_s, limit))
        if settings.idle_timeout_s is not None:
            last = max(followed_at, last_activity_at or 0.0)
            limit = LimitReached("idle_timeout_s", settings.idle_timeout_s, "it sent no message and no log line")
            deadlines.append((last + settings.idle_timeout_s, limit))
        return deadlines
