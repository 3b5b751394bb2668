"""A debugger like those in editors: it speaks the Debug Adapter Protocol to a port.

*Source*: https://microsoft.github.io/debug-adapter-protocol/specification, 1.6x.
"""

import itertools
import json
import socket
from collections.abc import Sequence
from typing import Any, Self

# Only a failing test waits this long.
_TIMEOUT_S = 60.0


class Debugger:
    """A session with a program that waits for a debugger.

    Args:
        port: On 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
        self._file = self._socket.makefile("rb")
        self._numbers = itertools.count(1)
        self._kept: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        """Begin the session."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def attach(self, *, breakpoints: dict[str, Sequence[int]]) -> None:
        """Attach as an editor does, with breakpoints by file, and let the program start."""
        self.ask("initialize", adapterID="python", pathFormat="path", linesStartAt1=True)
        # The response comes only after configurationDone.
        attaching = self._send("attach", justMyCode=True)
        self.wait_for("event", event="initialized")
        for file, lines in breakpoints.items():
            self.ask("setBreakpoints", source={"path": file}, breakpoints=[{"line": line} for line in lines])
        self.ask("configurationDone")
        self._answer_to(attaching)

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and return the body of its response."""
        return self._answer_to(self._send(command, **arguments))

    def wait_for(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Return the next message of a type with these fields, and keep the others for later."""
        wanted = {"type": kind, **fields}
        for message in list(self._kept):
            if wanted.items() <= message.items():
                self._kept.remove(message)
                return message
        while True:
            message = self._receive()
            if wanted.items() <= message.items():
                return message
            self._kept.append(message)

    def _answer_to(self, number: int) -> dict[str, Any]:
        answer = self.wait_for("response", request_seq=number)
        assert answer["success"], answer
        body: dict[str, Any] = answer.get("body") or {}
        return body

    def _send(self, command: str, **arguments: Any) -> int:
        number = next(self._numbers)
        request = {"seq": number, "type": "request", "command": command, "arguments": arguments}
        content = json.dumps(request).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        return number

    def _receive(self) -> dict[str, Any]:
        length = 0
        while (line := self._file.readline()) != b"\r\n":
            assert line, f"the program hung up; of it came {self._kept}"
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        message: dict[str, Any] = json.loads(self._file.read(length))
        return message
