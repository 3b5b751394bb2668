"""Runs programs in a pod's containers, over a websocket.

The protocol is ``v5.channel.k8s.io``: the first byte of each frame names its channel, and a closing frame ends one.
Source: ``k8s.io/apimachinery/pkg/util/remotecommand`` and ``k8s.io/client-go/tools/remotecommand`` of Kubernetes 1.30
and later.
"""

import contextlib
import json
import socket
import ssl
from collections.abc import Generator, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import websocket

from drayage.errors import EngineError, EngineUnavailableError
from drayage.kubernetes.api import Access, Cluster, api_error

STDIN, STDOUT, STDERR = 0, 1, 2
_STATUS, _SIZE = 3, 4
_CLOSE = 255
_PROTOCOL = "v5.channel.k8s.io"
_CONNECT_S = 15.0
_CHUNK_BYTES = 2**15
_NON_ZERO = "NonZeroExitCode"


class CutError(EngineUnavailableError):
    """The connection ended before the program did, as far as is known."""


class FailedError(EngineError):
    """A program failed.

    Args:
        text: What happened.
        exit_code: Its exit code; None if it could not be run.
    """

    def __init__(self, text: str, exit_code: int | None) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Execution:
    """One program in a container, which has been asked for.

    Args:
        cluster: The cluster.
        pod: Name of the pod.
        container: Name of the container.
        command: The program and its arguments; empty for the container's own program, which runs.
        stdin: Whether it has a standard input.
        silence_s: How long it may say nothing, in seconds; None bears any.
        terminal: Whether it has a terminal, on which standard output and standard error are one.

    Raises:
        EngineError: The cluster refuses or does not answer.
    """

    def __init__(
        self,
        cluster: Cluster,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bool,
        silence_s: float | None,
        terminal: bool = False,
    ) -> None:
        doing = f"run {' '.join(command[:2])} in" if command else "attach to"
        self._doing = f"{doing} {container} of pod {pod}"
        access = cluster.access
        streams = ["stdout", *(["tty"] if terminal else ["stderr"]), *(["stdin"] if stdin else [])]
        query = urlencode(
            [("container", container), *((name, "1") for name in streams), *(("command", word) for word in command)]
        )
        path = cluster.path("pods", pod, "exec" if command else "attach")
        url = f"{access.server.replace('http', 'ws', 1)}{path}?{query}"
        try:
            self._socket = websocket.create_connection(
                url,
                subprotocols=[_PROTOCOL],
                header=[f"{name}: {value}" for name, value in access.headers.items()],
                sslopt=_tls(access),
                timeout=_CONNECT_S,
                enable_multithread=True,
                skip_utf8_validation=True,
                **_proxy(access),
            )
        except websocket.WebSocketBadStatusException as error:
            raise api_error(error.status_code, error.resp_body or b"", self._doing) from error
        except (websocket.WebSocketException, OSError) as error:
            raise EngineUnavailableError(
                f"The cluster at {access.server} does not answer: it could not {self._doing} "
                f"({type(error).__name__}: {error}). Check the address in the kubeconfig, and the network."
            ) from error
        self._socket.settimeout(silence_s)
        self._outcome: dict[str, Any] | None = None
        self._said = b""

    def write(self, content: bytes) -> None:
        """Write all of the program's standard input, and end it.

        Raises:
            CutError: The connection was cut.
        """
        try:
            for at in range(0, len(content), _CHUNK_BYTES):
                self._socket.send_binary(bytes([STDIN]) + content[at : at + _CHUNK_BYTES])
            self._socket.send_binary(bytes([_CLOSE, STDIN]))
        except (websocket.WebSocketException, OSError) as error:
            raise self._cut(str(error)) from error

    def __iter__(self) -> Generator[tuple[int, bytes], None, None]:
        """Yield what the program writes, with the channel, until it has ended well.

        Raises:
            CutError: The connection was cut.
            FailedError: The program failed, or could not be run.
        """
        try:
            yield from self._chunks()
        finally:
            # Only who reads closes it: its number may be another connection's as soon as it is closed.
            self._socket.shutdown()  # type: ignore[no-untyped-call]  # its client types only a part of itself
        self.require_success()

    def _chunks(self) -> Generator[tuple[int, bytes], None, None]:
        while (part := self.receive()) is not None:
            if part[1]:
                yield part

    @property
    def connection(self) -> socket.socket:
        """The connection, to be waited for until there is something to receive.

        Raises:
            CutError: It is closed.
        """
        connection = self._socket.sock
        if connection is None:
            raise self._cut("it is closed")
        return connection

    def send(self, content: bytes) -> None:
        """Write a part of the program's standard input.

        Raises:
            CutError: The connection was cut.
        """
        self._send(STDIN, content)

    def bear(self, silence_s: float) -> None:
        """Set how long it may say nothing from now on, in seconds."""
        self._socket.settimeout(silence_s)

    def resize(self, height: int, width: int) -> None:
        """Set the size of the program's terminal, in characters.

        Raises:
            CutError: The connection was cut.
        """
        self._send(_SIZE, json.dumps({"Width": width, "Height": height}).encode())

    def receive(self) -> tuple[int, bytes] | None:
        """Return what comes next, with its channel: nothing if it was no output; None after the last.

        Raises:
            CutError: The connection was cut.
        """
        try:
            kind, frame = self._socket.recv_data()
        except (websocket.WebSocketException, OSError, ValueError) as error:
            # A program that has ended is no longer connected.
            if self._outcome is None:
                raise self._cut(str(error)) from error
            return None
        if kind == websocket.ABNF.OPCODE_CLOSE:
            return None
        channel, content = (frame[0], frame[1:]) if frame else (STDOUT, b"")
        if channel == _STATUS:
            self._outcome = json.loads(content)
        if channel == STDERR:
            self._said = (self._said + content)[-_CHUNK_BYTES:]
        return channel, content if channel in {STDOUT, STDERR} else b""

    def close(self) -> None:
        """End the connection, and with it the program if it reads its standard input; from any thread."""
        # Not the socket's own method: one with TLS would drop its cipher, and a thread that reads it would take
        # ciphertext for frames.
        connection = self._socket.sock
        if connection is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def _send(self, channel: int, content: bytes) -> None:
        try:
            self._socket.send_binary(bytes([channel]) + content)
        except (websocket.WebSocketException, OSError) as error:
            raise self._cut(str(error)) from error

    def require_success(self) -> None:
        """Raise what the program's end was if it was not a good one.

        Raises:
            CutError: The connection was cut.
            FailedError: The program failed, or could not be run.
        """
        if self._outcome is None:
            raise self._cut("it was closed without a word about the program's end")
        if self._outcome.get("status") == "Success":
            return
        causes = (self._outcome.get("details") or {}).get("causes") or ()
        codes = [each.get("message") for each in causes if each.get("reason") == "ExitCode"]
        exit_code = int(codes[0]) if codes and self._outcome.get("reason") == _NON_ZERO else None
        said = self._said.decode(errors="replace").strip() or self._outcome.get("message") or "no reason was given"
        raise FailedError(f"The cluster could not {self._doing}: {' '.join(said.split())}", exit_code)

    def _cut(self, why: str) -> CutError:
        return CutError(f"The connection was cut: the cluster could not {self._doing} to its end ({why}).")


