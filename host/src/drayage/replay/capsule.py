"""Writes and opens capsules: one attempt of a step in a file, without secrets, to be replayed elsewhere."""

import contextlib
import io
import json
import os
import tarfile
import time
import uuid
from pathlib import Path
from typing import Any, BinaryIO

from drayage.errors import ExchangeError
from drayage.exchange.directory import REPLAYS, Exchange
from drayage.exchange.history import PastAttempt, read_step, require_record
from drayage.exchange.record import CONTAINER_FILE, VERDICT_FILE, versions
from drayage.redaction import Redactor
from drayage.replay.prepare import redactor
from drayage.strangers import open_regular

_FORMAT = 1
_VERSIONS = "versions.json"
_MEMBERS = ("io/context.json", "io/messages.jsonl", "stdout.log", "stderr.log", CONTAINER_FILE, VERDICT_FILE)
_LONGEST_MEMBER_BYTES = 2**31


def write_capsule(step: PastAttempt, path: Path) -> None:
    """Write a step's context, messages, logs and records to a file that only its owner may read.

    Args:
        step: The step.
        path: Path of the file; the file appears whole or not at all.

    Raises:
        DrayageError: The step has no container yet, its secrets cannot be read here, or the file cannot be written.
    """
    require_record(step)
    redact = redactor(step)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("xb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
            temporary.chmod(0o600)
            about = {"format": _FORMAT, "run": step.run_id, "step": step.step, "written_with": versions()}
            _add(tar, _VERSIONS, json.dumps(about, indent=2).encode())
            for name in _MEMBERS:
                with contextlib.suppress(FileNotFoundError), open_regular(step.attempt.path / name) as source:
                    _add(tar, name, _without_secrets(source, Path(name).suffix, redact))
        temporary.replace(path)
    except ExchangeError:
        temporary.unlink(missing_ok=True)
        raise
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ExchangeError(
            f"The capsule cannot be written to {path}: {error.strerror}. Choose another path with -o."
        ) from error


def open_capsule(path: Path, exchange: Exchange) -> PastAttempt:
    """Unpack a capsule into a directory under the exchange root; the caller removes that directory.

    Args:
        path: Path of the capsule.
        exchange: The exchange root.

    Returns:
        The attempt that the capsule holds.

    Raises:
        ExchangeError: The file is not a capsule, or its format is not supported.
    """
    try:
        with tarfile.open(path, mode="r:gz") as tar:
            # Only the known members are read, by name: nothing in the file decides where anything is written.
            files = {name: _read(tar, name) for name in (_VERSIONS, *_MEMBERS) if name in tar.getnames()}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ExchangeError(f"{path} is not a capsule ({error}): make one with `drayage capsule`.") from error
    if CONTAINER_FILE not in files or _VERSIONS not in files:
        raise ExchangeError(
            f"{path} is not a capsule (it lacks {CONTAINER_FILE} or {_VERSIONS}): make one with `drayage capsule`."
        )
    found = _format_of(files[_VERSIONS])
    if found != _FORMAT:
        raise ExchangeError(
            f"{path} is a capsule of format {found!r}, but this drayage reads format {_FORMAT}: open it with the "
            "version that wrote it."
        )
    attempt = exchange.create(f"{REPLAYS}/capsule-{uuid.uuid4().hex[:12]}/step/1")
    for name in _MEMBERS:
        if name in files:
            (attempt.path / name).write_bytes(files[name])
    return read_step(attempt)


def _format_of(versions_file: bytes) -> Any:
    try:
        about = json.loads(versions_file)
    except ValueError:
        return None
    return about.get("format") if isinstance(about, dict) else None


def _without_secrets(file: BinaryIO, suffix: str, redact: Redactor) -> bytes:
    if suffix == ".json":
        # A whole document: as text, a secret that looks like a number would break it.
        return redact.line(file.read())
    return b"".join(map(redact.line if suffix == ".jsonl" else redact, file))


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o600, time.time()
    tar.addfile(member, io.BytesIO(content))


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.getmember(name)
    file = tar.extractfile(member) if member.isfile() else None
    if file is None or member.size > _LONGEST_MEMBER_BYTES:
        raise tarfile.ReadError(f"{name} is not a regular file of at most {_LONGEST_MEMBER_BYTES} bytes")
    return file.read()
