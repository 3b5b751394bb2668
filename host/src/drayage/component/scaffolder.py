"""What ``dg scaffold defs drayage.ContainerWorkload`` writes."""

from typing import Any

import dagster as dg
import pydantic


class ContainerWorkloadParams(pydantic.BaseModel):
    """Options of the command; one of ``image`` and ``build`` must be given.

    Args:
        image: Name of the image.
        build: Folder with a Dockerfile, relative to the folder that is written.
        asset: Key of the asset that it makes; default is the folder's name.
        description: What the asset is, for people; default is a sentence to be replaced.
        adapter: How metadata is read from the standard output of a program that knows nothing of Pipes.
    """

    image: str | None = pydantic.Field(default=None, description="Name of the image.")
    build: str | None = pydantic.Field(default=None, description="Folder with a Dockerfile, relative to defs.yaml.")
    asset: str | None = pydantic.Field(default=None, description="Key of its asset; default: the folder's name.")
    description: str | None = pydantic.Field(
        default=None, description="What its asset is, for people; default: a sentence to be replaced."
    )
    adapter: str | None = pydantic.Field(
        default=None, description="json_lines or key_value, for a program that knows nothing of Pipes."
    )


class ContainerWorkloadScaffolder(dg.Scaffolder[ContainerWorkloadParams]):
    """Writes a ``defs.yaml`` that loads as it is."""

    @classmethod
    def get_scaffold_params(cls) -> type[ContainerWorkloadParams]:
        """The options."""
        return ContainerWorkloadParams

    def scaffold(self, request: dg.ScaffoldRequest[ContainerWorkloadParams]) -> None:
        """Write it.

        Raises:
            ValueError: Neither an image nor a build folder is named.
        """
        params = request.params
        if params.image is None and params.build is None:
            raise ValueError("Give --image NAME, or --build FOLDER with a Dockerfile.")
        given: dict[str, Any] = params.model_dump(exclude_none=True)
        key = given.pop("asset", request.target_path.name)
        description = given.pop("description", f"Says what {key} makes.")
        dg.scaffold_component(request, {**given, "assets": [{"key": key, "description": description}]})
