"""The engines under test, each with the surroundings that its tests need."""

import contextlib
import os
import tempfile
import uuid
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import docker
import pytest
from elsewhere import Elsewhere
from fake_engine import FakeEngine
from fake_process import FakeImage, Process, Program
from image_registry import ImageRegistry, serve_registry
from shell_scripts import Script

from drayage.docker.engine import DockerEngine
from drayage.engine import Engine

IMAGE = "debian:trixie-slim"
_LABEL = "drayage-engine-contract"


class Registry(Protocol):
    """An image registry that an engine can pull from."""

    @property
    def url(self) -> str:
        """Its address, as the first part of an image's name."""

    def publish(self, name: str, files: dict[str, bytes]) -> str:
        """Publish an image, replacing an earlier one with that name; return the reference to pull."""

    def require_login(self, username: str, password: str) -> None:
        """Answer only this account from now on."""


class EngineRig(Protocol):
    """An engine that has Debian's image, and what a test needs beyond the engine's own methods."""

    @property
    def engine(self) -> Engine:
        """The engine under test."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of everything that the test creates."""

    def command(self, script: Script) -> Sequence[str]:
        """Return the command that runs a script."""

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal to a program that waits for it."""

    def left_behind(self) -> int:
        """Return how many volumes the test's containers have left."""

    def memory_kwargs(self, size_bytes: int) -> Mapping[str, Any]:
        """Return the engine's own keyword arguments for a memory limit."""

    def knows_out_of_memory(self, container_id: str) -> bool:
        """Return whether the engine itself noticed that a container ran out of memory."""

    def shared_folder(self) -> Path:
        """Make a folder that the engine and this process have at the same path; return it."""

    def create_network(self) -> str:
        """Create a network; return its name."""

    def registry(self) -> Registry:
        """Start an empty registry."""

    def unreachable(self) -> Engine:
        """Return an engine of this kind that does not answer."""

    def close(self) -> None:
        """Remove everything that the test created, without relying on the engine under test."""


class DockerRig:
    """The Docker engine that the environment names."""

    _registry_address = "127.0.0.1"
    _shared: Path | None = None

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.engine = DockerEngine()
        self.labels = {_LABEL: uuid.uuid4().hex}
        self._docker = docker.from_env()

    def command(self, script: Script) -> Sequence[str]:
        return ["sh", "-c", script.shell]

    def signal(self, container_id: str, signal: str) -> None:
        self._docker.api.kill(container_id, signal)

    def left_behind(self) -> int:
        return len(self._docker.volumes.list(filters={"label": f"{_LABEL}={self.labels[_LABEL]}"}))

    def memory_kwargs(self, size_bytes: int) -> Mapping[str, Any]:
        return {"mem_limit": size_bytes}

    def knows_out_of_memory(self, container_id: str) -> bool:
        # A busy engine may miss the kernel's event.
        return bool(self._docker.api.inspect_container(container_id)["State"]["OOMKilled"])

    def remove(self, container_id: str) -> None:
        """Remove a container as somebody else would."""
        self._docker.api.remove_container(container_id, force=True)

    def description(self, container_id: str) -> Mapping[str, Any]:
        """Return the engine's own description of a container."""
        found: Mapping[str, Any] = self._docker.api.inspect_container(container_id)
        return found

    def shared_folder(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir=self._shared)))

    def create_network(self) -> str:
        name = f"{_LABEL}-{uuid.uuid4().hex[:8]}"
        self._docker.networks.create(name, labels=self.labels)
        return name

    def registry(self) -> ImageRegistry:
        registry = self._stack.enter_context(serve_registry(self._registry_address))
        self._stack.callback(self._remove_images, registry.url)
        return registry

    def unreachable(self) -> Engine:
        self._stack.enter_context(patch.dict(os.environ, {"DOCKER_HOST": "unix:///no/such/socket"}))
        return DockerEngine()

    def close(self) -> None:
        filters: dict[str, Any] = {"label": f"{_LABEL}={self.labels[_LABEL]}"}
        for container in self._docker.containers.list(all=True, ignore_removed=True, filters=filters):
            container.remove(force=True, v=True)
        for volume in self._docker.volumes.list(filters=filters):
            volume.remove(force=True)
        for network in self._docker.networks.list(filters=filters):
            network.remove()
        self._stack.close()
        self._docker.close()

    def _remove_images(self, url: str) -> None:
        for image in self._docker.images.list():
            names = [*image.tags, *(image.attrs["RepoDigests"] or ())]
            if any(name.startswith(f"{url}/") for name in names):
                self._docker.images.remove(str(image.id), force=True)


