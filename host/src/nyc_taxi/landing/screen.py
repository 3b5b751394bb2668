"""Shows a landing: a bar of progress in a terminal, a line a file elsewhere."""

import os
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from nyc_taxi.landing.folder import MonthlyFile
from nyc_taxi.landing.land import Outcome


class Screen:
    """Shows the files while they land.

    Args:
        console: Where; a bar is shown in a terminal only.
        total: The bytes of all files.
    """

    def __init__(self, console: Console, total: int) -> None:
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total)
        self._before = 0

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._bar.stop()

    def begin(self, file: MonthlyFile) -> None:
        """Show whose turn it is."""
        self._bar.update(self._task, description=file.name)

    def sent(self, size: int) -> None:
        """Show how much of the file was sent."""
        self._bar.update(self._task, completed=self._before + size)

    def end(self, file: MonthlyFile, what: str) -> None:
        """Show what has become of the file."""
        self._before += file.size
        self._bar.update(self._task, completed=self._before)
        if what:
            say(self._bar.console, f"{file.name}: {what}, {decimal(file.size)}")

    def note(self, name: str, what: str) -> None:
        """Show what else is to be said of a file."""
        say(self._bar.console, f"{name}: {what}")


def summary(outcome: Outcome, url: str) -> str:
    """Return a line about all files.

    Args:
        outcome: What has become of them.
        url: The landing zone.
    """
    counts = (len(outcome.landed), len(outcome.unchanged), len(outcome.refused))
    return "Landing zone {}: {} landed, {} unchanged, {} refused".format(url, *counts)


def say(console: Console, text: str, style: str = "") -> None:
    """Print a text as it is, but for what a terminal would take for a command or could not show."""
    clean = os.fsencode(text).decode(errors="backslashreplace")
    clean = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in clean)
    console.print(clean, style=style, soft_wrap=True, markup=False, highlight=False)
