"""Implements the mailbox for an engine that shares no files with this process: a volume there, a relay, and a mirror.

A thread makes volume and relay beside the step's container, and then takes what the relay sends, through cuts of the
connection, into the mirror. Whatever else needs the engine waits for that thread.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Thread

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
from drayage.mirror import Mirror
from drayage.strangers import remedy

_REPLACED_CODE = 3
_FAILED_CODE = 2
_ENGINE_DEADLINE_S = 60.0
_ENGINE_INTERVAL_S = 0.25
# A connection that held for so long was one, even if nothing came.
_HELD_S = 5.0
_CLOSING_S = 5.0
_SOON_S = 2.0
_LAST_BYTES = 1000
_AHEAD_BYTES = 64 * 2**20
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
        # Stands while a container may wait for what was put in, for a process that goes on after this one.
        self._pipe = folder.parent / "context.pipe"
        self._waits = waits
        self._receives = receives
        self._volume: str | None = None
        self._is_ready = self._is_reserved = self._is_in = False
        self._given: bytes | None = None
        self._error: DrayageError | None = None
        self._reading: Reading | None = None
        self._mirror = Mirror(folder, waits=waits, ahead_bytes=_AHEAD_BYTES)
        try:
            if waits and self._mirror.is_new:
                self._pipe.hardlink_to(self._context)
        except OSError as error:
            self._mirror.close()
            raise ExchangeError(
                f"The mailbox {folder} cannot be made: {error.strerror}. {remedy(error)}, and run the step again."
            ) from error
        self._thread = Thread(target=self._run, name="drayage-relay", daemon=True)
        self._thread.start()

    def spec_part(self) -> Sequence[Mount]:
        """Return the mounts of both files, by the engine's own paths; only of the messages without a context.

        After :meth:`reserve_context`, the files may still be on their way: they are there when the context is.
        """
        comes = self._is_reserved and not self._waits
        self._await(lambda: self._volume is not None if comes else self._is_ready)
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
        is_new = self._mirror.context() is None
        kept = self._mirror.keep_context(context)
        if self._pipe.exists():
            # In a thread, because a reader that stalls would otherwise block the code that watches the container.
            Thread(target=self._give, args=(kept,), name="drayage-context", daemon=True).start()
        elif is_new:
            self._change(lambda: setattr(self, "_given", context))
            self._await(lambda: self._is_ready)
            if not self._is_in:
                self.relay.put((CONTEXT_FILE, context, 0o644))

    def size_bytes(self) -> int:
        """Return how much has been taken; once the container has ended, all that it wrote."""
        return self._mirror.size_bytes()

    def read(self, offset: int, *, timeout_s: float) -> bytes:
        """Return at most 1 MiB of messages; after the container's end, wait for those that are on their way."""
        return self._mirror.read(offset, timeout_s=timeout_s)

    def note_end(self) -> None:
        """Find out how much there is to read, now that the container has ended.

        Raises:
            EngineError: The engine does not answer.
        """
        if not self._receives or self._mirror.knows_end or self._mirror.closed:
            return
        try:
            self._mirror.note_end(self.relay.size_bytes())
        except ContainerGoneError:
            self._mirror.fail(_RELAY_REMOVED)

    def collect(self) -> None:
        """Stop taking messages. The relay ends if all were taken; it is removed together with the container.

        What no container was made for is removed. Otherwise both stay for the process that goes on with the container.
        """
        self._mirror.stop()
        if self._reading is not None:
            self._reading.body.close()
        self._thread.join(_CLOSING_S)
        self._pipe.unlink(missing_ok=True)
        self._mirror.close()
        try:
            if self._mirror.is_new and not self.is_used:
                remove_mailbox(self._client, self.relay.name)
            elif self._mirror.knows_end:
                self.relay.end()
        except EngineError as error:
            _log.warning("clean-up is left to the sweeper: %s", error)

    def _change(self, change: Callable[[], None]) -> None:
        """Change something that others may wait for."""
        with self._mirror.changed:
            change()
            self._mirror.changed.notify_all()

    def _await(self, holds: Callable[[], bool]) -> None:
        """Wait until the relay's thread has come as far.

        Raises:
            DrayageError: It has failed, or the mailbox was collected meanwhile.
        """
        self._mirror.await_change(lambda: holds() or self._error is not None)
        if self._error is not None:
            raise self._error
        if not holds():
            raise ExchangeError("The mailbox was collected before it was ready. Run the step again.")

    def _run(self) -> None:
        try:
            if self._make() and self._receives:
                self._take_all()
        except DrayageError as error:
            failed = error
            self._change(lambda: setattr(self, "_error", failed))
            self._mirror.fail(str(error))
        except Exception as error:  # noqa: BLE001 - the step must learn of it, whatever it is
            self._mirror.fail(f"the messages cannot be taken from the engine ({type(error).__name__}: {error})")

    def _make(self) -> bool:
        """Make volume and relay, or find those of a former process; return whether there is something to take."""
        if not self._mirror.is_new and not self.relay.exists():
            if self.relay.serves():
                self._mirror.fail(_RELAY_REMOVED)
            # Otherwise the container was judged, and removed: the mirror is whole.
            self._mirror.note_end(self._mirror.taken_bytes)
            self._volume = ""
            self._change(lambda: setattr(self, "_is_ready", True))
            return False
        volume = self.relay.create_volume()
        self._change(lambda: setattr(self, "_volume", volume))
        if self._mirror.is_new:
            self.relay.create()
            self.relay.put(*self._first_files())
        self._change(lambda: setattr(self, "_is_ready", True))
        return True

    def _first_files(self) -> list[tuple[str, bytes | None, int]]:
        files: list[tuple[str, bytes | None, int]] = [(MESSAGES_FILE, b"", 0o666 if self._receives else 0o644)]
        if self._waits:
            return [*files, (CONTEXT_FILE, None, 0o644)]
        if self._is_reserved:
            # One archive for both takes half of the time. The context comes soon, unless the step fails.
            self._mirror.await_change(lambda: self._given is not None, _SOON_S)
        if self._given is None:
            return files
        self._is_in = True
        return [*files, (CONTEXT_FILE, self._given, 0o644)]

    def _take_all(self) -> None:
        """Take messages until no more can come, through cuts of the connection."""
        deadline = time.monotonic() + _ENGINE_DEADLINE_S
        while not self._mirror.closed:
            begun_at, taken_before = time.monotonic(), self._mirror.taken_bytes
            try:
                problem = self._take_on()
            except ContainerGoneError:
                problem = _RELAY_REMOVED
            except EngineError as error:
                late = f"the messages after the first {taken_before} bytes cannot be read: {error}"
                problem = late if time.monotonic() > deadline else None
            if problem is not None:
                self._mirror.fail(problem)
                return
            if self._mirror.taken_bytes > taken_before or time.monotonic() - begun_at > _HELD_S:
                deadline = time.monotonic() + _ENGINE_DEADLINE_S
            else:
                self._mirror.await_change(lambda: False, _ENGINE_INTERVAL_S)

    def _take_on(self) -> str | None:
        """Take what comes until the connection ends; return why no more can come, None if it may go on."""
        reading = self._reading = self.relay.read(self._mirror.taken_bytes)
        said, at = bytearray(), reading.offset
        try:
            if self._mirror.closed:
                # It was collected while the engine answered.
                return None
            for whole in frames(reading.body.parts()):
                for stream, chunk in whole:
                    if stream == "stderr":
                        said = (said + chunk)[-_LAST_BYTES:]
                        continue
                    at += len(chunk)
                    # A relay that was started again sends everything again.
                    if (new := at - self._mirror.taken_bytes) > 0:
                        self._mirror.append(chunk[-new:])
        except EngineUnavailableError as error:
            _log.debug("the messages are read again from where they were cut: %s", error)
        finally:
            reading.body.close()
        code = None if self._mirror.closed else self.relay.exit_code(reading)
        why = said.decode(errors="replace").strip().rpartition("\n")[2]
        if code == _FAILED_CODE:
            return f"{WORKLOAD_MESSAGES} cannot be read: {why}"
        if code not in (None, _REPLACED_CODE):
            # Something else ended it, such as a restart of the engine.
            raise EngineUnavailableError(f"The relay ended with exit code {code}.")
        return f"{REPLACED} ({why})" if code == _REPLACED_CODE else None

    def _give(self, context: bytes) -> None:
        deadline = time.monotonic() + _ENGINE_DEADLINE_S
        while not self._mirror.closed:
            try:
                self._await(lambda: self._is_ready)
                said = self.relay.give(CONTEXT_FILE, context).strip()
            except DrayageError as error:
                # One that was cut can be done again.
                if isinstance(error, EngineUnavailableError) and time.monotonic() < deadline:
                    self._mirror.await_change(lambda: False, _ENGINE_INTERVAL_S)
                    continue
                said = str(error)
            if said and not self._mirror.closed:
                _log.warning("the context may not have been given: %s", said)
            return


def _mount(source: str, target: str, *, read_only: bool = True) -> Mount:
    return Mount(source, target, read_only=read_only, kind="bind")
