"""A cluster in memory that answers what a test tells it to."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import Any

from drayage.errors import EngineError


class FakeAnswer:
    """An answer that stays open, made of chunks; an error among them is raised."""

    def __init__(self, chunks: Iterator[bytes | EngineError]) -> None:
        self._chunks = chunks
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks."""
        for chunk in self._chunks:
            if isinstance(chunk, EngineError):
                raise chunk
            yield chunk

    def lines(self) -> Iterator[bytes]:
        for chunk in self:
            yield from chunk.splitlines()

    def close(self) -> None:
        self.is_closed = True


class FakeCluster:
    """Records what it is asked, and answers from functions.

    Args:
        answer: Returns the answer to a plain request.
        opened: Returns the chunks of an answer that stays open.
    """

    namespace = "test"

    def __init__(
        self,
        answer: Callable[[str, str, Mapping[str, str], Any], Mapping[str, Any]] = lambda *_: {},
        opened: Callable[[str, Mapping[str, str]], Iterator[bytes | EngineError]] = lambda *_: iter(()),
    ) -> None:
        self._answer = answer
        self._opened = opened
        self.asked: list[tuple[str, str]] = []
        self.queries: list[Mapping[str, str]] = []

    def path(self, kind: str, name: str = "", part: str = "") -> str:
        return "/".join(filter(None, [kind, name, part]))

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        doing: str,  # noqa: ARG002 - the real one's signature
        content_type: str = "",  # noqa: ARG002 - as above
        query: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        self.asked.append((method, path))
        return self._answer(method, path, query or {}, body)

    def open(
        self,
        path: str,
        *,
        doing: str,  # noqa: ARG002 - as above
        query: Mapping[str, str],
        read_s: float | None = None,  # noqa: ARG002 - as above
    ) -> FakeAnswer:
        self.asked.append(("OPEN", path))
        self.queries.append(query)
        return FakeAnswer(self._opened(path, query))


class WatchedPods:
    """A cluster whose pods are listed and watched; the test sends the events.

    Args:
        pods: The pods that are there at first.
    """

    def __init__(self, pods: Sequence[Mapping[str, Any]] = ()) -> None:
        self.pods = list(pods)
        self._events: SimpleQueue[bytes | EngineError | None] = SimpleQueue()
        self.cluster = FakeCluster(self._list, self._watch)

    def send(self, kind: str, pod: Mapping[str, Any]) -> None:
        """Send an event."""
        self._events.put(json.dumps({"type": kind, "object": pod}).encode() + b"\n")

    def cut(self, error: EngineError | None = None) -> None:
        """End the watch, or cut it with an error."""
        self._events.put(error)

    def _list(self, *_: object) -> Mapping[str, Any]:
        return {"items": list(self.pods), "metadata": {"resourceVersion": "1"}}

    def _watch(self, *_: object) -> Iterator[bytes | EngineError]:
        while (event := self._events.get()) is not None:
            yield event
