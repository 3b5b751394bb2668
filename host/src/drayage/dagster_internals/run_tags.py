"""Holds the tags by which a run names its container: those of dagster-docker's run launcher, and of Dagster.

``tests/drayage/launcher/test_launching_internals.py`` fails by name if Dagster moves one of them.
"""

from collections.abc import Mapping, Sequence

import dagster as dg
from dagster._core.storage.tags import DOCKER_IMAGE_TAG
from dagster_docker.docker_run_launcher import DOCKER_CONTAINER_ID_TAG


def name_container(instance: dg.DagsterInstance, run_id: str, container_id: str, image: str) -> dg.DagsterRun:
    """Record in which container a run is executed, as dagster-docker's launcher does.

    Returns:
        The run.

    Raises:
        LookupError: There is no such run.
    """
    instance.add_run_tags(run_id, {DOCKER_CONTAINER_ID_TAG: container_id, DOCKER_IMAGE_TAG: image})
    run = instance.get_run_by_id(run_id)
    if run is None:
        raise LookupError(f"there is no run {run_id}")
    return run


def containers_with_runs(instance: dg.DagsterInstance, container_ids: Sequence[str]) -> Mapping[str, list[str]]:
    """Return the ids of the runs that name a container as theirs, by container.

    Args:
        instance: The instance.
        container_ids: Ids of containers.
    """
    if not container_ids:
        return {}
    records = instance.get_run_records(dg.RunsFilter(tags={DOCKER_CONTAINER_ID_TAG: list(container_ids)}))
    found: dict[str, list[str]] = {}
    for record in records:
        run = record.dagster_run
        found.setdefault(run.tags[DOCKER_CONTAINER_ID_TAG], []).append(run.run_id)
    return found
