"""Implements the container engine with Docker."""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import docker
import docker.errors
import requests.exceptions

from drayage.docker import files as docker_files
from drayage.docker.arguments import create_arguments
from drayage.docker.connections import open_client
from drayage.docker.errors import engine_errors
from drayage.docker.output import AttachedOutput, ReplayedOutput
from drayage.engine import ContainerSpec, ContainerState, MemoryVolumeHold, Output, Usage
from drayage.errors import ContainerGoneError, EngineError, ImageMissingError, ImageNotPulledError, ImageRefusedError
from drayage.identity import DEPLOYMENT, IMAGE

_UNREADABLE_LOG_DRIVERS = frozenset({"none"})


class DockerEngine:
    """The Docker engine that the environment names (``DOCKER_HOST`` and related variables)."""

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

    def image_id(self, image: str, *, pull: Literal["missing", "always", "never"]) -> str:
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
        given = "settings, command, env or container_kwargs"
        with engine_errors(f"create a container of image {spec.image!r}", given=given):
            arguments = create_arguments(spec)
            try:
                container = self._client.containers.create(**arguments)
            except docker.errors.APIError as error:
                if error.status_code != requests.codes.conflict or not self._free_name(arguments, spec.labels):
                    raise
                container = self._client.containers.create(**arguments)
            for network in spec.networks[1:]:
                self._client.networks.get(network).connect(container)
            return _state(container.attrs)

    def _free_name(self, arguments: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
        """Rename the container that has a name, if it is one of ours that has ended and was kept to be looked into."""
        if "name" not in arguments:
            return False
        try:
            holder = _state(self._api.inspect_container(arguments["name"]))
        except docker.errors.NotFound:
            # Whatever had the name has just been removed.
            return True
        if not holder.ended or holder.labels.get(DEPLOYMENT) != labels.get(DEPLOYMENT):
            return False
        self._api.rename(holder.id, f"{holder.name}-{holder.short_id}")
        return True

    def start(self, container_id: str) -> None:
        """Start a created container."""
        with engine_errors(f"start container {container_id[:12]}"):
            self._api.start(container_id)

    def output(self, container_id: str, *, from_start: bool) -> Output:
        """Follow a container's output: live from now on, or replayed from its start and then live."""
        with engine_errors(f"follow the output of container {container_id[:12]}"):
            if from_start and self._log_driver(container_id) not in _UNREADABLE_LOG_DRIVERS:
                return ReplayedOutput(self._api, container_id)
            return AttachedOutput(self._api, container_id)

    def wait(self, container_id: str) -> None:
        """Block until a container has ended."""
        with engine_errors(f"wait for container {container_id[:12]}"):
            self._api.wait(container_id, timeout=None)

    def state(self, container_id: str) -> ContainerState:
        """Return a container's current state."""
        with engine_errors(f"inspect container {container_id[:12]}"):
            return _state(self._api.inspect_container(container_id))

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

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal to a container; do nothing if it has ended."""
        try:
            with engine_errors(f"send {signal} to container {container_id[:12]}"):
                self._api.kill(container_id, signal)
        except EngineError:
            with contextlib.suppress(ContainerGoneError):
                if self.state(container_id).status in {"running", "paused"}:
                    raise

    def remove(self, container_id: str) -> None:
        """Remove a container, running or not; do nothing if it is gone."""
        with contextlib.suppress(ContainerGoneError), engine_errors(f"remove container {container_id[:12]}"):
            try:
                self._api.remove_container(container_id, force=True, v=True)
            except docker.errors.APIError as error:
                # Something else is already removing it, which is just as good.
                if error.status_code != requests.codes.conflict:
                    raise

    def find(self, labels: Mapping[str, str]) -> Sequence[ContainerState]:
        """Return the containers, running or not, that carry all these labels; an empty value matches any value."""
        wanted = [f"{name}={value}" if value else name for name, value in labels.items()]
        with engine_errors("list containers"):
            ids = [entry["Id"] for entry in self._api.containers(all=True, filters={"label": wanted})]
        found = []
        for container_id in ids:
            with contextlib.suppress(ContainerGoneError):
                found.append(self.state(container_id))
        return found

    def create_memory_volume(self, name: str, *, size_bytes: int, labels: Mapping[str, str]) -> None:
        """Create a named volume on memory-backed storage."""
        with engine_errors(f"create volume {name}"):
            self._client.volumes.create(
                name,
                driver="local",
                driver_opts={
                    "type": "tmpfs",
                    "device": "tmpfs",
                    "o": f"size={size_bytes},mode=0755,nosuid,nodev,noexec",
                },
                labels=dict(labels),
            )

    def fill_memory_volume(
        self, name: str, *, files: Mapping[str, bytes], probe_id: str, target: str
    ) -> MemoryVolumeHold:
        """Write files into a memory-backed volume, and keep them there until a container that mounts it has started."""
        return docker_files.fill_memory_volume(self._client, name, files=files, probe_id=probe_id, target=target)

    def remove_volume(self, name: str) -> None:
        """Remove a volume; do nothing if it is gone."""
        with contextlib.suppress(ContainerGoneError), engine_errors(f"remove volume {name}"):
            self._api.remove_volume(name, force=True)

    def find_volumes(self, labels: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return the volumes that carry all these labels, as a mapping from name to all labels of the volume."""
        wanted = [f"{name}={value}" if value else name for name, value in labels.items()]
        with engine_errors("list volumes"):
            volumes = self._api.volumes(filters={"label": wanted})["Volumes"] or ()
        return {volume["Name"]: volume["Labels"] or {} for volume in volumes}

    def read_file(self, image: str, path: str) -> bytes:
        """Read one file out of an image without running it."""
        return docker_files.read_file(self._client, image, path)

    def host_path(self, path: Path) -> str:
        """Return the engine's own path for a directory of this process."""
        return docker_files.host_path(self._own_container, path)

    def _log_driver(self, container_id: str) -> str:
        return str(self._api.inspect_container(container_id)["HostConfig"]["LogConfig"]["Type"])


def _state(attributes: Mapping[str, Any]) -> ContainerState:
    state, config = attributes["State"], attributes["Config"]
    return ContainerState(
        id=attributes["Id"],
        name=attributes["Name"].lstrip("/"),
        image=(config.get("Labels") or {}).get(IMAGE, config["Image"]),
        image_id=attributes["Image"],
        status=state["Status"],
        exit_code=state["ExitCode"],
        oom_killed=bool(state["OOMKilled"]),
        error=state["Error"],
        memory_limit_bytes=attributes["HostConfig"].get("Memory") or 0,
        started_at_s=_seconds(state["StartedAt"]),
        finished_at_s=_seconds(state["FinishedAt"]),
        labels=config.get("Labels") or {},
        restarts=attributes.get("RestartCount") or 0,
    )


def _seconds(timestamp: str) -> float:
    """Return one of Docker's nanosecond timestamps in seconds since the epoch, and 0 for 0001-01-01 ("never")."""
    if timestamp.startswith("0001"):
        return 0.0
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
