"""Defines the request that one call of the client makes.

The command line creates containers without importing Dagster, which takes seconds: this module needs it only for types.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from drayage.errors import SettingsError
from drayage.fingerprint import fingerprint_of

if TYPE_CHECKING:
    import dagster as dg
    from dagster_pipes import PipesExtras

    from drayage.dagster_internals import Context
    from drayage.identity import Identity
    from drayage.promise import Promise
    from drayage.secrets import Secret
    from drayage.settings import StepSettings

AdapterName = Literal["json_lines", "key_value"]
"""How metadata is read from the standard output of a program that does not use Pipes."""
NOT_OF_THE_CONTAINER = frozenset(
    {
        # How it is shown, found and kept.
        *("name", "pull", "keep", "keep_s"),
        # How its host treats it: the host that adopts it does so by its own settings.
        *("timeout_s", "start_timeout_s", "idle_timeout_s", "stop_signal", "stop_grace_s", "forward_termination"),
        *("message_bytes", "messages_bytes", "output_bytes"),
        "standby",
    }
)
"""The settings that a retry may change, and still adopt the container that an interrupted run left."""
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, kw_only=True)
class ContainerRequest:
    """Everything that a launcher needs to create a container, without any of Dagster's objects.

    Args:
        identity: The step that the container belongs to.
        image: Name or id of the image.
        settings: The step's settings, with all layers applied.
        command: Overrides the image's command; None keeps it.
        environment: Environment variables in addition to Pipes' own; None takes a variable of the image away.
        secrets: Names and values of the files under ``/run/secrets``.
        secret_sources: Source of each secret, so that a replay can read it again.
        container_kwargs: The engine's own keyword arguments for creating a container.
        published_ports: Ports on the engine's 127.0.0.1, by the container's port that each leads to.
        promised: The promises of the assets that this call must report, by asset key as Pipes writes it.
        adapter: How metadata is read from the standard output of a program that does not use Pipes.
    """

    identity: Identity
    image: str
    settings: StepSettings
    command: str | Sequence[str] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    secret_sources: Mapping[str, Secret] = field(default_factory=dict)
    container_kwargs: Mapping[str, Any] = field(default_factory=dict)
    published_ports: Mapping[int, int] = field(default_factory=dict)
    promised: Mapping[str, Mapping[str, Promise]] = field(default_factory=dict)
    adapter: AdapterName | None = None

    @property
    def names(self) -> frozenset[str]:
        """The names that the workload's messages may say, because the host declared them."""
        return frozenset(self.promised).union(*self.promised.values())


@dataclass(frozen=True, kw_only=True)
class StepRequest(ContainerRequest):
    """Everything that one call of the client asks for.

    Args:
        context: Dagster's context of the executing step.
        extras: Values that the workload gets through Pipes in addition to Dagster's own context.
        image_id: The id that the image must have; None accepts any.
        context_injector: Replaces the exchange directory's context file.
        message_reader: Replaces the exchange directory's messages file.
        implicit_materializations: Whether assets that nothing was reported for count as materialized.
        checks: The checks that this call must report.
    """

    context: Context
    extras: PipesExtras | None = None
    image_id: str | None = None
    context_injector: dg.PipesContextInjector | None = None
    message_reader: dg.PipesMessageReader | None = None
    implicit_materializations: bool = False
    checks: Collection[dg.AssetCheckKey] = ()

    @property
    def names(self) -> frozenset[str]:
        """The names that the workload's messages may say: those of assets, checks, partitions and promised metadata."""
        context = self.context
        names = set(super().names)
        if context.has_assets_def:
            names |= {key.to_escaped_user_string() for key in context.selected_asset_keys}
            for check in context.selected_asset_check_keys:
                names |= {check.name, check.asset_key.to_escaped_user_string()}
        return frozenset(names.union(self._partitions()))

    def _partitions(self) -> Sequence[str]:
        if self.context.has_partition_key:
            return [self.context.partition_key]
        return self.context.partition_keys if self.context.has_partition_key_range else ()

    def fingerprint(self, image_id: str) -> str:
        """Return a hash that shows whether a container left by an interrupted run does what this request asks for.

        It covers all that the container is made of and is told: the image's id, command, environment, the names and
        sources of secrets, ``container_kwargs``, adapter, extras, partitions, the selected assets and checks, and every
        setting, the labels included, except those of :data:`NOT_OF_THE_CONTAINER`. It does not cover the values of
        secrets, which could be guessed from a hash.

        Args:
            image_id: Content address of the image.

        Returns:
            32 hexadecimal digits.
        """
        context = self.context
        has_assets = context.has_assets_def
        asked = {
            "image_id": image_id,
            "command": self.command,
            "environment": self.environment,
            "secrets": {name: self.secret_sources.get(name) for name in self.secrets},
            "container_kwargs": self.container_kwargs,
            "published_ports": self.published_ports,
            "adapter": self.adapter,
            "settings": self.settings.model_dump(exclude=set(NOT_OF_THE_CONTAINER)),
            "extras": self.extras,
            "partitions": self._partitions(),
            "assets": {key.to_user_string() for key in context.selected_asset_keys} if has_assets else (),
            "checks": {key.to_user_string() for key in context.selected_asset_check_keys} if has_assets else (),
            "transport": [type(self.context_injector).__qualname__, type(self.message_reader).__qualname__],
        }
        return fingerprint_of(asked)


