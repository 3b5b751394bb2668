"""Defines the arguments, settings and output that all commands share."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from drayage.debugger import Debugger
from drayage.engine import Engine
from drayage.engines import default_debugger, default_engine
from drayage.errors import NotFoundError
from drayage.exchange.directory import Exchange
from drayage.exchange.history import LAST, History
from drayage.identity import short_run_id
from drayage.settings import ClientSettings

EXIT_BAD = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

# Width of a table that is not printed to a terminal.
_PLAIN_WIDTH = 160

# Number of runs that a shell offers.
_COMPLETED = 50


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the shell's completions of a run, latest first.

    Args:
        ctx: The command's context.
        incomplete: What has been typed.
    """
    runs = [short_run_id(steps[0].run_id) for steps in _history(ctx).runs(limit=_COMPLETED)]
    return [name for name in (LAST, *runs) if name.startswith(incomplete)]


def complete_step(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the shell's completions of a step: the steps of the run before it on the command line.

    Args:
        ctx: The command's context.
        incomplete: What has been typed.
    """
    try:
        steps = _history(ctx).run(ctx.params["run"])
    except NotFoundError:
        return []
    return [name for name in dict.fromkeys(step.step for step in steps) if name.startswith(incomplete)]


def _history(ctx: typer.Context) -> History:
    # During completion the options are parsed, but the callback that reads the settings has not run.
    root = ctx.parent.params.get("exchange_root") if ctx.parent else None
    return History(Exchange(ClientSettings.load(exchange_root=root).exchange_root))


Run = Annotated[str, typer.Argument(help="A run's id, the start of one, or `last`.", autocompletion=complete_run)]
Step = Annotated[
    str,
    typer.Argument(
        help="A step key, or the name of an asset such as silver/cleaned_trips.", autocompletion=complete_step
    ),
]
AttemptName = Annotated[str | None, typer.Option("--attempt", help="Name of the attempt; default: the latest.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Keep printing until the step has ended.")]


@dataclass(frozen=True)
class Setup:
    """The settings of a command, and what it works on.

    Args:
        settings: Exchange root and deployment.
    """

    settings: ClientSettings

    @property
    def exchange(self) -> Exchange:
        """The root of the exchange directories."""
        return Exchange(self.settings.exchange_root)

    @property
    def history(self) -> History:
        """The recorded runs."""
        return History(self.exchange)

    @cached_property
    def engine(self) -> Engine:
        """The container engine."""
        return default_engine()

    @cached_property
    def debugger(self) -> Debugger:
        """The debugger of the engine's containers."""
        return default_debugger()


def print_json(content: Any) -> None:
    """Print JSON for programs.

    Args:
        content: Anything that JSON can hold.
    """
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def print_table(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str]) -> None:
    """Print a table for people; an unknown value is a dash.

    Args:
        rows: The rows: values by column name.
        columns: Names of the columns, in order.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        cells = [row[column] for column in columns]
        table.add_row(*("-" if cell is None else _cell(cell) for cell in cells))
    sized = sys.stdout.isatty() or "COLUMNS" in os.environ
    Console(width=None if sized else _PLAIN_WIDTH, markup=False, highlight=False).print(table)


def note(text: str) -> None:
    """Print a remark for people to standard error, apart from the result.

    Args:
        text: The remark.
    """
    typer.secho(text, err=True, dim=True)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
