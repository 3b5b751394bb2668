"""Reads secrets from the host's environment or files, and redacts their values.

A secret goes to ``/run/secrets`` in the container and nowhere else. It is held there on memory-backed storage, which
is emptied when the container ends, and its value is removed from everything that drayage writes: logs, messages,
events and errors.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from drayage.errors import SettingsError

SECRETS_DIRECTORY = "/run/secrets"
_REDACTED = b"[secret]"
# Redacting shorter values would black out ordinary text, and a value that short is not secret anyway.
_SHORTEST_REDACTED_BYTES = 4


@dataclass(frozen=True)
class EnvSecret:
    """A secret in an environment variable of the host.

    Args:
        variable: Name of the variable.
    """

    variable: str

    def read(self) -> bytes:
        """Return the secret's value.

        Raises:
            SettingsError: The variable is not set.
        """
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
        """Return the secret's value.

        Raises:
            SettingsError: The file cannot be read.
        """
        try:
            return Path(self.path).read_bytes()
        except OSError as error:
            raise SettingsError(f"{self.path} cannot be read: {error.strerror}") from None


Secret = EnvSecret | FileSecret


def read_secrets(declared: Mapping[str, Secret], names: Iterable[str]) -> dict[str, bytes]:
    """Read the secrets that a step asks for.

    Args:
        declared: The source of each secret, by name.
        names: Names of the secrets to read.

    Returns:
        The values, by name.

    Raises:
        SettingsError: Some secrets are not declared or cannot be read; it names all of them, but shows no value.
    """
    values, problems = {}, []
    for name in names:
        if name not in declared:
            problems.append(f"{name}: not declared (declared: {', '.join(sorted(declared)) or 'none'})")
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
    """Replaces the values of secrets in bytes and text with a placeholder.

    Args:
        values: The values of the secrets.
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
        """Return bytes with the secrets removed."""
        for needle in self._needles:
            if needle in content:
                self.hits += 1
                content = content.replace(needle, _REDACTED)
        return content

    def text(self, content: str) -> str:
        """Return text with the secrets removed."""
        return self(content.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
