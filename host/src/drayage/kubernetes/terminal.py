"""Connects this process's terminal, or its output, with a program in a pod."""

import contextlib
import os
import select
import ssl
import sys
from collections.abc import Iterator

from drayage.debugger import is_terminal, raw_terminal, terminal_size
from drayage.kubernetes.execution import STDERR, Execution, FailedError

_CHUNK_BYTES = 2**15


def converse(program: Execution) -> int:
    """Connect a program with this process's terminal if it has one, otherwise with its output; return its exit code.

    Args:
        program: The program, made with a terminal if this process has one.

    Raises:
        CutError: The connection was cut.
        FailedError: The program could not be run.
    """
    try:
        if is_terminal():
            _connect(program)
            program.require_success()
        else:
            for channel, chunk in program:
                # As bytes: a chunk may end within a character.
                target = (sys.stderr if channel == STDERR else sys.stdout).buffer
                target.write(chunk)
                target.flush()
    except FailedError as error:
        if error.exit_code is None:
            raise
        return error.exit_code
    finally:
        program.close()
    return 0


def _connect(program: Execution) -> None:
    """Copy bytes between the terminal and the program until the program ends."""
    # In a signal's handler nothing can be sent: it may interrupt a sending.
    with _pipe() as (changed, change), raw_terminal(lambda _height, _width: os.write(change, b".")):
        reading = [program.connection, sys.stdin, changed]
        while True:
            ready, _, _ = select.select(reading, [], [])
            if changed in ready:
                os.read(changed, _CHUNK_BYTES)
                program.resize(*terminal_size())
            if program.connection in ready and not _print(program):
                return
            if sys.stdin in ready:
                if keys := os.read(sys.stdin.fileno(), _CHUNK_BYTES):
                    program.send(keys)
                else:
                    reading.remove(sys.stdin)


def _print(program: Execution) -> bool:
    """Print what has come; return whether more may come."""
    while (part := program.receive()) is not None:
        os.write(sys.stdout.fileno(), part[1])
        # What a TLS connection holds already does not make it ready.
        if not (isinstance(program.connection, ssl.SSLSocket) and program.connection.pending()):
            return True
    return False


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)
