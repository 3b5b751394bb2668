"""``drayage capsule``: writes a step to a file."""

from pathlib import Path
from typing import Annotated

import typer

from drayage.cli.screen import AsJson, AttemptName, Run, Setup, Step, print_json
from drayage.replay.capsule import write_capsule


def capsule(
    ctx: typer.Context,
    run: Run,
    step: Step,
    *,
    file: Annotated[Path, typer.Option("--output", "-o", help="File to write, such as step.tar.gz.")],
    attempt: AttemptName = None,
    as_json: AsJson = False,
) -> None:
    """Write a step's context, messages, logs and records to a file; `drayage replay FILE` runs the step elsewhere."""
    setup: Setup = ctx.obj
    found = setup.history.step(run, step, attempt)
    write_capsule(found, file)
    if as_json:
        print_json({"file": str(file), "size_bytes": file.stat().st_size, "run": found.run_id, "step": found.step})
        return
    typer.echo(f"{file}: {file.stat().st_size / 1024:.1f} KiB. To run it elsewhere: drayage replay {file}")
