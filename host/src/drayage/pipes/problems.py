"""Keeps the first few of many problems, and counts all of them."""

from threading import Lock

_KEPT_PROBLEMS = 20


class Problems:
    """The problems of one session; several threads may add to them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.count = 0
        self.first: list[str] = []

    def add(self, text: str) -> None:
        """Count a problem, and keep its text if it is one of the first few."""
        with self._lock:
            self.count += 1
            if len(self.first) < _KEPT_PROBLEMS:
                self.first.append(text)
