"""Makes a step's container again, outside Dagster: the same image and context, in a directory of its own."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from drayage.engine import Engine, Mount
from drayage.errors import ExchangeError, ImageMissingError, SettingsError
from drayage.exchange.directory import REPLAYS, Attempt, Exchange
from drayage.exchange.history import PastAttempt, require_record
from drayage.exchange.record import ContainerRecord
from drayage.identity import Identity
from drayage.request import ContainerRequest
from drayage.secrets import Redactor, read_secrets

_PIPES = "DAGSTER_PIPES_"


@dataclass(frozen=True)
class Overrides:
    """What is to differ from the step as it ran.

    Args:
        image: Another image.
        extras: Extras that replace or join those of the context.
        mounts: Mounts that replace those with the same target, or join them.
        environment: Environment variables that replace or join those recorded.
        network: The one network to join instead of the recorded ones.
    """

    image: str | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    network: str | None = None


@dataclass(frozen=True)
class PreparedReplay:
    """A container that is about to be made again.

    Args:
        request: What it is made of.
        bootstrap: Pipes' own environment variables.
        attempt: Its exchange directory, the context in place.
        notes: What is not as it was, one sentence each.
    """

    request: ContainerRequest
    bootstrap: Mapping[str, str]
    attempt: Attempt
    notes: tuple[str, ...]


def prepare(
    step: PastAttempt, overrides: Overrides, *, engine: Engine, exchange: Exchange, require_all: bool = True
) -> PreparedReplay:
    """Make ready for another container like a step's.

    Args:
        step: The step.
        overrides: What is to differ.
        engine: Where the container will run.
        exchange: Where its exchange directory goes; the step's own is left alone.
        require_all: Whether a hidden environment variable or a secret that is not here is an error; else it is noted.

    Raises:
        DrayageError: Something that the step had is not here.
    """
    record, notes = require_record(step), []
    environment = record.known_environment() | dict(overrides.environment)
    missing = [name for name in record.environment if name not in environment]
    if missing and require_all:
        raise SettingsError(
            f"The step had {', '.join(missing)} in its environment, and credentials are not recorded: set them here, "
            "or give --env NAME=value."
        )
    notes += [f"{name} is not set here, so the container goes without it" for name in missing]
    secrets = {}
    try:
        secrets = read_secrets(record.secrets, record.secrets)
    except SettingsError as error:
        if require_all:
            raise
        notes.append(f"the container goes without secrets: {error}")
    if record.not_recorded:
        notes.append(f"not as it was, for it has no JSON form: {', '.join(record.not_recorded)}")
    image = overrides.image or _same_image(record, engine, notes)
    run_id = f"replay-{uuid.uuid4().hex[:12]}"
    request = ContainerRequest(
        # A chain of runs of its own: no retry in Dagster may adopt this container.
        identity=Identity(record.identity.deployment, run_id, run_id, record.identity.step, 0, 0),
        image=image,
        settings=_settings(record, overrides),
        command=record.requested_command,
        environment={name: value for name, value in environment.items() if not name.startswith(_PIPES)},
        secrets=secrets,
        secret_sources={name: record.secrets[name] for name in secrets},
        container_kwargs=_container_kwargs(record, overrides),
        promised=record.promised,
        adapter=record.adapter,
    )
    bootstrap = {name: value for name, value in environment.items() if name.startswith(_PIPES)}
    return PreparedReplay(request, bootstrap, _new_attempt(step, overrides, exchange), tuple(notes))


def redactor(step: PastAttempt) -> Redactor:
    """What takes the step's secrets out of whatever is shown or handed on.

    Raises:
        SettingsError: The step is not judged, so that its messages are as the workload wrote them, and a secret's
            source cannot be read here, so that its value would not be recognised.
    """
    if step.record is None:
        return Redactor(())
    try:
        return Redactor(read_secrets(step.record.secrets, step.record.secrets).values())
    except SettingsError as error:
        if step.verdict is not None:
            return Redactor(())
        raise SettingsError(
            f"The messages of a step that goes on are as its workload wrote them, and its secrets are not known here "
            f"to take them out: run this where Dagster's steps are started. ({error})"
        ) from error


def _same_image(record: ContainerRecord, engine: Engine, notes: list[str]) -> str:
    try:
        return engine.image_id(record.image_id, pull="never")
    except ImageMissingError:
        image_id = engine.image_id(record.image, pull=record.settings.pull)
        notes.append(f"image {record.image_id[:19]} is not here: {record.image} is now {image_id[:19]}")
        return record.image


def _settings(record: ContainerRecord, overrides: Overrides) -> Any:
    replaced = {mount.target for mount in overrides.mounts}
    mounts = [mount for mount in record.settings.mounts if mount.target not in replaced]
    update: dict[str, Any] = {
        "mounts": (*mounts, *overrides.mounts),
        "pull": "never",
        # To the sweeper a replay's run is over from the start: it must not be stopped for that.
        "forward_termination": False,
        "name": f"replay-{record.settings.name or record.identity.step}",
    }
    if overrides.network is not None:
        update["networks"] = (overrides.network,)
    return record.settings.overridden(update, source="command line")


def _container_kwargs(record: ContainerRecord, overrides: Overrides) -> dict[str, Any]:
    # A name can be taken once only, and labels would give the container to the run that it is a copy of.
    dropped = {"name", "labels", *(("network", "network_mode", "network_disabled") if overrides.network else ())}
    return {name: value for name, value in record.container_kwargs.items() if name not in dropped}


def _new_attempt(step: PastAttempt, overrides: Overrides, exchange: Exchange) -> Attempt:
    has_context = step.attempt.context.is_file()
    if overrides.extras and not has_context:
        raise ExchangeError(
            f"Step {step.step} had its context from an injector of its own, so that --set has nothing to change."
        )
    attempt = exchange.create(f"{REPLAYS}/{step.run_id}/{step.attempt.path.parent.name}/1")
    if has_context:
        context = json.loads(step.attempt.context.read_bytes())
        context["extras"] = {**(context.get("extras") or {}), **overrides.extras}
        attempt.write_context(json.dumps(context))
    return attempt


def read_overrides(
    *, image: str | None, extras: list[str], mounts: list[str], environment: list[str], network: str | None
) -> Overrides:
    """Read what is to differ from the words of a command line.

    Args:
        image: Another image.
        extras: ``key=value``; the value is JSON if it can be read so, else text.
        mounts: ``source:target`` or ``source:target:ro``; a relative source is a path of this directory.
        environment: ``NAME=value``.
        network: A network.

    Raises:
        SettingsError: One has another form.
    """
    return Overrides(
        image=image,
        extras={name: _json_or_text(value) for name, value in _pairs(extras, "--set")},
        mounts=tuple(map(_mount, mounts)),
        environment=dict(_pairs(environment, "--env")),
        network=network,
    )


def mounted(overrides: Overrides, engine: Engine) -> Overrides:
    """The same overrides with paths of this machine as the engine knows them."""
    return replace(
        overrides,
        mounts=tuple(
            replace(mount, source=engine.host_path(Path(mount.source))) if mount.kind == "bind" else mount
            for mount in overrides.mounts
        ),
    )


def _pairs(words: list[str], option: str) -> list[tuple[str, str]]:
    for word in words:
        if "=" not in word.lstrip("="):
            raise SettingsError(f"{option} {word}: expected name=value, such as {option} limit=100.")
    return [(name, value) for name, _, value in (word.partition("=") for word in words)]


def _mount(word: str) -> Mount:
    source, *rest = word.split(":")
    if not rest or not source or not rest[0].startswith("/") or rest[1:] not in ([], ["ro"], ["rw"]):
        raise SettingsError(f"--mount {word}: expected source:/target or source:/target:ro.")
    is_path = "/" in source or source.startswith(".")
    if is_path and not Path(source).exists():
        raise SettingsError(f"--mount {word}: there is no {Path(source).absolute()}.")
    where = str(Path(source).resolve()) if is_path else source
    return Mount(where, rest[0], read_only=rest[1:] == ["ro"], kind="bind" if is_path else "volume")


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
