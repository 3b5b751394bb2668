"""``drayage replay``: a step again, with the very same context, outside Dagster."""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from drayage.cli.screen import EXIT_BAD, AsJson, AttemptName, Setup, complete_run, complete_step, note, print_json
from drayage.errors import NotFoundError, SettingsError
from drayage.exchange.history import PastAttempt
from drayage.replay.capsule import open_capsule
from drayage.replay.debugpy_hook import debugged, has_waited
from drayage.replay.prepare import PreparedReplay, mounted, prepare, read_overrides
from drayage.verdict.judge import Verdict

_DEBUGPY_PORT = 5678


def replay(
    ctx: typer.Context,
    run: Annotated[
        str,
        typer.Argument(
            help="A run's id, the beginning of one, `last`, or a capsule's file.", autocompletion=complete_run
        ),
    ],
    step: Annotated[
        str | None,
        typer.Argument(help="A step key, or an asset's name; not with a capsule.", autocompletion=complete_step),
    ] = None,
    *,
    image: Annotated[str | None, typer.Option(help="Another image.")] = None,
    extras: Annotated[list[str] | None, typer.Option("--set", help="key=value: an extra of the context.")] = None,
    mounts: Annotated[
        list[str] | None, typer.Option("--mount", help="./src:/app/src[:ro], or a volume's name.")
    ] = None,
    environment: Annotated[list[str] | None, typer.Option("--env", help="NAME=value.")] = None,
    network: Annotated[str | None, typer.Option(help="Join this network instead of the recorded ones.")] = None,
    debugpy: Annotated[
        bool, typer.Option("--debugpy", help="Let the step's Python wait for a debugger before it begins.")
    ] = False,
    debugpy_port: Annotated[int, typer.Option(help="The port on 127.0.0.1 that the debugger connects to.")] = (
        _DEBUGPY_PORT
    ),
    attempt: AttemptName = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a step again with the very same context, show what it says, and judge it. Nothing is written to Dagster.

    With --json what it says goes to standard error, and the verdict alone to standard output.
    """
    setup: Setup = ctx.obj
    overrides = read_overrides(
        image=image, extras=extras or [], mounts=mounts or [], environment=environment or [], network=network
    )
    with _found(setup, run, step, attempt) as found:
        _confirm(found, yes=yes)
        prepared = prepare(found, mounted(overrides, setup.engine), engine=setup.engine, exchange=setup.exchange)
        for text in prepared.notes:
            note(f"Note: {text}.")
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            verdict = _run_debugged(setup, prepared, debugpy_port) if debugpy else _run(setup, prepared)
    note(f"Its context, messages and logs: {prepared.attempt.path}")
    if as_json:
        reasons = [reason.text for reason in verdict.reasons]
        print_json({"green": verdict.green, "reasons": reasons, "directory": str(prepared.attempt.path)})
    else:
        _show(verdict)
    if not verdict.green:
        raise typer.Exit(EXIT_BAD)


def _show(verdict: Verdict) -> None:
    if verdict.green:
        typer.secho("The replay is green.", fg="green")
        return
    first, *others = [reason.text for reason in verdict.reasons]
    typer.secho(f"The replay is red: {first}.", fg="red")
    for text in others:
        typer.echo(f"Also: {text}.")


def _run(setup: Setup, prepared: PreparedReplay) -> Verdict:
    # Of the commands only those that need Dagster import it: that takes seconds.
    from drayage.replay.run import Replay  # noqa: PLC0415

    return Replay(prepared, engine=setup.engine, show=typer.echo).run()


def _run_debugged(setup: Setup, prepared: PreparedReplay, port: int) -> Verdict:
    with debugged(prepared, port=port, engine=setup.engine, debugger=setup.debugger) as waiting:
        note(f"Attach a debugger to 127.0.0.1:{port} as soon as the step says that it waits; Ctrl-C ends the replay.")
        verdict = _run(setup, waiting)
    if not has_waited(prepared):
        note("It waited for no debugger: no Python began in it, or one with -I or -E, which leave PYTHONPATH alone.")
    return verdict


@contextlib.contextmanager
def _found(setup: Setup, run: str, step: str | None, attempt: str | None) -> Iterator[PastAttempt]:
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
            record=capsule.record and capsule.record.of_deployment(setup.settings.deployment),
        )
    finally:
        shutil.rmtree(capsule.attempt.path)


def _confirm(step: PastAttempt, *, yes: bool) -> None:
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
