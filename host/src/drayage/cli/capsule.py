"""``drayage capsule``: one step in a file."""

from pathlib import Path
from typing import Annotated

import typer

from drayage.capsule import write_capsule
from drayage.cli.screen import AttemptName, Run, Setup, Step


def capsule(
    ctx: typer.Context,
    run: Run,
    step: Step,
    *,
    file: Annotated[Path, typer.Option("--output", "-o", help="The file to write, such as step.tar.gz.")],
    attempt: AttemptName = None,
) -> None:
    """Put a step's context, messages, logs and records in a file; `drayage replay FILE` runs it elsewhere."""
    setup: Setup = ctx.obj
    write_capsule(setup.history.step(run, step, attempt), file)
    typer.echo(f"{file}: {file.stat().st_size / 1024:.1f} KiB. To run it elsewhere: drayage replay {file}")
