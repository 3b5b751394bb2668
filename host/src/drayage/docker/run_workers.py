"""Makes containers that wait for an order on their standard input, and talks to them."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import docker
import docker.errors
import requests

from drayage.docker.connections import open_client
from drayage.docker.errors import engine_errors
from drayage.docker.states import read_found
from drayage.docker.stream import frames, joined, upgraded
from drayage.engine import Found
from drayage.errors import ContainerGoneError, EngineError, EngineUnavailableError

_TAIL_LINES = 100
# What a run worker on standby needs to be as it is, whatever the launcher's settings say.
_OWN = {"detach": True, "stdin_open": True, "tty": False}


@dataclass(frozen=True)
class WaitingSpec:
    """A container that waits for an order.

    Args:
        name: Its name, which no other container of the engine has.
        image: Id of the image.
        command: What it executes.
        labels: Its labels.
        environment: Its environment variables.
        networks: The networks that it joins.
        options: docker-py's keyword arguments for everything else.
    """

    name: str
    image: str
    command: Sequence[str]
    labels: Mapping[str, str]
    environment: Mapping[str, str] = field(repr=False)
    networks: Sequence[str]
    options: Mapping[str, Any]


class RunWorkers:
    """The containers of one Docker engine that wait for an order."""

    @cached_property
    def _client(self) -> docker.DockerClient:
        with engine_errors("report its version"):
            return open_client()

    @property
    def _api(self) -> Any:
        return self._client.api

    def image_id(self, image: str) -> str:
        """Return the id of an image that the engine has.

        Raises:
            ImageMissingError: It has no such image.
            EngineError: It does not answer.
        """
        with engine_errors(f"inspect image {image!r}"):
            return str(self._api.inspect_image(image)["Id"])

    def find(self, labels: Mapping[str, str]) -> Sequence[Found]:
        """Return the containers, running or not, that carry all these labels; an empty value matches any value."""
        wanted = [f"{name}={value}" if value else name for name, value in labels.items()]
        with engine_errors("list run workers"):
            return [read_found(entry) for entry in self._api.containers(all=True, filters={"label": wanted})]

    def start(self, spec: WaitingSpec) -> str | None:
        """Start a container.

        Args:
            spec: What it is made of.

        Returns:
            Its id; None if another container has its name already.

        Raises:
            SettingsError: The engine cannot make a container of this specification.
            EngineError: The engine refuses or does not answer; nothing is left behind.
        """
        with engine_errors(f"create run worker {spec.name}", given="run launcher's settings"):
            try:
                made = self._client.containers.create(
                    **{
                        **spec.options,
                        **_OWN,
                        "name": spec.name,
                        "image": spec.image,
                        "command": list(spec.command),
                        "labels": dict(spec.labels),
                        "environment": dict(spec.environment),
                        "network": spec.networks[0] if spec.networks else None,
                    }
                )
            except docker.errors.APIError as error:
                if error.status_code == requests.codes.conflict:
                    return None
                raise
        try:
            with engine_errors(f"start run worker {spec.name}", given="run launcher's settings"):
                for network in spec.networks[1:]:
                    self._client.networks.get(network).connect(made)
                made.start()
        except BaseException:
            self.remove(str(made.id))
            raise
        return str(made.id)

    def said(self, container_id: str) -> list[str]:
        """Return the last lines that a container wrote to its standard output; none if it is gone.

        Raises:
            EngineError: The engine keeps no output of it, or does not answer.
        """
        try:
            with engine_errors(f"read the output of run worker {container_id[:12]}"):
                output: bytes = self._api.logs(container_id, stdout=True, stderr=False, tail=_TAIL_LINES)
        except ContainerGoneError:
            return []
        return output.decode(errors="replace").splitlines()

    def last_words(self, container_id: str) -> str:
        """Return the end of everything that a container wrote; empty if that cannot be read."""
        try:
            with engine_errors(f"read the output of run worker {container_id[:12]}"):
                return bytes(self._api.logs(container_id, tail=5)).decode(errors="replace").strip()
        except EngineError:
            return ""

    def ask(self, container_id: str, line: bytes, *, timeout_s: float) -> Iterator[str]:
        """Write a line to a container's standard input, and yield what it wrote before, and what it writes then.

        A line of at most 4096 bytes arrives whole, whoever else writes at the same time (POSIX, ``PIPE_BUF``).

        Args:
            container_id: The container.
            line: The line, with its end.
            timeout_s: For how long, in seconds.

        Yields:
            Lines of its standard output. They end with the container or with the time.

        Raises:
            EngineError: The engine refuses or does not answer.
        """
        wanted = {"stdin": 1, "stdout": 1, "stream": 1, "logs": 1}
        deadline = time.monotonic() + timeout_s
        with engine_errors(f"ask run worker {container_id[:12]}"):
            body = upgraded(self._api, "/containers/{0}/attach", container_id, params=wanted, silence_s=timeout_s)
        try:
            body.send(line)
            pending = b""
            for whole in frames(body.parts()):
                for _, chunk in joined(whole):
                    *lines, pending = (pending + chunk).split(b"\n")
                    yield from (each.decode(errors="replace").rstrip("\r") for each in lines)
                if time.monotonic() > deadline:
                    return
        except EngineUnavailableError as error:
            if not isinstance(error.__cause__, TimeoutError):
                raise
        finally:
            body.close()

    def rename(self, container_id: str, name: str) -> None:
        """Give a container another name, for people; do nothing if it is gone or has it already."""
        try:
            with engine_errors(f"rename run worker {container_id[:12]}"):
                self._api.rename(container_id, name)
        except ContainerGoneError:
            pass
        except EngineError as error:
            if getattr(error.__cause__, "status_code", None) != requests.codes.conflict:
                raise

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not; it has ended when this returns."""
        try:
            with engine_errors(f"remove run worker {container_id[:12]}"):
                self._api.remove_container(container_id, force=True, v=True)
        except ContainerGoneError:
            pass
        except EngineError as error:
            # Something else removes it already.
            if getattr(error.__cause__, "status_code", None) != requests.codes.conflict:
                raise
