"""Prepares to create a step's container again, outside Dagster: same image and context, new exchange directory."""

import contextlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from drayage.engine import Engine, Mount
from drayage.errors import ExchangeError, ImageMissingError, SettingsError
from drayage.exchange.directory import REPLAYS, Attempt, Exchange
from drayage.exchange.history import PastAttempt, require_record
from drayage.exchange.record import ContainerRecord
from drayage.redaction import Redactor
from drayage.request import ContainerRequest
from drayage.secrets import Secret, read_secrets

DEFAULT_NETWORK = "default"
"""The name that stands for the engine's own network: of a cluster, there is no other."""

_PIPES = "DAGSTER_PIPES_"


@dataclass(frozen=True)
class Overrides:
    """Differences between a replay and the step as it ran.

    Args:
        image: Another image.
        extras: Extras of the context that are replaced or added.
        mounts: Mounts that are added; a recorded mount with the same target is replaced.
        environment: Environment variables that are replaced or added.
        networks: The networks to join in place of the recorded ones; if empty, the recorded ones.
        secrets: Sources of secrets that are replaced or added.
        allowed: The engine's options that a capsule may use, with their values (``consent.py``).
    """

    image: str | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    networks: tuple[str, ...] = ()
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    allowed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PreparedReplay:
    """A replay whose container can now be created.

    Args:
        request: What the container is made of.
        bootstrap: Pipes' own environment variables.
        attempt: The container's exchange directory.
        context: The context as JSON; None if the step got it from a custom context injector.
        notes: Differences from the original step, one sentence each, without a full stop.
    """

    request: ContainerRequest
    bootstrap: Mapping[str, str]
    attempt: Attempt
    context: bytes | None
    notes: tuple[str, ...]


def prepare(
    step: PastAttempt, overrides: Overrides, *, engine: Engine, exchange: Exchange, require_all: bool = True
) -> PreparedReplay:
    """Prepare a replay of a step.

    Args:
        step: The step.
        overrides: What should differ from the step as it ran.
        engine: The engine that will run the container.
        exchange: The root for the new exchange directory; the step's own directory is left alone.
        require_all: Whether a missing secret or hidden environment variable is an error; otherwise it becomes a note.

    Returns:
        The replay, with a new exchange directory.

    Raises:
        DrayageError: Something that the step had is missing here.
    """
    record, notes = require_record(step), []
    environment = record.known_environment() | dict(overrides.environment)
    missing = [name for name in record.environment if name not in environment]
    if missing and require_all:
        raise SettingsError(
            f"The step had {', '.join(missing)} in its environment, and credentials are not recorded: set them here, "
            "or pass --env NAME=value."
        )
    notes += [f"{name} is not set here, so the container does not get it" for name in missing]
    secrets: dict[str, bytes] = {}
    sources = {**record.secrets, **overrides.secrets}
    try:
        secrets = read_secrets(sources, sources)
    except SettingsError as error:
        if require_all:
            raise
        notes.append(f"the container gets no secrets: {error}")
    if record.not_recorded:
        notes.append(f"not recorded, because they have no JSON form: {', '.join(record.not_recorded)}")
    facts = engine.explain(record.container_kwargs)
    image = _named_image(overrides.image, engine) if overrides.image else _same_image(record, engine, notes)
    run_id = f"replay-{uuid.uuid4().hex[:12]}"
    request = ContainerRequest(
        # A separate chain of runs, so that no retry in Dagster adopts this container.
        identity=replace(record.identity, run_id=run_id, root_run_id=run_id, attempt=0, call=0),
        image=image,
        settings=_settings(record, overrides),
        command=record.requested_command,
        environment={name: value for name, value in environment.items() if not name.startswith(_PIPES)},
        secrets=secrets,
        secret_sources={name: sources[name] for name in secrets},
        container_kwargs=facts.copied_without_networks if overrides.networks else facts.copied,
        promised=record.promised,
        adapter=record.adapter,
    )
    bootstrap = {name: value for name, value in environment.items() if value and name.startswith(_PIPES)}
    context = _context(step, overrides)
    attempt = exchange.create(f"{REPLAYS}/{step.run_id}/{step.attempt.path.parent.name}/1")
    return PreparedReplay(request, bootstrap, attempt, context, tuple(notes))


def redactor(step: PastAttempt) -> Redactor:
    """Return the redactor that removes the step's secrets from everything that is shown or exported.

    Args:
        step: The step.

    Raises:
        ExchangeError: The step's records cannot be read.
        SettingsError: The step has no verdict yet, so its messages may still contain secrets, and a secret's source
            cannot be read here, so its value would not be recognised.
    """
    if step.problem:
        # Which secrets it had is not known, so none could be removed.
        raise ExchangeError(step.problem)
    if step.record is None:
        return Redactor(())
    try:
        names = set(step.record.promised).union(*step.record.promised.values())
        return Redactor(read_secrets(step.record.secrets, step.record.secrets).values(), names=names)
    except SettingsError as error:
        if step.verdict is not None:
            return Redactor(())
        raise SettingsError(
            "The messages of a step without a verdict may contain secrets, and its secrets are not known here, so they "
            f"cannot be removed: run this command where Dagster's steps are started. ({error})"
        ) from error


def _named_image(image: str, engine: Engine) -> str:
    engine.resolve(image, pull="missing")
    return image


def _same_image(record: ContainerRecord, engine: Engine, notes: list[str]) -> str:
    # Where nodes find out what an image is, its name is all that was recorded.
    if record.image_id != record.image:
        with contextlib.suppress(ImageMissingError):
            return engine.resolve(record.image_id, pull="never")
    image_id = engine.resolve(record.image, pull=record.settings.pull)
    if record.image_id == record.image:
        if image_id != record.image:
            notes.append(f"which image {record.image} was is not recorded: it is {image_id[:19]} here")
    elif image_id == record.image:
        notes.append(f"the step ran {record.image_id[:19]}, and which image {record.image} is now, its node finds out")
    else:
        notes.append(f"image {record.image_id[:19]} is no longer here: {record.image} is now {image_id[:19]}")
    return record.image


def _settings(record: ContainerRecord, overrides: Overrides) -> Any:
    replaced = {mount.target for mount in overrides.mounts}
    mounts = [mount for mount in record.settings.mounts if mount.target not in replaced]
    update: dict[str, Any] = {
        "mounts": (*mounts, *overrides.mounts),
        "pull": "never",
        # Dagster knows no run of a replay; without this, the sweeper would stop the container in the end.
        "forward_termination": False,
        "name": f"replay-{record.settings.name or record.identity.step}",
    }
    if overrides.networks:
        update["networks"] = () if overrides.networks == (DEFAULT_NETWORK,) else overrides.networks
    return record.settings.overridden(update, source="command line")


def _context(step: PastAttempt, overrides: Overrides) -> bytes | None:
    recorded = step.attempt.read_context()
    if overrides.extras and recorded is None:
        raise ExchangeError(
            f"Step {step.step} got its context from a custom context injector, so there are no extras for --set to "
            "change. Replay it without --set."
        )
    if recorded is None:
        return None
    context = json.loads(recorded)
    context["extras"] = {**(context.get("extras") or {}), **overrides.extras}
    return json.dumps(context).encode()