class RemoteDockerRig(DockerRig):
    """A Docker engine that shares no files with this process; the environment names it from now on.

    Args:
        elsewhere: The engine.
    """

    def __init__(self, elsewhere: Elsewhere) -> None:
        # The fixture ``engine_kind`` has put its address into the environment.
        self._registry_address = elsewhere.near
        # The tests' own folders are hidden from it.
        self._shared = elsewhere.folder
        super().__init__()

    def unreachable(self) -> Engine:
        self._stack.enter_context(patch.dict(os.environ, {"DOCKER_HOST": "tcp://127.0.0.1:1"}))
        return DockerEngine()


class FakeRig:
    """The unit tests' fake engine, which is held to the same contract."""

    def __init__(self) -> None:
        self._scripts: dict[str, Program] = {}
        self._stack = contextlib.ExitStack()
        debian = FakeImage(
            programs={"bash": lambda _: 0, "sh": self._run_script},
            command=["bash"],
            files={"/etc/debian_version": b"13.0\n"},
        )
        self.engine = FakeEngine({IMAGE: debian})
        self.labels = {_LABEL: "fake"}

    def command(self, script: Script) -> Sequence[str]:
        self._scripts[script.shell] = script.fake
        return ["sh", "-c", script.shell]

    def signal(self, container_id: str, signal: str) -> None:
        with self.engine.changed:
            self.engine.containers[container_id].deliver(signal)

    def left_behind(self) -> int:
        return 0

    def memory_kwargs(self, size_bytes: int) -> Mapping[str, Any]:
        return {"memory_bytes": size_bytes}

    def knows_out_of_memory(self, container_id: str) -> bool:  # noqa: ARG002 - a rig's signature
        return True

    def shared_folder(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory()))

    def create_network(self) -> str:
        name = f"network-{len(self.engine.networks)}"
        self.engine.networks.add(name)
        return name

    def registry(self) -> "FakeRegistry":
        return FakeRegistry(self.engine)

    def unreachable(self) -> Engine:
        engine = FakeEngine()
        engine.is_unreachable = True
        return engine

    def close(self) -> None:
        for container_id in list(self.engine.containers):
            self.engine.remove(container_id)
        self._stack.close()

    def _run_script(self, process: Process) -> Generator[None, str, int] | int:
        return self._scripts[process.arguments[-1]](process)


class FakeRegistry:
    """A registry for the fake engine."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.url = "registry.test"

    def publish(self, name: str, files: dict[str, bytes]) -> str:
        reference = f"{self.url}/{name}:latest"
        self._engine.registry[reference] = FakeImage(files=files)
        return reference

    def require_login(self, username: str, password: str) -> None:
        self._engine.accounts[self.url] = (username, password)


ENGINES = [
    pytest.param("docker", id="docker", marks=pytest.mark.engine),
    pytest.param("remote-docker", id="remote-docker", marks=pytest.mark.engine),
    pytest.param("fake", id="fake"),
    pytest.param("kubernetes", id="kubernetes", marks=pytest.mark.kubernetes),
]
"""The engines under test: a new one is one more entry here, and its rig in ``make_rig``."""


def make_rig(kind: str, request: pytest.FixtureRequest) -> EngineRig:
    """Return the rig of an engine, with the surroundings that the session's fixtures make."""
    if kind == "fake":
        return FakeRig()
    if kind == "kubernetes":
        return _cluster_rig(request)
    return DockerRig() if kind == "docker" else RemoteDockerRig(request.getfixturevalue("elsewhere"))


def _cluster_rig(request: pytest.FixtureRequest) -> EngineRig:
    from kubernetes_rig import KubernetesRig  # noqa: PLC0415 - only where there is a cluster

    return KubernetesRig(request.getfixturevalue("namespace"))
