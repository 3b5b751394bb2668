"""The event's schema: an Avro file, and the same columns as Arrow types."""

import json
from importlib.resources import files
from typing import Any, Final

import pyarrow as pa

AVRO_SCHEMA: Final[str] = (files(__package__) / "raw_trip.avsc").read_text(encoding="utf-8")
"""The record ``nyc.taxi.RawTrip``, as registered."""

TIMESTAMP: Final = pa.timestamp("ms")
"""Wall clock time in milliseconds without a time zone, as in the TLC's files."""


TEXT_MAP: Final = pa.map_(pa.string(), pa.string())
"""Texts by column name."""


def _arrow_type(avro: Any) -> pa.DataType:
    if isinstance(avro, list):
        return _arrow_type(next(branch for branch in avro if branch != "null"))
    if isinstance(avro, dict):
        return TEXT_MAP if avro["type"] == "map" else {"timestamp-millis": TIMESTAMP}[avro["logicalType"]]
    return {"string": pa.string(), "long": pa.int64(), "double": pa.float64()}[avro]


def _arrow_schema(avro_schema: str) -> pa.Schema:
    return pa.schema(
        [
            pa.field(field["name"], _arrow_type(field["type"]), nullable=isinstance(field["type"], list))
            for field in json.loads(avro_schema)["fields"]
        ]
    )


EVENT_SCHEMA: Final[pa.Schema] = _arrow_schema(AVRO_SCHEMA)
"""The event's columns as Arrow types, in the order of the Avro record."""

TRIP_SCHEMA: Final[pa.Schema] = pa.schema(
    [field for field in EVENT_SCHEMA if field.nullable and field.name != "source_version"]
)
"""All columns that a trip has by itself; the event's other columns say which event it is, and when it was sent."""

TRIP_WITH_ID_SCHEMA: Final[pa.Schema] = pa.schema([EVENT_SCHEMA.field("event_id"), *TRIP_SCHEMA])
"""The columns that a source of trips yields: the event's id, then the trip's columns."""
