"""What Dagster loads: assets, checks, jobs and resources of the taxi pipeline."""

from pathlib import Path

import dagster as dg

from drayage import DrayageClient
from nyc_taxi.assets.kafka import build_kafka_assets
from nyc_taxi.assets.lake import build_lake_assets
from nyc_taxi.assets.marts import build_marts
from nyc_taxi.dbt_manifest import read_dbt_project
from nyc_taxi.images import Inspection, inspect_images
from nyc_taxi.jobs import JOBS
from nyc_taxi.reports import promise_node
from nyc_taxi.settings import Images, load_services
from nyc_taxi.workloads import SECRETS, describe_workloads


@dg.resource(description="Addresses, credentials and mounts for the steps' containers, from the environment.")
def _services(_context: dg.InitResourceContext) -> object:
    return load_services()


def build_definitions(images: Images, inspection: Inspection) -> dg.Definitions:
    """Put the code location together.

    Args:
        images: The workload images' names.
        inspection: What was read out of the images.

    Returns:
        The definitions.
    """
    workloads = describe_workloads(images, inspection.image_ids)
    project = read_dbt_project(
        inspection.dbt_manifest, where=inspection.dbt_manifest_source, node_metadata=promise_node
    )
    return dg.Definitions(
        assets=[
            *build_kafka_assets(workloads.generator),
            *build_lake_assets(workloads.flink_submit),
            build_marts(workloads.dbt_runner, project),
        ],
        jobs=JOBS,
        # A step is a container already; a process around each would cost 1.3 s a step.
        executor=dg.in_process_executor,
        resources={"drayage": DrayageClient(secrets=SECRETS), "services": _services},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Load the code location: the pipeline from the images that the environment names, and what YAML declares."""
    images = Images()
    pipeline = build_definitions(images, inspect_images(images))
    folder = Path(__file__).with_name("defs")
    # Dagster takes a third of a second to look into an empty folder, and every run's start would pay for it.
    if not any(folder.glob("*/defs.yaml")):
        return pipeline
    return dg.Definitions.merge(pipeline, dg.load_from_defs_folder(path_within_project=folder))
