"""The relay's container on an engine that shares no files with this process, and the volume that it holds.

The volume has what a step's container gets as two files, mounted one by one from the engine's own path of it: a mount
point cannot be removed or replaced, so that a workload can do no more there than with files of this machine.
"""

import contextlib
import hashlib
import io
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import docker
import docker.errors
import docker.types
import requests
from docker.utils import decode_json_header

from drayage.docker.errors import engine_errors
from drayage.docker.stream import Body, frames, upgraded
from drayage.errors import ContainerGoneError, EngineError, ImageMissingError
from drayage.identity import EXCHANGE, MAILBOX, own_labels
from drayage.mailbox import MESSAGES_FILE, WORKLOAD_FOLDER, WORKLOAD_MESSAGES, relay_image

_PROGRAM = "/relay"
_MEMORY_BYTES = 32 * 2**20
_MOST_PROCESSES = 64
# The relay gives a sign of life whenever it had nothing to say for this long.
_BEAT_S = 10
_SILENCE_S = 3.5 * _BEAT_S
_REMOVAL_DEADLINE_S = 10.0
_POLL_S = 0.1


@dataclass(frozen=True)
class Reading:
    """A relay's output from an offset on.

    Args:
        body: The output: the messages on one stream, signs of life and errors on the other.
        offset: The offset in the messages of its first byte.
        process: Id of the process that writes it; None is the container's own.
    """

    body: Body
    offset: int
    process: str | None


def mailbox_name(labels: Mapping[str, str]) -> str:
    """Return the name of a mailbox's volume and relay, always the same for the same attempt.

    Args:
        labels: The labels of the container that the mailbox belongs to.
    """
    said = "\n".join(f"{name}={value}" for name, value in sorted(own_labels(labels).items()))
    return f"drayage-{hashlib.sha256(said.encode()).hexdigest()[:24]}"


def is_relay(labels: Mapping[str, str]) -> bool:
    """Return whether a container is a relay, by its labels: it has a mailbox, and no attempt of its own."""
    return MAILBOX in labels and EXCHANGE not in labels


