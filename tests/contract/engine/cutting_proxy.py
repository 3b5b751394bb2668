"""A TCP proxy that cuts all of its connections when it is told to."""

import contextlib
import socket
import struct
import threading
from typing import Self

_RESET = struct.pack("ii", 1, 0)


class CuttingProxy:
    """A proxy to an address; ``port`` is its own on 127.0.0.1.

    Args:
        address: Where it leads.
        port: The port there.
    """

    def __init__(self, address: str, port: int) -> None:
        self._target = (address, port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Begin to serve."""
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """End with all connections."""
        self._server.close()
        self.cut()

    def cut(self) -> int:
        """Reset all connections, at both ends; return how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        return len(pairs)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._target)
                pair = (near, far)
                with self._lock:
                    self._pairs.add(pair)
                for source, sink in (pair, (far, near)):
                    threading.Thread(target=self._copy, args=(source, sink, pair), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(256 * 1024):
                sink.sendall(chunk)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        del pair
