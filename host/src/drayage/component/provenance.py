"""Tags a run with the code that it was made with: its images, and the repository's revision."""

import os
import re
from collections.abc import Mapping

import dagster as dg

from drayage.errors import EngineError
from drayage.images import read_image_id

REVISION_TAG = "git_revision"
_IMAGE_TAG = "image/"
# Set by a deployment: the revision of the repository that it was started from.
_REVISION_VARIABLE = "GIT_REVISION"
# The algorithm, and the twelve digits to which Docker's own commands abbreviate an id.
_ID_ALGORITHM = "sha256:"
_ID_CHARACTERS = len(_ID_ALGORITHM) + 12


def provenance_tags(image_ids: Mapping[str, str], git_revision: str | None) -> dict[str, str]:
    """Return the tags of a run.

    Args:
        image_ids: Ids of the images, by image name.
        git_revision: Revision of the repository that the images were built from; None if it is unknown.

    Returns:
        The tags, with abbreviated ids; an image's tag has the image's short name, without registry and version.
    """
    # A cluster knows an image by its name until a node has it; only a name with a digest tells what is in it.
    digests = {name: image_id.rpartition("@")[2] for name, image_id in image_ids.items()}
    images = {
        f"{_IMAGE_TAG}{_short(name)}": digest[:_ID_CHARACTERS]
        for name, digest in digests.items()
        if digest.startswith(_ID_ALGORITHM)
    }
    return {**images, **({REVISION_TAG: git_revision} if git_revision else {})}


def tag_run_of(context: dg.AssetExecutionContext, image: str) -> bool:
    """Tag a step's run with its image, and with the revision that the environment names.

    Args:
        context: Dagster's context of the executing step.
        image: Name of the image.

    Returns:
        Whether the image is among the tags: an image that is yet to be pulled has no id.
    """
    try:
        image_ids = {image: read_image_id(image)}
    except EngineError:
        # If something is wrong with the engine, the start of the step reports it.
        image_ids = {}
    if tags := provenance_tags(image_ids, os.environ.get(_REVISION_VARIABLE)):
        context.instance.add_run_tags(context.run.run_id, tags)
    return any(name.startswith(_IMAGE_TAG) for name in tags)


def _short(image: str) -> str:
    return re.split("[:@]", image.rpartition("/")[2])[0]
