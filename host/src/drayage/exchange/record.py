"""What ``container.json`` holds: how a step's container was made, so that it can be made again.

No secret value is ever in it. A declared secret is named with its source. Of an environment variable whose name or
value looks like a credential only the name is kept (its value is null): who makes the container again must have that
variable too. Everything else is the request itself.
"""

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any

import pydantic

from drayage.engine import ContainerState
from drayage.errors import ExchangeError
from drayage.exchange.directory import Attempt
from drayage.identity import Identity
from drayage.promise import Promise
from drayage.request import AdapterName, ContainerRequest
from drayage.secrets import EnvSecret, FileSecret, Redactor
from drayage.settings import StepSettings

RECORD = "container.json"
VERDICT = "verdict.json"

_CREDENTIAL_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|(PRIVATE|ACCESS|API|AUTH)_?KEY", re.IGNORECASE)
# scheme://user:password@host
_CREDENTIAL_VALUE = re.compile(r"://[^/@\s:]*:[^/@\s]+@")


class ContainerRecord(pydantic.BaseModel, frozen=True, extra="ignore"):
    """How a container was made.

    Args:
        deployment: As in :class:`drayage.identity.Identity`, with the next five.
        run_id: See there.
        root_run_id: See there.
        step: See there.
        attempt: See there.
        call: See there.
        fingerprint: Of what the step asked for.
        container_id: Full id.
        container_name: Its name.
        image: The image as it was asked for.
        image_id: Content address of the image.
        command: What overrode the image's command; None kept it.
        created_at_s: When it was created, in seconds since the epoch.
        environment: Environment variables, Pipes' own included; None hides a credential.
        secrets: Where the files under ``/run/secrets`` came from.
        settings: Limits, mounts, networks, user and the like.
        container_kwargs: The engine's own keyword arguments, without environment variables.
        not_recorded: Names of those of them that have no JSON form.
        promised: What each asset had to report.
        adapter: How its standard output is read, if the program knows nothing of Pipes.
        versions: Versions of what made the container.
    """

    deployment: str
    run_id: str
    root_run_id: str
    step: str
    attempt: int
    call: int
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

    @property
    def identity(self) -> Identity:
        """Who the container belonged to."""
        return Identity(self.deployment, self.run_id, self.root_run_id, self.step, self.attempt, self.call)

    @property
    def asked_command(self) -> str | list[str] | None:
        """The command as a request has it."""
        return list(self.command) if isinstance(self.command, tuple) else self.command

    def known_environment(self) -> dict[str, str]:
        """The environment variables whose value is known here: that of a hidden one, from this process's own."""
        return {
            name: os.environ[name] if value is None else value
            for name, value in self.environment.items()
            if value is not None or name in os.environ
        }


def write_container_record(
    attempt: Attempt,
    request: ContainerRequest,
    bootstrap: Mapping[str, str],
    state: ContainerState,
    *,
    fingerprint: str,
    created_at_s: float,
) -> None:
    """Write down how an attempt's container was made.

    Args:
        attempt: Where to.
        request: What was asked for.
        bootstrap: Pipes' own environment variables.
        state: The container.
        fingerprint: Of what the step asked for.
        created_at_s: When it was created, in seconds since the epoch.
    """
    record = _record_of(request, bootstrap, state, fingerprint=fingerprint, created_at_s=created_at_s)
    attempt.write_json(RECORD, record.model_dump(mode="json"))


def read_container_record(attempt: Attempt) -> ContainerRecord | None:
    """Read how an attempt's container was made; None if none was.

    Raises:
        ExchangeError: The record has another form.
    """
    raw = attempt.read_json(RECORD)
    if raw is None:
        return None
    try:
        return ContainerRecord.model_validate(raw)
    except pydantic.ValidationError as error:
        raise ExchangeError(
            f"{attempt.path / RECORD} was written by another version of drayage ({error.error_count()} fields differ). "
            "Use the drayage that the step ran with."
        ) from error


def versions() -> dict[str, str]:
    """Versions of what makes containers here."""
    names = ("drayage", "dagster", "dagster-docker", "dagster-pipes", "docker")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            # The images have the sources on the path, not the package.
            found[name] = "not installed as a package"
    return found


def _record_of(
    request: ContainerRequest,
    bootstrap: Mapping[str, str],
    state: ContainerState,
    *,
    fingerprint: str,
    created_at_s: float,
) -> ContainerRecord:
    redact = Redactor(request.secrets.values()).text
    container_kwargs = dict(request.container_kwargs)
    extra = container_kwargs.pop("environment", None) or {}
    lines = extra if isinstance(extra, Mapping) else dict(line.partition("=")[::2] for line in extra)
    plain = {name: value for name, value in container_kwargs.items() if _is_json(value)}
    return ContainerRecord(
        **asdict(request.identity),
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
    )


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
