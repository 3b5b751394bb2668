"""Shows a followed run: live lines in a terminal, plain lines elsewhere, and a table at the end."""

import time
from types import TracebackType
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleRenderable
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from nyc_taxi.launch.progress import RunProgress, Step

_MARKS = {
    "waiting": ("·", "dim"),
    "ok": ("✔", "green"),
    "failed": ("✘", "red"),
    "skipped": ("-", "yellow"),
    "not run": ("-", "dim"),
}
_REFRESHES_PER_SECOND = 8


class Screen:
    """Shows a run's steps while they run.

    In a terminal each step has a live line; elsewhere (a log, a pipe) a line is printed when a step begins and when it
    ends.

    Args:
        console: The console to show them on.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = RunProgress()
        self._spinner = Spinner("dots")
        self._live = Live(console=console, refresh_per_second=_REFRESHES_PER_SECOND, get_renderable=self._lines)

    def __enter__(self) -> Self:
        """Start the live lines in a terminal."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the live lines; the last state stays on the screen."""
        if self._console.is_terminal:
            self._live.stop()

    def show(self, progress: RunProgress, changed: Step | None) -> None:
        """Show the current state of the steps.

        Args:
            progress: The run's steps.
            changed: The step that began or ended; None if none did.
        """
        self._progress = progress
        if changed and not self._console.is_terminal:
            took = f" after {changed.seconds(time.time()):.1f} s" if changed.done and changed.started_at else ""
            self._console.print(f"{changed.name}: {changed.status}{took}{_detail(changed)}", soft_wrap=True)

    def _lines(self) -> ConsoleRenderable:
        """Draw a line for each step."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(width=1)
        grid.add_column()
        grid.add_column(justify="right")
        grid.add_column(overflow="ellipsis", no_wrap=True)
        now = time.time()
        if not self._progress.steps:
            grid.add_row(self._spinner, "waiting for Dagster to start the run", "", "")
        for step in self._progress.steps.values():
            mark, style = _MARKS.get(step.status, ("", ""))
            seconds = step.seconds(now)
            grid.add_row(
                self._spinner if step.status == "running" else Text(mark, style),
                Text(step.name, "dim" if step.started_at is None else ""),
                "" if seconds is None else f"{seconds:.1f} s",
                Text(_detail(step).removeprefix(", "), "dim"),
            )
        return grid


def summary(progress: RunProgress, now: float) -> Table:
    """Draw the table of a run that is over.

    Args:
        progress: The run's steps.
        now: The current time, in seconds since the epoch, for a step without an end.

    Returns:
        A table with a row for each step.
    """
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("step", no_wrap=True)
    table.add_column("status")
    table.add_column("seconds", justify="right")
    table.add_column("rows or events", justify="right", no_wrap=True)
    table.add_column("per second", justify="right")
    table.add_column("details", overflow="fold")
    for step in progress.steps.values():
        _, style = _MARKS.get(step.status, ("", ""))
        seconds, rate = step.seconds(now), step.rate
        table.add_row(
            step.name,
            Text(step.status, style),
            "" if seconds is None else f"{seconds:.1f}",
            "" if step.amount is None else f"{step.amount[0]:,} {step.amount[1]}",
            "" if rate is None else f"{rate:,.0f}",
            # A line each: side by side, a file's name and a Flink job's id are wider than a terminal.
            "\n".join(filter(None, (step.source, _left_out(step), step.flink_job or step.tests))),
        )
    return table


def _detail(step: Step) -> str:
    """Return a step's numbers on one line, with a comma before each."""
    parts = []
    if step.amount is not None:
        parts.append(f"{step.amount[0]:,} {step.amount[1]}")
    if step.rate is not None:
        parts.append(f"{step.rate:,.0f}/s")
    if left_out := _left_out(step):
        parts.append(left_out)
    if step.source:
        parts.append(f"from {step.source}")
    if step.flink_job:
        parts.append(f"Flink job {step.flink_job}")
    if step.tests:
        parts.append(step.tests)
    if step.failure:
        parts.append(step.failure.splitlines()[0])
    return "".join(f", {part}" for part in parts)


def _left_out(step: Step) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in step.left_out.items())
