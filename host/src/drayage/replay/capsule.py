"""Writes and opens capsules: one attempt of a step in a file, without secrets, to be replayed elsewhere.

A capsule that is opened is a stranger's file. Nothing in it decides where anything is written, how much is read, or how
long that takes; what it would do to this machine, ``consent.py`` asks about.
"""

import contextlib
import functools
import gzip
import io
import json
import os
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from drayage.errors import ExchangeError
from drayage.exchange.directory import Exchange
from drayage.exchange.history import PastAttempt, read_step, require_record
from drayage.exchange.record import CONTAINER_FILE, VERDICT_FILE, ContainerRecord, versions
from drayage.redaction import Redactor
from drayage.replay.prepare import redactor
from drayage.strangers import open_regular

_FORMAT = 1
_VERSIONS = "versions.json"
_CONTEXT = "io/context.json"
_LONGEST_BYTES: Mapping[str, int] = {_VERSIONS: 2**16, CONTAINER_FILE: 2**22, _CONTEXT: 2**24}
"""What a replay reads of a capsule, and how large each may be."""
_OTHERS = ("io/messages.jsonl", "stdout.log", "stderr.log", VERDICT_FILE)
_WHOLE_BYTES = 2**31
_LINE_BYTES = 2**20
# `tarfile` reads long names and extended headers at once, whatever size they claim, and keeps them.
_PIECE_BYTES = 2**14
# Longer ones cannot be passed to a program. Source: MAX_ARG_STRLEN, execve(2).
_LONGEST_VARIABLE = 2**17
_UNREADABLE = (tarfile.TarError, zlib.error, OSError, EOFError, ValueError, RecursionError)


