"""What runs in the fake engine's containers: images of Python programs, and the process that each program sees."""

import errno
import hashlib
import os
from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from drayage.engine import ContainerSpec, Mount, Stream
from drayage.secrets import SECRETS_DIRECTORY

# The process id of a program under an init, which is process 1.
_PID_UNDER_INIT = 7

Program = Callable[["Process"], Generator[None, str, int] | int]
"""A command: does its work and returns an exit code.

A function runs to its end at once; a generator pauses at each ``yield``, which returns the next signal that it handles.
"""


@dataclass(frozen=True)
class FakeImage:
    """An image whose programs are Python.

    Args:
        programs: The commands, by their first word.
        command: Default command of a container.
        environment: Environment variables.
        files: Contents of the files by absolute path.
    """

    programs: Mapping[str, Program] = field(default_factory=dict)
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Content address; programs count by their names."""
        content = (
            sorted(self.programs),
            list(self.command),
            sorted(self.environment.items()),
            sorted(self.files.items()),
        )
        return f"sha256:{hashlib.sha256(repr(content).encode()).hexdigest()}"


class Process:
    """What a program sees of its container.

    Args:
        arguments: The command's words.
        spec: The container's specification.
        image: Its image.
        emit: Writes to one of its two streams.

    Attributes:
        handled: The signals that it handles.
        memory_bytes: The memory that it uses.
        cpu_s: The CPU time that it has used, in seconds.
        secrets: The files under ``/run/secrets``, while it runs.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        spec: ContainerSpec,
        image: FakeImage,
        emit: Callable[[Stream, bytes], None],
    ) -> None:
        self.arguments = list(arguments)
        self.spec = spec
        self.environment = {**image.environment, **spec.environment}
        self.pid = _PID_UNDER_INIT if spec.init else 1
        self.emit = emit
        self.handled: set[str] = set()
        self.memory_bytes = 0
        self.cpu_s = 0.0
        self.secrets: dict[str, bytes] = {}
        self._root = dict(image.files)
        self._scratch: dict[str, dict[str, bytes]] = {}

    def handle(self, *signals: str) -> None:
        """Receive these signals at each ``yield``, in place of their default action."""
        self.handled.update(signals)

    def use(self, *, memory_bytes: int = 0, cpu_s: float = 0.0) -> None:
        """Use memory for the rest of its life, and CPU time.

        Raises:
            OutOfMemoryError: The memory limit is exceeded; ends the container as the kernel would.
        """
        self.memory_bytes += memory_bytes
        self.cpu_s += cpu_s
        if self.spec.memory_bytes is not None and self.memory_bytes > self.spec.memory_bytes:
            raise OutOfMemoryError

    def read(self, path: str) -> bytes:
        """Read a file.

        Raises:
            OSError: It does not exist.
        """
        files, name, _ = self._find(path)
        try:
            return files[name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path) from None

    def write(self, path: str, content: bytes) -> None:
        """Write a whole file.

        Raises:
            OSError: Its file system is read-only or full.
        """
        files, name, mount = self._find(path)
        if files is self.secrets:
            raise OSError(errno.EROFS, "Read-only file system", path)
        if self.spec.read_only_root if mount is None else mount.read_only and mount.kind != "tmpfs":
            raise OSError(errno.EROFS, "Read-only file system", path)
        if mount is not None and mount.kind == "tmpfs" and mount.size_bytes:
            others = sum(len(file) for other, file in files.items() if other != name)
            if others + len(content) > mount.size_bytes:
                raise OSError(errno.ENOSPC, "No space left on device", path)
        files[name] = content

    def list(self, folder: str) -> list[str]:
        """Return the sorted paths of the files in a folder."""
        files, name, _ = self._find(folder)
        return sorted(f"{folder}/{file}" for file in files if PurePosixPath(file).parent == PurePosixPath(name))

    def _find(self, path: str) -> tuple[MutableMapping[str, bytes], str, Mount | None]:
        """Return the files of the innermost mount around a path, the path's name in it, and the mount."""
        holding = [mount for mount in self.spec.mounts if PurePosixPath(path).is_relative_to(mount.target)]
        mount = max(holding, key=lambda it: len(PurePosixPath(it.target).parts), default=None)
        if PurePosixPath(path).is_relative_to(SECRETS_DIRECTORY):
            return self.secrets, str(PurePosixPath(path).relative_to(SECRETS_DIRECTORY)), None
        if mount is None:
            return self._root, path, None
        name = str(PurePosixPath(path).relative_to(mount.target))
        if mount.kind in {"tmpfs", "volume"}:
            return self._scratch.setdefault(mount.target, {}), name, mount
        return _Directory(Path(mount.source)), name, mount


class OutOfMemoryError(Exception):
    """The kernel killed the program for lack of memory."""


class _Directory(MutableMapping[str, bytes]):
    """The real files of a bind mount."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __getitem__(self, name: str) -> bytes:
        file = self._path / name
        if not file.is_file():
            raise KeyError(name)
        return file.read_bytes()

    def __setitem__(self, name: str, content: bytes) -> None:
        # Never shorter in between: the host reads while a program appends, and takes a truncated file for an attack.
        with os.fdopen(os.open(self._path / name, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
            file.write(content)
            file.truncate()

    def __delitem__(self, name: str) -> None:
        (self._path / name).unlink()

    def __iter__(self) -> Iterator[str]:
        return (str(file.relative_to(self._path)) for file in self._path.rglob("*") if file.is_file())

    def __len__(self) -> int:
        return sum(1 for _ in self)
