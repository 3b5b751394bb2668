"""``drayage sweep``: remove what is past its time."""

from dataclasses import asdict
from typing import Annotated

import typer

from drayage.cli.screen import EXIT_BAD, AsJson, Setup, print_json


def sweep(
    ctx: typer.Context,
    *,
    max_age_days: Annotated[float, typer.Option(help="Exchange directories older than this go.")] = 7.0,
    max_gib: Annotated[float, typer.Option(help="Beyond this the oldest exchange directories go.")] = 10.0,
    orphan_grace_s: Annotated[float, typer.Option(help="How long a retry may take to come.")] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Remove what is past its time: containers, volumes, run workers and exchange directories.

    Needs DAGSTER_HOME: Dagster knows whose run is over.
    """
    # Of the commands only those that need Dagster import it: that takes seconds.
    import dagster as dg  # noqa: PLC0415

    from drayage.client import DrayageClient  # noqa: PLC0415
    from drayage.sweeper import SweepLimits  # noqa: PLC0415

    setup: Setup = ctx.obj
    limits = SweepLimits(
        attempt_age_s=max_age_days * 24 * 3600, attempts_bytes=int(max_gib * 2**30), orphan_grace_s=orphan_grace_s
    )
    client = DrayageClient(exchange_root=setup.settings.exchange_root, deployment=setup.settings.deployment)
    with dg.DagsterInstance.get() as instance:
        report = client.sweeper(instance, limits).sweep()
    if as_json:
        print_json(asdict(report))
    else:
        typer.echo(str(report))
    if report.errors:
        raise typer.Exit(EXIT_BAD)
