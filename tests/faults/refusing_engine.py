"""The real engine behind a socket that refuses some requests, for faults between docker-py and the engine."""

import contextlib
import json
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

ENGINE_SOCKET = "/var/run/docker.sock"
_CHUNK_BYTES = 64 * 1024


@dataclass
class RefusingEngine:
    """Passes on to the engine all requests but those that it must refuse.

    Args:
        path: Its own socket.
        request: Pattern of the request lines to refuse, without the API version.
        message: The error that is returned for them.
    """

    path: Path
    request: str
    message: str
    refused: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return the address for ``DOCKER_HOST``."""
        return f"unix://{self.path}"

    @contextlib.contextmanager
    def serving(self) -> Iterator["RefusingEngine"]:
        """Serve in threads until the block ends, then close all connections."""
        with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as connections:
            listener.bind(str(self.path))
            listener.listen()
            accepting = Thread(target=self._accept, args=(listener, connections))
            accepting.start()
            try:
                yield self
            finally:
                # Closing alone does not wake a thread that waits in accept.
                listener.shutdown(socket.SHUT_RDWR)
                accepting.join()

    def _accept(self, listener: socket.socket, connections: contextlib.ExitStack) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(ENGINE_SOCKET)
            threads = [
                Thread(target=_copy, args=(near, far, self._refuse)),
                Thread(target=_copy, args=(far, near, lambda _chunk: None)),
            ]
            for thread in threads:
                thread.start()
            connections.callback(_hang_up, (near, far), threads)

    def _refuse(self, chunk: bytes) -> bytes | None:
        """Return an error response if the chunk begins a request that must be refused."""
        # docker-py sends a request's head in one piece and waits for the response, so each request begins a chunk.
        line = re.sub(r"/v[\d.]+/", "/", chunk.split(b"\r\n", 1)[0].decode("latin-1"))
        if not re.match(self.request, line):
            return None
        self.refused.append(line)
        body = json.dumps({"message": self.message}).encode()
        head = f"HTTP/1.1 500 Internal Server Error\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
        return f"{head}Content-Type: application/json\r\n\r\n".encode() + body


def _copy(source: socket.socket, target: socket.socket, answer: Callable[[bytes], bytes | None]) -> None:
    """Copy one direction of a connection to its end."""
    # If either side closes, the other one sees an error.
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            refusal = answer(chunk)
            if refusal is not None:
                source.sendall(refusal)
                source.shutdown(socket.SHUT_RDWR)
                break
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _hang_up(ends: Sequence[socket.socket], threads: Sequence[Thread]) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
    for end in ends:
        end.close()
