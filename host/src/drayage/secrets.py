"""Reads secrets from the host's environment or files, and redacts their values.

A secret goes to ``/run/secrets`` in the container and nowhere else. It is held there on memory-backed storage, which
is emptied when the container ends, and its value is removed from everything that drayage writes: logs, messages,
events and errors (``redaction.py``).
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from drayage.errors import SettingsError

SECRETS_DIRECTORY = "/run/secrets"


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
