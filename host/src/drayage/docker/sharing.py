"""Finds out whether the engine has the files of this process: then containers get files, else a relay brings bytes.

It is tried out, once for an engine and an exchange root: an address tells nothing. A socket may lead to another
machine, and a TCP port to this one.
"""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import docker
from docker.constants import DEFAULT_UNIX_SOCKET

from drayage.docker.address import find_address
from drayage.docker.errors import engine_errors
from drayage.docker.files import sees
from drayage.errors import EngineError, ExchangeError, ImageMissingError
from drayage.identity import DEPLOYMENT, INSTANCE, RUN
from drayage.mailbox import ENGINES
from drayage.strangers import remedy, write_whole

_SHARED, _APART = b"shared\n", b"apart\n"


class Sharing:
    """What one engine sees of this process's files.

    Args:
        client: Returns the client of the engine.
        own_container: Returns the engine's description of the container that this process runs in, if any.
    """

    def __init__(
        self, client: Callable[[], docker.DockerClient], own_container: Callable[[], Mapping[str, Any] | None]
    ) -> None:
        self._client = client
        self._own_container = own_container
        self._known: dict[Path, bool] = {}
        self._lock = Lock()

    def sees(self, root: Path, labels: Mapping[str, str]) -> bool:
        """Return whether the engine has the files below an exchange root.

        Args:
            root: The exchange root.
            labels: Labels of the attempt that asks, if one does.

        Raises:
            EngineError: The engine does not answer, or has no image to try it with.
            ExchangeError: Nothing can be written there; or this process runs in a container of the engine, which has
                no volume there.
        """
        with self._lock:
            if root not in self._known:
                try:
                    self._known[root] = self._find_out(root, labels)
                except OSError as error:
                    raise ExchangeError(
                        f"{root} cannot be written: {error.strerror}. {remedy(error)}, and run the step again."
                    ) from error
            return self._known[root]

    def _find_out(self, root: Path, labels: Mapping[str, str]) -> bool:
        folder = root / ENGINES
        folder.mkdir(mode=0o700, exist_ok=True)
        # The device too: another disk may have been mounted there since.
        status = folder.stat()
        key = f"{self._id()}\n{status.st_dev}:{status.st_ino}"
        kept = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
        if kept.is_file() and (found := kept.read_bytes()) in (_SHARED, _APART):
            return found == _SHARED
        is_shared = shares(self._client(), self._own_container(), folder, labels)
        write_whole(kept, _SHARED if is_shared else _APART, mode=0o600)
        return is_shared

    def _id(self) -> str:
        """Return what tells the engine from others."""
        url = find_address().url or DEFAULT_UNIX_SOCKET
        with engine_errors("describe itself"):
            if "unix://" in url:
                # A socket is made when an engine starts. Its own id is slow to come: 10 ms, and 500 under load.
                status = Path(url.partition("unix://")[2]).stat()
                return f"{url} {status.st_dev}:{status.st_ino}:{status.st_mtime_ns}"
            return str(self._client().api.info()["ID"])


def shares(client: docker.DockerClient, own: Mapping[str, Any] | None, folder: Path, labels: Mapping[str, str]) -> bool:
    """Try out whether the engine has the files of a folder, without running anything.

    Args:
        client: Client of the engine.
        own: The engine's description of the container that this process runs in, if any.
        folder: The folder, in which a file may be written.
        labels: Labels of the attempt that asks, if one does.

    Raises:
        EngineError: The engine does not answer, or has no image to try it with.
        ExchangeError: This process runs in a container of the engine, which has no volume there.
        OSError: Nothing can be written there.
    """
    with engine_errors("list its images"):
        images = client.api.images(quiet=True)
    # Whose run it is, for the sweeper; not which step, since no retry may take it for that step's container.
    found_by = {name: labels[name] for name in (DEPLOYMENT, INSTANCE, RUN) if name in labels}
    probe, content = folder / f"probe-{uuid.uuid4().hex}", os.urandom(16)
    probe.write_bytes(content)
    try:
        for image in images:
            # Another process may have removed it since they were listed.
            with contextlib.suppress(ImageMissingError):
                return sees(client, own, image, probe, content, labels=found_by)
    finally:
        probe.unlink()
    raise EngineError(
        "The engine has no image, so it cannot be tried out whether it sees this machine's files. Build or pull one."
    )
