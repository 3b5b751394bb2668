"""``drayage sweep``: removes what is past its retention."""

from dataclasses import asdict
from typing import Annotated

import typer

from drayage.cli.screen import EXIT_BAD, AsJson, Setup, print_json


def sweep(
    ctx: typer.Context,
    *,
    max_age_days: Annotated[float, typer.Option(help="Remove exchange directories older than this, in days.")] = 7.0,
    max_gib: Annotated[
        float, typer.Option(help="Remove the oldest exchange directories beyond this total size, in GiB.")
    ] = 10.0,
    orphan_grace_s: Annotated[
        float, typer.Option(help="Keep containers this long after their run's end, for a retry to adopt, in seconds.")
    ] = 300.0,
    max_log_age_days: Annotated[
        float, typer.Option(help="Remove Dagster's compute logs on this machine older than this, in days.")
    ] = 30.0,
    max_log_gib: Annotated[
        float, typer.Option(help="Remove the oldest of these compute logs beyond this total size, in GiB.")
    ] = 10.0,
    as_json: AsJson = False,
) -> None:
    """Remove containers, run workers, exchange directories and compute logs that are past their retention.

    Needs DAGSTER_HOME: Dagster knows which runs are over.
    """
    # Only the commands that need Dagster import it, because that takes seconds.
    import dagster as dg  # noqa: PLC0415

    from drayage.sweeper.limits import SweepLimits  # noqa: PLC0415
    from drayage.sweeper.sweep import Sweeper  # noqa: PLC0415

    setup: Setup = ctx.obj
    limits = SweepLimits(
        attempt_age_s=max_age_days * 24 * 3600,
        attempts_bytes=int(max_gib * 2**30),
        orphan_grace_s=orphan_grace_s,
        compute_log_age_s=max_log_age_days * 24 * 3600,
        compute_logs_bytes=int(max_log_gib * 2**30),
    )
    with dg.DagsterInstance.get() as instance:
        report = Sweeper(
            engine=setup.engine,
            exchange=setup.exchange,
            deployment=setup.settings.deployment,
            instance=instance,
            limits=limits,
        ).sweep()
    if as_json:
        print_json(asdict(report))
    else:
        typer.echo(str(report))
    if report.errors:
        raise typer.Exit(EXIT_BAD)
