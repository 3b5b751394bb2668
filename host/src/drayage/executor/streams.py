"""Finds out whose ``print`` it is: each step has a compute log of its own, and one process has one standard output."""

import contextlib
import io
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, TextIO

_of_step: ContextVar[Mapping[str, TextIO] | None] = ContextVar("drayage_streams", default=None)


class StreamRouter(io.TextIOBase):
    """Writes to the log of the step in whose context it is called; elsewhere, to the process's own stream.

    Args:
        name: ``stdout`` or ``stderr``.
        own: The process's own stream.
    """

    def __init__(self, name: str, own: TextIO) -> None:
        self._name = name
        self._own = own

    @property
    def _stream(self) -> TextIO:
        stream = (_of_step.get() or {}).get(self._name)
        # A thread of the step may outlive it.
        return self._own if stream is None or stream.closed else stream

    def write(self, text: str) -> int:
        """Write text to the stream whose turn it is."""
        return self._stream.write(text)

    def flush(self) -> None:
        """Flush the stream whose turn it is."""
        self._stream.flush()

    def fileno(self) -> int:
        """Return the descriptor of the stream whose turn it is, such as for a subprocess that is given the stream."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Return whether the stream whose turn it is is a terminal."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Return True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream whose turn it is."""
        return self._stream.encoding

    @property
    def buffer(self) -> Any:
        """The binary buffer of the stream whose turn it is."""
        return self._stream.buffer

    def close(self) -> None:
        """Do nothing: the streams have owners."""


@contextlib.contextmanager
def routed_streams() -> Iterator[None]:
    """Let ``sys.stdout`` and ``sys.stderr`` of the process write to the logs of the steps that use them."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = StreamRouter("stdout", before[0]), StreamRouter("stderr", before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@contextlib.contextmanager
def writing_to(streams: Mapping[str, TextIO]) -> Iterator[None]:
    """Let this thread, and those that inherit its context, write to these streams.

    Args:
        streams: A step's streams by name, ``stdout`` and ``stderr``; one that is missing is the process's own.
    """
    for stream in streams.values():
        if isinstance(stream, io.TextIOWrapper):
            # Whoever reads the log while the step works sees whole lines at once.
            stream.reconfigure(line_buffering=True)
    token = _of_step.set(streams)
    try:
        yield
    finally:
        _of_step.reset(token)
