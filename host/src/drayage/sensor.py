"""The sweeper as a Dagster sensor."""

import dagster as dg

from drayage.client import DrayageClient
from drayage.sweeper import SweepLimits


def build_sweeper_sensor(
    client: DrayageClient,
    *,
    name: str = "drayage_sweeper",
    interval_s: int = 300,
    limits: SweepLimits | None = None,
) -> dg.SensorDefinition:
    """Make a sensor that sweeps, and says in the UI what it swept.

    Args:
        client: Whose leftovers are swept.
        name: Name of the sensor.
        interval_s: How often it sweeps, in seconds.
        limits: How long what stays.
    """

    def sweep(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason(str(client.sweeper(context.instance, limits).sweep()))

    return dg.SensorDefinition(
        name=name,
        evaluation_fn=sweep,
        minimum_interval_seconds=interval_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Removes containers, volumes and exchange directories of steps that are past their time.",
        # Dagster asks for a target; this sensor requests no run.
        asset_selection=dg.AssetSelection.all(),
    )
