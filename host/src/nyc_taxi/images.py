"""What the code location reads from the workload images: their ids, and the dbt manifest."""

from collections.abc import Mapping
from dataclasses import dataclass

from drayage import read_image_file, read_image_id
from nyc_taxi.settings import Images

MANIFEST_PATH = "/app/target/manifest.json"


@dataclass(frozen=True)
class Inspection:
    """What was read from the images.

    Args:
        image_ids: The images' ids by name; empty if a manifest file was read in place of the images.
        dbt_manifest: The JSON of the dbt manifest.
        dbt_manifest_source: Where the manifest came from, for errors.
    """

    image_ids: Mapping[str, str]
    dbt_manifest: bytes
    dbt_manifest_source: str


def find_image_ids(images: Images) -> Mapping[str, str]:
    """Return the ids of the images that the names stand for now.

    Args:
        images: The images' names.

    Returns:
        The ids by name; empty if a manifest file is read in place of the images.

    Raises:
        drayage.EngineError: The engine does not answer, or has no such image.
    """
    if images.dbt_manifest is not None:
        return {}
    names = (images.generator_image, images.flink_submit_image, images.dbt_runner_image, images.auditor_image)
    return {name: read_image_id(name) for name in names}


def inspect_images(images: Images, image_ids: Mapping[str, str]) -> Inspection:
    """Read the dbt manifest from its image, or from the file that is set in place of the images.

    Args:
        images: The images' names.
        image_ids: The ids that :func:`find_image_ids` returned when the code server loaded.

    Returns:
        The ids and the manifest.

    Raises:
        drayage.EngineError: The engine does not answer, or has no such image.
    """
    if images.dbt_manifest is not None:
        return Inspection({}, images.dbt_manifest.read_bytes(), str(images.dbt_manifest))
    # By id, even if the name stands for another image by now: a run keeps the definitions that it was planned with.
    image_id = image_ids[images.dbt_runner_image]
    return Inspection(
        image_ids=image_ids,
        dbt_manifest=read_image_file(image_id, MANIFEST_PATH),
        dbt_manifest_source=f"{MANIFEST_PATH} in image {images.dbt_runner_image} ({image_id})",
    )
