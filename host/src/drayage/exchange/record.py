"""``container.json`` and ``verdict.json``: how a step's container was made, and what became of it.

No secret value is ever in them. A declared secret is recorded with its source. Of an environment variable whose name or
value looks like a credential only the name is recorded (its value is null): whoever makes the container again needs
that variable too.

Each file carries a ``format_version``. The files of drayage 0.1.0 have none, and are still read; a file of a later
format is refused.
"""

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
from drayage.request import AdapterName, ContainerRequest
from drayage.secrets import EnvSecret, FileSecret, Redactor
from drayage.settings import StepSettings

CONTAINER_FILE = "container.json"
VERDICT_FILE = "verdict.json"

_CREDENTIAL_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|(PRIVATE|ACCESS|API|AUTH)_?KEY", re.IGNORECASE)
# scheme://user:password@host
_CREDENTIAL_VALUE = re.compile(r"://[^/@\s:]*:[^/@\s]+@")


class _Record(pydantic.BaseModel, frozen=True, extra="ignore"):
    """A JSON file beside the logs of an attempt."""

    file: ClassVar[str]

    @classmethod
    def read(cls, attempt: Attempt) -> Self | None:
        """Read the record of an attempt; None if there is none.

        Raises:
            ExchangeError: The file is not JSON, or has another form.
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
                f"{attempt.path / cls.file} was written by another version of drayage ({problems}). Use the drayage "
                "that the step ran with, or remove the directory."
            ) from error

    def write(self, attempt: Attempt) -> None:
        """Write the record, whole or not at all."""
        attempt.write_json(self.file, self.model_dump(mode="json"))


class ContainerRecord(_Record, frozen=True):
    """How a container was made.

    Args:
        format_version: Version of the file's form.
        identity: The step that the container belonged to.
        fingerprint: Fingerprint of what the step asked for.
        container_id: Full id.
        container_name: Its name.
        image: Name or id of the image, as the step asked for it.
        image_id: Content address of the image.
        command: What overrode the image's command; None kept it.
        created_at_s: Time of creation, in seconds since the epoch.
        environment: Environment variables, Pipes' own included; None hides a credential.
        secrets: Sources of the files under ``/run/secrets``.
        settings: Limits, mounts, networks, user and the like.
        container_kwargs: The engine's own keyword arguments, without environment variables.
        not_recorded: Names of those keyword arguments that have no JSON form.
        promised: What each asset had to report.
        adapter: How its standard output was read, if the program does not speak Pipes.
        versions: Versions of what made the container.
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
    secrets: dict[str, EnvSecret | FileSecret] = {}
    settings: StepSettings = StepSettings()
    container_kwargs: dict[str, Any] = {}
    not_recorded: tuple[str, ...] = ()
    promised: dict[str, dict[str, Promise]] = {}
    adapter: AdapterName | None = None
    versions: dict[str, str] = {}

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_0_1_0(cls, raw: Any) -> Any:
        """Read the form of drayage 0.1.0: the identity's fields beside the others, ``passthrough``."""
        if not isinstance(raw, dict) or "format_version" in raw or "identity" in raw:
            return raw
        identity = {field.name: raw[field.name] for field in fields(Identity) if field.name in raw}
        return {"container_kwargs": raw.get("passthrough", {}), **raw, "identity": identity}

    @property
    def requested_command(self) -> str | list[str] | None:
        """The command in the form of a request."""
        return list(self.command) if isinstance(self.command, tuple) else self.command

    def of_deployment(self, deployment: str) -> Self:
        """Return the same record as another deployment would have written it."""
        return self.model_copy(update={"identity": replace(self.identity, deployment=deployment)})

    def known_environment(self) -> dict[str, str]:
        """Return the environment variables whose value is known here: a hidden one's from this process's own."""
        return {
            name: os.environ[name] if value is None else value
            for name, value in self.environment.items()
            if value is not None or name in os.environ
        }


class VerdictRecord(_Record, frozen=True):
    """What became of a step.

    Args:
        format_version: Version of the file's form.
        green: Whether nothing was wrong.
        judged_at_s: Time of the verdict, in seconds since the epoch; 0 in a replay of drayage 0.1.0.
        reasons: Everything that was wrong, free of secrets.
        state: The container at its end; None if the step ended before it.
        measures: The step's own numbers by their metadata names, in the unit of the name; None where not measured.
    """

    file: ClassVar[str] = VERDICT_FILE

    format_version: Literal[1] = 1
    green: bool
    judged_at_s: float
    reasons: tuple[str, ...] = ()
    state: ContainerState | None = None
    measures: dict[str, float | None] = {}

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_0_1_0(cls, raw: Any) -> Any:
        """Read the form of drayage 0.1.0, whose replays left the time out."""
        if not isinstance(raw, dict) or "format_version" in raw:
            return raw
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
    """Write down how the container of an attempt was made.

    Args:
        attempt: The attempt.
        request: What was asked for.
        bootstrap: Pipes' own environment variables.
        state: The container.
        fingerprint: Fingerprint of what the step asked for.
        created_at_s: Time of creation, in seconds since the epoch.
    """
    redact = Redactor(request.secrets.values()).text
    container_kwargs = dict(request.container_kwargs)
    extra = container_kwargs.pop("environment", None) or {}
    lines = extra if isinstance(extra, Mapping) else dict(line.partition("=")[::2] for line in extra)
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
        environment={
            name: _shown(name, value, redact) for name, value in {**bootstrap, **request.environment, **lines}.items()
        },
        secrets=dict(request.secret_sources),
        settings=request.settings,
        container_kwargs=json.loads(redact(json.dumps(plain))),
        not_recorded=tuple(sorted(set(container_kwargs) - set(plain))),
        promised={key: dict(promised) for key, promised in request.promised.items()},
        adapter=request.adapter,
        versions=versions(),
    ).write(attempt)


def versions() -> dict[str, str]:
    """Return the versions of what makes containers here, by package name."""
    names = ("drayage", "dagster", "dagster-docker", "dagster-pipes", "docker")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            # The images have the sources on the path, not the package.
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
