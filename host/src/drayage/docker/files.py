"""Reads files out of images, fills memory-backed volumes, and translates paths to the engine's own."""

import contextlib
import io
import re
import socket
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from queue import SimpleQueue
from threading import Thread
from typing import Any

import docker
import docker.errors
import docker.types

from drayage.docker.errors import engine_errors
from drayage.engine import MemoryVolumeHold
from drayage.errors import ContainerGoneError, EngineError, ExchangeError
from drayage.identity import EXCHANGE

# Docker mounts these files of its own over those of every container. Other mounts may name a container too: a host that
# is in none sees the shared memory of those whose IPC is shareable.
_OWN_FILE = re.compile(r"/containers/([0-9a-f]{64})/\S+ /etc/(?:hostname|hosts|resolv\.conf) ")
_FILL_DEADLINE_S = 30.0
_PROBE_INTERVAL_S = 0.02


def read_file(client: docker.DockerClient, image: str, path: str) -> bytes:
    """Read one file out of an image, through a container that is created, never started, and removed again.

    Args:
        client: Client of the engine.
        image: Name or id of the image.
        path: Absolute path in the image.

    Returns:
        The file's content.

    Raises:
        EngineError: The image or the file does not exist, or the path is not that of a regular file.
    """
    with engine_errors(f"create a container of image {image!r}"):
        container = client.api.create_container(image, command=["-"], entrypoint=["-"])["Id"]
    try:
        try:
            with engine_errors(f"read {path} in image {image!r}"):
                chunks, _ = client.api.get_archive(container, path)
                archive = b"".join(chunks)
        except ContainerGoneError as error:
            raise EngineError(f"Image {image!r} has no file {path}. Rebuild the image, or correct the path.") from error
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            member = next(iter(tar), None)
            file = tar.extractfile(member) if member is not None and member.isfile() else None
            if file is None:
                raise EngineError(f"{path} in image {image!r} is not a regular file. Correct the path.")
            return file.read()
    finally:
        with contextlib.suppress(ContainerGoneError), engine_errors(f"remove container {container[:12]}"):
            client.api.remove_container(container, force=True, v=True)


def host_path(container: Mapping[str, Any] | None, path: Path) -> str:
    """Return the engine's own path for a directory of this process.

    If this process itself runs in a container, the engine does not know the path. It is then resolved through that
    container's mounts; for a named volume, to the volume's mount point.

    Args:
        container: The engine's description of the container that this process runs in; None outside a container.
        path: Absolute path as this process sees it.

    Raises:
        ExchangeError: This process runs in a container of the engine, and the path is not on any of its mounts.
    """
    if container is None:
        return str(path)
    mounts = [(PurePosixPath(mount["Destination"]), mount["Source"]) for mount in container["Mounts"]]
    holding = [(target, source) for target, source in mounts if path.is_relative_to(target)]
    if not holding:
        raise ExchangeError(
            f"{path} exists only inside this container ({container['Id'][:12]}), so the engine cannot mount it into "
            "another one. Put the exchange root on a named volume, and set DRAYAGE_EXCHANGE_ROOT to its mount target."
        )
    target, source = max(holding, key=lambda mount: len(mount[0].parts))
    return str(PurePosixPath(source) / path.relative_to(target))


def own_container_ids(mountinfo: str) -> list[str]:
    """Return the ids of the containers that a process may be running in, from its list of mounts.

    Args:
        mountinfo: The content of ``/proc/self/mountinfo``. *Source*: proc(5).
    """
    return list(dict.fromkeys(_OWN_FILE.findall(mountinfo)))


