"""Reads and writes ``container.json`` and ``verdict.json``: how a step's container was made, and how it was judged.

They never contain a secret value. A declared secret is recorded by its source. An environment variable whose name or
value looks like a credential is recorded by name only (its value is null), because making the container again requires
that variable too.

Each file has a ``format_version``. The first files had none and can still be read; a newer format is refused.
"""

import functools
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from importlib import metadata
from typing import Any, ClassVar, Literal, Self

import pydantic

from drayage.engine import ContainerState
from drayage.errors import ExchangeError
from drayage.exchange.directory import Attempt
from drayage.identity import Identity
from drayage.promise import Promise
from drayage.redaction import Redactor
from drayage.request import AdapterName, ContainerRequest, plain_environment
from drayage.secrets import EnvSecret, FileSecret
from drayage.settings import StepSettings
from drayage.strangers import remedy

CONTAINER_FILE = "container.json"
VERDICT_FILE = "verdict.json"

_FORMER_ENDS = {"exited", "dead", "removing"}

_CREDENTIAL_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|(PRIVATE|ACCESS|API|AUTH)_?KEY", re.IGNORECASE)
# scheme://user:password@host
_CREDENTIAL_VALUE = re.compile(r"://[^/@\s:]*:[^/@\s]+@")


class _Record(pydantic.BaseModel, frozen=True, extra="ignore"):
    """A JSON file beside the logs of an attempt."""

    file: ClassVar[str]

    @classmethod
    def read(cls, attempt: Attempt) -> Self | None:
        """Return the record of an attempt; None if the file does not exist.

        Raises:
            ExchangeError: The file does not hold JSON, or has an unknown format.
        """
        raw = attempt.read_json(cls.file)
        if raw is None:
            return None
        try:
            return cls.model_validate(raw)
        except pydantic.ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']}"
                for problem in error.errors()[:3]
            )
            raise ExchangeError(
                f"{attempt.path / cls.file} was written by another version of drayage ({problems}). Use the version "
                "that the step ran with, or remove the directory."
            ) from error

    def write(self, attempt: Attempt) -> None:
        """Write the record, atomically.

        Raises:
            ExchangeError: The file cannot be written.
        """
        try:
            attempt.write_json(self.file, self.model_dump(mode="json"))
        except OSError as error:
            raise ExchangeError(
                f"{attempt.path / self.file} cannot be written: {error.strerror}. {remedy(error)}, and run the step "
                "again."
            ) from error


class ContainerRecord(_Record, frozen=True):
    """How a container was made.

    Args:
        format_version: Version of the file's format.
        identity: The step that the container belonged to.
        fingerprint: Fingerprint of what the step asked for.
        container_id: The container's full id.
        container_name: The container's name.
        image: Name or id of the image, as the step asked for it.
        image_id: Content address of the image.
        command: The command in place of the image's own; None kept the image's.
        created_at_s: Time of creation, in seconds since the epoch.
        environment: Environment variables, Pipes' own included; None stands for a hidden credential.
        taken_away: Names of the image's environment variables that the container does not get.
        secrets: Sources of the files under ``/run/secrets``, by file name.
        settings: The step's settings, such as limits, mounts, networks and user.
        container_kwargs: The engine's own keyword arguments, without environment variables.
        not_recorded: Names of the keyword arguments that cannot be written as JSON.
        promised: The metadata that each asset had to report, by asset key.
        adapter: How its standard output was read, if the program does not speak Pipes.
        versions: Versions of the software that made the container, by name.
    """

    file: ClassVar[str] = CONTAINER_FILE

    format_version: Literal[1] = 1
    identity: Identity
    fingerprint: str
    container_id: str
    container_name: str
    image: str
    image_id: str
    command: str | tuple[str, ...] | None
    created_at_s: float
    environment: dict[str, str | None] = {}
    taken_away: tuple[str, ...] = ()
    secrets: dict[str, EnvSecret | FileSecret] = {}
    settings: StepSettings = StepSettings()
    container_kwargs: dict[str, Any] = {}
    not_recorded: tuple[str, ...] = ()
    promised: dict[str, dict[str, Promise]] = {}
    adapter: AdapterName | None = None
    versions: dict[str, str] = {}

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_first_format(cls, raw: Any) -> Any:
        """Read the first format: no nested identity, and ``passthrough`` for ``container_kwargs``."""
        if not isinstance(raw, dict) or "format_version" in raw or "identity" in raw:
            return raw
        identity = {field.name: raw[field.name] for field in fields(Identity) if field.name in raw}
        return {"container_kwargs": raw.get("passthrough", {}), **raw, "identity": identity}

    @property
    def requested_command(self) -> str | list[str] | None:
        """The command, in the form that a request takes."""
        return list(self.command) if isinstance(self.command, tuple) else self.command

    def of_deployment(self, deployment: str) -> Self:
        """Return this record as another deployment would have written it."""
        return self.model_copy(update={"identity": replace(self.identity, deployment=deployment)})

    def known_environment(self) -> dict[str, str | None]:
        """Return the environment as a request takes it, hidden variables with their value in this process, if any."""
        known = {
            name: os.environ[name] if value is None else value
            for name, value in self.environment.items()
            if value is not None or name in os.environ
        }
        return {**known, **dict.fromkeys(self.taken_away)}


