"""Tags every run with the code that made it (revision and images), with its month, and with the source of its trips.

The tags are added when the run's worker sets up its resources, the one place that every run passes. A job's own tags
would miss the runs that are launched from the asset graph, by a backfill or by a sensor. The source is known only when
a step has reported it; what it reported is also the host's memory of a month that the broker forgot.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from drayage import partition_range
from nyc_taxi.keys import GENERATE_EVENTS, SILVER
from nyc_taxi.months import PARTITION_TAG
from nyc_taxi.reports import read_reported
from nyc_taxi.sources import SYNTHETIC

MONTH_TAG = "month"
SOURCE_TAG = "source"


def tag_run(context: dg.InitResourceContext, tags: Mapping[str, str]) -> None:
    """Add tags, and the run's month, to the run that a resource is set up for.

    Args:
        context: Dagster's context of the resource.
        tags: The tags beside the month.
    """
    if context.instance is None or context.run is None:
        return
    context.instance.add_run_tags(context.run.run_id, {**tags, **_month(context.run.tags)})


def tag_source(context: dg.AssetExecutionContext, result: dg.MaterializeResult[Any]) -> None:
    """Tag a step's run with the source of its month: the file's name, or ``SYNTHETIC``.

    Args:
        context: Dagster's context of the step.
        result: What the step's workload reported, with ``source`` and ``source_name``.
    """
    source, name = (read_reported(result, field, str) for field in ("source", "source_name"))
    context.instance.add_run_tags(context.run_id, {SOURCE_TAG: source.upper() if source == SYNTHETIC else name})


def file_of_month(instance: dg.DagsterInstance, month: str) -> str | None:
    """Return the file whose trips a month holds, as Dagster's log tells: also when the broker lost its topics.

    Args:
        instance: The Dagster instance.
        month: The month.

    Returns:
        The file's name; None if the month's trips are synthetic, if it has none, or if their source is unknown.
    """
    # Silver's report counts too: a step that was killed after its last commit reported nothing.
    found = [
        record
        for key in (GENERATE_EVENTS, SILVER)
        for record in instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=[month]), limit=1
        ).records
    ]
    latest = max(found, key=lambda record: record.storage_id, default=None)
    if latest is None or latest.asset_materialization is None:
        return None
    metadata = latest.asset_materialization.metadata
    if "source" not in metadata or metadata["source"].value == SYNTHETIC:
        return None
    return str(metadata["source_name"].value)


def _month(tags: Mapping[str, str]) -> dict[str, str]:
    if PARTITION_TAG in tags:
        return {MONTH_TAG: tags[PARTITION_TAG]}
    if months := partition_range(tags):
        return {MONTH_TAG: "...".join(months)}
    return {}
