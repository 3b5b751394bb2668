"""Secrets: from the host's environment or files to ``/run/secrets``, and nowhere else.

They reach the container on memory-backed storage that is empty again when the container ends, and their values
are taken out of everything that drayage writes: logs, messages, events and errors.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from drayage.errors import SettingsError

SECRETS_DIRECTORY = "/run/secrets"
_REDACTED = b"[secret]"
# Shorter values would black out ordinary text; they are no secrets either.
_SHORTEST_REDACTED_BYTES = 4


@dataclass(frozen=True)
class EnvSecret:
    """A secret in an environment variable of the host.

    Args:
        variable: Name of the variable.
    """

    variable: str

    def read(self) -> bytes:
        """Read it."""
        try:
            return os.environ[self.variable].encode()
        except KeyError:
            raise SettingsError(f"environment variable {self.variable} is not set") from None


@dataclass(frozen=True)
class FileSecret:
    """A secret in a file of the host.

    Args:
        path: Absolute path of the file.
    """

    path: str

    def read(self) -> bytes:
        """Read it."""
        try:
            return Path(self.path).read_bytes()
        except OSError as error:
            raise SettingsError(f"{self.path} cannot be read: {error.strerror}") from None


Secret = EnvSecret | FileSecret


def read_secrets(declared: Mapping[str, Secret], names: Iterable[str]) -> dict[str, bytes]:
    """Read the secrets that a step asks for.

    Args:
        declared: Where each secret comes from, by name.
        names: Which are wanted.

    Returns:
        Their values, by name.

    Raises:
        SettingsError: Some are not declared or cannot be read; all of them are named, none is shown.
    """
    values, problems = {}, []
    for name in names:
        if name not in declared:
            problems.append(f"{name}: not declared (declared are: {', '.join(sorted(declared)) or 'none'})")
            continue
        try:
            values[name] = declared[name].read()
        except SettingsError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise SettingsError(
            f"Secrets are missing: {'; '.join(problems)}. Declare them in DrayageClient(secrets=…), and set their "
            "sources. Nothing was started."
        )
    return values


class Redactor:
    """Takes the values of secrets out of bytes and texts.

    Args:
        values: The secrets' values.
    """

    def __init__(self, values: Iterable[bytes]) -> None:
        needles: set[bytes] = set()
        for value in values:
            for form in (value, value.strip()):
                text = form.decode("utf-8", "replace")
                needles |= {form, json.dumps(text)[1:-1].encode(), json.dumps(text, ensure_ascii=False)[1:-1].encode()}
        self._needles = sorted((n for n in needles if len(n) >= _SHORTEST_REDACTED_BYTES), key=len, reverse=True)
        self.hits = 0

    def __call__(self, content: bytes) -> bytes:
        """Take them out of bytes."""
        for needle in self._needles:
            if needle in content:
                self.hits += 1
                content = content.replace(needle, _REDACTED)
        return content

    def text(self, content: str) -> str:
        """Take them out of a text."""
        return self(content.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def scrub(path: Path, redact: Redactor) -> None:
    """Take secrets out of a file that the workload itself wrote them to.

    Args:
        path: The file; it is replaced as a whole.
        redact: Takes secrets out of a line.
    """
    clean = path.with_name(f".{path.name}.clean")
    with path.open("rb") as dirty, clean.open("wb") as target:
        target.writelines(redact(line) for line in dirty)
    clean.replace(path)
