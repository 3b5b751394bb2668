"""Lets people debug a step on Docker: terminals, images made from kept containers, and facts about the engine."""

import contextlib
import os
import select
import shutil
import signal
import ssl
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import docker

from drayage.debugger import EngineFacts, is_terminal
from drayage.docker.address import find_address
from drayage.docker.connections import open_client
from drayage.docker.errors import engine_errors
from drayage.docker.files import find_own_container, sees
from drayage.docker.stream import Body, frames, upgraded
from drayage.errors import ContainerGoneError

_CHUNK_BYTES = 64 * 1024
# The PATH that the engine sets in a container whose image sets none.
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class DockerDebugger:
    """Debugging on the engine that the environment names, the same one that ``DockerEngine`` uses."""

    @cached_property
    def _client(self) -> docker.DockerClient:
        with engine_errors("report its version"):
            return open_client()

    @property
    def _api(self) -> docker.APIClient:
        return self._client.api

    def facts(self) -> EngineFacts:
        """Describe the engine."""
        with engine_errors("describe itself"):
            info, images = self._api.info(), self._api.images(quiet=True)
        return EngineFacts(
            info["ServerVersion"], info["MemTotal"], len(images), images[0] if images else None, str(find_address())
        )

    def has_file(self, container_id: str, path: str) -> bool:
        """Return whether a container, running or not, has a file."""
        try:
            with engine_errors(f"look for {path}"):
                chunks, _ = self._api.get_archive(container_id, path)
                chunks.close()
        except ContainerGoneError:
            return False
        return True

    def sees(self, image: str, folder: Path, name: str, content: bytes) -> bool:
        """Return whether the engine finds a file in a directory of this machine, without running anything.

        Args:
            image: Any image that the engine has.
            folder: The directory, as this process sees it.
            name: Name of the file.
            content: What the file must hold.
        """
        return sees(self._client, find_own_container(self._client), image, folder / name, content, labels={})

    def environment(self, image: str) -> dict[str, str]:
        """Return the environment variables that an image sets."""
        with engine_errors(f"inspect image {image!r}"):
            lines = self._client.images.get(image).attrs["Config"].get("Env") or ()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    def image_facts(self, image: str) -> tuple[int, dict[str, str]]:
        """Return an image's size in bytes, and its labels."""
        with engine_errors(f"inspect image {image!r}"):
            attributes = self._client.images.get(image).attrs
        return int(attributes["Size"]), attributes["Config"].get("Labels") or {}

    def has_program(self, image: str, names: Sequence[str]) -> bool:
        """Return whether an image has one of these programs on its ``PATH``, without running anything."""
        folders = self.environment(image).get("PATH", _DEFAULT_PATH).split(":")
        with engine_errors(f"search image {image!r}"):
            # The command never runs, but the engine creates no container from an image without one.
            container = self._api.create_container(image, command=["-"], entrypoint=["-"])["Id"]
        try:
            return any(self.has_file(container, f"{folder}/{name}") for folder in folders for name in names)
        finally:
            with engine_errors(f"remove container {container[:12]}"):
                self._api.remove_container(container, force=True, v=True)

    def create_beside(self, container_id: str, image: str, command: Sequence[str]) -> str:
        """Create a container beside a running one, which sees its processes, network and volumes; return the id.

        Args:
            container_id: A running container.
            image: Id of the image of the new one.
            command: What runs in place of the image's entrypoint, at a terminal if this process has one.
        """
        beside, at_terminal = f"container:{container_id}", is_terminal()
        with engine_errors(f"create a container beside {container_id[:12]}"):
            host = self._api.create_host_config(
                pid_mode=beside, network_mode=beside, volumes_from=[container_id], cap_add=["SYS_PTRACE"]
            )
            created = self._api.create_container(
                image,
                entrypoint=list(command),
                # Without the step's own labels, so that nothing mistakes it for the step.
                labels={"drayage/toolbox": container_id},
                host_config=host,
                tty=at_terminal,
                stdin_open=at_terminal,
            )
        return str(created["Id"])

    def commit(self, container_id: str) -> str:
        """Make an image from a container's file system, and return the image's id."""
        with engine_errors(f"make an image from container {container_id[:12]}"):
            return str(self._api.commit(container_id)["Id"])

    def remove_image(self, image_id: str) -> None:
        """Remove an image that :meth:`commit` made."""
        with engine_errors(f"remove image {image_id[:19]}"):
            self._api.remove_image(image_id, force=True)

    def execute(self, container_id: str, command: Sequence[str], *, user: str | None = None) -> int:
        """Run a command in a running container, attached to this process's terminal if it has one.

        Args:
            container_id: A running container.
            command: The command and its arguments.
            user: The user to run as; None takes the container's own.

        Returns:
            The command's exit code.
        """
        at_terminal = is_terminal()
        with engine_errors(f"run a command in container {container_id[:12]}"):
            process = self._api.exec_create(
                container_id, list(command), stdin=at_terminal, tty=at_terminal, user=user or ""
            )["Id"]
            if at_terminal:
                stream = self._api.exec_start(process, tty=True, socket=True)
                with _terminal(lambda height, width: self._api.exec_resize(process, height, width)):
                    _connect(stream)
            else:
                _print(upgraded(self._api, "/exec/{0}/start", process, json={"Tty": False, "Detach": False}))
            return int(self._api.exec_inspect(process)["ExitCode"])

    def attach(self, container_id: str, start: Callable[[], None]) -> int:
        """Start a container attached to this process's terminal if it has one, and wait until it ends.

        Args:
            container_id: A created container, made with a terminal if this process has one.
            start: Starts the container.

        Returns:
            The container's exit code.
        """
        with engine_errors(f"attach to container {container_id[:12]}"):
            if is_terminal():
                parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
                stream = self._api.attach_socket(container_id, params=parameters)
                start()
                with _terminal(lambda height, width: self._api.resize(container_id, height, width)):
                    _connect(stream)
            else:
                wanted = {"stdout": 1, "stderr": 1, "stream": 1}
                output = upgraded(self._api, "/containers/{0}/attach", container_id, params=wanted)
                start()
                _print(output)
            return int(self._api.wait(container_id)["StatusCode"])


