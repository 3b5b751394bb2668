"""The command line: ``drayage prune``."""

import click
import dagster as dg

from drayage.client import DrayageClient
from drayage.errors import DrayageError
from drayage.sweeper import SweepLimits


@click.group()
def main() -> None:
    """Look after the containers and directories of Dagster's steps."""


@main.command()
@click.option("--exchange-root", type=click.Path(), help="Default: DRAYAGE_EXCHANGE_ROOT, else $DAGSTER_HOME/drayage.")
@click.option("--deployment", help="Default: DRAYAGE_DEPLOYMENT.")
@click.option("--max-age-days", default=7.0, show_default=True, help="Attempt directories older than this go.")
@click.option("--max-gib", default=10.0, show_default=True, help="Beyond this the oldest attempt directories go.")
@click.option("--orphan-grace-s", default=300.0, show_default=True, help="How long a retry may take to come.")
def prune(
    exchange_root: str | None, deployment: str | None, max_age_days: float, max_gib: float, orphan_grace_s: float
) -> None:
    """Remove what is past its time: containers, volumes, run workers and attempt directories.

    Needs DAGSTER_HOME: Dagster knows whose run is over.
    """
    limits = SweepLimits(
        attempt_age_s=max_age_days * 24 * 3600, attempts_bytes=int(max_gib * 2**30), orphan_grace_s=orphan_grace_s
    )
    try:
        client = DrayageClient(exchange_root=exchange_root, deployment=deployment)
        with dg.DagsterInstance.get() as instance:
            report = client.sweeper(instance, limits).sweep()
    except DrayageError as error:
        raise click.ClickException(str(error)) from error
    click.echo(str(report))
    if report.errors:
        raise click.exceptions.Exit(1)
