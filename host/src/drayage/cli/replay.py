"""``drayage replay``: runs a step again with the very same context, outside Dagster."""

import contextlib
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from drayage.cli.overrides import read_overrides
from drayage.cli.screen import EXIT_BAD, AsJson, AttemptName, Setup, complete_run, complete_step, note, print_json
from drayage.errors import NotFoundError, SettingsError
from drayage.exchange.history import PastAttempt, require_record
from drayage.replay.capsule import open_capsule
from drayage.replay.consent import consented, shown
from drayage.replay.debugpy_hook import DEBUGPY_PORT, debugged, has_waited
from drayage.replay.prepare import Overrides, PreparedReplay, prepare
from drayage.verdict.judge import Verdict


def replay(
    ctx: typer.Context,
    run: Annotated[
        str,
        typer.Argument(help="A run's id, the start of one, `last`, or a capsule's file.", autocompletion=complete_run),
    ],
    step: Annotated[
        str | None,
        typer.Argument(help="A step key, or the name of an asset; not with a capsule.", autocompletion=complete_step),
    ] = None,
    *,
    image: Annotated[str | None, typer.Option(help="Use this image instead of the recorded one.")] = None,
    extras: Annotated[
        list[str] | None, typer.Option("--set", help="Extra of the context as key=value; can be repeated.")
    ] = None,
    mounts: Annotated[
        list[str] | None,
        typer.Option("--mount", help="Mount such as ./src:/app/src[:ro], or volume:/path; can be repeated."),
    ] = None,
    environment: Annotated[
        list[str] | None,
        typer.Option("--env", help="Environment variable as NAME=value, or NAME for its value here; can be repeated."),
    ] = None,
    networks: Annotated[
        list[str] | None,
        typer.Option("--network", help="Join this network instead of the recorded ones; can be repeated."),
    ] = None,
    secrets: Annotated[
        list[str] | None,
        typer.Option("--secret", help="Secret as name=env:VARIABLE or name=file:/path; can be repeated."),
    ] = None,
    allowed: Annotated[
        list[str] | None,
        typer.Option("--allow", help="Option of the engine that a capsule may use, as name=value; can be repeated."),
    ] = None,
    debugpy: Annotated[
        bool, typer.Option("--debugpy", help="Make the step's Python wait for a debugger before it starts.")
    ] = False,
    debugpy_port: Annotated[int, typer.Option(help="Port on 127.0.0.1 that the debugger connects to.")] = (
        DEBUGPY_PORT
    ),
    attempt: AttemptName = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a step again with the very same context, print its output, and judge it. Nothing is written to Dagster.

    With --json, its output goes to standard error, and only the verdict to standard output.
    """
    setup: Setup = ctx.obj
    overrides = read_overrides(
        image=image,
        extras=extras or [],
        mounts=mounts or [],
        environment=environment or [],
        networks=networks or [],
        secrets=secrets or [],
        allowed=allowed or [],
    )
    if allowed and step is not None:
        raise SettingsError("--allow is for capsules: a step of this machine has the options that it ran with.")
    with _found(setup, run, step, attempt) as recorded:
        found = recorded if step is not None else _consented(setup, recorded, overrides, command=_repeated(ctx))
        _confirm(found, yes=yes)
        prepared = prepare(found, overrides, engine=setup.engine, exchange=setup.exchange)
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
    first, *others = verdict.clauses
    typer.secho(f"The replay is red: {first}.", fg="red")
    for text in others:
        typer.echo(f"Also: {text}.")


def _run(setup: Setup, prepared: PreparedReplay) -> Verdict:
    # Only the commands that need Dagster import it, because that takes seconds.
    from drayage.replay.run import Replay  # noqa: PLC0415

    return Replay(prepared, engine=setup.engine, show=typer.echo).run()


def _run_debugged(setup: Setup, prepared: PreparedReplay, port: int) -> Verdict:
    with debugged(prepared, port=port, engine=setup.engine, debugger=setup.debugger) as waiting:
        note(f"Attach a debugger to 127.0.0.1:{port} when the step prints that it is waiting; Ctrl-C ends the replay.")
        verdict = _run(setup, waiting)
    if not has_waited(prepared):
        note("It did not wait for a debugger: it started no Python, or only with -I or -E, which ignore PYTHONPATH.")
    return verdict


@contextlib.contextmanager
def _found(setup: Setup, run: str, step: str | None, attempt: str | None) -> Iterator[PastAttempt]:
    if step is not None:
        yield setup.history.step(run, step, attempt)
        return
    if not Path(run).is_file():
        raise NotFoundError(
            f"There is no capsule {run}: name a file that `drayage capsule` wrote, or a run and a step."
        )
    with open_capsule(Path(run)) as capsule:
        yield capsule


def _consented(setup: Setup, capsule: PastAttempt, overrides: Overrides, *, command: str) -> PastAttempt:
    """Show what a capsule will run, and refuse what it asks for beyond what the command line names."""
    asked = require_record(capsule).of_deployment(setup.settings.deployment)
    record = consented(asked, overrides, engine=setup.engine, command=command)
    note("The capsule will run:")
    for name, value in shown(record, overrides):
        note(f"  {name}: {value}")
    return replace(capsule, record=record)


def _repeated(ctx: typer.Context) -> str:
    """Return the command line, as far as it has been given."""
    setup: Setup = ctx.obj
    words = [*shlex.split(setup.settings.command_line), "replay", ctx.params["run"]]
    for option in ctx.command.params:
        given = ctx.params[option.name] if option.name else None
        if option.param_type_name == "option" and given and given != option.get_default(ctx):
            values = given if isinstance(given, list | tuple) else [given]
            words += [word for value in values for word in _as_words(option.opts[0], value)]
    return shlex.join(words)


def _as_words(option: str, value: Any) -> list[str]:
    return [option] if value is True else [option, str(value)]


def _confirm(step: PastAttempt, *, yes: bool) -> None:
    if yes:
        return
    question = (
        f"Step {step.step} will run again for real: what it writes outside its container (tables, topics, mounts) will "
        "be written again. Continue?"
    )
    try:
        agreed = typer.confirm(question)
    except typer.Abort:
        raise SettingsError("There was no answer, so nothing was started: use --yes to skip the question.") from None
    if not agreed:
        raise SettingsError("Nothing was started.")
