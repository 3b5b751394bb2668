"""Defines and checks what a step must report: metadata names and types, from one pydantic model per asset.

For example::

    class TripsReport(pydantic.BaseModel):
        rows_written: int = Field(description="Rows committed", json_schema_extra={"unit": "rows"})

    AssetSpec("trips", metadata=promises(TripsReport))

A field with a default is optional; an alias allows names such as ``dagster/row_count``.
"""

import datetime as dt
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import dagster as dg
import pydantic

from drayage.errors import PromiseError
from drayage.promise import Promise

PROMISES = "drayage/promises"
ANY = "any"
# A whole float is an int on the wire: 3.0 may arrive as the JSON number 3.
FLOAT = ("float", "int")

_TYPES_OF_ANNOTATION: dict[type[Any], tuple[str, ...]] = {
    bool: ("bool",),
    int: ("int",),
    float: FLOAT,
    pydantic.AnyUrl: ("url",),
    pydantic.HttpUrl: ("url",),
    str: ("text", "url", "path", "md"),
    dt.datetime: ("timestamp",),
    types.NoneType: ("null",),
    dg.TableSchema: ("table_schema",),
    dg.TableColumnLineage: ("table_column_lineage",),
    pydantic.BaseModel: ("json",),
    Mapping: ("json",),
    Sequence: ("json",),
}

_TYPE_OF_VALUE: dict[type[Any], str] = {
    dg.IntMetadataValue: "int",
    dg.FloatMetadataValue: "float",
    dg.BoolMetadataValue: "bool",
    dg.TextMetadataValue: "text",
    dg.UrlMetadataValue: "url",
    dg.PathMetadataValue: "path",
    dg.MarkdownMetadataValue: "md",
    dg.JsonMetadataValue: "json",
    dg.TimestampMetadataValue: "timestamp",
    dg.NullMetadataValue: "null",
    dg.NotebookMetadataValue: "notebook",
    dg.DagsterRunMetadataValue: "dagster_run",
    dg.DagsterAssetMetadataValue: "asset",
    dg.TableMetadataValue: "table",
    dg.TableSchemaMetadataValue: "table_schema",
    dg.TableColumnLineageMetadataValue: "table_column_lineage",
}


_PROMISES = pydantic.TypeAdapter(dict[str, Promise])


def promises(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """Create an asset's promises from a model.

    Args:
        model: The model; its fields are the promised metadata.

    Returns:
        Metadata for ``AssetSpec(metadata=…)``, with the single key ``drayage/promises``.

    Raises:
        PromiseError: A field has a type that Pipes metadata cannot have.
    """
    promised: dict[str, Any] = {}
    for field_name, field in model.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        unit = extra.get("unit")
        promised[field.alias or field_name] = Promise(
            types=_metadata_types(field.annotation, f"{model.__name__}.{field_name}"),
            required=field.is_required(),
            unit=str(unit) if unit is not None else None,
            description=field.description,
        ).model_dump(mode="json", exclude_none=True)
    return {PROMISES: promised}


def read_promises(metadata: Mapping[str, Any]) -> dict[str, Promise]:
    """Read the promises in an asset's metadata.

    Args:
        metadata: ``AssetSpec.metadata``, raw or normalized.

    Returns:
        The promises, by metadata name; empty if the asset has none.

    Raises:
        PromiseError: They do not have the form that :func:`promises` returns.
    """
    raw = metadata.get(PROMISES)
    if raw is None:
        return {}
    if isinstance(raw, dg.JsonMetadataValue):
        raw = raw.value
    try:
        return _PROMISES.validate_python(raw)
    except pydantic.ValidationError as error:
        raise PromiseError(
            f"The asset's {PROMISES!r} metadata cannot be read: {error}. Create it with drayage.promises(Model)."
        ) from error


def broken_promises(promised: Mapping[str, Promise], metadata: Mapping[str, Any] | None) -> list[str]:
    """Compare what was promised with what was reported.

    Args:
        promised: Promises as :func:`read_promises` returns them.
        metadata: Metadata of the reported materialization.

    Returns:
        One clause for each broken promise, in the order of the promises.
    """
    reported = metadata or {}
    broken = []
    for name, promise in promised.items():
        if name not in reported:
            if promise.required:
                broken.append(f"{name!r} ({_expected(promise.types)}) is missing")
            continue
        got = _TYPE_OF_VALUE.get(type(reported[name]), ANY)
        if promise.types and got != ANY and got not in promise.types:
            broken.append(f"{name!r} is of type {got}, not {_expected(promise.types)}")
    return broken


def unreported_promises(promised: Mapping[str, Mapping[str, Promise]], reported: Collection[str]) -> list[str]:
    """Return which of the assets with promises have no reported materialization.

    Args:
        promised: Promises by asset key, as Pipes writes the key.
        reported: Keys of the assets that were reported.

    Returns:
        One clause for each missing asset.
    """
    return [
        f"{key} was promised, but no materialization of it was reported"
        for key, promises_of_asset in promised.items()
        if promises_of_asset and key not in reported
    ]


def _expected(metadata_types: Sequence[str]) -> str:
    return " or ".join(metadata_types) if metadata_types else "of any type"


def _metadata_types(annotation: Any, where: str) -> tuple[str, ...]:
    """Return the metadata types that a field with this annotation may arrive as; empty for any."""
    if annotation is Any or annotation is object:
        return ()
    members = _members(annotation)
    if members is not None:
        found = [_metadata_types(member, where) for member in members]
        return () if () in found else tuple(dict.fromkeys(name for names in found for name in names))
    plain = typing.get_origin(annotation) or annotation
    for known, metadata_types in _TYPES_OF_ANNOTATION.items():
        # bool is a subclass of int, and therefore comes before it in the table.
        if plain is known or (isinstance(plain, type) and issubclass(plain, known)):
            return metadata_types
    raise PromiseError(
        f"{where} is of type {annotation!r}, which Pipes metadata cannot have. Use int, float, bool, str, dict, list, "
        "datetime, AnyUrl, dagster.TableSchema or Any."
    )


def _members(annotation: Any) -> tuple[Any, ...] | None:
    """Return the types that an annotation is composed of; None if it is a plain type."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return arguments[:1]
    if origin is typing.Literal:
        return tuple(type(value) for value in arguments)
    return arguments if origin in {typing.Union, types.UnionType} else None