def run(
    cluster: Cluster,
    pod: str,
    container: str,
    command: Sequence[str],
    content: bytes | None = None,
    *,
    silence_s: float,
) -> bytes:
    """Run a program to its end, and return what it writes to standard output.

    Args:
        cluster: The cluster.
        pod: Name of the pod.
        container: Name of the container.
        command: The program and its arguments.
        content: Its standard input; None gives it none.
        silence_s: How long it may say nothing, in seconds.

    Raises:
        CutError: The connection was cut.
        FailedError: The program failed, or could not be run.
        EngineError: The cluster refuses or does not answer.
    """
    program = Execution(cluster, pod, container, command, stdin=content is not None, silence_s=silence_s)
    try:
        if content is not None:
            _write(program, content)
        return b"".join(chunk for channel, chunk in program if channel == STDOUT)
    finally:
        program.close()


def _write(program: Execution, content: bytes) -> None:
    try:
        program.write(content)
    except BaseException:
        # It says why it takes no more, or is gone.
        with contextlib.suppress(CutError):
            for _ in program:
                pass
        raise


def _tls(access: Access) -> dict[str, Any]:
    configuration = access.configuration
    if not configuration.verify_ssl:
        options: dict[str, Any] = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
    else:
        options = {"cert_reqs": ssl.CERT_REQUIRED}
        if configuration.ssl_ca_cert:
            options["ca_certs"] = configuration.ssl_ca_cert
    if configuration.cert_file:
        options |= {"certfile": configuration.cert_file, "keyfile": configuration.key_file}
    if configuration.tls_server_name:
        options["server_hostname"] = configuration.tls_server_name
    return options


def _proxy(access: Access) -> dict[str, Any]:
    """Return the proxy that plain requests go through; websocket-client would look in the environment by itself."""
    host = urlsplit(access.server).hostname
    proxy, exempt = access.configuration.proxy, access.configuration.no_proxy or ""
    exempted = any(
        host == it or (host or "").endswith(f".{it.lstrip('.')}") for it in map(str.strip, exempt.split(",")) if it
    )
    if not proxy or exempted:
        return {"http_no_proxy": [host]}
    parts = urlsplit(proxy)
    return {"http_proxy_host": parts.hostname, "http_proxy_port": parts.port, "proxy_type": parts.scheme or "http"}
