"""Brings a workload's messages into the mirror, through cuts, until every byte that it wrote is there."""

import logging
import time
from threading import Event, Thread
from typing import Literal

from drayage.errors import ContainerGoneError, EngineError, EngineUnavailableError, ExchangeError
from drayage.kubernetes.api import Cluster, RefusedError
from drayage.kubernetes.execution import STDOUT, CutError, Execution, FailedError, run
from drayage.kubernetes.follower import DONE_S, RelayFollower
from drayage.kubernetes.pods import RELAY, STATE_FOLDER
from drayage.kubernetes.states import Pod, failure_of, has_ended, is_over, is_running
from drayage.kubernetes.watch import PodWatch
from drayage.mailbox import MESSAGES_FILE, REPLACED
from drayage.mirror import Mirror

RELAY_PROGRAM = "/relay"
ANSWER_S = 60.0

_BEAT_S = 10
# Three beats: a node that is paused keeps the connection, and says nothing.
_SILENCE_S = 3.0 * _BEAT_S
_FOLDER = ["--state", STATE_FOLDER]
_LONG_S = 3600.0
_SHORTEST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
# A workload that ignores its end is killed only after the relay was told of it, and writes until then.
_LAST_WORDS_S = 0.3
_MOST_ENDS = 40
_NOT_APPENDED = 3
_RELAY_FAILED = 2

_log = logging.getLogger(__name__)
_Turn = Literal["follow", "rest", "over"]


