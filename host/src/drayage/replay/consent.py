"""Asks before a capsule from elsewhere reaches into this machine: all that it asks for must be named by its user.

A container is a stranger's program in any case, so what stays inside it needs no consent. What does is everything that
comes from this machine: its files, volumes, networks, environment and secrets, an image that is to be pulled, and every
option of the engine that is not known to be harmless.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from drayage.engine import Engine, Mount
from drayage.errors import ImageMissingError, SettingsError
from drayage.exchange.record import ContainerRecord
from drayage.replay.prepare import DEFAULT_NETWORK, Overrides
from drayage.secrets import EnvSecret, Secret

_SHOWN_CHARACTERS = 2000
_SHOWN_WISHES = 40
# They lead to nothing on this machine but what it shows to everyone.
_OWN_NETWORKS = frozenset({"none", "bridge", DEFAULT_NETWORK})


@dataclass(frozen=True)
class Wish:
    """One thing that a capsule wants of this machine.

    Args:
        what: What it is.
        option: The words of the command line that allow it.
    """

    what: str
    option: tuple[str, ...]


def consented(record: ContainerRecord, overrides: Overrides, *, engine: Engine, command: str) -> ContainerRecord:
    """Return how a capsule's container is made on this machine, if its user named all that it asks for.

    Args:
        record: How the capsule says that its container was made.
        overrides: What the command line names.
        engine: The engine that will run the container.
        command: The command line, to which the refusal adds what is missing.

    Returns:
        The record, with nothing of this machine's in it but what the command line names.

    Raises:
        SettingsError: The capsule asks for something that is not named, or the command line allows something that it
            does not ask for.
    """
    wishes = list(islice(_wishes(record, overrides, engine), _SHOWN_WISHES))
    if wishes:
        options = shlex.join(word for wish in wishes for word in wish.option)
        advice = f"To run it all the same, with all of this: {command} {options}"
        if not options.isprintable():
            advice = "It cannot be allowed on a command line, where these characters cannot be typed."
        raise SettingsError(
            f"The capsule asks for what it may not have unless you name it: {'; '.join(w.what for w in wishes)}. "
            f"Nothing was started. {advice}"
        )
    unused = [name for name in overrides.allowed if name not in record.container_kwargs]
    if unused:
        raise SettingsError(f"--allow {', '.join(unused)}: the capsule does not ask for that. Nothing was started.")
    settings = {
        # A label may be an order to whatever watches over this machine's containers, the sweeper included.
        "labels": {},
        "mounts": tuple(each for each in record.settings.mounts if each.kind == "tmpfs"),
        # An image that is here under its name only may be newer at its registry, and ``--image`` has not named it.
        "pull": "never",
    }
    return record.model_copy(
        update={
            "settings": record.settings.overridden(settings, source="capsule"),
            "environment": {name: value for name, value in record.environment.items() if value is not None},
            "secrets": {},
            "container_kwargs": dict(engine.explain(record.container_kwargs).guarded),
        }
    )


def shown(record: ContainerRecord, overrides: Overrides) -> Iterator[tuple[str, str]]:
    """Yield what a capsule will run, as name and value, safe to print.

    Args:
        record: How its container will be made.
        overrides: What the command line names.
    """
    settings = record.settings
    mounts = [*settings.mounts, *overrides.mounts]
    rows = {
        "image": overrides.image or _image(record),
        "command": "the image's own" if record.command is None else record.requested_command,
        "user": settings.user or "the image's own",
        "networks": overrides.networks or settings.networks or "the engine's own",
        "mounts": [_as_option(mount) if mount.kind != "tmpfs" else f"tmpfs:{mount.target}" for mount in mounts],
        "environment": sorted({*record.environment, *overrides.environment}),
        "secrets": {name: _source(secret) for name, secret in overrides.secrets.items()},
        "options": record.container_kwargs,
    }
    for name, value in rows.items():
        if value not in ([], {}):
            yield name, _printable(value)


def _wishes(record: ContainerRecord, overrides: Overrides, engine: Engine) -> Iterator[Wish]:
    yield from _image_wish(record, overrides, engine)
    named_targets = {mount.target for mount in overrides.mounts}
    for mount in record.settings.mounts:
        if mount.kind != "tmpfs" and mount.target not in named_targets:
            what = "the path" if mount.kind in {"bind", "local"} else "the volume"
            yield Wish(f"{what} {_printable(mount.source)}", ("--mount", _as_option(mount)))
    facts = engine.explain(record.container_kwargs)
    for network in dict.fromkeys((*record.settings.networks, *facts.networks)):
        if not overrides.networks and network not in _OWN_NETWORKS:
            yield Wish(f"the network {_printable(network)}", ("--network", network))
    for name, value in record.environment.items():
        if value is None and name not in overrides.environment:
            yield Wish(f"the variable {_printable(name)} of your environment", ("--env", name))
    for name, secret in record.secrets.items():
        if name not in overrides.secrets:
            source = _source(secret)
            yield Wish(f"the secret {_printable(name)} from {_printable(source)}", ("--secret", f"{name}={source}"))
    for name, value in facts.reaching.items():
        yield from _option_wish(name, value, overrides.allowed)


def _image_wish(record: ContainerRecord, overrides: Overrides, engine: Engine) -> Iterator[Wish]:
    if overrides.image is not None:
        return
    for image in (record.image_id, record.image):
        try:
            engine.resolve(image, pull="never")
        except ImageMissingError:
            continue
        return
    yield Wish(
        f"the image {_printable(record.image)}, which is not here and would be pulled", ("--image", record.image)
    )


def _option_wish(name: str, value: Any, allowed: Mapping[str, Any]) -> Iterator[Wish]:
    if name not in allowed or allowed[name] != value:
        text = f"{name}={json.dumps(value)}"
        yield Wish(f"the engine's option {_printable(text)}", ("--allow", text))


def _image(record: ContainerRecord) -> str:
    named = record.image_id == record.image
    return record.image if named else f"{record.image_id}, which the capsule calls {record.image}"


def _as_option(mount: Mount) -> str:
    return f"{mount.source}:{mount.target}{':ro' if mount.read_only else ''}"


def _source(secret: Secret) -> str:
    return f"env:{secret.variable}" if isinstance(secret, EnvSecret) else f"file:{secret.path}"


def _printable(value: Any) -> str:
    """Return text that cannot steer a terminal, or hide what comes after it."""
    text = value if isinstance(value, str) else json.dumps(value)
    if not text.isprintable():
        text = json.dumps(text)
    rest = len(text) - _SHOWN_CHARACTERS
    return text if rest <= 0 else f"{text[:_SHOWN_CHARACTERS]}… and {rest} more characters"
