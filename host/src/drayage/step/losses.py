"""Collects what was lost of one container's output, from every thread that handles it."""

from collections.abc import Sequence
from threading import Lock

_KEPT_TEXTS = 20


class Losses:
    """What is missing from a container's output: losses, which make its step red, and notes, which do not.

    A loss is a line, message or byte that the runner should have kept or read and did not. A note is about a copy of
    what is whole elsewhere, or about what was left out as the settings say.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._first: list[str] = []
        self._notes: list[str] = []
        self.count = 0

    @property
    def first(self) -> Sequence[str]:
        """Clauses about the first few losses."""
        return tuple(self._first)

    @property
    def notes(self) -> Sequence[str]:
        """Clauses about what is missing and does not make the step red."""
        return tuple(self._notes)

    def add(self, text: str) -> None:
        """Record a loss.

        Args:
            text: What was lost and why, as a clause without a full stop.
        """
        with self._lock:
            self.count += 1
            if len(self._first) < _KEPT_TEXTS:
                self._first.append(text)

    def note(self, text: str) -> None:
        """Record something that is missing on purpose, or from a copy alone.

        Args:
            text: What is missing and where the rest is, as a clause without a full stop.
        """
        with self._lock:
            if len(self._notes) < _KEPT_TEXTS:
                self._notes.append(text)
