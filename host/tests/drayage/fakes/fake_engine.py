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
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from fake_container import KILLED, FakeContainer, FakeOutput
from fake_process import FakeImage

from drayage.engine import ContainerSpec, ContainerState, Engine, Found, Mailbox, OptionFacts, Output, Usage, gone
from drayage.errors import (
    ContainerGoneError,
    EngineError,
    EngineUnavailableError,
    ImageMissingError,
    SettingsError,
)
from drayage.mailbox import FolderMailbox

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

    has_networks = True
    has_streams = True

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
        self.changed = Condition()
        self._clock = clock
        self._numbers = count(1)
        self._logins: set[str] = set()

    @_answers
    def resolve(self, image: str, *, pull: Literal["missing", "always", "never"]) -> str:
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
        spec = _with_options(spec)
        image = self._image(spec.image)
        if any(container.name == spec.name for container in self.containers.values()):
            raise EngineError(f"The name {spec.name} is taken by another container. Remove that container first.")
        if unknown := set(spec.networks) - self.networks:
            raise EngineError(f"There is no network {', '.join(unknown)}. Add it to FakeEngine.networks.")
        for mount in spec.mounts:
            if mount.kind in {"bind", "local"} and not Path(mount.source).exists():
                raise SettingsError(f"There is no {mount.source} to mount. Create it first.")
        container = FakeContainer(
            spec,
            image,
            next(self._numbers),
            clock=self._clock,
            changed=self.changed,
            on_change=self.changed.notify_all,
        )
        self.containers[container.id] = container
        return container.state()

    @_answers
    def start(self, container_id: str) -> None:
        """Start a created container."""
        self._container(container_id).start()

    @_answers
    def finish_start(self, container_id: str, *, secrets: Mapping[str, bytes], context: bytes | None) -> bool:  # noqa: ARG002 - the seam's signature
        """Return False, as Docker does."""
        return False

    @_answers
    def follow(self, container_id: str, cursor: str | None = None) -> Output:
        """Follow its output from a position on, or from now on."""
        container = self._container(container_id)
        return FakeOutput(container, len(container.chunks) if cursor is None else int(cursor or 0))

    @_answers
    def await_end(self, container_id: str, timeout_s: float) -> ContainerState | None:
        """Wait until it has ended or is gone."""
        container = self.containers.get(container_id)
        if container is None:
            return gone(container_id)
        if not self.changed.wait_for(lambda: container.is_over, timeout=timeout_s):
            return None
        return gone(container_id) if container.is_removed else container.state()

    @_answers
    def state(self, container_id: str) -> ContainerState:
        """Describe it."""
        container = self.containers.get(container_id)
        return gone(container_id) if container is None else container.state()

    @_answers
    def usage(self, container_id: str) -> Usage | None:
        """Measure it; None if it is not running."""
        container = self._container(container_id)
        process = container.process
        return Usage(process.memory_bytes, process.cpu_s) if container.status == "running" else None

    @_answers
    def stop(self, container_id: str, signal: str, grace_s: float) -> None:
        """Send a signal, and kill it after the grace; no error if it does not run."""
        container = self.containers.get(container_id)
        if container is None or container.status != "running":
            return
        if signal not in signals.Signals.__members__:
            raise EngineError(f"There is no signal {signal}. Expected one such as SIGTERM.")
        container.deliver(signal)
        if not self.changed.wait_for(lambda: container.is_over, timeout=grace_s):
            container.deliver("SIGKILL")

    @_answers
    def remove(self, container_id: str) -> None:
        """Remove it, running or not; no error if it is gone."""
        container = self.containers.pop(container_id, None)
        if container is not None:
            container.is_removed = True
            container.end(KILLED)

    @_answers
    def find(self, owner: Mapping[str, str]) -> Sequence[Found]:
        """List the containers, running or not, that carry all these labels (an empty value matches any)."""
        return [it.found() for it in self.containers.values() if _carries(it.spec.labels, owner)]

    def mailbox(
        self,
        folder: Path,
        *,
        labels: Mapping[str, str],  # noqa: ARG002 - files are found by their folder
        waits: bool = False,
        receives: bool = True,
    ) -> Mailbox:
        """Open the mailbox in a folder, whose files its containers have as they are."""
        return FolderMailbox(folder, waits=waits, receives=receives)

    def explain(self, options: Mapping[str, Any]) -> OptionFacts:
        """Say that the fake's own keyword arguments, fields of a specification, stay inside their container."""
        return OptionFacts((), {}, options, options, options)

    @_answers
    def read_file(self, image: str, path: str) -> bytes:
        """Read one file out of an image without running it."""
        files = self._image(image).files
        if path not in files:
            kind = "no regular file" if any(name.startswith(f"{path}/") for name in files) else "not there"
            raise EngineError(f"{path} in image {image!r} is {kind}. Add it to the FakeImage.")
        return files[path]

    def _image(self, image: str) -> FakeImage:
        for name, known in self.images.items():
            if image in (name, known.id):
                return known
        raise ImageMissingError(f"Image {image!r} is not on the engine. Add it to FakeEngine.images.")

    def _container(self, container_id: str) -> FakeContainer:
        if container_id not in self.containers:
            raise ContainerGoneError(f"There is no container {container_id[:12]}: it was removed, or never existed.")
        return self.containers[container_id]


def _with_options(spec: ContainerSpec) -> ContainerSpec:
    """Apply the fake's own keyword arguments, which are the fields of a specification."""
    if unknown := spec.options.keys() - {known.name for known in dataclasses.fields(spec)}:
        raise EngineError(f"The fake engine knows no {', '.join(unknown)}. Expected fields of ContainerSpec.")
    return dataclasses.replace(spec, **{**spec.options, "options": {}})


def _carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(name in labels and value in ("", labels[name]) for name, value in wanted.items())


def _conforms(engine: FakeEngine) -> Engine:
    """Let the type checker compare the fake with the protocol."""
    return engine
