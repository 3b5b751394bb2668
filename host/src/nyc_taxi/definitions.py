"""What Dagster loads: assets, checks, jobs and resources of the taxi pipeline."""

from collections.abc import Mapping

import dagster as dg

from drayage import DrayageClient
from nyc_taxi.assets.kafka import build_kafka_assets
from nyc_taxi.assets.lake import build_lake_assets
from nyc_taxi.assets.marts import build_marts
from nyc_taxi.assets.throughput import throughput
from nyc_taxi.dbt_manifest import read_dbt_project
from nyc_taxi.images import Inspection, inspect_images
from nyc_taxi.jobs import JOBS
from nyc_taxi.provenance import provenance_tags, tag_run
from nyc_taxi.reports import promise_node
from nyc_taxi.settings import Images, Surroundings, load_services
from nyc_taxi.workloads import SECRETS, describe_workloads


def _services_resource(tags: Mapping[str, str]) -> dg.ResourceDefinition:
    @dg.resource(description="Addresses, credentials and mounts for the steps' containers, from the environment.")
    def services(context: dg.InitResourceContext) -> object:
        tag_run(context, tags)
        return load_services()

    return services


def build_definitions(images: Images, inspection: Inspection, surroundings: Surroundings) -> dg.Definitions:
    """Put the code location together.

    Args:
        images: The workload images' names.
        inspection: What was read out of the images.
        surroundings: The pages that assets link, and the revision that runs are tagged with.

    Returns:
        The definitions.
    """
    workloads = describe_workloads(images, inspection.image_ids)
    project = read_dbt_project(
        inspection.dbt_manifest, where=inspection.dbt_manifest_source, node_metadata=promise_node
    )
    tags = provenance_tags(inspection.image_ids, surroundings.git_revision)
    return dg.Definitions(
        assets=[
            *build_kafka_assets(workloads.generator),
            *build_lake_assets(workloads.flink_submit, surroundings),
            build_marts(workloads.dbt_runner, project),
            throughput,
        ],
        jobs=JOBS,
        # A step is a container already; a process around each would cost 1.3 s a step.
        executor=dg.in_process_executor,
        resources={"drayage": DrayageClient(secrets=SECRETS), "services": _services_resource(tags)},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Load the code location from the images that the environment names."""
    images = Images()
    return build_definitions(images, inspect_images(images), Surroundings())
