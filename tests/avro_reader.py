"""Avro records, decoded by code that belongs to the tests and shares nothing with the pipeline's."""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Mapping
from typing import Any

MAGIC_BYTE = 0
FRAMING = struct.Struct(">bI")
"""Confluent's framing of a message: the magic byte and the schema's id."""

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - wall clock


def framed_schema_id(message: bytes) -> int:
    """Return the id of the schema that a message was written with."""
    magic, schema_id = FRAMING.unpack_from(message)
    assert magic == MAGIC_BYTE, message[:16]
    return int(schema_id)


def decode(message: bytes, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Decode a framed message that was written with a schema.

    Types other than those of a trip's event are an error, and so is a byte too many.
    """
    reader = _Reader(message, FRAMING.size)
    record = {field["name"]: reader.value(field["type"]) for field in schema["fields"]}
    assert reader.position == len(message), f"{len(message) - reader.position} bytes after the record"
    return record


class _Reader:
    def __init__(self, content: bytes, position: int) -> None:
        self._content = content
        self.position = position

    def value(self, kind: Any) -> Any:
        if isinstance(kind, list):
            return self.value(kind[self._long()])
        if isinstance(kind, dict):
            return self._complex(kind)
        if kind == "null":
            return None
        if kind == "long":
            return self._long()
        if kind == "double":
            return struct.unpack("<d", self._take(8))[0]
        if kind == "string":
            return self._take(self._long()).decode()
        raise TypeError(f"no trip has a value of type {kind!r}")

    def _complex(self, kind: dict[str, Any]) -> Any:
        if kind["type"] == "map":
            return self._map(kind["values"])
        if kind.get("logicalType") == "timestamp-millis":
            return _EPOCH + dt.timedelta(milliseconds=self._long())
        raise TypeError(f"no trip has a value of type {kind!r}")

    def _map(self, kind: Any) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while count := self._long():
            if count < 0:  # the size of the block in bytes follows
                count = -count
                self._long()
            for _ in range(count):
                name = self.value("string")
                entries[name] = self.value(kind)
        return entries

    def _long(self) -> int:
        """Read seven bits a byte, the lowest first; even numbers stand for 0, 1, 2 and odd ones for -1, -2, -3."""
        number = shift = 0
        while True:
            byte = self._take(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number >> 1 ^ -(number & 1)

    def _take(self, size: int) -> bytes:
        end = self.position + size
        assert self.position <= end <= len(self._content), "the message ends within the record"
        taken, self.position = self._content[self.position : end], end
        return taken
