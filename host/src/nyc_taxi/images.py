"""What the code location reads out of the workload images: their ids, and dbt's manifest."""

from collections.abc import Mapping
from dataclasses import dataclass

from drayage import read_image_file, read_image_id
from nyc_taxi.settings import Images

MANIFEST_PATH = "/app/target/manifest.json"


@dataclass(frozen=True)
class Inspection:
    """What was read out of the images.

    Args:
        image_ids: The images' ids by their names; empty if a manifest file stood in for the images.
        dbt_manifest: The manifest's JSON.
        dbt_manifest_source: Where it came from, for errors.
    """

    image_ids: Mapping[str, str]
    dbt_manifest: bytes
    dbt_manifest_source: str


def find_image_ids(images: Images) -> Mapping[str, str]:
    """Find out which images the names stand for now.

    Args:
        images: The images' names.

    Returns:
        The images' ids by their names; empty if a manifest file stands in for the images.

    Raises:
        drayage.errors.EngineError: The engine does not answer, or an image is not there.
    """
    if images.dbt_manifest is not None:
        return {}
    names = (images.generator_image, images.flink_submit_image, images.dbt_runner_image, images.auditor_image)
    return {name: read_image_id(name) for name in names}


def inspect_images(images: Images, image_ids: Mapping[str, str]) -> Inspection:
    """Look into the images, or into the manifest file that stands in for them.

    Args:
        images: The images' names.
        image_ids: As :func:`find_image_ids` gave them when the code location was loaded.

    Returns:
        What they hold.

    Raises:
        drayage.errors.EngineError: The engine does not answer, or an image is not there.
    """
    if images.dbt_manifest is not None:
        return Inspection({}, images.dbt_manifest.read_bytes(), str(images.dbt_manifest))
    # By its id, whatever the name stands for by now: a run goes on with the definitions that it was planned with.
    image_id = image_ids[images.dbt_runner_image]
    return Inspection(
        image_ids=image_ids,
        dbt_manifest=read_image_file(image_id, MANIFEST_PATH),
        dbt_manifest_source=f"{MANIFEST_PATH} in image {images.dbt_runner_image} ({image_id})",
    )
