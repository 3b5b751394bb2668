"""Removes the values of secrets from everything that is written.

A value is found as it is, each of its lines alone, and in any JSON encoding, JSON within JSON included. Text is
redacted as it stands. A message is redacted in its strings alone: a secret such as ``1000`` breaks no number, and one
such as ``params`` no message. A value of fewer than four bytes is not redacted.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

_REDACTED = "[secret]"
# Redacting shorter values would black out ordinary text, and a value that short is not secret anyway.
_SHORTEST_REDACTED_BYTES = 4
_LONGEST_LINE_BYTES = 16 * 1024 * 1024
# How often JSON may be encoded in JSON. A limit, as `\u005cu005cu005c…` takes one more round for each of its parts.
_DEEPEST_ENCODING = 8
# JSON's escapes, and those that Python's `repr` adds.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|U000[0-9a-fA-F]{5}|[\"'\\/bfnrt])"
)
_SHORT_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ASTRAL_ESCAPE = 12
# A string of a JSON text, and the colon that makes it a member's name.
_JSON_STRING = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?')


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The words of Pipes' own messages; `tests/drayage/test_redaction.py` compares them with the schema.
PROTOCOL_NAMES = _words(
    "__dagster_pipes_version method params extras message level stream text asset_key data_version metadata check_name "
    "passed severity payload exception name stack cause context kind partition_key raw_value type records schema "
    "columns description constraints nullable unique other tags deps_by_column column_name"
)
PROTOCOL_VALUES: Mapping[str, frozenset[str]] = {
    "__dagster_pipes_version": _words("0.1"),
    "method": _words(
        "opened closed log log_external_stream report_asset_materialization report_asset_check report_custom_message"
    ),
    "level": _words("DEBUG INFO WARNING WARN ERROR CRITICAL FATAL debug info warning warn error critical fatal"),
    "severity": _words("WARN ERROR"),
    "stream": _words("stdout stderr"),
    "kind": _words("progress partition_metadata"),
    "type": _words(
        "__infer__ text url md path notebook json int float bool null timestamp dagster_run asset table table_schema "
        "table_column_lineage"
    ),
}
# Where a message names something that the step declared.
_IDENTIFIERS = frozenset({"asset_key", "check_name", "partition_key"})


class Redactor:
    """Replaces the values of secrets with a placeholder.

    Args:
        values: The values of the secrets.
        names: Names that the step itself declared, such as its assets' keys. A message that says one of them in its
            place is left as it is, even if the name contains a secret.
    """

    def __init__(self, values: Iterable[bytes], *, names: Collection[str] = ()) -> None:
        needles = _needles(values)
        self._needles = sorted(needles, key=len, reverse=True)
        self._names = frozenset(names)
        # Where a secret of several lines is, one of its lines is too.
        self._signs = [needle for needle in self._needles if not (_parts(needle) - {needle}) & needles]
        # Other escapes stand for characters that are in no secret, so that reading them would reveal none.
        written = {*_SHORT_ESCAPES, *"\"'\\/"}
        self._escapes = ["\\u", "\\x", "\\U"]
        self._escapes += [f"\\{e}" for e in written if any(_SHORT_ESCAPES.get(e, e) in sign for sign in self._signs)]

    def __bool__(self) -> bool:
        """Return whether there is anything to redact."""
        return bool(self._needles)

    def __call__(self, content: bytes) -> bytes:
        """Return a line of text with the secrets removed, in whichever way they are encoded."""
        if not self._needles:
            return content
        text = content.decode("utf-8", "surrogateescape")
        clean = self.text(text)
        return content if clean is text else clean.encode("utf-8", "surrogateescape")

    def text(self, content: str) -> str:
        """Return text with the secrets removed, in whichever way they are encoded."""
        if not self._is_in(content):
            return content
        pieces, end = [], 0
        for first, last in _merged(self._spans(content)):
            pieces += [content[end:first], _REDACTED]
            end = last
        return "".join([*pieces, content[end:]]) if pieces else content

    def allows(self, error: BaseException) -> bool:
        """Return whether neither an error nor any that led to it says a secret."""
        led: BaseException | None = error
        while led is not None:
            if self._is_in(str(led)) or self._is_in(repr(led)):
                return False
            led = led.__cause__ or led.__context__
        return True

    def beginning(self, content: bytes) -> bytes:
        """Return the beginning of a longer line with the secrets removed, also one that the line was cut in."""
        clean = self(content)
        if not self._needles:
            return clean
        return clean[: max(0, len(clean) - _ASTRAL_ESCAPE * max(map(len, self._needles)))]

    def message(self, content: Any) -> Any:
        """Return parsed JSON with the secrets removed from its strings.

        Numbers stay as they are, and so do the words of Pipes' own messages, and the step's own names in their places.

        Raises:
            RecursionError: The JSON is nested too deep.
        """
        if not self._needles or not self._is_in(json.dumps(content, ensure_ascii=False)):
            return content
        return json.loads(self._in_strings(json.dumps(content)))

    def line(self, content: bytes) -> bytes:
        """Return a line of the messages file with the secrets removed: as a message, or as text if it is not one."""
        if not self._needles:
            return content
        text = content.decode("utf-8", "surrogateescape")
        if not self._is_in(text):
            return content
        try:
            is_message = isinstance(json.loads(content), dict)
        except (ValueError, RecursionError):
            is_message = False
        return self._in_strings(text).encode() if is_message else self(content)

    def lines(self, messages: BinaryIO, *, longest_bytes: int = _LONGEST_LINE_BYTES) -> Iterator[bytes]:
        """Yield the lines of a messages file with the secrets removed; of one too long to look into, its size."""
        # One more than a message may have, for the newline.
        while line := messages.readline(longest_bytes + 1):
            if len(line) <= longest_bytes or line.endswith(b"\n"):
                yield self.line(line)
                continue
            size_bytes = len(line)
            while not line.endswith(b"\n") and (line := messages.readline(longest_bytes)):
                size_bytes += len(line)
            yield b"[a line of %d bytes, in which a secret may be, was left out]\n" % size_bytes

    def _in_strings(self, document: str) -> str:
        """Redact the strings of a JSON text, and leave the rest of it byte for byte."""
        name, renamed = "", 0

        def clean(found: re.Match[str]) -> str:
            nonlocal name, renamed
            quoted, colon = found.groups()
            said = json.loads(quoted) if "\\" in quoted else quoted[1:-1]
            shown = said
            if colon:
                name = said
                if said not in PROTOCOL_NAMES and said not in self._names:
                    shown = self.text(said)
                    # Two members of one name would be one.
                    renamed += shown != said
                    shown += f" {renamed}" if shown != said and renamed > 1 else ""
            elif not self._is_word(name, said):
                shown = self.text(said)
            return found[0] if shown == said else json.dumps(shown) + (colon or "")

        return _JSON_STRING.sub(clean, document)

    def _is_word(self, name: str, said: str) -> bool:
        return said in PROTOCOL_VALUES.get(name, ()) or (name in _IDENTIFIERS and said in self._names)

    def _is_in(self, content: str) -> bool:
        if any(sign in content for sign in self._signs):
            return True
        if "\\" not in content or not any(escape in content for escape in self._escapes):
            return False
        return any(sign in level for level in _levels(content) for sign in self._signs)

    def _spans(self, content: str) -> list[tuple[int, int]]:
        """Return where secrets are in a text, as it is and as each level of escapes within it is read."""
        found: list[tuple[int, int]] = []
        levels: list[str] = []
        for level in _levels(content):
            levels.append(level)
            literal = [span for needle in self._needles for span in _occurrences(needle, level)]
            if literal:
                found += _in_first(levels, literal)
        return found


def _needles(values: Iterable[bytes]) -> set[str]:
    """Return what to look for: each value, and each of its lines, as a program may read it."""
    found: set[str] = set()
    for value in values:
        texts = {value.decode("utf-8", "surrogateescape")}
        if not value.isascii():
            texts |= {value.decode("utf-8", "replace").strip("\ufffd"), value.decode("latin-1")}
        for text in texts:
            found |= {text, *_parts(text)}
    return {form for form in found if len(form.encode("utf-8", "surrogatepass")) >= _SHORTEST_REDACTED_BYTES}


def _parts(text: str) -> set[str]:
    lines = re.split(r"[\r\n]+", text)
    return {text.strip(), *lines, *(line.strip() for line in lines)}


def _levels(content: str) -> Iterator[str]:
    """Yield a text as it is, and then as each level of escapes within it is read."""
    yield content
    for _ in range(_DEEPEST_ENCODING):
        decoded = _ESCAPE.sub(_decoded, content) if "\\" in content else content
        if decoded == content:
            return
        content = decoded
        yield content


def _decoded(escape: re.Match[str]) -> str:
    what = escape[0][1:]
    if len(what) == 1:
        return _SHORT_ESCAPES.get(what, what)
    first = int(what[1:5] if what[0] == "u" else what[1:], 16)
    if what[0] == "u" and len(what) > len("u0000"):
        return chr(0x10000 + ((first - 0xD800) << 10) + int(what[-4:], 16) - 0xDC00)
    return chr(first)


def _occurrences(needle: str, content: str) -> Iterator[tuple[int, int]]:
    at = content.find(needle)
    while at >= 0:
        yield at, at + len(needle)
        at = content.find(needle, at + len(needle))


def _in_first(levels: list[str], spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return where spans of the last level are in the first one."""
    positions = sorted({position for span in spans for position in span})
    origins = positions
    for level in reversed(levels[:-1]):
        origins = _before_decoding(level, origins)
    origin = dict(zip(positions, origins, strict=True))
    return [(origin[first], origin[last]) for first, last in spans]


def _before_decoding(level: str, positions: list[int]) -> list[int]:
    """Return the positions in an encoded text of sorted positions in what it decodes to."""
    found: list[int] = []
    removed = 0
    for escape in _ESCAPE.finditer(level):
        while len(found) < len(positions) and positions[len(found)] <= escape.start() - removed:
            found.append(positions[len(found)] + removed)
        if len(found) == len(positions):
            break
        removed += len(escape[0]) - 1
    return [*found, *(position + removed for position in positions[len(found) :])]


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the spans from left to right, those that overlap as one."""
    whole: tuple[int, int] | None = None
    for first, last in sorted(spans):
        if whole is not None and first < whole[1]:
            whole = (whole[0], max(whole[1], last))
            continue
        if whole is not None:
            yield whole
        whole = (first, last)
    if whole is not None:
        yield whole
