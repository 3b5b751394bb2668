"""An engine in memory, for every unit test that needs one.

``tests/contract/engine`` holds it to the same contract as the engines that run containers.
"""

import dataclasses
import functools
import signal as signals
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from threading import Condition
from typing import Concatenate, Literal, ParamSpec, TypeVar

from fake_container import KILLED, FakeContainer, FakeOutput
from fake_process import FakeImage, FakeVolume

from drayage.engine import ContainerSpec, ContainerState, Engine, MemoryVolumeHold, Output, Usage
from drayage.errors import (
    ContainerGoneError,
    EngineError,
    EngineUnavailableError,
    ImageMissingError,
    SettingsError,
    VolumeInUseError,
)

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def _answers(
    method: Callable[Concatenate["FakeEngine", _Parameters], _Result],
) -> Callable[Concatenate["FakeEngine", _Parameters], _Result]:
    """Let a method answer one call at a time, unless the engine is unreachable or refuses it."""

    @functools.wraps(method)
    def answer(self: "FakeEngine", /, *arguments: _Parameters.args, **keywords: _Parameters.kwargs) -> _Result:
        with self.changed:
            if self.is_unreachable:
                raise EngineUnavailableError("The fake engine does not answer. Set is_unreachable to False.")
            if refusal := self.refusals.get(method.__name__):
                raise refusal
            return method(self, *arguments, **keywords)

    return answer


