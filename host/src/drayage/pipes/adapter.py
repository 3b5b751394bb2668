"""Writes the Pipes messages of a program that does not know Pipes, from its standard output and exit code.

An adapter reads standard output line by line. It collects the lines that are metadata records, and treats all others
as log lines; standard error is entirely log. There are two forms of records:

``json_lines``
    A line that begins with ``{`` is a JSON object, and each of its members is metadata. A line that is not a valid
    object makes the step red.
``key_value``
    A line ``NAME=VALUE``, without a space before the ``=``, is metadata. The value is everything after the first
    ``=``: a number or boolean if JSON reads it as one (``3``, ``1.5e3``, ``true``), otherwise text (``007``,
    ``3 rows``).

If a name occurs twice, the last value counts. A name of the runner's own, such as ``exit_code``, is reported as
``reported/exit_code``. Pipes counts as opened from the first line on. At the end, everything is
reported as one materialization of the step's asset, together with ``exit_code``, through the same messages file that a
Pipes library writes: promises, replay and a retry that adopts the container see no difference. A program that exits
with 0 but prints no metadata is red.
"""

import contextlib
import json
import math
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from drayage.errors import SettingsError
from drayage.pipes.lines import OverlongLine
from drayage.redaction import Redactor
from drayage.request import AdapterName
from drayage.strangers import open_regular
from drayage.verdict.own_metadata import beside_own

_KEY_VALUE = re.compile(rb"([A-Za-z_][A-Za-z0-9_./-]*)=(.*)", re.DOTALL)
_JSON_SCALAR = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|true|false")
_SHOWN_BYTES = 200
_FORMS: dict[AdapterName, str] = {"json_lines": "JSON object", "key_value": "NAME=VALUE pair"}


class Adapter:
    """The adapter of one container.

    Args:
        form: Form of the metadata records.
        asset: Key of the asset that the records describe, as Pipes writes it.
        messages: The messages file, open for writing.
        redact: Removes secrets from a line.
    """

    def __init__(self, form: AdapterName, *, asset: str, messages: IO[bytes], redact: Redactor) -> None:
        self._form = form
        self._asset = asset
        self._messages = messages
        self._redact = redact
        self._metadata: dict[str, Any] = {}
        self._lines = 0
        self._problem: str | None = None

    def take_line(self, line: bytes) -> None:
        """Process a whole line of standard output, without its newline."""
        if not self._lines:
            self._send("opened", {"extras": {}})
        self._lines += 1
        record = bytes(line).strip()
        if isinstance(line, OverlongLine):
            record += b" (and more)"
        try:
            read = _json_record(record) if self._form == "json_lines" else _key_value_record(record)
            self._metadata |= self._redact.message(read)
        except (ValueError, RecursionError) as error:
            clean = self._redact.beginning(line) if isinstance(line, OverlongLine) else self._redact(record)
            shown = clean[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
            problem = f"line {self._lines} of standard output is not a {_FORMS[self._form]} ({error}): {shown}"
            self._problem = self._problem or problem

    def end(self, exit_code: int) -> None:
        """Report what was collected, after the last line.

        Args:
            exit_code: The container's exit code.
        """
        if not self._lines:
            self._send("opened", {"extras": {}})
        if self._metadata:
            own = {"exit_code": exit_code}
            metadata = {
                name: {"raw_value": value, "type": "__infer__"}
                for name, value in {**beside_own(self._metadata, own), **own}.items()
            }
            self._send(
                "report_asset_materialization", {"asset_key": self._asset, "data_version": None, "metadata": metadata}
            )
        elif not self._problem and exit_code == 0:
            self._problem = (
                f"no line of standard output is a {_FORMS[self._form]}, so there is nothing to report "
                f"({self._lines} lines were treated as log lines)"
            )
        exception: dict[str, Any] | None = None
        if self._problem:
            exception = {"name": "AdapterError", "message": self._problem, "stack": [], "cause": None, "context": None}
        self._send("closed", {"exception": exception} if exception else {})

    def abandon(self) -> None:
        """Report nothing, after some of the output was lost: what was collected may be wrong."""
        if not self._lines:
            self._send("opened", {"extras": {}})
        self._send("closed", {})

    def _send(self, method: str, params: dict[str, Any]) -> None:
        message = {"__dagster_pipes_version": "0.1", "method": method, "params": params}
        self._messages.write(json.dumps(message).encode() + b"\n")
        self._messages.flush()


@contextlib.contextmanager
def open_adapter(
    form: AdapterName | None,
    assets: Collection[str],
    *,
    messages: Path,
    redact: Redactor,
) -> Iterator[Adapter | None]:
    """Open the adapter of a container that is not started yet, or whose output is read again from its start.

    Args:
        form: Form of the metadata records; None for a program that speaks Pipes, which needs no adapter.
        assets: The keys of the step's assets, as Pipes writes them; an adapter needs exactly one.
        messages: The messages file; what an earlier adapter wrote there is discarded.
        redact: Removes secrets from a line.

    Yields:
        The adapter; None if ``form`` is None.

    Raises:
        SettingsError: The step does not have exactly one asset, or the form is unknown.
    """
    if form is None:
        yield None
        return
    if form not in _FORMS:
        raise SettingsError(f"adapter: expected {' or '.join(_FORMS)}, got {form!r}. Nothing was started.")
    if len(assets) != 1:
        raise SettingsError(
            f"An adapter reads the metadata of exactly one asset, but this step has {len(assets)}: split the step, or "
            "make the program speak Pipes. Nothing was started."
        )
    (asset,) = assets
    with open_regular(messages, write=True) as file:
        file.truncate()
        yield Adapter(form, asset=asset, messages=file, redact=redact)


def _json_record(line: bytes) -> dict[str, Any]:
    if not line.startswith(b"{"):
        return {}
    record: dict[str, Any] = json.loads(line, parse_constant=_refuse, parse_float=_finite)
    return record


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not valid JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large a number")
    return number


def _key_value_record(line: bytes) -> dict[str, Any]:
    matched = _KEY_VALUE.fullmatch(line)
    if matched is None:
        return {}
    name, text = matched[1].decode(), matched[2].strip().decode("utf-8", "backslashreplace")
    return {name: json.loads(text, parse_float=_finite) if _JSON_SCALAR.fullmatch(text) else text}
