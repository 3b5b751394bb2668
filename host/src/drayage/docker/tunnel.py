"""Reaches an engine over SSH: one ``ssh`` program leads a Unix socket of this machine to the engine's own.

The system's ``ssh`` knows the user's keys, agents, known hosts and jump hosts; and one connection serves all requests,
where docker-py opens one for each. It ends with this process, however that ends.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from collections import deque
from pathlib import Path
from threading import Event, Lock, Thread
from typing import IO
from urllib.parse import urlsplit

from drayage.errors import EngineUnavailableError, SettingsError

_ENGINE_SOCKET = "/var/run/docker.sock"
_OPENING_DEADLINE_S = 30.0
_POLL_S = 0.01
_CLOSING_S = 2.0
_WORDS_S = 0.5
_LAST_LINES = 5
_LONGEST_SOCKET_FOLDER = 80
# Standard input ends when the process at its other end does, even by SIGKILL.
_UNTIL_INPUT_ENDS = """
exec 3<&0 4>&2 2> /dev/null
"$@" < /dev/null 3<&- 2>&4 4>&- &
program=$!
exec 4>&-
{ cat <&3 > /dev/null; kill "$program"; } &
watcher=$!
exec 3<&-
wait "$program"
code=$?
kill "$watcher"
rm -rf "$FOLDER"
exit "$code"
"""


class Tunnel:
    """A tunnel to the engine on another machine, which is opened when it is first needed, and again when it broke.

    Any number of threads may use it.

    Args:
        url: ``ssh://[user@]host[:port][/path of the engine's socket]``.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.hostname is None or parts.password is not None:
            raise SettingsError(
                f"DOCKER_HOST: expected ssh://[user@]host[:port][/path/of/docker.sock] without a password, got {url!r}."
                " Correct it."
            )
        self._host = f"{parts.username}@{parts.hostname}" if parts.username else parts.hostname
        self._port = [] if parts.port is None else ["-p", str(parts.port)]
        self._remote = parts.path if parts.path not in ("", "/") else _ENGINE_SOCKET
        self._lock = Lock()
        self._program = _Program()
        self._socket = ""
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        self._has_said = Event()
        # Also when nothing uses it any more, and when this process ends.
        weakref.finalize(self, self._program.end)

    def require(self) -> str:
        """Return the path of the socket on this machine, once it leads to the engine.

        Raises:
            SettingsError: There is no ``ssh`` here.
            EngineUnavailableError: ``ssh`` does not get through.
        """
        with self._lock:
            if not (self._program.runs() and Path(self._socket).exists()):
                self._program.end()
                self._open()
            return self._socket

    def said(self) -> str:
        """Return the last lines that ``ssh`` wrote, on one line; empty if there are none.

        It says why it closed a connection at about the same time, so that is waited for.
        """
        self._has_said.wait(_WORDS_S)
        return " / ".join(self._said)

    def close(self) -> None:
        """End ``ssh``."""
        with self._lock:
            self._program.end()

    def _open(self) -> None:
        ssh = shutil.which("ssh")
        if ssh is None:
            raise SettingsError(
                f"The engine is to be reached over SSH at {self._host}, and this machine has no `ssh` program. Install "
                "it (Debian: openssh-client), or set DOCKER_HOST to another address."
            )
        folder = Path(tempfile.mkdtemp(prefix="drayage-ssh-", dir=_folder()))
        self._socket = str(folder / "docker.sock")
        self._said.clear()
        self._has_said.clear()
        command = [ssh, "-N", "-T", *self._port, "-L", f"{self._socket}:{self._remote}"]
        for option in (
            # No one would answer a prompt.
            "BatchMode=yes",
            "ExitOnForwardFailure=yes",
            # A connection that other commands share would live on by its own rules.
            "ControlMaster=no",
            "ControlPath=none",
            "ServerAliveInterval=10",
            "ServerAliveCountMax=3",
        ):
            command += ["-o", option]
        process = subprocess.Popen(  # noqa: S603 - the system's own ssh
            ["/bin/sh", "-c", _UNTIL_INPUT_ENDS, "drayage-ssh", *command, "--", self._host],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "FOLDER": str(folder)},
            # Ctrl-C is for this process, which still has containers to stop.
            start_new_session=True,
        )
        self._program.begin(process, folder)
        words = (process.stderr, self._said, self._has_said)
        Thread(target=_listen, args=words, name="drayage-ssh", daemon=True).start()
        deadline = time.monotonic() + _OPENING_DEADLINE_S
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                said = self.said() or f"it did not connect within {_OPENING_DEADLINE_S:.0f} s"
                self._program.end()
                port = " ".join(["", *self._port])
                raise EngineUnavailableError(
                    f"The container engine at {self._host} cannot be reached over SSH: {said}. Try `ssh{port} "
                    f"{self._host} true` as this user: it must get through without asking anything."
                )
            time.sleep(_POLL_S)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(self._socket)
            return True
        return False


class _Program:
    """The program that is running, and its folder; apart from the tunnel, which it outlives by a moment."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None

    def begin(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process, self._folder = process, folder

    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(_CLOSING_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _listen(stderr: IO[bytes], said: deque[str], has_said: Event) -> None:
    with stderr:
        for line in stderr:
            if text := line.decode(errors="replace").strip():
                said.append(text)
                has_said.set()


def _folder() -> str | None:
    """Return where the socket's folder is to be: a socket's path has at most 107 bytes."""
    return "/tmp" if len(tempfile.gettempdir()) > _LONGEST_SOCKET_FOLDER else None  # noqa: S108 - mkdtemp makes it safe
