"""Lets people debug a step on Docker: terminals, images made from kept containers, and facts about the engine."""

import contextlib
import os
import select
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import docker

from drayage.debugger import SHELL, is_terminal, raw_terminal
from drayage.docker.address import find_address
from drayage.docker.connections import open_client
from drayage.docker.errors import engine_errors
from drayage.docker.files import find_own_container, never_started
from drayage.docker.sharing import shares
from drayage.docker.stream import Body, frames, upgraded
from drayage.engine import ContainerSpec, Engine
from drayage.errors import ContainerGoneError, ImageMissingError, ImageNotPulledError
from drayage.finding import Finding, examine
from drayage.mailbox import relay_image

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

    def examine_engine(self) -> Sequence[Finding]:
        """Examine the engine itself."""
        return [examine("engine", self._describe)]

    def examine_mailbox(self, folder: Path) -> tuple[bool, str]:
        """Say how context and messages get into and out of containers, and why.

        Args:
            folder: A folder like an attempt's, in which a file may be written.
        """
        if shares(self._client, find_own_container(self._client), folder, {}):
            return True, "files: what is written here, the engine mounts into containers"
        relay, apart = relay_image(), f"the engine at {find_address()} does not see the exchange root"
        try:
            self.find_image(relay)
        except ImageMissingError:
            return False, (
                f"{apart}, so it needs the relay, and has no image {relay}. Build or push it there, or set "
                "DRAYAGE_RELAY_IMAGE; if the engine is on this machine, use an exchange root that it sees."
            )
        return True, f"a volume and the relay {relay}: {apart}"

    def find_image(self, image: str) -> str:
        """Return the content address of an image that the engine has."""
        try:
            with engine_errors(f"find image {image!r}"):
                return str(self._client.images.get(image).id)
        except ImageMissingError as error:
            raise ImageNotPulledError(f"Image {image!r} is not on the engine: build it, or pull it.") from error

    def environment(self, image: str) -> dict[str, str]:
        """Return the environment variables that an image sets."""
        with engine_errors(f"inspect image {image!r}"):
            lines = self._client.images.get(image).attrs["Config"].get("Env") or ()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    def image_facts(self, image: str) -> tuple[int | None, dict[str, str]]:
        """Return an image's size in bytes, and its labels."""
        with engine_errors(f"inspect image {image!r}"):
            attributes = self._client.images.get(image).attrs
        return int(attributes["Size"]), attributes["Config"].get("Labels") or {}

    def has_program(self, image: str, names: Sequence[str]) -> bool:
        """Return whether an image has one of these programs on its ``PATH``, without running anything."""
        folders = self.environment(image).get("PATH", _DEFAULT_PATH).split(":")
        with never_started(self._client, image, doing=f"search image {image!r}") as container:
            return any(self._has_file(container, f"{folder}/{name}") for folder in folders for name in names)

    def has_shell(self, container_id: str) -> bool:
        """Return whether a container, running or not, has a shell."""
        return self._has_file(container_id, SHELL)

    def run_beside(self, engine: Engine, container_id: str, image: str, command: Sequence[str]) -> int:
        """Run a command in another container that sees a running one's processes, network and volumes.

        Args:
            engine: The engine of the container.
            container_id: A running container.
            image: Id of the image of the other one.
            command: The command and its arguments, at this process's terminal if it has one.

        Returns:
            The command's exit code.
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
            )["Id"]
        try:
            return self._attach(created, lambda: engine.start(created))
        finally:
            engine.remove(created)

    def run_new(self, engine: Engine, spec: ContainerSpec, command: Sequence[str]) -> int | None:
        """Run a command in a new container in place of its own, at this process's terminal if it has one; remove it.

        Args:
            engine: Makes the container.
            spec: What it is made of.
            command: The command, which begins with a shell, and its arguments.

        Returns:
            The command's exit code; None if the image has no shell.
        """
        state = engine.create(replace(spec, entrypoint=command, terminal=is_terminal()))
        try:
            if not self.has_shell(state.id):
                return None
            return self._attach(state.id, lambda: engine.start(state.id))
        finally:
            engine.remove(state.id)

    def commit(self, container_id: str) -> str | None:
        """Make an image from a container's files, and return the image's id."""
        with engine_errors(f"make an image from container {container_id[:12]}"):
            return str(self._api.commit(container_id)["Id"])

    def remove_image(self, image_id: str) -> None:
        """Remove an image that :meth:`commit` made."""
        with engine_errors(f"remove image {image_id[:19]}"):
            self._api.remove_image(image_id, force=True)

    def execute(self, container_id: str, command: Sequence[str]) -> int:
        """Run a command in a running container, attached to this process's terminal if it has one.

        Args:
            container_id: A running container.
            command: The command and its arguments.

        Returns:
            The command's exit code.
        """
        at_terminal = is_terminal()
        with engine_errors(f"run a command in container {container_id[:12]}"):
            process = self._api.exec_create(container_id, list(command), stdin=at_terminal, tty=at_terminal)["Id"]
            if at_terminal:
                stream = self._api.exec_start(process, tty=True, socket=True)
                _converse(stream, lambda height, width: self._api.exec_resize(process, height, width))
            else:
                _print(upgraded(self._api, "/exec/{0}/start", process, json={"Tty": False, "Detach": False}))
            return int(self._api.exec_inspect(process)["ExitCode"])

    def _describe(self) -> tuple[bool, str]:
        with engine_errors("describe itself"):
            info, images = self._api.info(), self._api.images(quiet=True)
        memory_gib = info["MemTotal"] / 2**30
        return True, f"Docker {info['ServerVersion']} answers; {len(images)} images, {memory_gib:.1f} GiB of memory"

    def _has_file(self, container_id: str, path: str) -> bool:
        try:
            with engine_errors(f"look for {path}"):
                chunks, _ = self._api.get_archive(container_id, path)
                chunks.close()
        except ContainerGoneError:
            return False
        return True

    def _attach(self, container_id: str, start: Callable[[], None]) -> int:
        """Start a container attached to this process's terminal if it has one; return its exit code once it ended."""
        with engine_errors(f"attach to container {container_id[:12]}"):
            if is_terminal():
                parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
                stream = self._api.attach_socket(container_id, params=parameters)
                start()
                _converse(stream, lambda height, width: self._api.resize(container_id, height, width))
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


def _converse(stream: Any, resize: Callable[[int, int], None]) -> None:
    def fit(height: int, width: int) -> None:
        # The process may have just ended, and then has no terminal to resize.
        with contextlib.suppress(docker.errors.APIError):
            resize(height, width)

    with raw_terminal(fit):
        _connect(stream)


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
