"""Which code made a run: its revision and its images, put on the run as tags.

They are added when the run's worker sets up, since that is the one place that every run passes, whoever launched it: a
job's own tags would leave out what is launched from the asset graph, by a backfill or by a sensor.
"""

from collections.abc import Mapping

import dagster as dg

MONTH_TAG = "month"
REVISION_TAG = "git_revision"
_IMAGE_TAG = "image/"
# As `docker images --digests` and people abbreviate them.
_ID_CHARACTERS = len("sha256:") + 12

_PARTITION = "dagster/partition"
_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def provenance_tags(image_ids: Mapping[str, str], git_revision: str | None) -> dict[str, str]:
    """Tell the tags of every run of this code location.

    Args:
        image_ids: The workload images' ids by their names.
        git_revision: The revision of the repository that the stack was started from; None if nobody said.

    Returns:
        The tags, with abbreviated ids.
    """
    images = {f"{_IMAGE_TAG}{name.rpartition('/')[2]}": image_ids[name][:_ID_CHARACTERS] for name in image_ids}
    return {**images, **({REVISION_TAG: git_revision} if git_revision else {})}


def tag_run(context: dg.InitResourceContext, tags: Mapping[str, str]) -> None:
    """Put tags, and the month, on the run that a resource is set up for."""
    if context.instance is None or context.run is None:
        return
    context.instance.add_run_tags(context.run.run_id, {**tags, **_month(context.run.tags)})


def _month(tags: Mapping[str, str]) -> dict[str, str]:
    if _PARTITION in tags:
        return {MONTH_TAG: tags[_PARTITION]}
    if all(name in tags for name in _RANGE):
        return {MONTH_TAG: "...".join(tags[name] for name in _RANGE)}
    return {}