def find_own_container(client: docker.DockerClient) -> Mapping[str, Any] | None:
    """Return the engine's description of the container that this process runs in.

    Args:
        client: Client of the engine.

    Returns:
        The description; None if this process does not run in a container of this engine.
    """
    candidates = []
    with contextlib.suppress(OSError):
        candidates += own_container_ids(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    if Path("/.dockerenv").exists():
        candidates.append(socket.gethostname())
    for candidate in dict.fromkeys(candidates):
        # An engine that runs inside this same container does not know the container, but shares its paths.
        with contextlib.suppress(ContainerGoneError), engine_errors("inspect this process's own container"):
            attributes: Mapping[str, Any] = client.api.inspect_container(candidate)
            return attributes
    return None


def fill_memory_volume(
    client: docker.DockerClient, volume: str, *, files: Mapping[str, bytes], probe_id: str, target: str
) -> MemoryVolumeHold:
    """Write files into a memory-backed volume without running anything, and keep them there.

    A memory-backed volume loses its content as soon as no container holds it. The files are therefore streamed, as an
    archive, into a container that is never started, and the stream stays open until the step's own container holds
    the volume too.

    Args:
        client: Client of the engine.
        volume: Name of the volume.
        files: Contents by file name; readable to every user id.
        probe_id: A created container that mounts the volume, used to check that the files are complete.
        target: Where that container mounts the volume.

    Returns:
        The hold on the volume; release it once the step's container has started.

    Raises:
        EngineError: The files did not arrive within 30 s.
    """
    with engine_errors(f"inspect container {probe_id[:12]}"):
        probe = client.api.inspect_container(probe_id)
    hold = _Hold(client, volume, files, probe)
    try:
        hold.wait_until_seen(probe_id, target)
    except BaseException:
        hold.release()
        raise
    return hold


class _Hold:
    """A container that is never started, into which an unfinished archive is being streamed."""

    def __init__(
        self, client: docker.DockerClient, volume: str, files: Mapping[str, bytes], probe: Mapping[str, Any]
    ) -> None:
        self._client = client
        self._files = files
        self._chunks: SimpleQueue[bytes | None] = SimpleQueue()
        self._error: BaseException | None = None
        with engine_errors(f"create a container that fills volume {volume}"):
            self._container = client.api.create_container(
                probe["Image"],
                command=["-"],
                entrypoint=["-"],
                # The owner's labels let the sweeper find it if this process is killed. It has no attempt of its own.
                labels={name: value for name, value in probe["Config"]["Labels"].items() if name != EXCHANGE},
                host_config=client.api.create_host_config(
                    mounts=[docker.types.Mount(target="/fill", source=volume, type="volume")]
                ),
            )["Id"]
        self._chunks.put(_tar(files))
        self._thread = Thread(target=self._stream, name="drayage-secrets", daemon=True)
        self._thread.start()

    def wait_until_seen(self, probe_id: str, target: str) -> None:
        """Poll until the engine shows every file at its full size."""
        deadline = time.monotonic() + _FILL_DEADLINE_S
        missing = set(self._files)
        while missing:
            if self._error is not None:
                raise EngineError(f"The engine did not accept the secrets: {self._error}") from self._error
            for name in list(missing):
                with contextlib.suppress(ContainerGoneError), engine_errors(f"inspect secret {name}"):
                    chunks, stat = self._client.api.get_archive(probe_id, f"{target}/{name}")
                    chunks.close()
                    if stat["size"] == len(self._files[name]):
                        missing.discard(name)
            if missing and time.monotonic() > deadline:
                raise EngineError(
                    f"The secrets {', '.join(sorted(missing))} did not arrive in the container within "
                    f"{_FILL_DEADLINE_S:.0f} s. Check the engine's own log."
                )
            if missing:
                self._thread.join(_PROBE_INTERVAL_S)

    def release(self) -> None:
        """End the stream, and remove its container."""
        self._chunks.put(bytes(2 * tarfile.BLOCKSIZE))
        self._chunks.put(None)
        self._thread.join(_FILL_DEADLINE_S)
        with contextlib.suppress(ContainerGoneError), engine_errors(f"remove container {self._container[:12]}"):
            self._client.api.remove_container(self._container, force=True, v=False)

    def _stream(self) -> None:
        try:
            # This request stays open until the hold is released, while the engine answers others.
            self._client.api.put_archive(self._container, "/fill", self._body())
        except Exception as error:  # noqa: BLE001 - handed to the waiting thread, which raises it
            self._error = error

    def _body(self) -> Iterator[bytes]:
        while (chunk := self._chunks.get()) is not None:
            yield chunk


def _tar(files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive without its end-of-archive blocks."""
    blocks = io.BytesIO()
    for name, content in files.items():
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o444
        blocks.write(member.tobuf())
        blocks.write(content)
        blocks.write(bytes(-len(content) % tarfile.BLOCKSIZE))
    return blocks.getvalue()
