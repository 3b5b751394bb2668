"""Which code made a run: its images and their revision, put on the run as tags."""

import os
import re
from collections.abc import Mapping

import dagster as dg

from drayage.errors import EngineError
from drayage.images import read_image_id

REVISION_TAG = "git_revision"
_IMAGE_TAG = "image/"
# What a deployment tells its host of the repository that it was started from.
_REVISION_VARIABLE = "GIT_REVISION"
# As `docker images --digests` and people abbreviate them.
_ID_CHARACTERS = len("sha256:") + 12


def provenance_tags(image_ids: Mapping[str, str], git_revision: str | None) -> dict[str, str]:
    """Tell the tags of a run.

    Args:
        image_ids: The images' ids by their names.
        git_revision: The revision of the repository that made them; None if nobody said.

    Returns:
        The tags, with abbreviated ids; an image is called as people call it, without registry and version.
    """
    images = {f"{_IMAGE_TAG}{_short(name)}": image_ids[name][:_ID_CHARACTERS] for name in image_ids}
    return {**images, **({REVISION_TAG: git_revision} if git_revision else {})}


def tag_run_of(context: dg.AssetExecutionContext, image: str) -> bool:
    """Put a step's image, and the revision that the environment names, on its run.

    Args:
        context: Dagster's context of the executing step.
        image: The image's name.

    Returns:
        Whether the image is among them: one that is to be pulled has no id yet.
    """
    try:
        image_ids = {image: read_image_id(image)}
    except EngineError:
        # Whatever is wrong with the engine, the step's own start says so.
        image_ids = {}
    if tags := provenance_tags(image_ids, os.environ.get(_REVISION_VARIABLE)):
        context.instance.add_run_tags(context.run.run_id, tags)
    return bool(image_ids)


def _short(image: str) -> str:
    return re.split("[:@]", image.rpartition("/")[2])[0]
