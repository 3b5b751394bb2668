r"""Refuses values that Dagster's storage or its UI cannot hold, and says where in the message each one is.

Messages are JSON, and JSON is wider than what is behind it in some places and narrower in others:

- Python's parser takes ``NaN`` and ``Infinity``, which no other reader does, and makes ``1e400`` an infinity.
- A lone surrogate (``\udce9``, as Python makes of a file name that is not UTF-8) is valid in JSON and cannot be
  encoded: SQLite refuses to store it, and the page of a run with one in its log cannot be served.
- PostgreSQL refuses NUL in text.
- The UI reads ``json`` and ``table`` metadata with JavaScript, which shows an integer beyond 2**53 as another one. An
  ``int`` of any size is shown as it is, because Dagster sends it as text.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from drayage.errors import SettingsError
from drayage.request import require_json

DEEPEST = 100
"""Most levels of nesting in a message: Dagster's storage recurses several times for each."""

_EXACT = 2**53
_SHOWN_CHARACTERS = 80
_LONGEST_PATH = 300
_MATERIALIZES_NOTHING = "__source_asset_observation__"


def unfit(content: Any, *, where: str, metadata: tuple[str, ...] | None = None, own: bool = False) -> str | None:
    """Find the first value that cannot be stored or shown.

    Args:
        content: Parsed JSON.
        where: What to call the content in the text.
        metadata: The names that lead to the metadata in it; None if it holds none.
        own: Whether the content is the pipeline's own, so that neither Dagster's storage nor its UI get it.

    Returns:
        A clause that says where the value is, what is wrong and what to do; None if there is none.
    """
    names = content
    for name in metadata or ():
        names = names.get(name) if isinstance(names, dict) else None
    silencing = isinstance(names, dict) and _MATERIALIZES_NOTHING in names
    # Tens of thousands of messages arrive in a second, and nearly all are plain: that is found out first.
    if not silencing and _fits(content, 0, exact=metadata is not None):
        return None
    found = _Search(own=own, exact=metadata is not None).find(content, 0, metadata, None)
    return None if found is None else f"{_cut(where + ''.join(reversed(found.path)))} {found.text}"


def require_extras(extras: Any) -> None:
    """Check that every workload can read the extras of a call, in whatever language it is written.

    Args:
        extras: The extras.

    Raises:
        SettingsError: A value in them is not JSON, or is not text.
    """
    require_json(extras)
    # As the workload will get them: a tuple is a list then.
    if text := unfit(json.loads(json.dumps(extras)), where="extras", own=True):
        raise SettingsError(f"{text}. Nothing was started.")


def shown(value: Any, longest: int = _SHOWN_CHARACTERS) -> str:
    """Return a value as JSON in ASCII, shortened.

    Args:
        value: Parsed JSON, or what Python's parser takes for it.
        longest: The most characters of it to show.
    """
    text = ""
    for part in _pieces(value, longest, 0):
        text += part
        if len(text) > longest:
            return f"{text[:longest]}…"
    return text


def _pieces(value: Any, longest: int, depth: int) -> Iterator[str]:
    """Yield a value's JSON piece by piece, so that no more of a large one is written than is shown."""
    if depth > longest:
        yield "…"
    elif isinstance(value, dict):
        yield "{"
        for number, (name, member) in enumerate(value.items()):
            yield ", " if number else ""
            yield from _pieces(name, longest, depth + 1)
            yield ": "
            yield from _pieces(member, longest, depth + 1)
        yield "}"
    elif isinstance(value, list | tuple):
        yield "["
        for number, item in enumerate(value):
            yield ", " if number else ""
            yield from _pieces(item, longest, depth + 1)
        yield "]"
    else:
        yield json.dumps(value[: longest + 1] if isinstance(value, str) else value, default=repr)


