"""``drayage prune``."""

from dataclasses import asdict
from typing import Annotated

import dagster as dg
import typer

from drayage.cli.screen import EXIT_BAD, AsJson, Setup, print_json
from drayage.client import DrayageClient
from drayage.sweeper import SweepLimits


def prune(
    ctx: typer.Context,
    *,
    exchange_root: Annotated[
        str | None, typer.Option(help="Default: DRAYAGE_EXCHANGE_ROOT, else $DAGSTER_HOME/drayage.")
    ] = None,
    deployment: Annotated[str | None, typer.Option(help="Default: DRAYAGE_DEPLOYMENT.")] = None,
    max_age_days: Annotated[float, typer.Option(help="Attempt directories older than this go.")] = 7.0,
    max_gib: Annotated[float, typer.Option(help="Beyond this the oldest attempt directories go.")] = 10.0,
    orphan_grace_s: Annotated[float, typer.Option(help="How long a retry may take to come.")] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Remove what is past its time: containers, volumes, run workers and attempt directories.

    Needs DAGSTER_HOME: Dagster knows whose run is over.
    """
    setup: Setup = ctx.obj
    limits = SweepLimits(
        attempt_age_s=max_age_days * 24 * 3600, attempts_bytes=int(max_gib * 2**30), orphan_grace_s=orphan_grace_s
    )
    client = DrayageClient(
        exchange_root=exchange_root or setup.settings.exchange_root,
        deployment=deployment or setup.settings.deployment,
    )
    with dg.DagsterInstance.get() as instance:
        report = client.sweeper(instance, limits).sweep()
    if as_json:
        print_json(asdict(report))
    else:
        typer.echo(str(report))
    if report.errors:
        raise typer.Exit(EXIT_BAD)
