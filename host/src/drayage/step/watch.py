"""Watches a container until it ends, and stops it at a time limit."""

import time
from collections.abc import Callable, Iterator
from threading import Event

from drayage.interrupts import wait
from drayage.pipes.ledger import Ledger
from drayage.settings import StepSettings
from drayage.step.launch import Launched
from drayage.step.limits import TimeLimits
from drayage.step.output import OutputLogs
from drayage.verdict.judge import LimitReached, SizeReached


class Watch:
    """Watches one container; if it is stopped at a time limit, ``limit`` is set to it.

    Args:
        launched: The container.
        settings: The step's settings: its time limits, and how its container is stopped.
        ledger: The ledger, which has the time of the last message.
        logs: The container's output, which has the time of the last line.
        changed: Set whenever something happens.
        caught_up_at: Returns since when the container's output is read as it comes; None while older output is read.
    """

    def __init__(
        self,
        launched: Launched,
        settings: StepSettings,
        *,
        ledger: Ledger,
        logs: OutputLogs,
        changed: Event,
        caught_up_at: Callable[[], float | None],
    ) -> None:
        self._follower = launched.follower
        self._settings = settings
        self._limits = TimeLimits(settings, launched.started_at)
        self._ledger = ledger
        self._logs = logs
        self._changed = changed
        self.limit: LimitReached | SizeReached | None = None
        self._caught_up_at = caught_up_at

    def changes(self) -> Iterator[None]:
        """Yield whenever something has happened, until the container has ended or was stopped at a time limit."""
        while not self._follower.ended:
            times = {
                "caught_up_at": self._caught_up_at(),
                "opened_at": self._ledger.opened_at,
                "last_activity_at": self._last_activity_at(),
            }
            self.limit = self._ledger.limit or self._limits.reached(time.monotonic(), **times)
            if self.limit is not None:
                self._follower.stop(self._settings.stop_signal, self._settings.stop_grace_s)
                return
            wait(self._changed, self._limits.wait_s(time.monotonic(), **times))
            self._changed.clear()
            yield

    def _last_activity_at(self) -> float | None:
        return max(filter(None, (self._ledger.last_message_at, self._logs.last_line_at)), default=None)