def _print(output: Body) -> None:
    streams = {"stdout": sys.stdout, "stderr": sys.stderr}
    for whole in frames(output.parts()):
        for stream, chunk in whole:
            streams[stream].write(chunk.decode("utf-8", "backslashreplace"))
            streams[stream].flush()
    output.close()


@contextlib.contextmanager
def _terminal(resize: Callable[[int, int], None]) -> Iterator[None]:
    """Pass on each key as it is pressed, and the window size whenever it changes."""

    def fit(*_: Any) -> None:
        size = shutil.get_terminal_size()
        # The process may have just ended, and then has no terminal to resize.
        with contextlib.suppress(docker.errors.APIError):
            resize(size.lines, size.columns)

    before = termios.tcgetattr(sys.stdin)
    handler = signal.signal(signal.SIGWINCH, fit)
    try:
        tty.setraw(sys.stdin)
        fit()
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, handler)


def _connect(stream: Any) -> None:
    """Copy bytes between this process's terminal and a container's until the container's closes."""
    # Over a Unix socket, docker-py wraps the socket in a file object; otherwise it returns an SSL or plain socket.
    connection = getattr(stream, "_sock", stream)
    reading = [connection, sys.stdin]
    with contextlib.closing(stream):
        while True:
            ready, _, _ = select.select(reading, [], [])
            if connection in ready:
                while chunk := connection.recv(_CHUNK_BYTES):
                    os.write(sys.stdout.fileno(), chunk)
                    # What a TLS socket holds already does not make it ready.
                    if not (isinstance(connection, ssl.SSLSocket) and connection.pending()):
                        break
                else:
                    return
            if sys.stdin in ready:
                keys = os.read(sys.stdin.fileno(), _CHUNK_BYTES)
                if keys:
                    connection.sendall(keys)
                else:
                    reading.remove(sys.stdin)
