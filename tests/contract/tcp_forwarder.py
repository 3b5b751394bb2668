"""Forwards TCP connections to a Unix socket: python tcp_forwarder.py ADDRESS PORT SOCKET."""

import contextlib
import socket
import sys
import threading


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(256 * 1024):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


def _serve(near: socket.socket, path: str) -> None:
    with near, socket.socket(socket.AF_UNIX) as far:
        far.connect(path)
        back = threading.Thread(target=_copy, args=(far, near), daemon=True)
        back.start()
        _copy(near, far)
        back.join()


def main(address: str, port: int, path: str) -> None:
    """Serve until killed."""
    with socket.create_server((address, port)) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            near, _ = server.accept()
            threading.Thread(target=_serve, args=(near, path), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
