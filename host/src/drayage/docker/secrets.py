"""Puts secrets into a volume in memory, which loses its content as soon as no container holds it.

The volume has no name of its own: the engine removes it together with the last container that has it.
"""

import contextlib
import io
import tarfile
import time
from collections.abc import Iterator, Mapping
from queue import SimpleQueue
from threading import Thread

import docker

from drayage.docker.errors import engine_errors
from drayage.errors import ContainerGoneError, EngineError
from drayage.identity import EXCHANGE
from drayage.secrets import SECRETS_DIRECTORY

_FILL_DEADLINE_S = 30.0
_PROBE_INTERVAL_S = 0.02


class HeldSecrets:
    """The secrets of a container that is about to start.

    A second container that is never started has the same volume, and an unfinished archive is being streamed into it.

    Args:
        client: Client of the engine.
        container_id: Id of a created container that has a volume for its secrets.
        files: Contents by file name; readable to every user id.

    Raises:
        EngineError: The engine refuses the second container.
    """

    def __init__(self, client: docker.DockerClient, container_id: str, files: Mapping[str, bytes]) -> None:
        self._client = client
        self._owner_id = container_id
        self._files = files
        self._chunks: SimpleQueue[bytes | None] = SimpleQueue()
        self._error: BaseException | None = None
        with engine_errors(f"create a container that holds the secrets of container {container_id[:12]}"):
            owner = client.api.inspect_container(container_id)
            self._container = client.api.create_container(
                owner["Image"],
                command=["-"],
                entrypoint=["-"],
                # The owner's labels let the sweeper find it if this process is killed. It has no attempt of its own.
                labels={name: value for name, value in owner["Config"]["Labels"].items() if name != EXCHANGE},
                host_config=client.api.create_host_config(volumes_from=[container_id]),
            )["Id"]
        self._chunks.put(_tar(files))
        self._thread = Thread(target=self._stream, name="drayage-secrets", daemon=True)
        self._thread.start()

    def wait_until_seen(self) -> None:
        """Poll until the engine shows every file at its full size.

        Raises:
            EngineError: The files did not arrive within 30 s.
        """
        deadline = time.monotonic() + _FILL_DEADLINE_S
        missing = set(self._files)
        while missing:
            if self._error is not None:
                raise EngineError(f"The engine did not accept the secrets: {self._error}") from self._error
            for name in list(missing):
                with contextlib.suppress(ContainerGoneError), engine_errors(f"inspect secret {name}"):
                    chunks, stat = self._client.api.get_archive(self._owner_id, f"{SECRETS_DIRECTORY}/{name}")
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
