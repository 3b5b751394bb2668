"""The command ``python -m nyc_taxi.launch``."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console

from nyc_taxi.launch.errors import LaunchError
from nyc_taxi.launch.order import Order, execute
from nyc_taxi.launch.webserver import Webserver
from nyc_taxi.months import MonthError, require_month

EXIT_RUN_FAILED = 1
EXIT_NOT_LAUNCHED = 2
EXIT_INTERRUPTED = 130

# A webserver that is busy with another run's events takes a while; without one the connection is refused at once.
_TIMEOUT_S = 30.0
_CONNECTION_RETRIES = 3
# The webserver closes a connection after five idle seconds, and loses a request that arrives at that moment.
_KEPT_CONNECTION_S = 2.0
# Without a window that sets the width: wide enough for the table with a Flink job's id.
_PLAIN_WIDTH = 120


class Source(StrEnum):
    """Where a month's trips come from."""

    FILE = "file"
    SYNTHETIC = "synthetic"
    FILE_OR_SYNTHETIC = "file_or_synthetic"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def launch(
    *,
    month: Annotated[str, typer.Option(help="The month to process, such as 2024-01.")],
    source: Annotated[
        Source | None,
        typer.Option(
            help="The month's file in the landing zone, synthetic trips, or the file if there is one (the default)."
        ),
    ] = None,
    events: Annotated[int | None, typer.Option(min=1, help="Trips to synthesise, if any are.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed produces the same trips.")] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Only these asset keys, groups or steps; separated by commas, or repeated.")
    ] = None,
    job: Annotated[str, typer.Option(help="The Dagster job.")] = "taxi_pipeline",
    url: Annotated[
        str | None,
        typer.Option(envvar="DAGSTER_URL", help="The webserver; default: port $DAGSTER_PORT on this machine."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the steps and their numbers to this file.")
    ] = None,
) -> None:
    """Launch the taxi pipeline for a month, as the UI's button does, and follow it."""
    sized = sys.stdout.isatty() or "COLUMNS" in os.environ
    console, errors = Console(width=None if sized else _PLAIN_WIDTH), Console(stderr=True)
    address = url or f"http://127.0.0.1:{os.environ.get('DAGSTER_PORT', '3000')}"
    asked = {"source": source and source.value, "events": events, "seed": seed}
    generate = {name: value for name, value in asked.items() if value is not None}
    wanted = tuple(item.strip() for text in select or [] for item in text.split(",") if item.strip())
    limits = httpx.Limits(keepalive_expiry=_KEPT_CONNECTION_S)
    transport = httpx.HTTPTransport(retries=_CONNECTION_RETRIES, limits=limits)
    with httpx.Client(timeout=_TIMEOUT_S, transport=transport) as client:
        try:
            order = Order(require_month(month), job=job, wanted=wanted, generate=generate, json_file=json_file)
            succeeded = execute(order, Webserver(address, client), console=console, errors=errors)
        except (LaunchError, MonthError) as error:
            errors.print(str(error), style="red", soft_wrap=True, markup=False, highlight=False)
            raise typer.Exit(EXIT_NOT_LAUNCHED) from error
        except KeyboardInterrupt:
            errors.print("No longer followed. The run goes on; 'Terminate' in the UI stops it.", style="yellow")
            raise typer.Exit(EXIT_INTERRUPTED) from None
    if not succeeded:
        raise typer.Exit(EXIT_RUN_FAILED)


if __name__ == "__main__":
    app()