class VerdictRecord(_Record, frozen=True):
    """How a step was judged.

    Args:
        format_version: Version of the file's format.
        green: Whether nothing was wrong.
        judged_at_s: Time of the verdict, in seconds since the epoch; 0 in a replay by drayage 0.1.0.
        reasons: Everything that was wrong, with secrets removed.
        notes: What is missing from the output or a copy of it and does not make the step red, with secrets removed.
        state: The container at its end; None if the step ended before its container.
        measures: The step's own numbers by metadata name, in the unit that the name ends with; None if not measured.
    """

    file: ClassVar[str] = VERDICT_FILE

    format_version: Literal[1] = 1
    green: bool
    judged_at_s: float
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    state: ContainerState | None = None
    measures: dict[str, float | None] = {}

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_first_format(cls, raw: Any) -> Any:
        """Read the first format, whose replays did not record the time, and which had the engine's own status words."""
        if not isinstance(raw, dict) or "format_version" in raw:
            return raw
        state = raw.get("state")
        if isinstance(state, dict) and state.get("status") in _FORMER_ENDS:
            raw = {**raw, "state": {**state, "status": "ended"}}
        return {"judged_at_s": 0.0, **raw}


def record_container(
    attempt: Attempt,
    request: ContainerRequest,
    bootstrap: Mapping[str, str],
    state: ContainerState,
    *,
    fingerprint: str,
    created_at_s: float,
) -> None:
    """Record how the container of an attempt was made, in ``container.json``.

    Args:
        attempt: The attempt.
        request: What the container was made from.
        bootstrap: Pipes' own environment variables.
        state: The container.
        fingerprint: Fingerprint of what the step asked for.
        created_at_s: Time of creation, in seconds since the epoch.
    """
    redactor = Redactor(request.secrets.values())
    redact = redactor.text
    container_kwargs = dict(request.container_kwargs)
    extra = plain_environment(container_kwargs.pop("environment", None), of="container_kwargs['environment']")
    environment = {**bootstrap, **request.environment, **extra}
    plain = {name: value for name, value in container_kwargs.items() if _is_json(value)}
    ContainerRecord(
        identity=request.identity,
        fingerprint=fingerprint,
        container_id=state.id,
        container_name=state.name,
        image=request.image,
        image_id=state.image_id,
        command=_clean(request.command, redact),
        created_at_s=created_at_s,
        environment={name: _shown(name, value, redact) for name, value in environment.items() if value is not None},
        taken_away=tuple(sorted(name for name, value in environment.items() if value is None)),
        secrets=dict(request.secret_sources),
        settings=request.settings,
        container_kwargs=redactor.message(plain),
        not_recorded=tuple(sorted(set(container_kwargs) - set(plain))),
        promised={key: dict(promised) for key, promised in request.promised.items()},
        adapter=request.adapter,
        versions=versions(),
    ).write(attempt)


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that make containers here, by name."""
    names = ("drayage", "dagster", "dagster-docker", "dagster-pipes", "docker")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            # In the images, the sources are on the path without being installed as a package.
            found[name] = "not installed as a package"
    return found


def _shown(name: str, value: str, redact: Any) -> str | None:
    if name.startswith("DAGSTER_PIPES_"):
        return value
    clean = redact(value)
    hidden = clean != value or _CREDENTIAL_NAME.search(name) or _CREDENTIAL_VALUE.search(value)
    return None if hidden else value


def _clean(command: str | Sequence[str] | None, redact: Any) -> Any:
    if command is None or isinstance(command, str):
        return command and redact(command)
    return tuple(redact(word) for word in command)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
