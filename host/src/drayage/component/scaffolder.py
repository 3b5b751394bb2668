"""Writes the ``defs.yaml`` of ``dg scaffold defs drayage.ContainerWorkload``."""

from typing import Any

import dagster as dg
import pydantic


class ContainerWorkloadParams(pydantic.BaseModel):
    """Options of the command; ``image`` or ``build`` must be given.

    Args:
        image: Name of the image.
        build: Folder with a Dockerfile, relative to the folder of ``defs.yaml``.
        asset: Key of the asset that the workload makes; by default, the folder's name.
        description: Description of the asset; by default, a placeholder.
        adapter: How metadata is read from the standard output of a program that does not use Pipes.
    """

    image: str | None = pydantic.Field(default=None, description="Name of the image.")
    build: str | None = pydantic.Field(default=None, description="Folder with a Dockerfile, relative to defs.yaml.")
    asset: str | None = pydantic.Field(default=None, description="Key of its asset; default: the folder's name.")
    description: str | None = pydantic.Field(
        default=None, description="Description of its asset; default: a placeholder to replace."
    )
    adapter: str | None = pydantic.Field(
        default=None, description="json_lines or key_value, for a program that does not use Pipes."
    )


class ContainerWorkloadScaffolder(dg.Scaffolder[ContainerWorkloadParams]):
    """Writes a ``defs.yaml`` that loads without edits."""

    @classmethod
    def get_scaffold_params(cls) -> type[ContainerWorkloadParams]:
        """Return the class of the command's options."""
        return ContainerWorkloadParams

    def scaffold(self, request: dg.ScaffoldRequest[ContainerWorkloadParams]) -> None:
        """Write the file.

        Args:
            request: The folder to write to, and the command's options.

        Raises:
            ValueError: Neither an image nor a build folder is given.
        """
        params = request.params
        if params.image is None and params.build is None:
            raise ValueError("Give --image NAME, or --build FOLDER with a Dockerfile.")
        given: dict[str, Any] = params.model_dump(exclude_none=True)
        key = given.pop("asset", request.target_path.name)
        description = given.pop("description", f"Says what {key} makes.")
        dg.scaffold_component(request, {**given, "assets": [{"key": key, "description": description}]})
