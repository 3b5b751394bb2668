"""Puts secrets into a volume in memory, which loses its content as soon as no container holds it.

A container that is never started has the volume, and the step's own takes it from there, read-only. The volume has no
name of its own: the engine removes it together with the last container that has it.
"""

import contextlib
import io
import tarfile
import time
from collections.abc import Iterator, Mapping
from queue import SimpleQueue
from threading import Thread

import docker
import docker.types

from drayage.docker.errors import engine_errors
from drayage.engine import ContainerSpec
from drayage.errors import ContainerGoneError, EngineError
from drayage.identity import EXCHANGE, MAILBOX
from drayage.secrets import SECRETS_DIRECTORY

_OVERHEAD_BYTES = 2**20
_FILL_DEADLINE_S = 30.0
_PROBE_INTERVAL_S = 0.02


class HeldSecrets:
    """The secrets of a container that is about to start, in a second container that is never started.

    Args:
        client: Client of the engine.
        spec: The specification of the container that gets the secrets.

    Raises:
        EngineError: The engine refuses the second container.
    """

    def __init__(self, client: docker.DockerClient, spec: ContainerSpec) -> None:
        self._client = client
        self._files = spec.secrets
        self._chunks: SimpleQueue[bytes | None] = SimpleQueue()
        self._error: BaseException | None = None
        self._thread: Thread | None = None
        size_bytes = 2 * sum(map(len, self._files.values())) + _OVERHEAD_BYTES
        # The owner's labels let the sweeper find both if this process is killed. The container has no attempt, and no
        # mailbox: it would be taken for a relay.
        labels = {name: value for name, value in spec.labels.items() if name not in {EXCHANGE, MAILBOX}}
        volume = docker.types.Mount(
            target=SECRETS_DIRECTORY,
            source=None,
            type="volume",
            no_copy=True,
            labels=labels,
            driver_config=docker.types.DriverConfig(
                "local",
                {"type": "tmpfs", "device": "tmpfs", "o": f"size={size_bytes},mode=0755,nosuid,nodev,noexec"},
            ),
        )
        with engine_errors(f"create a container of image {spec.image!r} that holds secrets"):
            self._container = client.api.create_container(
                spec.image,
                command=["-"],
                entrypoint=["-"],
                labels=labels,
                host_config=client.api.create_host_config(mounts=[volume]),
            )["Id"]

    @property
    def volumes_from(self) -> str:
        """What the container that gets the secrets takes its volume from, in the engine's words."""
        return f"{self._container}:ro"

    def fill(self, container_id: str) -> None:
        """Write the secrets, and wait until the container that gets them has them.

        Args:
            container_id: Id of that container, which is created and not started.

        Raises:
            EngineError: They did not arrive within 30 s.
        """
        self._chunks.put(_tar(self._files))
        self._thread = Thread(target=self._stream, name="drayage-secrets", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + _FILL_DEADLINE_S
        missing = set(self._files)
        while missing:
            if self._error is not None:
                raise EngineError(f"The engine did not accept the secrets: {self._error}") from self._error
            for name in list(missing):
                with contextlib.suppress(ContainerGoneError), engine_errors(f"inspect secret {name}"):
                    chunks, stat = self._client.api.get_archive(container_id, f"{SECRETS_DIRECTORY}/{name}")
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
        """End the stream, and remove the second container."""
        self._chunks.put(bytes(2 * tarfile.BLOCKSIZE))
        self._chunks.put(None)
        if self._thread is not None:
            self._thread.join(_FILL_DEADLINE_S)
        with contextlib.suppress(ContainerGoneError), engine_errors(f"remove container {self._container[:12]}"):
            self._client.api.remove_container(self._container, force=True, v=True)

    def _stream(self) -> None:
        try:
            # This request stays open until `release`, while the engine answers others.
            self._client.api.put_archive(self._container, SECRETS_DIRECTORY, self._body())
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