class Relay:
    """The relay of one mailbox.

    Every method raises :class:`drayage.errors.EngineError` if the engine refuses or does not answer.

    Args:
        client: Client of the engine.
        labels: The labels of the container that the mailbox belongs to.
    """

    def __init__(self, client: docker.DockerClient, labels: Mapping[str, str]) -> None:
        self._client = client
        self._api: Any = client.api
        self.name = mailbox_name(labels)
        # The owner's labels let the sweeper find both if this process is killed. The relay has no attempt.
        own = {name: value for name, value in own_labels(labels).items() if name != EXCHANGE}
        self._labels = {**own, MAILBOX: self.name}
        self._is_new = False

    def create_volume(self) -> str:
        """Create the volume, and return the engine's own path of it."""
        with engine_errors("create a volume for messages"):
            return str(self._api.create_volume(self.name, driver="local", labels=self._labels)["Mountpoint"])

    def create(self) -> None:
        """Create the container."""
        image = relay_image()
        mount = docker.types.Mount(
            target=WORKLOAD_FOLDER,
            source=self.name,
            type="volume",
            no_copy=True,
            labels=self._labels,
            driver_config=docker.types.DriverConfig("local"),
        )
        try:
            with engine_errors(f"create a container of image {image!r}"):
                self._api.create_container(
                    image,
                    command=["read", MESSAGES_FILE, "--from", "0", "--follow", "--beat", f"{_BEAT_S}s"],
                    name=self.name,
                    labels=self._labels,
                    # The engine writes the files as root; without capabilities, that is the user who may read them.
                    user="0:0",
                    host_config=self._api.create_host_config(
                        mounts=[mount],
                        network_mode="none",
                        log_config=docker.types.LogConfig(type="none"),
                        mem_limit=_MEMORY_BYTES,
                        memswap_limit=_MEMORY_BYTES,
                        pids_limit=_MOST_PROCESSES,
                        cap_drop=["ALL"],
                        security_opt=["no-new-privileges"],
                        read_only=True,
                    ),
                )
        except ImageMissingError as error:
            raise ImageMissingError(
                f"The engine shares no files with this machine, so it needs the relay, and has no image {image!r}. "
                f"Build it (`docker build -t {image} relay`) or push it to where the engine can pull it, and set "
                "DRAYAGE_RELAY_IMAGE if it has another name there."
            ) from error
        self._is_new = True

    def start(self) -> None:
        """Start the container; do nothing if it runs."""
        with engine_errors(f"start the relay {self.name}"):
            self._api.start(self.name)

    def put(self, *members: tuple[str, bytes | None, int]) -> None:
        """Put files into the volume, each of which appears whole.

        Args:
            members: Name, content and permissions of each; None makes a named pipe.
        """
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, content, mode in members:
                member = tarfile.TarInfo(name)
                member.mode = mode
                if content is None:
                    member.type = tarfile.FIFOTYPE
                member.size = len(content or b"")
                tar.addfile(member, io.BytesIO(content or b""))
        with engine_errors(f"put files into the volume {self.name}"):
            self._api.put_archive(self.name, WORKLOAD_FOLDER, archive.getvalue())

    def give(self, name: str, content: bytes) -> str:
        """Put a file in the place of a named pipe, and write it to whoever waits there; return what was said."""
        # Silent as long as its reader reads nothing.
        body, _ = self._execute([_PROGRAM, "give", name, "--size", str(len(content))], silence_s=None)
        try:
            body.send(content)
            said = [chunk for whole in frames(body.parts()) for stream, chunk in whole if stream == "stderr"]
        finally:
            body.close()
        return b"".join(said).decode(errors="replace")

    def read(self, offset: int) -> Reading:
        """Read the messages from an offset on, whether the relay runs or not."""
        is_new, self._is_new = self._is_new, False
        if not is_new and self.state()["Running"]:
            # What its first program wrote, from the first byte on, may have gone to a process that was killed. A second
            # one in the same container: a new container would take ten times as long.
            command = [_PROGRAM, "read", MESSAGES_FILE, "--from", str(offset), "--follow", "--beat", f"{_BEAT_S}s"]
            body, process = self._execute(command, silence_s=_SILENCE_S)
            return Reading(body, offset, process)
        with engine_errors(f"attach to the relay {self.name}"):
            wanted = {"stdout": 1, "stderr": 1, "stream": 1}
            path = "/containers/{0}/attach"
            body = upgraded(self._api, path, self.name, params=wanted, silence_s=_SILENCE_S)
        try:
            self.start()
        except BaseException:
            body.close()
            raise
        return Reading(body, 0, None)

    def exit_code(self, reading: Reading) -> int | None:
        """Return the exit code of the program that wrote an output; None while it runs."""
        if reading.process is None:
            state = self.state()
            return None if state["Running"] else int(state["ExitCode"])
        with engine_errors(f"inspect a program in the relay {self.name}"):
            found = self._api.exec_inspect(reading.process)
        return None if found["Running"] else int(found["ExitCode"])

    def exists(self) -> bool:
        """Return whether the engine has it."""
        try:
            self.state()
        except ContainerGoneError:
            return False
        return True

    def serves(self) -> bool:
        """Return whether there is a container that the mailbox belongs to."""
        with engine_errors("list containers"):
            found = self._api.containers(all=True, filters={"label": f"{MAILBOX}={self.name}"})
        return any(not is_relay(entry["Labels"]) for entry in found)

    def state(self) -> Mapping[str, Any]:
        """Return the engine's description of what it does."""
        with engine_errors(f"inspect the relay {self.name}"):
            state: Mapping[str, Any] = self._api.inspect_container(self.name)["State"]
            return state

    def size_bytes(self) -> int:
        """Return the size of the messages, without reading them."""
        with engine_errors(f"measure the messages in the volume {self.name}"):
            url = self._api._url("/containers/{0}/archive", self.name)  # noqa: SLF001 - docker-py has no HEAD
            response = self._api.head(url, params={"path": WORKLOAD_MESSAGES}, timeout=self._api.timeout)
            self._api._raise_for_status(response)  # noqa: SLF001
            return int(decode_json_header(response.headers["X-Docker-Container-Path-Stat"])["size"])

    def end(self) -> None:
        """End the container, and keep it with its volume."""
        with contextlib.suppress(EngineError), engine_errors(f"end the relay {self.name}"):
            self._api.kill(self.name, "SIGTERM")

    def _execute(self, command: list[str], *, silence_s: float | None) -> tuple[Body, str]:
        with engine_errors(f"run a program in the relay {self.name}"):
            # Its standard input ends with the connection, and it with that.
            process = self._api.exec_create(self.name, command, stdin=True)["Id"]
            streams = {"Tty": False, "Detach": False}
            return upgraded(self._api, "/exec/{0}/start", process, json=streams, silence_s=silence_s), str(process)


def remove_mailbox(client: docker.DockerClient, name: str) -> None:
    """Remove a relay and its volume; do nothing if they are gone.

    Args:
        client: Client of the engine.
        name: Their name.

    Raises:
        EngineError: The engine refuses, or does not answer.
    """
    with contextlib.suppress(ContainerGoneError), engine_errors(f"remove the relay {name}"):
        _remove(lambda: client.api.remove_container(name, force=True, v=True))
    with contextlib.suppress(ContainerGoneError), engine_errors(f"remove the volume {name}"):
        _remove(lambda: client.api.remove_volume(name, force=True))


def _remove(remove: Callable[[], object]) -> None:
    """Remove something, and wait for whoever is removing it already, or the container that still has it."""
    deadline = time.monotonic() + _REMOVAL_DEADLINE_S
    while True:
        try:
            remove()
        except docker.errors.APIError as error:
            if error.status_code != requests.codes.conflict or time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)
        else:
            return
