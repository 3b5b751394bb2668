"""``drayage daemon``: Dagster's daemons, with a queue that reacts at once and run workers on standby."""

from pathlib import Path
from typing import Annotated

import typer


def daemon(
    workspace: Annotated[
        list[Path],
        typer.Option("--workspace", "-w", help="The file that names the code locations; may be given several times."),
    ],
) -> None:
    """Run Dagster's daemons as `dagster-daemon run` does, launch queued runs at once, and keep run workers ready.

    Needs DAGSTER_HOME. Run workers are kept ready where dagster.yaml names the run launcher
    `drayage.StandbyRunLauncher`.
    """
    # Only the commands that need Dagster import it, because that takes seconds.
    from drayage.launcher.daemon import run  # noqa: PLC0415

    run(workspace)
