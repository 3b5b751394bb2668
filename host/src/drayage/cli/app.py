"""Assembles the commands, and turns errors into one sentence and an exit code."""

from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from drayage.cli.capsule import capsule
from drayage.cli.conform import conform
from drayage.cli.daemon import daemon
from drayage.cli.doctor import doctor
from drayage.cli.listing import runs, steps
from drayage.cli.new import new
from drayage.cli.output import logs, messages
from drayage.cli.replay import replay
from drayage.cli.screen import EXIT_INTERRUPTED, EXIT_USAGE, Setup
from drayage.cli.shell import shell
from drayage.cli.sweep import sweep
from drayage.errors import DrayageError
from drayage.settings import ClientSettings


class _OneSentence(typer.core.TyperGroup):
    """Prints an error of drayage as one sentence instead of a traceback, and exits with a code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except DrayageError as error:
            typer.secho(str(error), err=True, fg="red")
            raise typer.Exit(EXIT_USAGE) from error
        except PermissionError as error:
            typer.secho(
                f"This user is not allowed to read or write {error.filename}: run the command as the user that runs "
                "Dagster.",
                err=True,
                fg="red",
            )
            raise typer.Exit(EXIT_USAGE) from error
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None


app = typer.Typer(
    cls=_OneSentence,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Inspect the steps that ran in containers, run one again, remove what they left behind, and add workloads.",
)


@app.callback()
def _setup(
    ctx: typer.Context,
    *,
    exchange_root: Annotated[
        Path | None,
        typer.Option(
            help="Root of the exchange directories; default: DRAYAGE_EXCHANGE_ROOT, then $DAGSTER_HOME/drayage."
        ),
    ] = None,
    deployment: Annotated[str | None, typer.Option(help="Name of the deployment; default: DRAYAGE_DEPLOYMENT.")] = None,
) -> None:
    ctx.obj = Setup(ClientSettings.load(exchange_root=exchange_root, deployment=deployment))


for command in (runs, steps, logs, messages, shell, replay, capsule, doctor, sweep, new, conform, daemon):
    app.command()(command)
# The name of `sweep` in 0.1.0.
app.command("prune", hidden=True, deprecated=True)(sweep)


def main() -> None:
    """Run the command line."""
    app()
