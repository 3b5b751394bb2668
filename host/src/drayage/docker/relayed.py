"""Implements the mailbox for an engine that shares no files with this process: a volume there, and a relay.

What the relay sends is appended to ``messages.jsonl`` in the attempt's own folder, the mirror: all reading is from
there, and its length is the offset to go on from, after a cut and in another process. So what is judged is what is
kept, whatever the workload does to its own file.

Threads: one makes the relay beside the step's container, and then takes what it sends. Readers wait for both.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Condition, Event, Thread
from typing import BinaryIO

import docker

from drayage.docker.relay import Reading, Relay, remove_mailbox
from drayage.docker.stream import frames
from drayage.engine import Mount
from drayage.errors import ContainerGoneError, DrayageError, EngineError, EngineUnavailableError, ExchangeError
from drayage.mailbox import (
    CONTEXT_FILE,
    MESSAGES_FILE,
    REPLACED,
    WORKLOAD_CONTEXT,
    WORKLOAD_FOLDER,
    WORKLOAD_MESSAGES,
)
from drayage.strangers import open_regular, remedy, write_whole

_CHUNK_BYTES = 2**20
# How far the mirror may be ahead of its reader, who may never read what is over the step's limit.
_AHEAD_BYTES = 64 * 2**20
_REPLACED_CODE = 3
_FAILED_CODE = 2
_ENGINE_DEADLINE_S = 60.0
_ENGINE_INTERVAL_S = 0.25
_REST_DEADLINE_S = 25.0
_CLOSING_S = 5.0
_SOON_S = 2.0

_RELAY_REMOVED = (
    "the relay or its volume was removed while the step ran, so its last messages may be lost: let nothing but "
    "`drayage sweep` remove what carries drayage's labels"
)

_log = logging.getLogger(__name__)


class RelayedMailbox:
    """The mailbox of one attempt in a volume of the engine, with a mirror in a folder of this machine.

    Args:
        client: Client of the engine.
        folder: The folder; it exists, and no workload can write to it.
        labels: The labels of the container that the mailbox belongs to.
        waits: Whether the container waits for its context.
        receives: Whether the workload may write messages; otherwise the host writes the mirror itself.

    Raises:
        ExchangeError: The mirror cannot be made, or something else stands in its place.
    """

    def __init__(
        self,
        client: docker.DockerClient,
        folder: Path,
        labels: Mapping[str, str],
        *,
        waits: bool = False,
        receives: bool = True,
    ) -> None:
        self.relay = Relay(client, labels)
        self.is_used = False
        self._client = client
        self._context = folder / CONTEXT_FILE
        self._messages = folder / MESSAGES_FILE
        # Stands while a container may wait for what was put in, for a process that goes on after this one.
        self._pipe = folder.parent / "context.pipe"
        self._waits = waits
        self._receives = receives
        self._changed = Condition()
        self._collected = Event()
        self._volume: str | None = None
        self._is_ready = self._is_reserved = self._is_in = False
        self._given: bytes | None = None
        self._error: DrayageError | None = None
        self._problem: str | None = None
        self._wanted = self._taken_bytes = 0
        self._end_bytes: int | None = None
        self._last_taken_at = time.monotonic()
        self._reading: Reading | None = None
        try:
            self._continues = self._messages.exists()
            self._mirror = self._open()
            if waits and not self._continues:
                os.mkfifo(self._context, 0o600)
                self._pipe.hardlink_to(self._context)
        except OSError as error:
            raise ExchangeError(
                f"The mailbox {folder} cannot be made: {error.strerror}. {remedy(error)}, and run the step again."
            ) from error
        self._taken_bytes = os.fstat(self._mirror.fileno()).st_size
        self._thread = Thread(target=self._run, name="drayage-relay", daemon=True)
        self._thread.start()

    def spec_part(self) -> Sequence[Mount]:
        """Return the mounts of both files, by the engine's own paths; only of the messages without a context.

        The files may be made after the container, but before it is started.
        """
        if self._is_reserved and not self._waits:
            self._await(lambda: self._volume is not None)
        else:
            self._await(lambda: self._is_ready)
        messages = _mount(f"{self._volume}/{MESSAGES_FILE}", WORKLOAD_MESSAGES, read_only=not self._receives)
        if self._waits:
            return [_mount(str(self._volume), WORKLOAD_FOLDER), messages]
        if self._is_reserved or self._context.exists():
            return [_mount(f"{self._volume}/{CONTEXT_FILE}", WORKLOAD_CONTEXT), messages]
        # The step's own injector takes the context another way.
        return [messages]

    def reserve_context(self) -> None:
        """Note that a context comes before the container is started."""
        self._is_reserved = True

    def put_context(self, context: bytes) -> None:
        """Write the context into the folder and into the volume, and send it to a reader that waits on the pipe."""
        try:
            if not self._context.is_file() or not self._context.stat().st_size:
                write_whole(self._context, context, mode=0o600)
                is_new = True
            else:
                is_new = False
            if self._pipe.exists():
                with open_regular(self._context) as file:
                    waited_for = file.read()
                # In a thread, because a reader that stalls would otherwise block the code that watches the container.
                Thread(target=self._give, args=(waited_for,), name="drayage-context", daemon=True).start()
                return
        except OSError as error:
            raise ExchangeError(
                f"The context cannot be written to {self._context}: {error.strerror}. {remedy(error)}, and run the "
                "step again."
            ) from error
        if is_new:
            with self._changed:
                self._given = context
                self._changed.notify_all()
            self._await(lambda: self._is_ready)
            if not self._is_in:
                self.relay.put((CONTEXT_FILE, context, 0o644))

    def size_bytes(self) -> int:
        """Return how much has been taken; once the container has ended, all that it wrote."""
        if not self._receives:
            return os.fstat(self._mirror.fileno()).st_size
        with self._changed:
            return max(self._taken_bytes, self._end_bytes or 0)

    def read(self, offset: int, *, timeout_s: float) -> bytes:
        """Return at most 1 MiB of messages; after the container's end, wait for those that are on their way."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._wanted = max(self._wanted, offset)
            self._changed.notify_all()
            while True:
                try:
                    if chunk := os.pread(self._mirror.fileno(), _CHUNK_BYTES, offset):
                        return chunk
                except OSError as error:
                    raise ExchangeError(f"{self._messages} cannot be read: {error.strerror}") from error
                if self._problem is not None:
                    raise ExchangeError(self._problem)
                left_s = deadline - time.monotonic()
                if self._end_bytes is not None and offset < self._end_bytes:
                    left_s = max(left_s, self._last_taken_at + _REST_DEADLINE_S - time.monotonic())
                    if left_s <= 0:
                        raise ExchangeError(
                            f"{self._end_bytes - offset} bytes of messages after the first {offset} did not come from "
                            f"the engine within {_REST_DEADLINE_S:.0f} s"
                        )
                if left_s <= 0 or self._collected.is_set():
                    return b""
                self._changed.wait(left_s)

    def note_end(self) -> None:
        """Find out how much there is to read, now that the container has ended.

        Raises:
            EngineError: The engine does not answer.
        """
        if not self._receives or self._end_bytes is not None or self._collected.is_set():
            return
        try:
            size_bytes = self.relay.size_bytes()
        except ContainerGoneError:
            with self._changed:
                self._fail(_RELAY_REMOVED)
            return
        with self._changed:
            self._end_bytes = size_bytes
            self._last_taken_at = time.monotonic()
            if size_bytes < self._taken_bytes:
                self._fail(REPLACED)
            self._changed.notify_all()

    def collect(self) -> None:
        """Stop taking messages. The relay ends if all were taken; it is removed together with the container.

        What no container was made for is removed. Otherwise both stay for the process that goes on with the container.
        """
        self._collected.set()
        with self._changed:
            self._changed.notify_all()
            reading = self._reading
        if reading is not None:
            reading.body.close()
        self._thread.join(_CLOSING_S)
        self._pipe.unlink(missing_ok=True)
        self._mirror.close()
        try:
            if not (self.is_used or self._continues):
                remove_mailbox(self._client, self.relay.name)
            elif self._end_bytes is not None and self._receives:
                self.relay.end()
        except EngineError as error:
            _log.warning("clean-up is left to the sweeper: %s", error)

    def _open(self) -> BinaryIO:
        """Make the mirror, and open it; continue what a former process made."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.fdopen(os.open(self._messages, flags, 0o600), "r+b")
        except FileExistsError:
            return open_regular(self._messages, write=True)

    def _await(self, condition: Callable[[], bool]) -> None:
        """Wait until the relay's thread has come as far, or has failed."""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._error is not None)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            if not self._make():
                return
        except DrayageError as error:
            with self._changed:
                self._error = error
                self._fail(str(error))
            return
        if self._receives:
            try:
                self._take_all()
            except Exception as error:  # noqa: BLE001 - the step must learn of it, whatever it is
                with self._changed:
                    self._fail(f"taking them from the engine failed ({type(error).__name__}: {error})")

    def _make(self) -> bool:
        """Make volume and relay, or find those of a former process; return whether there is something to read."""
        if self._continues and not self.relay.exists():
            with self._changed:
                if self.relay.serves():
                    self._fail(_RELAY_REMOVED)
                # Otherwise the container was judged, and removed: the mirror is whole.
                self._end_bytes = self._taken_bytes
                self._is_ready, self._volume = True, ""
                self._changed.notify_all()
            return False
        volume = self.relay.create_volume()
        with self._changed:
            self._volume = volume
            self._changed.notify_all()
        if not self._continues:
            self.relay.create()
            members: list[tuple[str, bytes | None, int]] = [(MESSAGES_FILE, b"", 0o666 if self._receives else 0o644)]
            if self._waits:
                members.append((CONTEXT_FILE, None, 0o644))
            with self._changed:
                if self._is_reserved:
                    # One archive for both takes half of the time. The context comes soon, unless the step fails.
                    self._changed.wait_for(lambda: self._given is not None or self._collected.is_set(), _SOON_S)
                if self._given is not None:
                    members.append((CONTEXT_FILE, self._given, 0o644))
                    self._is_in = True
            self.relay.put(*members)
        with self._changed:
            self._is_ready = True
            self._changed.notify_all()
        return True

    def _take_all(self) -> None:
        """Take messages until all are there, through cuts of the connection."""
        deadline: float | None = None
        while not self._collected.is_set():
            taken_before = self._taken_bytes
            try:
                said = self._take_on()
                if said is not None:
                    with self._changed:
                        self._fail(said)
                    return
            except ContainerGoneError:
                with self._changed:
                    self._fail(_RELAY_REMOVED)
                return
            except EngineError as error:
                if self._taken_bytes > taken_before or deadline is None:
                    deadline = time.monotonic() + _ENGINE_DEADLINE_S
                elif time.monotonic() > deadline:
                    with self._changed:
                        self._fail(f"the messages after the first {self._taken_bytes} bytes cannot be read: {error}")
                    return
                self._collected.wait(_ENGINE_INTERVAL_S)

    def _take_on(self) -> str | None:
        """Take what comes until the connection ends; return why no more can come, None if it may go on."""
        reading = self.relay.read(self._taken_bytes)
        with self._changed:
            self._reading = reading
        if self._collected.is_set():
            # It was collected while the engine answered.
            reading.body.close()
        said = bytearray()
        at = reading.offset
        try:
            for whole in frames(reading.body.parts()):
                for stream, chunk in whole:
                    if stream == "stderr":
                        said += chunk
                        continue
                    at += len(chunk)
                    if (new := at - self._taken_bytes) > 0:
                        self._append(chunk[-new:])
        except EngineUnavailableError:
            pass
        finally:
            reading.body.close()
        if self._collected.is_set():
            return None
        code = self.relay.exit_code(reading)
        if code == _REPLACED_CODE:
            return REPLACED
        if code == _FAILED_CODE:
            words = bytes(said[-1000:]).decode(errors="replace").strip()
            return f"{WORKLOAD_MESSAGES} cannot be read: {words or 'the relay does not say why'}"
        return None

    def _append(self, content: bytes) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._taken_bytes - self._wanted < _AHEAD_BYTES or self._collected.is_set())
            if self._collected.is_set():
                return
        view, written = memoryview(content), 0
        while written < len(view):
            written += os.pwrite(self._mirror.fileno(), view[written:], self._taken_bytes + written)
        with self._changed:
            self._taken_bytes += written
            self._last_taken_at = time.monotonic()
            self._changed.notify_all()

    def _give(self, context: bytes) -> None:
        deadline = time.monotonic() + _ENGINE_DEADLINE_S
        while not self._collected.is_set():
            try:
                self._await(lambda: self._is_ready)
                said = self.relay.give(CONTEXT_FILE, context).strip()
            except EngineUnavailableError as error:
                # One that was cut can be done again.
                if time.monotonic() > deadline:
                    _log.warning("the context could not be given: %s", error)
                    return
                self._collected.wait(_ENGINE_INTERVAL_S)
            except DrayageError as error:
                if not self._collected.is_set():
                    _log.warning("the context could not be given: %s", error)
                return
            else:
                if said:
                    _log.warning("the context may not have been given: %s", said)
                return

    def _fail(self, problem: str) -> None:
        """Note why no more messages can be read; the condition is held."""
        self._problem = self._problem or problem
        self._changed.notify_all()


def _mount(source: str, target: str, *, read_only: bool = True) -> Mount:
    return Mount(source, target, read_only=read_only, kind="bind")
