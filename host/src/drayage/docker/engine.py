"""Implements the container engine with Docker."""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import docker
import docker.errors
import requests.exceptions
import urllib3.exceptions

from drayage.docker import files as docker_files
from drayage.docker.arguments import create_arguments
from drayage.docker.connections import open_client
from drayage.docker.errors import engine_errors
from drayage.docker.mailboxes import Mailboxes
from drayage.docker.options import explain
from drayage.docker.output import AttachedOutput, open_log
from drayage.docker.secrets import HeldSecrets
from drayage.docker.states import read_found, read_state
from drayage.engine import ContainerSpec, ContainerState, Found, Mailbox, OptionFacts, Output, Usage, gone
from drayage.errors import (
    ContainerGoneError,
    EngineError,
    EngineUnavailableError,
    ImageMissingError,
    ImageNotPulledError,
    ImageRefusedError,
)
from drayage.identity import DEPLOYMENT, RUN, STEP

_KILL = "SIGKILL"
_POLL_S = 0.25
_REMOVAL_DEADLINE_S = 10.0

_log = logging.getLogger(__name__)


class DockerEngine:
    """The Docker engine that the environment names (``DOCKER_HOST`` and related variables)."""

    has_networks = True
    has_streams = True

    def __init__(self) -> None:
        # Of containers that this process created and has not started yet.
        self._secrets: dict[str, HeldSecrets] = {}
        self._with_terminal: dict[str, bool] = {}
        self._mailboxes = Mailboxes(lambda: self._client, lambda: self._own_container)

    @cached_property
    def _client(self) -> docker.DockerClient:
        with engine_errors("report its version"):
            return open_client()

    @cached_property
    def _own_container(self) -> Mapping[str, Any] | None:
        return docker_files.find_own_container(self._client)

    @property
    def _api(self) -> docker.APIClient:
        return self._client.api

    def resolve(self, image: str, *, pull: Literal["missing", "always", "never"]) -> str:
        """Return the content address of an image, pulling it first if the policy says so."""
        if pull != "always":
            with contextlib.suppress(ImageMissingError), engine_errors(f"inspect image {image!r}", given="image"):
                return str(self._client.images.get(image).id)
        if pull == "never":
            raise ImageNotPulledError(
                f"Image {image!r} is not on the engine, and the pull policy is `never`. Build it, or set "
                "pull='missing'."
            )
        try:
            with engine_errors(f"pull image {image!r}", given="image"):
                self._client.images.pull(image)
                return str(self._client.images.get(image).id)
        except EngineUnavailableError:
            raise
        except EngineError as error:
            # A registry that cannot be reached may be back soon; one that has no such image says so at once.
            is_refused = isinstance(error.__cause__, docker.errors.NotFound)
            kind = ImageRefusedError if is_refused else ImageMissingError
            raise kind(
                f"Image {image!r} is not on the engine and could not be pulled: {error.__cause__ or error}. "
                f"Check the name, build it (`docker build -t {image} …`), or make sure its registry can be reached."
            ) from error

    def login(self, *, url: str, username: str, password: str) -> None:
        """Log in to an image registry."""
        with engine_errors(f"log in to {url}", given="registry"):
            self._client.login(registry=url, username=username, password=password)

    def create(self, spec: ContainerSpec) -> ContainerState:
        """Create a container, and return its state; one that was kept gives up its name."""
        spec = self._mailboxes.named_in(spec)
        if not spec.secrets:
            return self._create(spec, volumes_from=())
        held = HeldSecrets(self._client, spec)
        try:
            state = self._create(spec, volumes_from=[held.volumes_from])
        except BaseException:
            self._release(held)
            raise
        self._secrets[state.id] = held
        return state

    def _create(self, spec: ContainerSpec, *, volumes_from: Sequence[str]) -> ContainerState:
        given = "settings, command, env or container_kwargs"
        with engine_errors(f"create a container of image {spec.image!r}", given=given):
            arguments = create_arguments(spec, self._host_path, volumes_from=volumes_from)
            try:
                container = self._client.containers.create(**arguments)
            except docker.errors.APIError as error:
                if error.status_code != requests.codes.conflict or not self._free_name(arguments, spec.labels):
                    raise
                container = self._client.containers.create(**arguments)
        state = read_state(container.attrs)
        try:
            with engine_errors(f"connect container {state.short_id} to its networks", given=given):
                for network in spec.networks[1:]:
                    self._client.networks.get(network).connect(container)
        except BaseException:
            self.remove(state.id)
            raise
        self._with_terminal[state.id] = bool(container.attrs["Config"]["Tty"])
        self._mailboxes.note(state)
        return state

    def _free_name(self, arguments: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
        """Free the name of a container that is going, or of one of ours that has ended and was kept to be looked into.

        The kept one is renamed; one that is being removed, as a former attempt's may be, is waited for.
        """
        deadline = time.monotonic() + _REMOVAL_DEADLINE_S
        while "name" in arguments:
            try:
                attributes = self._api.inspect_container(arguments["name"])
                holder = read_state(attributes)
                if holder.labels.get(DEPLOYMENT) != labels.get(DEPLOYMENT):
                    return False
                if holder.ended:
                    self._api.rename(holder.id, f"{holder.name}-{holder.short_id}")
                    return True
            except docker.errors.APIError as error:
                if isinstance(error, docker.errors.NotFound):
                    # Whatever had the name has just been removed.
                    return True
                holder = None
            if (holder is not None and holder.status != "gone") or time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return False

    def start(self, container_id: str) -> None:
        """Put the secrets of a created container in place, and start it."""
        self._with_terminal.pop(container_id, None)
        held = self._secrets.pop(container_id, None)
        if held is None:
            self._start(container_id)
            return
        try:
            held.fill(container_id)
            self._start(container_id)
        finally:
            self._release(held)

    def finish_start(self, container_id: str, *, secrets: Mapping[str, bytes], context: bytes | None) -> bool:  # noqa: ARG002 - the seam's signature
        """Return False: the engine starts nothing that it was not told to."""
        return False

    def _release(self, held: HeldSecrets) -> None:
        try:
            held.release()
        except EngineError as error:
            # The container is running, or an error is on its way: this one must not stop the one or hide the other.
            _log.warning("clean-up is left to the sweeper: %s", error)

    def _start(self, container_id: str) -> None:
        with engine_errors(f"start container {container_id[:12]}"):
            self._api.start(container_id)

    def follow(self, container_id: str, cursor: str | None = None) -> Output:
        """Follow a container's output, from a position on or from now on."""
        with engine_errors(f"follow the output of container {container_id[:12]}"):
            if cursor is None and container_id in self._with_terminal:
                return AttachedOutput(self._api, container_id, tty=self._with_terminal[container_id])
            container = self._api.inspect_container(container_id)
            if cursor is None:
                return AttachedOutput(self._api, container_id, tty=container["Config"]["Tty"])
            return open_log(self._api, container, cursor, is_running=lambda: self._runs(container_id))

    def _runs(self, container_id: str) -> bool:
        return self.state(container_id).status == "running"

    def await_end(self, container_id: str, timeout_s: float) -> ContainerState | None:
        """Return a container's last state once it has ended or is gone; None if neither happens within the time."""
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = deadline - time.monotonic()
            if left_s > 0:
                with contextlib.suppress(ContainerGoneError), engine_errors(f"wait for container {container_id[:12]}"):
                    self._wait(container_id, left_s)
            state = self.state(container_id)
            if state.status in {"ended", "gone"}:
                self._mailboxes.note_end(container_id)
                return state
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            # The engine does not wait for a container that it is restarting, or that was not started yet: it answers
            # at once.
            time.sleep(min(_POLL_S, left_s))

    def _wait(self, container_id: str, timeout_s: float) -> None:
        try:
            self._api.wait(container_id, timeout=timeout_s)  # type: ignore[arg-type]  # a float is as good
        except requests.exceptions.ReadTimeout:
            pass
        except requests.exceptions.ConnectionError as error:
            # The engine sends the headers at once, and requests knows a timeout only before them.
            if not isinstance(error.args[0], urllib3.exceptions.ReadTimeoutError):
                raise

    def state(self, container_id: str) -> ContainerState:
        """Return a container's current state; of one that the engine does not know, with the status ``gone``."""
        try:
            with engine_errors(f"inspect container {container_id[:12]}"):
                state = read_state(self._api.inspect_container(container_id))
                self._mailboxes.note(state)
                return state
        except ContainerGoneError:
            return gone(container_id)

    def usage(self, container_id: str) -> Usage | None:
        """Return a container's resource usage, or None if it is not running."""
        with engine_errors(f"measure container {container_id[:12]}"):
            stats = self._api.stats(container_id, stream=False, one_shot=True)
        memory, cpu = stats.get("memory_stats") or {}, (stats.get("cpu_stats") or {}).get("cpu_usage") or {}
        if "usage" not in memory:
            return None
        details = memory.get("stats") or {}
        # cgroup v1 calls it total_inactive_file, v2 inactive_file; `docker stats` subtracts it too.
        inactive = details.get("total_inactive_file", details.get("inactive_file", 0))
        return Usage(max(0, memory["usage"] - inactive), cpu.get("total_usage", 0) / 1e9)

    def stop(self, container_id: str, signal: str, grace_s: float) -> None:
        """Send a signal to a container, and kill it if it still runs after a time; do nothing if it does not run."""
        self._signal(container_id, signal)
        if signal != _KILL and self.await_end(container_id, grace_s) is None:
            self._signal(container_id, _KILL)

    def _signal(self, container_id: str, signal: str) -> None:
        try:
            with engine_errors(f"send {signal} to container {container_id[:12]}"):
                self._api.kill(container_id, signal)
        except EngineError:
            if self._runs(container_id):
                raise

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not, and its secrets; do nothing if it is gone."""
        if held := self._secrets.pop(container_id, None):
            self._release(held)
        self._with_terminal.pop(container_id, None)
        with contextlib.suppress(ContainerGoneError), engine_errors(f"remove container {container_id[:12]}"):
            try:
                self._api.remove_container(container_id, force=True, v=True)
            except docker.errors.APIError as error:
                # Something else is already removing it, which is just as good.
                if error.status_code != requests.codes.conflict:
                    raise
        self._mailboxes.remove(container_id)

    def find(self, owner: Mapping[str, str]) -> Sequence[Found]:
        """Return the containers, running or not, that carry all these labels; an empty value matches any value.

        A relay goes with the container that it serves, and is returned only if that is gone. So is a volume of which
        nothing else is left, to whoever asks for everything that a deployment has.
        """
        wanted = [f"{name}={value}" if value else name for name, value in owner.items()]
        with engine_errors("list containers"):
            found = [read_found(entry) for entry in self._api.containers(all=True, filters={"label": wanted})]
            left = [] if STEP in owner or RUN in owner else self._mailboxes.left_volumes(wanted, found)
        return [*self._mailboxes.without_served(found), *left]

    def mailbox(
        self,
        folder: Path,
        *,
        labels: Mapping[str, str],
        waits: bool = False,
        receives: bool = True,
    ) -> Mailbox:
        """Open the mailbox of one attempt: files of this machine if the engine sees them, else a volume and a relay."""
        return self._mailboxes.open(folder, labels=labels, waits=waits, receives=receives)

    def explain(self, options: Mapping[str, Any]) -> OptionFacts:
        """Say what docker-py's keyword arguments mean."""
        return explain(options)

    def read_file(self, image: str, path: str) -> bytes:
        """Read one file out of an image without running it."""
        return docker_files.read_file(self._client, image, path)

    def _host_path(self, path: Path) -> str:
        return docker_files.host_path(self._own_container, path)
