"""``drayage new``: adds a workload."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from drayage.cli.screen import AsJson, print_json
from drayage.scaffold import LANGUAGES, find_project, write_workload


def new(
    name: Annotated[str, typer.Argument(help="Name of the folder, the image and the asset, such as clean_trips.")],
    *,
    language: Annotated[
        str, typer.Option(help=f"One of {', '.join(LANGUAGES)}.", autocompletion=lambda: list(LANGUAGES))
    ],
    workloads: Annotated[Path, typer.Option(help="Parent of the workload's folder.")] = Path("workloads"),
    project: Annotated[
        Path | None,
        typer.Option(help="Folder of the Dagster project; default: the one in, above or just below this folder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a workload's folder and its entry on the host; both work without edits."""
    project = (project or find_project(Path.cwd())).absolute()
    written = write_workload(name, language=language, workloads=workloads.absolute(), project=project)
    test_command = shlex.join(["docker", "build", "--target", "test", str(written.folder)])
    if as_json:
        print_json(
            {
                "asset": name,
                "language": language,
                "folder": str(written.folder),
                "entry": str(written.entry),
                "test_command": test_command,
            }
        )
        return
    typer.echo(f"The workload, with its Dockerfile and tests: {written.folder}")
    typer.echo(f"Its entry on the host: {written.entry}")
    typer.echo(f"Its tests: {test_command}")
    typer.echo(f"Next, reload the definitions and materialize the asset {name}.")
