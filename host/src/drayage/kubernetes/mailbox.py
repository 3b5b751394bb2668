"""Implements the mailbox for a pod: bytes go in and come out through the relay beside the workload."""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread

from drayage.engine import Mount
from drayage.errors import EngineError, ExchangeError
from drayage.kubernetes.api import Cluster
from drayage.kubernetes.execution import run
from drayage.kubernetes.messages import ANSWER_S, RELAY_PROGRAM, MessageStream, wait_for_relay
from drayage.kubernetes.pods import RELAY, STATE_FOLDER, Post
from drayage.kubernetes.removal import release_pod
from drayage.kubernetes.states import has_ended, is_leaving, is_over
from drayage.kubernetes.watch import PodWatch
from drayage.mailbox import CONTEXT_FILE
from drayage.mirror import Mirror

_POLL_S = 0.1
_STALL_S = 60.0
_LAST_S = 2.0
_START_S = 3600.0

_log = logging.getLogger(__name__)


class KubernetesMailbox:
    """The mailbox of one attempt.

    Args:
        folder: The attempt's folder.
        cluster: The cluster.
        watch: Knows the pod as soon as there is one.
        receives: Whether the workload may write messages; otherwise the host writes them into the folder itself.
        waits: Whether the pod is started before its context is known.
        on_collect: Called when the mailbox is of no more use.

    Raises:
        ExchangeError: The folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cluster: Cluster,
        watch: PodWatch,
        receives: bool,
        waits: bool,
        on_collect: Callable[[], None] = lambda: None,
    ) -> None:
        self._cluster = cluster
        self._watch = watch
        self._receives = receives
        self._waits = waits
        self._on_collect = on_collect
        # Reading stops while the rest is awaited, so a bound would stall it for good.
        self._mirror = Mirror(folder, waits=waits, ahead_bytes=None)
        self._pod: str | None = None
        self._stream: MessageStream | None = None
        self._is_collected = False

    @property
    def is_continued(self) -> bool:
        """Whether a former process opened it before."""
        return not self._mirror.is_new

    def post(self) -> Post:
        """Return what the mailbox needs of the pod that is about to be made."""
        return Post(None if self._waits else self._mirror.context(), receives=self._receives, waits=self._waits)

    def attach(self, pod: str, *, waits: bool = False) -> None:
        """Begin to read from a pod, which the watch knows.

        Args:
            pod: Name of the pod.
            waits: Whether the pod of a former process may still wait for its context.
        """
        self._pod = pod
        self._waits = self._waits or waits
        if self._receives and self._stream is None:
            self._stream = MessageStream(self._cluster, self._watch, pod, self._mirror)
            self._stream.start()

    def spec_part(self) -> Sequence[Mount]:
        """Return nothing: the engine finds the mailbox by the container's labels, and makes the pod fit it."""
        return ()

    def reserve_context(self) -> None:
        """Do nothing: no pod is made before its context is kept, or waits for it."""

    def put_context(self, context: bytes) -> None:
        """Keep the context, and send it to a workload that waits for it."""
        kept = self._mirror.keep_context(context)
        if self._waits and self._pod is not None:
            # In a thread, because a workload that is slow to take it would otherwise block the code that watches it.
            Thread(target=self._give, args=(self._pod, kept), name="drayage-context", daemon=True).start()

    def size_bytes(self) -> int:
        """Return the size of the messages that have come."""
        if self._stream is not None:
            self._stream.hurry()
        return self._mirror.size_bytes()

    def read(self, offset: int, *, timeout_s: float) -> bytes:
        """Return at most 1 MiB of messages from an offset on.

        Once the workload has ended, an empty answer means that there are no more: it waits for those on their way.
        """
        chunk = self._mirror.read(offset, timeout_s=timeout_s)
        if not chunk and self._settle():
            chunk = self._mirror.read(offset, timeout_s=0)
        return chunk

    def collect(self) -> None:
        """Let the pod end if all was read that can be, and close the folder's files; the pod itself is the engine's."""
        if self._is_collected:
            return
        self._is_collected = True
        stream, pod = self._stream, None if self._pod is None else self._watch.get(self._pod)
        try:
            if stream is not None:
                if pod is None or has_ended(pod):
                    # Whoever stopped reading before the last answer was empty has not waited for the end.
                    stream.hurry()
                    stream.over.wait(_LAST_S)
                # A workload that is left running, or whose messages were not read, keeps its pod for the next process.
                if not stream.over.is_set():
                    return
                if pod is not None and has_ended(pod) and not is_over(pod):
                    stream.say_done()
            # Otherwise `kubectl delete` of a pod that is kept for inspection would hang.
            if pod is not None and has_ended(pod) and not is_leaving(pod):
                release_pod(self._cluster, pod)
        except EngineError as error:
            _log.info("pod %s ends only when its time is over, or it is removed: %s", self._pod, error)
        finally:
            if stream is not None:
                stream.close()
            self._mirror.close()
            self._on_collect()

    def _settle(self) -> bool:
        """Wait until the rest has come, if the workload has ended; return whether it has."""
        stream = self._stream
        if stream is None or self._pod is None:
            return False
        pod = self._watch.get(self._pod)
        if pod is not None and not has_ended(pod):
            return False
        size, moved_at = self._mirror.taken_bytes, time.monotonic()
        stream.hurry()
        while not stream.over.wait(_POLL_S):
            stream.hurry()
            if self._mirror.taken_bytes != size:
                size, moved_at = self._mirror.taken_bytes, time.monotonic()
            elif time.monotonic() - moved_at > _STALL_S:
                raise ExchangeError(
                    f"the messages of pod {self._pod} after the first {size} bytes did not come within {_STALL_S:g} s"
                )
        return True

    def _give(self, pod: str, context: bytes) -> None:
        command = [RELAY_PROGRAM, "give", CONTEXT_FILE, "--size", str(len(context)), "--state", STATE_FOLDER]
        try:
            if wait_for_relay(self._watch, pod, _START_S):
                run(self._cluster, pod, RELAY, command, context, silence_s=ANSWER_S)
        except EngineError as error:
            known = self._watch.get(pod)
            if known is not None and has_ended(known):
                return
            self._mirror.fail(f"the context did not reach the workload: {error}")
