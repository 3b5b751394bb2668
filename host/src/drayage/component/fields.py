"""Converts the structured fields of a declared workload from YAML to the client's arguments."""

from typing import Any, Literal

import dagster as dg
import pydantic

from drayage.promise import Promise
from drayage.secrets import EnvSecret, FileSecret, Secret
from drayage.settings import StepSettings
from drayage.verdict.promises import ANY, FLOAT

PromisedType = Literal[
    "any",
    "int",
    "float",
    "bool",
    "text",
    "url",
    "path",
    "md",
    "json",
    "timestamp",
    "notebook",
    "dagster_run",
    "asset",
    "table",
    "table_schema",
    "table_column_lineage",
    "null",
]


class PromisedMetadata(pydantic.BaseModel, extra="forbid"):
    """One metadata name that every materialization must carry.

    Args:
        type: Pipes metadata type of the value; for a float, an int is accepted too.
        required: Whether every materialization must carry the name; if not, only the type is checked.
        unit: Unit of the number, for people.
        description: Meaning of the value, for people.
    """

    type: PromisedType
    required: bool = True
    unit: str | None = None
    description: str | None = None

    def promise(self) -> Promise:
        """Return the promise in the form that an asset's metadata holds."""
        types = {ANY: (), "float": FLOAT}.get(self.type, (self.type,))
        return Promise(types=types, required=self.required, unit=self.unit, description=self.description)


class SecretSource(dg.Model, dg.Resolvable):
    """The source of a secret; exactly one of the two must be given.

    Args:
        env: Name of an environment variable on the host.
        file: Absolute path of a file on the host.
    """

    env: str | None = None
    file: str | None = None

    def secret(self) -> Secret | None:
        """Return the source in the client's form; None unless exactly one is given."""
        if self.env is not None and self.file is None:
            return EnvSecret(self.env)
        return FileSecret(self.file) if self.file is not None and self.env is None else None


def resolve_settings(_context: dg.ResolutionContext, settings: StepSettings | None) -> dict[str, Any]:
    """Return only the settings that are given: a default must not override an asset's tags.

    Args:
        settings: The declared settings; None if there are none.
    """
    return {} if settings is None else {name: getattr(settings, name) for name in settings.model_fields_set}


def resolve_promises(
    _context: dg.ResolutionContext, promised: dict[str, PromisedType | PromisedMetadata]
) -> dict[str, Any]:
    """Return the promises in the form that an asset's metadata holds.

    Args:
        promised: A type, or type, unit, description and required, for each metadata name.
    """
    kept = {
        name: (PromisedMetadata(type=promise) if isinstance(promise, str) else promise).promise()
        for name, promise in promised.items()
    }
    return {name: promise.model_dump(mode="json", exclude_none=True) for name, promise in kept.items()}


def resolve_values(context: dg.ResolutionContext, value: Any) -> Any:
    """Fill in templates; any other value stays as it is written, whereas Dagster would read the text ``3.10`` as 3.1.

    Args:
        context: Dagster's context, which knows the names that templates may use.
        value: Value as YAML returns it.
    """
    if isinstance(value, dict):
        return {name: resolve_values(context, inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [resolve_values(context, inner) for inner in value]
    return context.resolve_value(value) if _is_template(value) else value


def resolve_text(context: dg.ResolutionContext, value: Any) -> Any:
    """Fill in templates where every value is text: in commands and environment variables.

    Args:
        context: Dagster's context, which knows the names that templates may use.
        value: Value as YAML returns it.

    Raises:
        ValueError: A template has no value.
    """
    if isinstance(value, dict):
        return {name: resolve_text(context, inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [resolve_text(context, inner) for inner in value]
    if not _is_template(value):
        return value
    resolved = context.resolve_value(value)
    if resolved is None:
        raise ValueError(f"{value} has no value")
    # Dagster turns text that looks like a number into one. With another character in front, the same text stays text.
    return resolved if isinstance(resolved, str) else str(context.resolve_value(f"|{value}"))[1:]


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and ("{{" in value or "{%" in value)
