"""What a step must report: names and types of metadata, made from one pydantic model an asset.

::

    class TripsReport(pydantic.BaseModel):
        rows_written: int = Field(description="Rows committed", json_schema_extra={"unit": "rows"})

    AssetSpec("trips", metadata=promises(TripsReport))

A field with a default may be left out; an alias gives names such as ``dagster/row_count``.
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
# 3.0 arrives as the JSON number 3: a whole float is an int on the wire.
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
    """Make an asset's promises from a model.

    Args:
        model: Its fields are the promised names.

    Returns:
        Metadata for ``AssetSpec(metadata=…)``, with the one key ``drayage/promises``.

    Raises:
        PromiseError: A field has a type that no Pipes metadata can have.
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
    """Read an asset's promises back.

    Args:
        metadata: ``AssetSpec.metadata``, raw or normalized.

    Raises:
        PromiseError: They have another form than :func:`promises` gives.
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
            f"The asset's {PROMISES!r} metadata cannot be read: {error}. Make it with drayage.promises(Model)."
        ) from error


def broken_promises(promised: Mapping[str, Promise], metadata: Mapping[str, Any] | None) -> list[str]:
    """Compare what was promised with what was reported.

    Args:
        promised: As :func:`read_promises` gives it.
        metadata: Metadata of the reported materialization.

    Returns:
        One sentence part for each broken promise, in the promises' order.
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
    """Tell which promised assets no materialization was reported for.

    Args:
        promised: By asset key, as Pipes writes it.
        reported: Keys of the assets that were reported.

    Returns:
        One sentence part for each asset.
    """
    return [
        f"{key} was promised, and no materialization of it was reported"
        for key, promises_of_asset in promised.items()
        if promises_of_asset and key not in reported
    ]


def _expected(metadata_types: Sequence[str]) -> str:
    return " or ".join(metadata_types) if metadata_types else "of any type"


def _metadata_types(annotation: Any, where: str) -> tuple[str, ...]:
    """Metadata types that a field of this annotation may arrive as; empty for any."""
    if annotation is Any or annotation is object:
        return ()
    members = _members(annotation)
    if members is not None:
        found = [_metadata_types(member, where) for member in members]
        return () if () in found else tuple(dict.fromkeys(name for names in found for name in names))
    plain = typing.get_origin(annotation) or annotation
    for known, metadata_types in _TYPES_OF_ANNOTATION.items():
        # bool comes before int in the table: it is one of its kinds.
        if plain is known or (isinstance(plain, type) and issubclass(plain, known)):
            return metadata_types
    raise PromiseError(
        f"{where} is of type {annotation!r}, which no Pipes metadata has. Use int, float, bool, str, dict, list, "
        "datetime, AnyUrl, dagster.TableSchema or Any."
    )


def _members(annotation: Any) -> tuple[Any, ...] | None:
    """What an annotation is put together from; None if it is a plain type."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return arguments[:1]
    if origin is typing.Literal:
        return tuple(type(value) for value in arguments)
    return arguments if origin in {typing.Union, types.UnionType} else None