class FakeEngine:
    """An engine in memory, whose containers run Python programs in the thread that starts or signals them.

    Args:
        images: The images on the engine, by name.
        clock: Seconds since the epoch.

    Attributes:
        registry: Images that can be pulled, by name.
        accounts: User name and password of registries that require a login, by the first part of an image's name.
        networks: The networks that containers can join.
        is_unreachable: Whether every call fails as if the engine did not answer.
        refusals: Errors that methods raise instead of answering, by method name.
    """

    def __init__(
        self, images: Mapping[str, FakeImage] | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.images = dict(images or {})
        self.registry: dict[str, FakeImage] = {}
        self.accounts: dict[str, tuple[str, str]] = {}
        self.networks = {"bridge", "host", "none"}
        self.is_unreachable = False
        self.refusals: dict[str, EngineError] = {}
        self.containers: dict[str, FakeContainer] = {}
        self.volumes: dict[str, FakeVolume] = {}
        self.changed = Condition()
        self._clock = clock
        self._numbers = count(1)
        self._logins: set[str] = set()

    @_answers
    def image_id(self, image: str, *, pull: Literal["missing", "always", "never"]) -> str:
        """Return the content address of an image, pulling it first where the policy says so."""
        known = image in self.images or image in {each.id for each in self.images.values()}
        if pull == "always" or (pull == "missing" and not known):
            host = image.partition("/")[0]
            if image not in self.registry or (host in self.accounts and host not in self._logins):
                raise ImageMissingError(f"Image {image!r} could not be pulled. Add it to FakeEngine.registry.")
            self.images[image] = self.registry[image]
        return self._image(image).id

    @_answers
    def login(self, *, url: str, username: str, password: str) -> None:
        """Log in to an image registry."""
        if self.accounts.get(url, (username, password)) != (username, password):
            raise EngineError(f"{url} refused the login of {username}. Compare it with FakeEngine.accounts.")
        self._logins.add(url)

    @_answers
    def create(self, spec: ContainerSpec) -> ContainerState:
        """Create a container, and describe it."""
        spec = _with_container_kwargs(spec)
        image = self._image(spec.image)
        if any(container.name == spec.name for container in self.containers.values()):
            raise EngineError(f"The name {spec.name} is taken by another container. Remove that container first.")
        if unknown := set(spec.networks) - self.networks:
            raise EngineError(f"There is no network {', '.join(unknown)}. Add it to FakeEngine.networks.")
        for mount in spec.mounts:
            if mount.kind == "bind" and not Path(mount.source).exists():
                raise SettingsError(f"There is no {mount.source} to mount. Create it first.")
            if mount.kind == "volume" and mount.source not in self.volumes:
                raise EngineError(f"There is no volume {mount.source}. Create it first.")
        container = FakeContainer(
            spec,
            image,
            next(self._numbers),
            volumes=self.volumes,
            clock=self._clock,
            changed=self.changed,
            on_change=self._settle,
        )
        self.containers[container.id] = container
        return container.state()

    @_answers
    def start(self, container_id: str) -> None:
        """Start a created container."""
        self._container(container_id).start()

    @_answers
    def output(self, container_id: str, *, from_start: bool) -> Output:
        """Follow its output: live from now on, or replayed from its start and then live."""
        container = self._container(container_id)
        return FakeOutput(container, 0 if from_start else len(container.chunks))

    @_answers
    def wait(self, container_id: str) -> None:
        """Block until it has ended."""
        container = self._container(container_id)
        self.changed.wait_for(lambda: container.is_over)

    @_answers
    def state(self, container_id: str) -> ContainerState:
        """Describe it."""
        return self._container(container_id).state()

    @_answers
    def usage(self, container_id: str) -> Usage | None:
        """Measure it; None if it is not running."""
        container = self._container(container_id)
        process = container.process
        return Usage(process.memory_bytes, process.cpu_s) if container.status == "running" else None

    @_answers
    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal; no error if it has ended."""
        container = self.containers.get(container_id)
        if container is None or container.status != "running":
            return
        if signal not in signals.Signals.__members__:
            raise EngineError(f"There is no signal {signal}. Expected one such as SIGTERM.")
        container.deliver(signal)

    @_answers
    def remove(self, container_id: str) -> None:
        """Remove it, running or not; no error if it is gone."""
        container = self.containers.pop(container_id, None)
        if container is not None:
            container.is_removed = True
            container.end(KILLED)

    @_answers
    def find(self, labels: Mapping[str, str]) -> Sequence[ContainerState]:
        """List the containers, running or not, that carry all these labels (an empty value matches any)."""
        return [it.state() for it in self.containers.values() if _carries(it.spec.labels, labels)]

    @_answers
    def create_memory_volume(self, name: str, *, size_bytes: int, labels: Mapping[str, str]) -> None:
        """Create a named volume on memory-backed storage."""
        self.volumes.setdefault(name, FakeVolume(dict(labels), size_bytes))

    @_answers
    def fill_memory_volume(
        self, name: str, *, files: Mapping[str, bytes], probe_id: str, target: str
    ) -> MemoryVolumeHold:
        """Write files into it, and hold them there until a container that mounts it has been started."""
        mounts = self._container(probe_id).spec.mounts
        if not any((mount.source, mount.target, mount.kind) == (name, target, "volume") for mount in mounts):
            raise EngineError(f"Container {probe_id[:12]} does not mount volume {name} at {target}.")
        volume = self.volumes[name]
        if sum(map(len, files.values())) > volume.size_bytes:
            raise EngineError(f"The files do not fit into the {volume.size_bytes} bytes of volume {name}.")
        volume.files.update(files)
        volume.holds += 1
        return _Hold(self, volume)

    @_answers
    def remove_volume(self, name: str) -> None:
        """Remove a volume; no error if it is gone."""
        if name not in self.volumes:
            return
        users = [container.id[:12] for container in self.containers.values() if name in _volumes_of(container.spec)]
        if users or self.volumes[name].holds:
            raise VolumeInUseError(f"Volume {name} is in use by {', '.join(users) or 'a hold'}. Remove that first.")
        del self.volumes[name]

    @_answers
    def find_volumes(self, labels: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """List the volumes that carry all these labels: their names, with all their labels."""
        return {name: volume.labels for name, volume in self.volumes.items() if _carries(volume.labels, labels)}

    @_answers
    def read_file(self, image: str, path: str) -> bytes:
        """Read one file out of an image without running it."""
        files = self._image(image).files
        if path not in files:
            kind = "no regular file" if any(name.startswith(f"{path}/") for name in files) else "not there"
            raise EngineError(f"{path} in image {image!r} is {kind}. Add it to the FakeImage.")
        return files[path]

    def host_path(self, path: Path) -> str:
        """Return the engine's own path of a directory of this process, which is the same."""
        return str(path)

    def _image(self, image: str) -> FakeImage:
        for name, known in self.images.items():
            if image in (name, known.id):
                return known
        raise ImageMissingError(f"Image {image!r} is not on the engine. Add it to FakeEngine.images.")

    def _container(self, container_id: str) -> FakeContainer:
        if container_id not in self.containers:
            raise ContainerGoneError(f"There is no container {container_id[:12]}: it was removed, or never existed.")
        return self.containers[container_id]

    def _settle(self) -> None:
        """Empty the volumes that nothing keeps, and wake all waiting threads."""
        running = (container.spec for container in self.containers.values() if container.status == "running")
        kept = {name for spec in running for name in _volumes_of(spec)}
        for name, volume in self.volumes.items():
            if name not in kept and not volume.holds:
                volume.files.clear()
        self.changed.notify_all()


class _Hold:
    """Keeps the files of a volume until it is released."""

    def __init__(self, engine: FakeEngine, volume: FakeVolume) -> None:
        self._engine = engine
        self._volume: FakeVolume | None = volume

    def release(self) -> None:
        """Let go; the volume lives on as long as a running container mounts it."""
        with self._engine.changed:
            if self._volume is not None:
                self._volume.holds -= 1
                self._volume = None
                self._engine._settle()  # noqa: SLF001 - its own engine


def _with_container_kwargs(spec: ContainerSpec) -> ContainerSpec:
    """Apply the fake's own keyword arguments, which are the fields of a specification."""
    if unknown := spec.container_kwargs.keys() - {known.name for known in dataclasses.fields(spec)}:
        raise EngineError(f"The fake engine knows no {', '.join(unknown)}. Expected fields of ContainerSpec.")
    return dataclasses.replace(spec, **{**spec.container_kwargs, "container_kwargs": {}})


def _carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(name in labels and value in ("", labels[name]) for name, value in wanted.items())


def _volumes_of(spec: ContainerSpec) -> set[str]:
    return {mount.source for mount in spec.mounts if mount.kind == "volume"}


def _conforms(engine: FakeEngine) -> Engine:
    """Let the type checker compare the fake with the protocol."""
    return engine
