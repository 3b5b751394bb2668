"""Tags every run with the code that made it (revision and images) and with its month.

The tags are added when the run's worker sets up its resources, the one place that every run passes. A job's own tags
would miss the runs that are launched from the asset graph, by a backfill or by a sensor.
"""

from collections.abc import Mapping

import dagster as dg

from drayage import partition_range
from nyc_taxi.months import PARTITION_TAG

MONTH_TAG = "month"


def tag_run(context: dg.InitResourceContext, tags: Mapping[str, str]) -> None:
    """Add tags, and the run's month, to the run that a resource is set up for.

    Args:
        context: Dagster's context of the resource.
        tags: The tags beside the month.
    """
    if context.instance is None or context.run is None:
        return
    context.instance.add_run_tags(context.run.run_id, {**tags, **_month(context.run.tags)})


def _month(tags: Mapping[str, str]) -> dict[str, str]:
    if PARTITION_TAG in tags:
        return {MONTH_TAG: tags[PARTITION_TAG]}
    if months := partition_range(tags):
        return {MONTH_TAG: "...".join(months)}
    return {}
