"""``drayage replay``: a step again, with the very same context, outside Dagster."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from drayage.capsule import open_capsule
from drayage.cli.screen import EXIT_BAD, AttemptName, Setup, note
from drayage.errors import NotFoundError, SettingsError
from drayage.history import RecordedStep
from drayage.replay import Replay
from drayage.rerun import mounted, prepare, read_changes


def replay(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="A run's id, the beginning of one, `last`, or a capsule's file.")],
    step: Annotated[str | None, typer.Argument(help="A step key, or an asset's name; not with a capsule.")] = None,
    *,
    image: Annotated[str | None, typer.Option(help="Another image.")] = None,
    extras: Annotated[list[str] | None, typer.Option("--set", help="key=value: an extra of the context.")] = None,
    mounts: Annotated[
        list[str] | None, typer.Option("--mount", help="./src:/app/src[:ro], or a volume's name.")
    ] = None,
    environment: Annotated[list[str] | None, typer.Option("--env", help="NAME=value.")] = None,
    network: Annotated[str | None, typer.Option(help="Join this network instead of the recorded ones.")] = None,
    attempt: AttemptName = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Run a step again with the very same context, show what it says, and judge it. Nothing is written to Dagster."""
    setup: Setup = ctx.obj
    changes = read_changes(
        image=image, extras=extras or [], mounts=mounts or [], environment=environment or [], network=network
    )
    with _found(setup, run, step, attempt) as found:
        _confirm(found, yes=yes)
        rerun = prepare(found, mounted(changes, setup.engine), engine=setup.engine, exchange=setup.exchange)
        for text in rerun.notes:
            note(f"Note: {text}.")
        verdict = Replay(rerun, engine=setup.engine, show=typer.echo).run()
    note(f"Its context, messages and logs: {rerun.attempt.path}")
    if verdict.green:
        typer.secho("The replay is green.", fg="green")
        return
    first, *others = [reason.text for reason in verdict.reasons]
    typer.secho(f"The replay is red: {first}.", fg="red")
    for text in others:
        typer.echo(f"Also: {text}.")
    raise typer.Exit(EXIT_BAD)


@contextlib.contextmanager
def _found(setup: Setup, run: str, step: str | None, attempt: str | None) -> Iterator[RecordedStep]:
    if step is not None:
        yield setup.history.step(run, step, attempt)
        return
    if not Path(run).is_file():
        raise NotFoundError(
            f"There is no capsule {run}: give the file that `drayage capsule` wrote, or a run and a step."
        )
    capsule = open_capsule(Path(run), setup.exchange)
    try:
        yield replace(
            capsule,
            record=capsule.record and capsule.record.model_copy(update={"deployment": setup.settings.deployment}),
        )
    finally:
        shutil.rmtree(capsule.attempt.path)


def _confirm(step: RecordedStep, *, yes: bool) -> None:
    if yes:
        return
    question = (
        f"Step {step.step} runs again for real: what it writes outside its container (tables, topics, mounts) is "
        "written again. Go on?"
    )
    try:
        agreed = typer.confirm(question)
    except typer.Abort:
        raise SettingsError("Nobody answered, so nothing was started: give --yes to go on unasked.") from None
    if not agreed:
        raise SettingsError("Nothing was started.")
