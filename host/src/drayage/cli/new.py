"""``drayage new``: one more workload."""

from pathlib import Path
from typing import Annotated

import typer

from drayage.scaffold import LANGUAGES, find_project, write_workload


def new(
    name: Annotated[str, typer.Argument(help="Of folder, image and asset alike, such as clean_trips.")],
    *,
    language: Annotated[
        str, typer.Option(help=f"One of {', '.join(LANGUAGES)}.", autocompletion=lambda: list(LANGUAGES))
    ],
    workloads: Annotated[Path, typer.Option(help="Where its folder goes.")] = Path("workloads"),
    project: Annotated[
        Path | None, typer.Option(help="The Dagster project; default: above this folder, or just below it.")
    ] = None,
) -> None:
    """Write a workload's folder and its entry on the host; both work as they are."""
    project = (project or find_project(Path.cwd())).absolute()
    written = write_workload(name, language=language, workloads=workloads.absolute(), project=project)
    typer.echo(f"The workload, with its Dockerfile and tests: {written.folder}")
    typer.echo(f"Its entry on the host: {written.entry}")
    typer.echo(f"Its tests: docker build --target test {written.folder}")
    typer.echo(f"Then reload the definitions, and materialize the asset {name}.")
