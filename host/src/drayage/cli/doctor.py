"""``drayage doctor``: whether this machine can run steps, and what to do if not.

A deployment adds checks of its own to the runner's: see ``added_checks``.
"""

import contextlib
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from drayage.cli.added_checks import run_added_checks
from drayage.cli.screen import EXIT_BAD, AsJson, Setup, print_json
from drayage.errors import DrayageError, ExchangeError
from drayage.exchange.directory import REPLAYS, Attempt
from drayage.exchange.history import require_record
from drayage.finding import Finding, examine
from drayage.settings import read_size

_MEMINFO = Path("/proc/meminfo")


def doctor(
    ctx: typer.Context,
    *,
    image: Annotated[list[str] | None, typer.Option(help="An image that must be there; may be repeated.")] = None,
    least_disk: Annotated[str, typer.Option(help="Free space needed at the exchange root, such as 20g.")] = "2g",
    least_memory: Annotated[str, typer.Option(help="Memory that must be available, such as 4g.")] = "512m",
    as_json: AsJson = False,
) -> None:
    """Examine engine, images, exchange root, disk, memory and what the deployment adds; exit code 1 if one is bad."""
    setup: Setup = ctx.obj
    disk_bytes = read_size(least_disk, source="--least-disk")
    memory_bytes = read_size(least_memory, source="--least-memory")
    findings = [
        *_engine(setup),
        *_images(setup, image or []),
        examine("exchange root", lambda: _exchange_root(setup)),
        examine("mailbox", lambda: _mailbox(setup)),
        examine("disk", lambda: _disk(setup, disk_bytes)),
        examine("memory", lambda: _memory(memory_bytes)),
        *run_added_checks(setup.settings),
    ]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            typer.secho("good  " if finding.good else "BAD   ", fg="green" if finding.good else "red", nl=False)
            typer.echo(f"{finding.what}: {finding.text}")
    if not all(finding.good for finding in findings):
        raise typer.Exit(EXIT_BAD)


def _engine(setup: Setup) -> Sequence[Finding]:
    try:
        return setup.debugger.examine_engine()
    except DrayageError as error:
        return [Finding("engine", good=False, text=str(error))]


def _images(setup: Setup, asked: list[str]) -> list[Finding]:
    """Examine the images that are asked for, or those of the last run."""
    names = list(asked)
    if not names:
        runs = setup.history.runs(limit=1)
        names = sorted({require_record(step).image for step in (runs[0] if runs else ()) if step.record})

    return [examine(f"image {name}", partial(_image, setup, name)) for name in names]


def _image(setup: Setup, name: str) -> tuple[bool, str]:
    return True, setup.debugger.find_image(name)[:19]


def _exchange_root(setup: Setup) -> tuple[bool, str]:
    with _probe_attempt(setup):
        return True, f"{setup.exchange.root} can be written"


def _mailbox(setup: Setup) -> tuple[bool, str]:
    with _probe_attempt(setup) as attempt:
        return setup.debugger.examine_mailbox(attempt.io)


@contextlib.contextmanager
def _probe_attempt(setup: Setup) -> Iterator[Attempt]:
    """Make an exchange directory like a step's, and remove it afterwards."""
    with _exchange_errors():
        attempt = setup.exchange.create(f"{REPLAYS}/doctor-{uuid.uuid4().hex[:12]}/probe/1")
        try:
            yield attempt
        finally:
            shutil.rmtree(attempt.path.parent.parent)


@contextlib.contextmanager
def _exchange_errors() -> Iterator[None]:
    """Raise ExchangeError with advice for an error of the operating system."""
    try:
        yield
    except OSError as error:
        raise ExchangeError(
            f"{error}. Let this user read and write there, or set DRAYAGE_EXCHANGE_ROOT elsewhere."
        ) from error


def _disk(setup: Setup, least_bytes: int) -> tuple[bool, str]:
    with _exchange_errors():
        free = shutil.disk_usage(setup.exchange.root).free
    text = f"{free / 2**30:.1f} GiB free at the exchange root"
    if free < least_bytes:
        return False, (
            f"{text}, expected {least_bytes / 2**30:.1f} at least. Free some: `drayage sweep`, and `docker system "
            "prune` where it is Docker's disk too."
        )
    return True, text


def _memory(least_bytes: int) -> tuple[bool, str]:
    fields = dict(line.split(":", 1) for line in _MEMINFO.read_text(encoding="utf-8").splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    text = f"{available / 2**20:.0f} MiB available"
    if available < least_bytes:
        return False, (
            f"{text}, expected {least_bytes / 2**20:.0f} at least. Stop what is not needed, or give the machine more."
        )
    return True, text
