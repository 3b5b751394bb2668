"""Programs that know nothing of Pipes: their standard output and exit code become the messages that they never wrote.

An adapter reads each whole line of standard output. What is a record of metadata is collected, everything else is a
line of the log; standard error is a log altogether. Two forms:

``json_lines``
    A line that begins with ``{`` is a JSON object, and each of its names is metadata. One that is no valid object
    makes the step red.
``key_value``
    A line ``NAME=VALUE``, without a space before the ``=``, is metadata. The value is everything after the first
    ``=``: a number or boolean where JSON has it so (``3``, ``1.5e3``, ``true``), text else (``007``, ``3 rows``).

Of a name that comes twice the last value counts. Pipes counts as opened with the first line. At the end all is
reported as one materialization of the step's asset, with ``exit_code``, through the same messages file that a Pipes
library writes: promises, replay and a retry that adopts the container see no difference. A program that ends well and
printed no metadata is red.
"""

import contextlib
import json
import math
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from drayage.errors import SettingsError
from drayage.pipes.lines import OverlongLine
from drayage.request import AdapterName

_KEY_VALUE = re.compile(rb"([A-Za-z_][A-Za-z0-9_./-]*)=(.*)", re.DOTALL)
_JSON_SCALAR = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|true|false")
_SHOWN_BYTES = 200
_FORMS: dict[AdapterName, str] = {"json_lines": "JSON object", "key_value": "NAME=VALUE"}


class Adapter:
    """The adapter of one container.

    Args:
        form: What its records look like.
        asset: Key of the asset that the records are about, as Pipes writes it.
        messages: The messages file, open for appending.
        redact: Takes secrets out of a line.
    """

    def __init__(self, form: AdapterName, *, asset: str, messages: IO[bytes], redact: Callable[[bytes], bytes]) -> None:
        self._form = form
        self._asset = asset
        self._messages = messages
        self._redact = redact
        self._metadata: dict[str, Any] = {}
        self._lines = 0
        self._problem: str | None = None

    def take_line(self, line: bytes) -> None:
        """Take a whole line of standard output, without its end."""
        if not self._lines:
            self._send("opened", {"extras": {}})
        self._lines += 1
        clean = self._redact(bytes(line)).strip()
        if isinstance(line, OverlongLine):
            clean += b" (and more)"
        try:
            self._metadata |= _json_record(clean) if self._form == "json_lines" else _key_value_record(clean)
        except (ValueError, RecursionError) as error:
            shown = clean[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
            problem = f"line {self._lines} of standard output is no {_FORMS[self._form]} ({error}): {shown}"
            self._problem = self._problem or problem

    def end(self, exit_code: int) -> None:
        """Report what was collected, once the last line is taken.

        Args:
            exit_code: The container's.
        """
        if not self._lines:
            self._send("opened", {"extras": {}})
        if self._metadata:
            metadata = {
                name: {"raw_value": value, "type": "__infer__"}
                for name, value in {**self._metadata, "exit_code": exit_code}.items()
            }
            self._send(
                "report_asset_materialization", {"asset_key": self._asset, "data_version": None, "metadata": metadata}
            )
        elif not self._problem and exit_code == 0:
            self._problem = (
                f"no line of standard output is a {_FORMS[self._form]}, so that there is nothing to report "
                f"({self._lines} lines were taken for log lines)"
            )
        exception: dict[str, Any] | None = None
        if self._problem:
            exception = {"name": "AdapterError", "message": self._problem, "stack": [], "cause": None, "context": None}
        self._send("closed", {"exception": exception} if exception else {})

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
    redact: Callable[[bytes], bytes],
) -> Iterator[Adapter | None]:
    """Open the adapter of a container that is not started yet, or whose output is read again from its start.

    Args:
        form: What its records look like; None for a program that speaks Pipes, which needs no adapter.
        assets: The keys of the step's assets, as Pipes writes them: the adapter needs just one.
        messages: The messages file; what an earlier adapter wrote there goes.
        redact: Takes secrets out of a line.

    Raises:
        SettingsError: The step has no asset or several, or there is no such form.
    """
    if form is None:
        yield None
        return
    if form not in _FORMS:
        raise SettingsError(f"adapter: expected {' or '.join(_FORMS)}, got {form!r}. Nothing was started.")
    if len(assets) != 1:
        raise SettingsError(
            f"An adapter reads the metadata of one asset, and this step has {len(assets)}: split the step, or let the "
            "program speak Pipes. Nothing was started."
        )
    (asset,) = assets
    # Opened beforehand: a workload that puts a link in its place must not make the host write elsewhere.
    with messages.open("wb") as file:
        yield Adapter(form, asset=asset, messages=file, redact=redact)


def _json_record(line: bytes) -> dict[str, Any]:
    if not line.startswith(b"{"):
        return {}
    record: dict[str, Any] = json.loads(line, parse_constant=_refuse, parse_float=_finite)
    return record


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not in JSON")


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
