"""The fields of a declared workload that are more than a text or a number: how YAML becomes what the client takes."""

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
    """One name that every materialization must carry.

    Args:
        type: Its Pipes metadata type; a whole float may come as an int.
        required: Whether it must be there at all.
        unit: What the number counts, for people.
        description: What it means, for people.
    """

    type: PromisedType
    required: bool = True
    unit: str | None = None
    description: str | None = None

    def promise(self) -> Promise:
        """The promise in the form that assets carry."""
        types = {ANY: (), "float": FLOAT}.get(self.type, (self.type,))
        return Promise(types=types, required=self.required, unit=self.unit, description=self.description)


class SecretSource(dg.Model, dg.Resolvable):
    """Where a secret comes from: one of the two.

    Args:
        env: Name of an environment variable of the host.
        file: Absolute path of a file of the host.
    """

    env: str | None = None
    file: str | None = None

    def secret(self) -> Secret | None:
        """The source as the client takes it; None unless just one is given."""
        if self.env is not None and self.file is None:
            return EnvSecret(self.env)
        return FileSecret(self.file) if self.file is not None and self.env is None else None


def resolve_settings(_context: dg.ResolutionContext, settings: StepSettings | None) -> dict[str, Any]:
    """Those that are given: what is not must not win over an asset's tags."""
    return {} if settings is None else {name: getattr(settings, name) for name in settings.model_fields_set}


def resolve_promises(
    _context: dg.ResolutionContext, promised: dict[str, PromisedType | PromisedMetadata]
) -> dict[str, Any]:
    """In the form that assets carry them."""
    kept = {
        name: (PromisedMetadata(type=promise) if isinstance(promise, str) else promise).promise()
        for name, promise in promised.items()
    }
    return {name: promise.model_dump(mode="json", exclude_none=True) for name, promise in kept.items()}


def resolve_values(context: dg.ResolutionContext, value: Any) -> Any:
    """Fill templates in; what is none stays as it is written, where Dagster would take the text ``3.10`` for 3.1.

    Args:
        context: Knows what the templates may name.
        value: As YAML has it.
    """
    if isinstance(value, dict):
        return {name: resolve_values(context, inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [resolve_values(context, inner) for inner in value]
    return context.resolve_value(value) if _is_template(value) else value


def resolve_text(context: dg.ResolutionContext, value: Any) -> Any:
    """Fill templates in where all is text: a command's words, environment variables.

    Args:
        context: Knows what the templates may name.
        value: As YAML has it.

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
    # What looks like a number has become one. Behind another character the same text stays a text.
    return resolved if isinstance(resolved, str) else str(context.resolve_value(f"|{value}"))[1:]


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and ("{{" in value or "{%" in value)
