"""Which code made a run: its revision and its images, put on the run as tags.

They are added when the run's worker sets up, since that is the one place that every run passes, whoever launched it: a
job's own tags would leave out what is launched from the asset graph, by a backfill or by a sensor.
"""

from collections.abc import Mapping

import dagster as dg

from drayage import partition_range

MONTH_TAG = "month"

_PARTITION = "dagster/partition"


def tag_run(context: dg.InitResourceContext, tags: Mapping[str, str]) -> None:
    """Put tags, and the month, on the run that a resource is set up for."""
    if context.instance is None or context.run is None:
        return
    context.instance.add_run_tags(context.run.run_id, {**tags, **_month(context.run.tags)})


def _month(tags: Mapping[str, str]) -> dict[str, str]:
    if _PARTITION in tags:
        return {MONTH_TAG: tags[_PARTITION]}
    if months := partition_range(tags):
        return {MONTH_TAG: "...".join(months)}
    return {}
