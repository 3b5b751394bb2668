"""Makes one short text of many values, which differs as soon as one of them does."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any


def fingerprint_of(value: Any) -> str:
    """Return a hash of a value and of everything in it.

    Args:
        value: Plain values, mappings, sequences, sets, paths and objects, of which the attributes count.

    Returns:
        32 hexadecimal digits, equal for equal values, whatever their order in mappings and sets.
    """
    return hashlib.sha256(json.dumps(_canonical(value)).encode()).hexdigest()[:32]


def _canonical(value: Any) -> Any:
    """Return a value as JSON in which everything has one place."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        pairs = [[_canonical(key), _canonical(item)] for key, item in value.items()]
        return ["mapping", sorted(pairs, key=json.dumps)]
    if isinstance(value, Sequence | AbstractSet):
        items = [_canonical(item) for item in value]
        return ["sequence", items] if isinstance(value, Sequence) else ["set", sorted(items, key=json.dumps)]
    return [type(value).__qualname__, _canonical(vars(value)) if hasattr(value, "__dict__") else repr(value)]
