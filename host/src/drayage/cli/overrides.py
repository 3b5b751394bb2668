"""Parses the options that make a replay differ from the step as it ran."""

import json
import os
from pathlib import Path
from typing import Any

from drayage.engine import Mount
from drayage.errors import SettingsError
from drayage.replay.prepare import Overrides
from drayage.secrets import EnvSecret, FileSecret, Secret


def read_overrides(
    *,
    image: str | None,
    extras: list[str],
    mounts: list[str],
    environment: list[str],
    networks: list[str],
    secrets: list[str],
    allowed: list[str],
) -> Overrides:
    """Parse the overrides given as options of a command.

    Args:
        image: Another image.
        extras: Extras as ``key=value``; a value that is not valid JSON is taken as text.
        mounts: Mounts as ``source:target`` or ``source:target:ro``; a relative source starts in the working directory.
        environment: Environment variables as ``NAME=value``, or ``NAME`` for the value that it has here.
        networks: Names of networks.
        secrets: Secrets as ``name=env:VARIABLE`` or ``name=file:/path``.
        allowed: Options of the engine that a capsule may use, as ``name=value`` with the value in JSON.

    Returns:
        The overrides.

    Raises:
        SettingsError: An option is malformed, the source of a mount does not exist, or a variable is not set here.
    """
    return Overrides(
        image=image,
        extras={name: _json_or_text(value) for name, value in _pairs(extras, "--set", "limit=100")},
        mounts=tuple(map(_mount, mounts)),
        environment=dict(_pairs([_with_value(word) for word in environment], "--env", "LIMIT=100")),
        networks=tuple(networks),
        secrets=dict(map(_secret, secrets)),
        allowed={name: _json_or_text(value) for name, value in _pairs(allowed, "--allow", "privileged=true")},
    )


def _pairs(words: list[str], option: str, example: str) -> list[tuple[str, str]]:
    for word in words:
        if "=" not in word.lstrip("="):
            raise SettingsError(f"{option} {word}: expected name=value, such as {option} {example}.")
    return [(name, value) for name, _, value in (word.partition("=") for word in words)]


def _with_value(word: str) -> str:
    if not word or "=" in word:
        return word
    if word not in os.environ:
        raise SettingsError(f"--env {word}: {word} is not set here. Set it, or pass --env {word}=value.")
    return f"{word}={os.environ[word]}"


def _secret(word: str) -> tuple[str, Secret]:
    name, _, source = word.partition("=")
    kind, _, where = source.partition(":")
    kinds: dict[str, type[Secret]] = {"env": EnvSecret, "file": FileSecret}
    if name in {"", ".."} or name != Path(name).name or kind not in kinds or not where:
        raise SettingsError(
            f"--secret {word}: expected name=env:VARIABLE or name=file:/path, such as --secret token=env:API_TOKEN."
        )
    return name, kinds[kind](where)


def _mount(word: str) -> Mount:
    source, *rest = word.split(":")
    if not rest or not source or not rest[0].startswith("/") or rest[1:] not in ([], ["ro"], ["rw"]):
        raise SettingsError(f"--mount {word}: expected source:/target or source:/target:ro.")
    is_path = "/" in source or source.startswith(".")
    if is_path and not Path(source).exists():
        raise SettingsError(f"--mount {word}: {Path(source).absolute()} does not exist.")
    where = str(Path(source).resolve()) if is_path else source
    return Mount(where, rest[0], read_only=rest[1:] == ["ro"], kind="local" if is_path else "volume")


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
