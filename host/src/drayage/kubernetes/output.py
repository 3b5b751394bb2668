"""Follows a pod's output, which the node keeps in files: standard output and standard error come as one.

A cursor is the time stamp of the last line that was read, and how many lines of that stamp were: a log can be asked for
again from a second on, and holds no other count.
"""

import re
from collections.abc import Iterator
from threading import Event

from drayage.engine import START, Stream
from drayage.errors import ContainerGoneError
from drayage.kubernetes.api import Answer, Cluster, RefusedError
from drayage.kubernetes.pods import WORKLOAD
from drayage.kubernetes.states import Pod, container_status, has_ended, is_over, is_running, terminated
from drayage.kubernetes.watch import PodWatch

_LONG_S = 3600.0
_SHORTEST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 4.0
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT")
_FRACTION = re.compile(r"\.[0-9]+")
_ROTATED = (
    "the node has replaced the log since it was last read, and keeps only its newest part: what came between is gone"
)


class PodOutput:
    """A container's output from a position on, until it has ended.

    Args:
        cluster: The cluster.
        watch: Knows the pod.
        pod: Name of the pod.
        cursor: The position; None is where the log is now, which has been found to be ``START`` or later.
        is_new: Whether nothing was written before.
    """

    def __init__(self, cluster: Cluster, watch: PodWatch, pod: str, cursor: str, *, is_new: bool) -> None:
        self.lost: str | None = None
        self.caught_up = is_new
        self._cluster = cluster
        self._watch = watch
        self._pod = pod
        self._stamp, self._count = _position(cursor)
        self._closed = Event()
        self._answer: Answer | None = None
        self._is_followed = False

    @property
    def cursor(self) -> str:
        """The stamp of the last line that was read, and how many lines of that stamp were."""
        return f"{self._stamp}|{self._count}" if self._stamp else START

    def __iter__(self) -> Iterator[tuple[Stream, bytes]]:
        """Yield chunks of whole lines as they arrive."""
        goes_on, pause_s = True, _SHORTEST_PAUSE_S
        while goes_on and not self._closed.is_set():
            # The order matters: what a container that has ended has printed is all in the log.
            goes_on = self._await_start()
            before = self.cursor
            yield from self._unread(follow=goes_on and self.caught_up)
            if not self.caught_up:
                self.caught_up = True
                yield "stdout", b""
            elif goes_on:
                # The log ends a moment before the cluster says that its container has, and longer where much goes on.
                pause_s = _SHORTEST_PAUSE_S if self.cursor != before else min(2 * pause_s, _LONGEST_PAUSE_S)
                self._watch.wait(self._pod, lambda pod: _going(pod) is False or None, pause_s)

    def close(self) -> None:
        """End the stream; may be called from another thread."""
        self._closed.set()
        if self._answer is not None:
            self._answer.close()

    def _await_start(self) -> bool:
        """Wait until there is something to read; return whether more may come."""
        while not self._closed.is_set():
            going = self._watch.wait(self._pod, _going, _LONG_S)
            if going is not None:
                return going
        return False

    def _unread(self, *, follow: bool) -> Iterator[tuple[Stream, bytes]]:
        # The whole second, with what was read of it.
        since = {"sinceTime": _FRACTION.sub("", self._stamp)} if self._stamp else {}
        query = {"container": WORKLOAD, "timestamps": "true", "follow": str(follow).lower(), **since}
        try:
            answer = self._cluster.open(
                self._cluster.path("pods", self._pod, "log"),
                doing=f"read the output of pod {self._pod}",
                query=query,
            )
        except ContainerGoneError:
            self._miss()
            return
        except RefusedError:
            # It was never started, or is about to be.
            return
        self._answer = answer
        if self._closed.is_set():
            answer.close()
        yield from self._new_lines(answer)
        self._is_followed |= follow

    def _miss(self) -> None:
        """Note that the log is gone: with its pod, or, of a pod that somebody deleted, as soon as it has ended."""
        # A log that was followed ends with its container.
        if not self._is_followed:
            self.lost = "the pod was removed before all of its output was read"

    def _new_lines(self, answer: Answer) -> Iterator[tuple[Stream, bytes]]:
        known_stamp, known_count = self._stamp, self._count
        is_new, seen = not known_stamp, 0
        rest = b""
        for chunk in answer:
            *lines, rest = (rest + chunk).split(b"\n")
            fresh = []
            for line in lines:
                stamp, _, text = line.partition(b" ")
                at = stamp.decode(errors="replace")
                if not _STAMP.match(at):
                    # The node's own words in place of a log that it has removed.
                    self._miss()
                    continue
                if not is_new:
                    seen += at == known_stamp
                    # A clock may go back: what follows the last line that was read is new in any case.
                    is_new = at > known_stamp or seen > known_count or (seen == known_count and at != known_stamp)
                    if at > known_stamp and not seen and not self.lost:
                        self.lost = _ROTATED
                if is_new:
                    self._advance(at)
                    fresh.append(text + b"\n")
            yield "stdout", b"".join(fresh)
        if rest and not self._closed.is_set():
            stamp, _, text = rest.partition(b" ")
            at = stamp.decode(errors="replace")
            if not _STAMP.match(at):
                self._miss()
            elif is_new or at > known_stamp:
                self._advance(at)
                yield "stdout", text

    def _advance(self, stamp: str) -> None:
        self._count = self._count + 1 if stamp == self._stamp else 1
        self._stamp = stamp


def end_of_log(cluster: Cluster, pod: str) -> str:
    """Return the cursor of the end of a log as it is now.

    Args:
        cluster: The cluster.
        pod: Name of the pod.

    Raises:
        EngineError: The cluster refuses or does not answer.
    """
    try:
        answer = cluster.open(
            cluster.path("pods", pod, "log"),
            doing=f"read the output of pod {pod}",
            query={"container": WORKLOAD, "timestamps": "true", "tailLines": "1"},
        )
    except RefusedError:
        return START
    last = b"".join(answer).partition(b" ")[0].decode(errors="replace")
    # Others of the same nanosecond would be older.
    return f"{last}|1" if last else START


def _position(cursor: str) -> tuple[str, int]:
    stamp, _, count = cursor.partition("|")
    return stamp, int(count or 0)


def _going(pod: Pod | None) -> bool | None:
    """Return whether a container writes (true) or has ended (false); None before its start."""
    if pod is None or is_over(pod) or terminated(pod, WORKLOAD) or has_ended(pod):
        return False
    if is_running(pod, WORKLOAD) or container_status(pod, WORKLOAD).get("started"):
        return True
    return None