def write_capsule(step: PastAttempt, path: Path) -> None:
    """Write a step's context, messages, logs and records to a file that only its owner may read.

    Args:
        step: The step.
        path: Path of the file; the file appears whole or not at all.

    Raises:
        DrayageError: The step has no container yet, its secrets cannot be read here, it is too large for a capsule, or
            the file cannot be written.
    """
    require_record(step)
    redact = redactor(step)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    about = {"format": _FORMAT, "run": step.run_id, "step": step.step, "written_with": versions()}
    try:
        with temporary.open("xb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
            temporary.chmod(0o600)
            room = _add(tar, _VERSIONS, [json.dumps(about, indent=2).encode()], _WHOLE_BYTES)
            for name in (_CONTEXT, *_OTHERS, CONTAINER_FILE):
                with contextlib.suppress(FileNotFoundError), open_regular(step.attempt.path / name) as source:
                    if os.fstat(source.fileno()).st_size > room:
                        raise _too_large(name, _WHOLE_BYTES)
                    room = _add(tar, name, _without_secrets(source, name, redact), room)
        temporary.replace(path)
    except ExchangeError:
        temporary.unlink(missing_ok=True)
        raise
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ExchangeError(
            f"The capsule cannot be written to {path}: {error.strerror}. Choose another path with -o."
        ) from error


@contextlib.contextmanager
def open_capsule(path: Path) -> Iterator[PastAttempt]:
    """Open a capsule, in a temporary directory of its own.

    Args:
        path: Path of the capsule.

    Yields:
        The attempt that the capsule holds: its context, and how its container was made.

    Raises:
        ExchangeError: The file is not a capsule, or its format is not supported.
    """
    with tempfile.TemporaryDirectory(prefix="drayage-capsule-") as folder:
        files = _read(path)
        attempt = Exchange(Path(folder)).create(f"{Path(folder).name}/step/1")
        for name in _LONGEST_BYTES:
            if name in files:
                (attempt.path / name).write_bytes(files[name])
        try:
            step = read_step(attempt)
            context = json.loads(attempt.read_context() or b"{}")
        except (ExchangeError, ValueError, RecursionError) as error:
            raise _no_capsule(path, f"its records cannot be read: {error}") from error
        if step.record is None or not isinstance(context, dict):
            raise _no_capsule(path, "its records cannot be read: expected a JSON object, got another value")
        _require_ordinary(step.record, path)
        yield step


def _require_ordinary(record: ContainerRecord, path: Path) -> None:
    """Refuse names that are not text for one line, and values that no program can be started with."""
    identity = (record.identity.step, record.identity.run_id, record.identity.deployment)
    for name in (record.image, record.image_id, *identity, *record.environment, *record.secrets):
        if not name.isprintable():
            raise _no_capsule(path, f"a name in it is not text for one line: {name!r}")
    for name, value in record.environment.items():
        if value is not None and len(value) > _LONGEST_VARIABLE:
            raise _no_capsule(path, f"variable {name} is longer than the {_LONGEST_VARIABLE} characters allowed")


def _read(path: Path) -> dict[str, bytes]:
    """Return the content of the files that a replay needs, by name."""
    files: dict[str, bytes] = {}
    try:
        with (
            gzip.open(path) as unpacked,
            tarfile.open(fileobj=cast("IO[bytes]", _Forwards(unpacked)), mode="r:") as tar,
        ):
            seen = set()
            for member in tar:
                name, limit = member.name, _LONGEST_BYTES.get(member.name, _WHOLE_BYTES)
                if name not in {*_LONGEST_BYTES, *_OTHERS}:
                    raise ValueError(f"it holds {name[:80]!r}, which is in no capsule")
                if name in seen:
                    raise ValueError(f"it holds {name} twice")
                seen.add(name)
                file = tar.extractfile(member) if member.isreg() and not member.issparse() else None
                if file is None or member.size > limit:
                    raise ValueError(f"{name} is not a regular file of at most {limit} bytes")
                if name in _LONGEST_BYTES:
                    files[name] = b"".join(iter(functools.partial(file.read, _PIECE_BYTES), b""))
    except _UNREADABLE as error:
        raise _no_capsule(path, str(error)) from error
    missing = [name for name in (_VERSIONS, CONTAINER_FILE) if name not in files]
    if missing:
        raise _no_capsule(path, f"it lacks {' and '.join(missing)}")
    found = _format_of(files[_VERSIONS])
    if found != _FORMAT:
        raise ExchangeError(
            f"{path} is a capsule of format {str(found)[:80]!r}, but this drayage reads format {_FORMAT}: open it with "
            "the version that wrote it."
        )
    return files


class _Forwards(io.RawIOBase):
    """An unpacked file that is read forwards, in small pieces, and up to a limit.

    A few bytes unpack to any number of them, and ``tarfile`` trusts the sizes that a file claims.
    """

    def __init__(self, unpacked: gzip.GzipFile) -> None:
        self._unpacked = unpacked

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= _PIECE_BYTES:
            raise tarfile.ReadError(f"a header of it claims to be {size} bytes long")
        self._require_room(self._unpacked.tell() + size)
        return self._unpacked.read(size)

    def tell(self) -> int:
        return self._unpacked.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence != io.SEEK_SET or offset < self._unpacked.tell():
            raise tarfile.ReadError("its parts are not in order")
        self._require_room(offset)
        return self._unpacked.seek(offset)

    def _require_room(self, end: int) -> None:
        # The headers of so few files are small beside them.
        if end > _WHOLE_BYTES + 2**20:
            raise tarfile.ReadError(f"it unpacks to more than {_WHOLE_BYTES} bytes")


def _no_capsule(path: Path, why: str) -> ExchangeError:
    # It may say what a stranger wrote.
    shown = "".join(letter if letter.isprintable() else "?" for letter in why)
    return ExchangeError(f"{path} is not a capsule ({shown[:500]}): make one with `drayage capsule`.")


def _format_of(versions_file: bytes) -> Any:
    try:
        about = json.loads(versions_file)
    except (ValueError, RecursionError):
        return None
    return about.get("format") if isinstance(about, dict) else None


def _without_secrets(file: BinaryIO, name: str, redact: Redactor) -> Iterator[bytes]:
    if name.endswith(".jsonl"):
        yield from redact.lines(file)
    elif name.endswith(".json"):
        limit = _LONGEST_BYTES.get(name, _LONGEST_BYTES[CONTAINER_FILE])
        document = file.read(limit + 1)
        if len(document) > limit:
            raise _too_large(name, limit)
        # A whole document: as text, a secret that looks like a number would break it.
        yield redact.line(document)
    else:
        while line := file.readline(_LINE_BYTES):
            yield redact(line)


def _add(tar: tarfile.TarFile, name: str, content: Iterable[bytes], room: int) -> int:
    """Add a file; return how many bytes may still be added."""
    with tempfile.TemporaryFile() as whole:
        for piece in content:
            if whole.tell() + len(piece) > room:
                raise _too_large(name, _WHOLE_BYTES)
            whole.write(piece)
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = whole.tell(), 0o600, time.time()
        whole.seek(0)
        tar.addfile(member, whole)
        return room - member.size


def _too_large(name: str, limit: int) -> ExchangeError:
    return ExchangeError(
        f"The step is too large for a capsule: expected at most {limit} bytes up to the end of {name}, got more. Look "
        "at it with `drayage messages`, `drayage logs` and `drayage replay` where it ran."
    )
