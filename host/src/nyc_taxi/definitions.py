"""The definitions that Dagster loads: the pipeline's assets, checks, jobs, automation and resources."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from drayage import (
    DrayageClient,
    StateBackedDefinitionsLoader,
    build_sweeper_sensor,
    container_executor,
    provenance_tags,
)
from nyc_taxi.assets.audit import build_audit
from nyc_taxi.assets.kafka import build_kafka_assets
from nyc_taxi.assets.lake import build_lake_assets
from nyc_taxi.assets.maintenance import build_maintenance_assets
from nyc_taxi.assets.marts import build_marts
from nyc_taxi.assets.throughput import throughput
from nyc_taxi.automation import MARTS_FOLLOW_SILVER, new_monthly_file, newest_month
from nyc_taxi.dbt_manifest import read_dbt_project
from nyc_taxi.images import Inspection, find_image_ids, inspect_images
from nyc_taxi.jobs import JOBS
from nyc_taxi.provenance import tag_run
from nyc_taxi.settings import DisplaySettings, Images, load_services
from nyc_taxi.workloads import SECRETS, describe_workloads

# Dagster then takes the smallest backfill, one run for each month, which is right for the whole pipeline.
warnings.filterwarnings("ignore", message="Asset job taxi_pipeline materializes assets with varying BackfillPolicies")


def _services_resource(tags: Mapping[str, str]) -> dg.ResourceDefinition:
    @dg.resource(description="Addresses for the steps' containers, from the environment.")
    def services(context: dg.InitResourceContext) -> object:
        tag_run(context, tags)
        return load_services()

    return services


def build_definitions(images: Images, inspection: Inspection, display: DisplaySettings) -> dg.Definitions:
    """Assemble the code location.

    Args:
        images: The names of the workload images.
        inspection: What was read from the images.
        display: The links of the assets, and the revision that runs are tagged with.

    Returns:
        The definitions.
    """
    workloads = describe_workloads(images, inspection.image_ids)
    project = read_dbt_project(inspection.dbt_manifest, where=inspection.dbt_manifest_source)
    client = DrayageClient(secrets=SECRETS)
    tags = provenance_tags(inspection.image_ids, display.git_revision)
    return dg.Definitions(
        assets=[
            *build_kafka_assets(workloads.generator),
            *build_lake_assets(workloads.flink_submit, display),
            *build_marts(workloads.dbt_runner, project, display),
            build_audit(workloads.auditor, project.publications),
            throughput,
            *build_maintenance_assets(workloads.flink_submit),
        ],
        jobs=JOBS,
        schedules=[newest_month],
        sensors=[new_monthly_file, MARTS_FOLLOW_SILVER, build_sweeper_sensor(client)],
        # Each step is a container already; a process around it would cost 1.3 s. What goes side by side within a run
        # may do so in two runs as well: where it must not, there is a pool.
        executor=container_executor,
        resources={"drayage": client, "services": _services_resource(tags)},
    )


class _ImagesLoader(StateBackedDefinitionsLoader[Mapping[str, str]]):
    """Loads the code location from the images that the environment names; its state is the images' ids."""

    defs_key = "nyc_taxi/image_ids"

    def fetch_state(self) -> Mapping[str, str]:
        return find_image_ids(Images())

    def defs_from_state(self, state: Mapping[str, str]) -> dg.Definitions:
        images = Images()
        return build_definitions(images, inspect_images(images, state), DisplaySettings())


@dg.definitions
def defs() -> dg.Definitions:
    """Load the code location: the pipeline, and the workloads that are declared in YAML.

    Returns:
        Definitions from the images that the code server found when it loaded.
    """
    pipeline = _ImagesLoader().build_defs()
    folder = Path(__file__).with_name("defs")
    # Dagster takes a third of a second to search even an empty folder, which would delay the start of every run.
    if not any(folder.glob("*/defs.yaml")):
        return pipeline
    return dg.Definitions.merge(pipeline, dg.load_from_defs_folder(path_within_project=folder))