def require_image(given: Any) -> None:
    """Check that an image is named.

    Raises:
        SettingsError: It is not.
    """
    if not isinstance(given, str) or not given.strip():
        raise SettingsError(
            f"image: expected the name or the id of an image, got {_shown(given)}. Nothing was started."
        )


def plain_login(given: Mapping[str, str]) -> dict[str, str]:
    """Return what it takes to log in to an image registry: ``url``, ``username`` and ``password``.

    Raises:
        SettingsError: One of them is missing.
    """
    needed = ("url", "username", "password")
    if missing := [name for name in needed if name not in given]:
        raise SettingsError(
            f"registry: expected url, username and password, got no {' and no '.join(missing)}. Nothing was started."
        )
    return {name: given[name] for name in needed}


def plain_environments(given: Mapping[str, Any]) -> dict[str, str | None]:
    """Return several environments as one, of which a later one overrides an earlier one.

    Args:
        given: The environments, as :func:`plain_environment` takes them, by what to call them in an error.

    Raises:
        SettingsError: One of them is malformed.
    """
    return {name: value for of, layer in given.items() for name, value in plain_environment(layer, of=of).items()}


def plain_environment(given: Any, *, of: str) -> dict[str, str | None]:
    """Return environment variables as docker-py writes them.

    Args:
        given: A mapping from names to values of any type, or a list of ``NAME=value`` lines. As with docker-py, None
            takes a variable of the image away, and so does a line without ``=``.
        of: What to call the argument in an error.

    Raises:
        SettingsError: It is neither, or a name or a value cannot be one of an environment variable.

    Source: ``docker.utils.format_environment`` of docker-py 7.
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, list | tuple) and all(isinstance(line, str) for line in given):
        pairs = [(name, value if equals else None) for name, equals, value in (line.partition("=") for line in given)]
    else:
        raise SettingsError(f"{of}: expected a mapping from names to values, got {_shown(given)}. Nothing was started.")
    plain: dict[str, str | None] = {}
    for name, value in pairs:
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise SettingsError(
                f"{of}: expected a variable's name, as text without `=`, got {_shown(name)}. Nothing was started."
            )
        try:
            plain[name] = None if value is None else value.decode() if isinstance(value, bytes) else f"{value}"
        except Exception as error:
            # The value's own `__str__` may fail in any way: that of Dagster's `EnvVar` does, with advice.
            raise SettingsError(
                f"{of}: expected a value that can be written as text for {name}, got a {type(value).__name__} "
                f"({error}). Nothing was started."
            ) from error
        if "\0" in (plain[name] or ""):
            raise SettingsError(f"{of}: the value of {name} holds a NUL character. Nothing was started.")
    return plain


def plain_command(given: Any) -> str | list[str] | None:
    """Return a command as text or as a list of words; a path may stand for its text.

    Raises:
        SettingsError: It is neither, or one of the words is neither text nor a path.
    """
    if given is None or isinstance(given, str):
        return given
    words = [given] if isinstance(given, os.PathLike) else given
    if not isinstance(words, Sequence) or isinstance(words, bytes | bytearray):
        raise SettingsError(f"command: expected text or a list of words, got {_shown(given)}. Nothing was started.")
    plain = []
    for number, word in enumerate(words):
        path = os.fspath(word) if isinstance(word, os.PathLike) else word
        if not isinstance(path, str):
            raise SettingsError(f"command[{number}]: expected text or a path, got {_shown(word)}. Nothing was started.")
        plain.append(path)
    return plain


def require_json(given: Any) -> None:
    """Check that extras can be written as JSON, which is how the workload gets them.

    Raises:
        SettingsError: They cannot; it names the place inside the extras.
    """
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise SettingsError(f"extras: expected a mapping, got {_shown(given)}. Nothing was started.")
    try:
        json.dumps(given, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        problem = next(_not_json(given, "extras", ()), f"extras: expected JSON ({error})")
        raise SettingsError(
            f"{problem}. Convert it, for example to text with `isoformat()` or `str()`. Nothing was started."
        ) from error


def _not_json(value: Any, where: str, inside: tuple[int, ...]) -> Iterator[str]:
    """Yield what is not JSON in a value, and where."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: expected a finite number, got {value}"
    elif isinstance(value, dict | list | tuple):
        if id(value) in inside:
            yield f"{where}: expected JSON, got a value that contains itself"
            return
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(value, dict) and not isinstance(key, str | int | float | bool | None):
                yield f"{where}: expected text as a key, got {_shown(key)}"
            place = f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"
            yield from _not_json(item, where + place, (*inside, id(value)))
    elif not isinstance(value, str | int | float | bool | None):
        yield f"{where}: expected text, a number, true, false, null, a list or a mapping, got {_shown(value)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text[:_SHOWN_CHARACTERS]}{'…' if len(text) > _SHOWN_CHARACTERS else ''} ({type(value).__name__})"
