"""Runs the sweeper as a Dagster sensor."""

import dagster as dg

from drayage.client import DrayageClient
from drayage.sweeper.limits import SweepLimits


def build_sweeper_sensor(
    client: DrayageClient,
    *,
    name: str = "drayage_sweeper",
    interval_s: int = 300,
    limits: SweepLimits | None = None,
) -> dg.SensorDefinition:
    """Return a sensor that sweeps, and reports in the UI what it removed.

    Args:
        client: The client whose steps' leftovers are removed.
        name: Name of the sensor.
        interval_s: Time between two sweeps, in seconds.
        limits: Retention limits.
    """

    def sweep(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason(str(client.sweeper(context.instance, limits).sweep()))

    return dg.SensorDefinition(
        name=name,
        evaluation_fn=sweep,
        minimum_interval_seconds=interval_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Removes containers, exchange directories and compute logs that are past their retention.",
        # Dagster asks for a target; this sensor requests no run.
        asset_selection=dg.AssetSelection.all(),
    )
