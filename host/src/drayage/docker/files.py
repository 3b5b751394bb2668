"""Reads files out of images, and translates paths to the engine's own."""

import contextlib
import io
import logging
import re
import socket
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import docker
import docker.errors
import docker.types

from drayage.docker.errors import engine_errors
from drayage.errors import ContainerGoneError, EngineError, ExchangeError

_log = logging.getLogger(__name__)

_NO_SOURCE = "bind source path does not exist"
# Docker mounts these files of its own over those of every container. Other mounts may name a container too: a host that
# is in none sees the shared memory of those whose IPC is shareable.
_OWN_FILE = re.compile(r"/containers/([0-9a-f]{64})/\S+ /etc/(?:hostname|hosts|resolv\.conf) ")


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
    with never_started(client, image, doing=f"create a container of image {image!r}") as container:
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


@contextlib.contextmanager
def never_started(client: docker.DockerClient, image: str, *, doing: str, **arguments: Any) -> Iterator[str]:
    """Yield the id of a container that is only looked into; what was found holds even if it cannot be removed.

    Args:
        client: Client of the engine.
        image: Name or id of the image.
        doing: What the container is for, such as "search image 'x'", for the error if the engine refuses it.
        arguments: docker-py's, for creating the container.

    Raises:
        EngineError: The engine has no such image, or refuses the container.
    """
    with engine_errors(doing):
        # Without a command, the engine creates no container from an image that has none.
        container = client.api.create_container(image, command=["-"], entrypoint=["-"], **arguments)["Id"]
    try:
        yield container
    finally:
        try:
            with contextlib.suppress(ContainerGoneError), engine_errors(f"remove container {container[:12]}"):
                client.api.remove_container(container, force=True, v=True)
        except EngineError as error:
            _log.warning("a container that was never started stays behind; `docker rm %s`: %s", container[:12], error)


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


def sees(
    client: docker.DockerClient,
    own: Mapping[str, Any] | None,
    image: str,
    path: Path,
    content: bytes,
    *,
    labels: Mapping[str, str],
) -> bool:
    """Return whether the engine finds a file of this machine at its path, without running anything.

    Args:
        client: Client of the engine.
        own: The engine's description of the container that this process runs in; None outside a container.
        image: Any image that the engine has.
        path: The file, as this process sees it.
        content: What it holds.
        labels: Labels by which the sweeper finds the container that it is looked for with, should it stay behind.

    Raises:
        ImageMissingError: The engine does not have the image, or not any more.
        EngineError: The engine refuses the container that it is looked for with.
        ExchangeError: This process runs in a container of the engine, and the file is on none of its mounts.
    """
    source = host_path(own, path.parent)
    mount = docker.types.Mount(target="/probe", source=source, type="bind", read_only=True)
    with engine_errors(f"mount {source}"), contextlib.ExitStack() as stack:
        host = client.api.create_host_config(mounts=[mount])
        probe = never_started(client, image, doing=f"mount {source}", host_config=host, labels=dict(labels))
        try:
            container = stack.enter_context(probe)
        except EngineError as error:
            if _NO_SOURCE in str(error):
                return False
            raise
        try:
            chunks, _ = client.api.get_archive(container, f"/probe/{path.name}")
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
                file = tar.extractfile(path.name)
                return file is not None and file.read() == content
        except docker.errors.NotFound:
            return False


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
