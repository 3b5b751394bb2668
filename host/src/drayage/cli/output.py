"""``drayage logs`` and ``drayage messages``: prints a step's output and messages, while it runs or afterwards."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Annotated, Literal, TextIO

import typer

from drayage.cli.screen import AsJson, AttemptName, Follow, Run, Setup, Step
from drayage.exchange.history import PastAttempt, container_of, read_step
from drayage.pipes.lines import LONGEST_MESSAGE_BYTES, LineSplitter
from drayage.pipes.transcript import described, escaped_json, on_one_line
from drayage.replay.prepare import redactor
from drayage.strangers import open_regular

_POLL_S = 0.2
# How long to wait for the host to write the last lines and the verdict; a host that was killed never does.
_JUDGEMENT_S = 5.0
_CHUNK_BYTES = 1024 * 1024


def logs(
    ctx: typer.Context,
    run: Run,
    step: Step,
    *,
    follow: Follow = False,
    stream: Annotated[Literal["stdout", "stderr"] | None, typer.Option(help="Print only this stream.")] = None,
    attempt: AttemptName = None,
    as_json: AsJson = False,
) -> None:
    """Print a step's standard output, and its standard error to standard error; with --json, one object a line."""
    setup: Setup = ctx.obj
    found = setup.history.step(run, step, attempt)
    over = _end_of(setup, found) if follow else _now
    files = {"stdout": (found.attempt.stdout, sys.stdout), "stderr": (found.attempt.stderr, sys.stderr)}
    # The files contain no secrets: they were removed when the files were written.
    _print_at_once(
        {
            path: partial(_print_json, name) if as_json else partial(_print, target)
            for name, (path, target) in files.items()
            if stream in {None, name}
        },
        over,
    )


def messages(
    ctx: typer.Context,
    run: Run,
    step: Step,
    *,
    follow: Follow = False,
    attempt: AttemptName = None,
    as_json: AsJson = False,
) -> None:
    """Print the messages that a step sent to Dagster, one a line."""
    setup: Setup = ctx.obj
    found = setup.history.step(run, step, attempt)
    redact = redactor(found)

    def show(line: str) -> None:
        clean = redact.line(line.encode("utf-8", "surrogateescape")).decode("utf-8", "backslashreplace")
        _print(sys.stdout, escaped_json(clean) if as_json else _readable(clean))

    _each_line(found.attempt.messages, _end_of(setup, found) if follow else _now, show)


def _print_at_once(files: Mapping[Path, Callable[[str], None]], over: Callable[[], bool]) -> None:
    """Print the lines of several files as they come; where one cannot be printed, end the others and raise its error.

    Args:
        files: What prints a line, by the file that it is in.
        over: Whether nothing more is written to the files.
    """
    failures: list[Exception] = []

    def print_lines(path: Path, show: Callable[[str], None]) -> None:
        try:
            _each_line(path, lambda: bool(failures) or over(), show)
        except Exception as error:  # noqa: BLE001 - raised below, in the thread that can end the command
            failures.append(error)

    threads = [Thread(target=print_lines, args=file, daemon=True) for file in files.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _print(target: TextIO, line: str) -> None:
    encoding = target.encoding or "utf-8"
    # In one write: the thread of the other stream may write to the same target.
    target.write(f"{line}\n".encode(encoding, "backslashreplace").decode(encoding))
    target.flush()


def _print_json(stream: str, line: str) -> None:
    _print(sys.stdout, json.dumps({"stream": stream, "line": line}))


def _readable(line: str) -> str:
    try:
        return described(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return on_one_line(f"NOT UNDERSTOOD {line}")


def _now() -> bool:
    return True


def _end_of(setup: Setup, step: PastAttempt) -> Callable[[], bool]:
    def ended() -> bool:
        if read_step(step.attempt).verdict is not None:
            return True
        container = container_of(step, setup.engine)
        if container is None:
            # Without a record, no container was created yet. With one, the container was removed by someone else.
            return read_step(step.attempt).record is not None
        return container.ended and time.time() - container.finished_at_s > _JUDGEMENT_S

    return ended


def _each_line(path: Path, over: Callable[[], bool], show: Callable[[str], None]) -> None:
    splitter = LineSplitter(LONGEST_MESSAGE_BYTES)
    for chunk in _chunks(path, over):
        for line in splitter.feed(chunk):
            show(line.decode("utf-8", "backslashreplace"))
    rest = splitter.finish()
    if rest is not None:
        show(rest.decode("utf-8", "backslashreplace"))


def _chunks(path: Path, over: Callable[[], bool]) -> Iterator[bytes]:
    pause = Event()
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open_regular(path))
        except FileNotFoundError:
            return
        while True:
            # The order matters: what was written before the end must be read before the loop ends.
            last = over()
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
            if last:
                return
            pause.wait(_POLL_S)