def _fits(value: Any, depth: int, *, exact: bool) -> bool:
    """Return whether a value is certainly right, whatever it is part of."""
    kind = type(value)
    if kind is str:
        return "\0" not in value and (value.isascii() or _surrogate(value) is None)
    if kind is int:
        return not exact or -_EXACT <= value <= _EXACT
    if kind is float:
        return math.isfinite(value)
    if kind is dict or kind is list:
        if depth >= DEEPEST:
            return False
        for member in chain(value, value.values()) if kind is dict else value:
            # Names and most values are plain text: a call for each would take longer than all the rest.
            plain = type(member) is str and member.isascii() and "\0" not in member
            if not (plain or _fits(member, depth + 1, exact=exact)):
                return False
    return True


@dataclass
class _Found:
    """A value that is refused, and the way to it, innermost part first."""

    text: str
    path: list[str]


@dataclass(frozen=True)
class _Search:
    """A search for the first value that is refused."""

    own: bool
    exact: bool

    def find(self, value: Any, depth: int, way: tuple[str, ...] | None, inside: int | None) -> _Found | None:
        """Search a value.

        Args:
            value: The value.
            depth: How deep in the message it is.
            way: The names that lead from it to the metadata; None if none do.
            inside: How deep in the metadata it is: 0 is the metadata itself, 1 a value, 2 its ``raw_value``; None
                if it is outside.
        """
        if way == ():
            way, inside = None, 0
        if not isinstance(value, dict | list):
            text = self._scalar(value)
            return None if text is None else _Found(text, [])
        if depth >= DEEPEST:
            return _Found(f"is nested more than {DEEPEST} levels deep: make it text", [])
        for name, member in value.items() if isinstance(value, dict) else enumerate(value):
            onward = way[1:] if way and way[0] == name else None
            deeper = None if inside is None else inside + 1
            found = self._name(name, inside) or self.find(member, depth + 1, onward, deeper)
            # A number that is a value itself, plain or typed, is shown as it is.
            if found is None and deeper is not None and not (inside == 0 or (inside == 1 and name == "raw_value")):
                found = self._integer(member)
            if found is not None:
                found.path.append(f"[{name}]" if isinstance(name, int) else f".{_plain(name)}")
                return found
        return None

    def _name(self, name: str | int, inside: int | None) -> _Found | None:
        if isinstance(name, int):
            return None
        if inside == 0 and name == _MATERIALIZES_NOTHING:
            return _Found("is a name by which Dagster records no materialization at all: report another name", [])
        text = self._text(name)
        return None if text is None else _Found(f"is a name that {text}", [])

    def _scalar(self, value: Any) -> str | None:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, float) and not math.isfinite(value):
            return f"is {_not_finite(value)}, which JSON does not have: use null or text"
        return None

    def _integer(self, value: Any) -> _Found | None:
        if not self.exact or not isinstance(value, int) or abs(value) <= _EXACT:
            return None
        return _Found(
            f"is {shown(value)}, beyond 2**53, and the UI would show another number: report it as text, or as an "
            "`int` of its own",
            [],
        )

    def _text(self, text: str) -> str | None:
        position = _surrogate(text)
        if position is not None:
            return (
                f"holds a lone surrogate (\\u{ord(text[position]):04x}, character {position}), which no storage can "
                f"hold: expected text that can be encoded as UTF-8, got {shown(text)}"
            )
        if "\0" in text and not self.own:
            return (
                f"holds NUL (character {text.index(chr(0))}), which not every storage can hold: expected text without "
                f"it, got {shown(text)}"
            )
        return None


def _cut(path: str) -> str:
    """Leave out the middle of a long path."""
    return path if len(path) <= _LONGEST_PATH else f"{path[: _LONGEST_PATH // 2]}…{path[-_LONGEST_PATH // 2 :]}"


def _surrogate(text: str) -> int | None:
    """Return the position of the first lone surrogate; None if there is none."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return f"{'' if value > 0 else '-'}Infinity (or a number too large for a double)"


def _plain(name: str) -> str:
    short = name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}…"
    return short.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