class MessageStream:
    """The messages of one pod.

    Args:
        cluster: The cluster.
        watch: Knows the pod.
        pod: Name of the pod.
        mirror: Where the messages go; its length is the offset to begin at.
    """

    def __init__(self, cluster: Cluster, watch: PodWatch, pod: str, mirror: Mirror) -> None:
        self._cluster = cluster
        self._watch = watch
        self._pod = pod
        self._mirror = mirror
        self._closed = Event()
        self._following: RelayFollower | None = None
        # It has given everything, and waits to be told that this was kept.
        self._complete: RelayFollower | None = None
        self._can_ask = True
        self._has_read = False
        self._thread = Thread(target=self._run, name="drayage-relay", daemon=True)
        self.over = Event()
        """Set when nothing more will come; the mirror knows why if not everything did."""

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def hurry(self) -> None:
        """Let the rest be read, if the workload is known to have ended; to be repeated until it is ``over``."""
        pod = self._watch.get(self._pod)
        following = self._following
        if following is None or not (pod is None or has_ended(pod)):
            return
        if pod is None or not following.ask():
            # The connection is dead, or the relay is an older one: another reads the rest.
            self._can_ask = False
            following.close()

    def close(self) -> None:
        """End it, whatever was not read."""
        self._closed.set()
        if self._following is not None:
            self._following.close()
        if self._thread.ident is not None:
            self._thread.join(ANSWER_S)
        if self._complete is not None:
            self._complete.leave()
            self._complete = None

    def say_done(self) -> None:
        """Let the pod end: its messages were read.

        Raises:
            EngineError: The relay cannot be told.
        """
        complete, self._complete = self._complete, None
        if complete is not None:
            try:
                complete.say_done()
            except (CutError, FailedError) as error:
                _log.debug("pod %s is told again that it may end: %s", self._pod, error)
            else:
                return
        run(self._cluster, self._pod, RELAY, [RELAY_PROGRAM, "done", *_FOLDER], silence_s=DONE_S)

    def _run(self) -> None:
        try:
            self._read_through_cuts()
        except ExchangeError as error:
            self._mirror.fail(str(error))
        except Exception as error:  # noqa: BLE001 - the step must learn of it, whatever it is
            self._mirror.fail(f"the messages of pod {self._pod} were not all read: {error!r}")
        finally:
            self.over.set()

    def _read_through_cuts(self) -> None:
        pause_s = _SHORTEST_PAUSE_S
        while not self._closed.is_set():
            before = self._mirror.taken_bytes
            try:
                turn: _Turn | None = self._watch.wait(self._pod, _turn, _LONG_S)
                if turn == "over":
                    self._require_read()
                    return
                if turn is not None and self._read(turn):
                    return
            except FailedError as error:
                self._require_readable(error)
                why: EngineError = error
            except (CutError, EngineUnavailableError, ContainerGoneError, RefusedError) as error:
                why = error
            else:
                continue
            _log.debug("messages of %s go on from byte %d: %s", self._pod, self._mirror.taken_bytes, why)
            pause_s = _SHORTEST_PAUSE_S if self._mirror.taken_bytes > before else min(2 * pause_s, _LONGEST_PAUSE_S)
            pod = self._watch.get(self._pod)
            if pod is None or not has_ended(pod):
                self._closed.wait(pause_s)

    def _read(self, turn: _Turn) -> bool:
        """Read until the connection ends; return whether everything has been read."""
        if turn == "rest" and not self._can_ask:
            self._take_rest()
            return True
        if self._follow(ask=turn == "rest") or self._closed.is_set() or turn == "rest":
            return True
        # The relay has been told that the pod ends. It is the last container to be told so, but for a workload that
        # ignores it: that one may write until it is killed.
        silent = 0
        for _ in range(_MOST_ENDS):
            before = self._mirror.taken_bytes
            self._closed.wait(_LAST_WORDS_S)
            self._take_rest()
            silent = silent + 1 if self._mirror.taken_bytes == before else 0
            if silent == 2:  # noqa: PLR2004 - twice nothing
                break
        # The cluster says nothing of how the workload ended until the relay has ended, too.
        self._let_end()
        return True

    def _let_end(self) -> None:
        try:
            self.say_done()
        except EngineError as error:
            # It may have been killed at the end of the pod's grace, which is just as good.
            _log.debug("pod %s was not told that it may end: %s", self._pod, error)

    def _follow(self, *, ask: bool) -> bool:
        """Take what comes until the connection ends; return whether it is everything, and the relay waits for `done`.

        Args:
            ask: Whether no more will come: the relay is told so at once.
        """
        # With a standard input, the relay learns that this process is gone.
        follower = RelayFollower(self._read_program("--follow", "--beat", f"{_BEAT_S}s", stdin=True))
        self._following = follower
        try:
            if ask:
                follower.ask()
            for chunk in follower:
                self._mirror.append(chunk)
                if follower.rest_bytes is not None and self._mirror.taken_bytes >= follower.rest_bytes:
                    self._complete = follower
                    return True
        finally:
            self._following = None
            if self._complete is None:
                follower.leave()
        return False

    def _take_rest(self) -> None:
        """Take what is there now."""
        execution = self._read_program()
        try:
            for channel, chunk in execution:
                if channel == STDOUT:
                    self._mirror.append(chunk)
        finally:
            execution.close()

    def _read_program(self, *options: str, stdin: bool = False) -> Execution:
        """Let the relay read on from what was taken."""
        at = str(self._mirror.taken_bytes)
        command = [RELAY_PROGRAM, "read", MESSAGES_FILE, "--from", at, *_FOLDER, *options]
        program = Execution(self._cluster, self._pod, RELAY, command, stdin=stdin, silence_s=_SILENCE_S)
        self._has_read = True
        return program

    def _require_read(self) -> None:
        """Require that a pod has been read which is over: what it held is gone.

        Raises:
            ExchangeError: It was not read to its end.
        """
        if not self._mirror.is_new and not self._has_read:
            # A former process let it end, because it had read it.
            return
        pod = self._watch.get(self._pod)
        if pod is not None and failure_of(pod) is not None:
            # Its workload never ran.
            return
        raise ExchangeError(
            f"the pod {self._pod} ended before all of its messages were read: those after the first "
            f"{self._mirror.taken_bytes} bytes are lost. Run the step again"
        )

    def _require_readable(self, error: FailedError) -> None:
        if error.exit_code == _NOT_APPENDED:
            raise ExchangeError(f"{REPLACED} ({error})") from error
        if error.exit_code == _RELAY_FAILED:
            raise ExchangeError(f"the messages cannot be read: {error}") from error


def _turn(pod: Pod | None) -> _Turn | None:
    """Return what to read next: what comes, the rest, or nothing; None while nothing can be read yet."""
    if pod is None or is_over(pod) or failure_of(pod) is not None:
        return "over"
    if not is_running(pod, RELAY):
        return None
    return "rest" if has_ended(pod) else "follow"


def wait_for_relay(watch: PodWatch, pod: str, timeout_s: float) -> bool:
    """Wait until a pod's relay runs; return whether it does.

    Args:
        watch: Knows the pod.
        pod: Name of the pod.
        timeout_s: Longest time, in seconds.

    Raises:
        EngineError: The pods cannot be watched.
    """

    def answer(known: Pod | None) -> bool | None:
        if known is None or is_over(known) or has_ended(known):
            return False
        return is_running(known, RELAY) or None

    begun_at = time.monotonic()
    while time.monotonic() - begun_at < timeout_s:
        try:
            return bool(watch.wait(pod, answer, timeout_s - (time.monotonic() - begun_at)))
        except EngineUnavailableError:
            time.sleep(_LONGEST_PAUSE_S)
    return False
