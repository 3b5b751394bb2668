"""``drayage conform``: tests whether images keep the workload contract."""

from pathlib import Path
from typing import Annotated

import typer

from drayage.cli.screen import EXIT_BAD, AsJson, Setup, print_json, print_table


def conform(
    ctx: typer.Context,
    images: Annotated[
        list[str], typer.Argument(help="Images with the conformance program of docs/workload-contract.md.")
    ],
    *,
    scenario: Annotated[list[str] | None, typer.Option(help="Run only this scenario; can be repeated.")] = None,
    table: Annotated[
        list[Path] | None,
        typer.Option(help="Markdown file in which to replace the conformance table; can be repeated.", exists=True),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run images through the scenarios of the workload contract; exit with code 1 if one does not hold."""
    from drayage.cli import conformance  # noqa: PLC0415
    from drayage.conform.table import rows, write_markdown  # noqa: PLC0415

    setup: Setup = ctx.obj
    chosen = conformance.chosen(scenario or [])
    columns = [conformance.column(setup, image, chosen) for image in images]
    if as_json:
        print_json([column.as_json() for column in columns])
    else:
        print_table(rows(columns), columns=["scenario", *(column.title for column in columns)])
    for page in table or []:
        write_markdown(page, columns)
    if not all(column.holds for column in columns):
        raise typer.Exit(EXIT_BAD)
