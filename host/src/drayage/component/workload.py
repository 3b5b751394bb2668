"""Defines assets from a workload that is declared in YAML: a Dagster component on top of the client.

::

    type: drayage.ContainerWorkload
    attributes:
      image: debian:trixie-slim
      command: [sh, -c, "echo rows=3"]
      adapter: key_value
      resources: {memory: 256m, timeout_s: 60}
      assets:
        - key: trips
          description: Says what trips makes.
      promises:
        rows: int
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
import pydantic

from drayage.client import DrayageClient
from drayage.component.fields import (
    PromisedMetadata,
    PromisedType,
    SecretSource,
    resolve_promises,
    resolve_settings,
    resolve_text,
    resolve_values,
)
from drayage.component.provenance import tag_run_of
from drayage.component.scaffolder import ContainerWorkloadScaffolder
from drayage.docker.build import build_image
from drayage.errors import BuildError, SettingsError
from drayage.request import AdapterName
from drayage.settings import StepSettings
from drayage.verdict.failure import error_failure
from drayage.verdict.promises import PROMISES


@dg.scaffold_with(ContainerWorkloadScaffolder)
class ContainerWorkload(dg.Component, dg.Model, dg.Resolvable):
    """A container that makes assets: declared in YAML, run and judged by drayage.

    Args:
        image: Name of the image; with ``build``, the name that the built image gets.
        build: Folder with a Dockerfile, relative to this file. It is built each time the step starts, from the cache
            if nothing has changed. On a host without the folder, such as a deployed one, ``image`` must exist already.
        command: Overrides the image's command.
        env: Environment variables. Secret values belong in ``secrets``.
        secrets: Sources of the files under ``/run/secrets``, by file name.
        extras: Values that the workload gets through Pipes in addition to Dagster's own context.
        resources: Limits and other settings: any field of ``drayage.StepSettings``, such as memory, cpus and timeout_s.
        adapter: How metadata is read from the standard output of a program that does not use Pipes.
        assets: The assets that it makes, each with key and description; deps, partitions and so on as in Dagster.
        promises: Metadata that every materialization must carry: for each name a type, or type, unit, description and
            required.
        checks: The asset checks that it reports.
        name: Name of the step; by default, the first asset's key.
        pool: The pool that limits how many of these steps run at once.
        client: Key of the ``DrayageClient`` among the resources; None uses one with the environment's settings.
    """

    # Dagster's own specs are not pydantic models.
    model_config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    assets: list[dg.ResolvedAssetSpec]
    image: str | None = None
    build: str | None = None
    command: Annotated[
        list[str] | str | None, dg.Resolver(resolve_text, model_field_type=list[str] | str, inject_before_resolve=False)
    ] = None
    env: Annotated[dict[str, str], dg.Resolver(resolve_text, model_field_type=dict[str, str])] = pydantic.Field(
        default_factory=dict
    )
    secrets: dict[str, SecretSource] = pydantic.Field(default_factory=dict)
    extras: Annotated[dict[str, Any], dg.Resolver(resolve_values, model_field_type=dict[str, Any])] = pydantic.Field(
        default_factory=dict
    )
    resources: Annotated[dict[str, Any], dg.Resolver(resolve_settings, model_field_type=StepSettings)] = pydantic.Field(
        default_factory=dict
    )
    adapter: AdapterName | None = None
    promises: Annotated[
        dict[str, Any], dg.Resolver(resolve_promises, model_field_type=dict[str, PromisedType | PromisedMetadata])
    ] = pydantic.Field(default_factory=dict)
    checks: list[dg.ResolvedAssetCheckSpec] = pydantic.Field(default_factory=list)
    name: str | None = None
    pool: str | None = None
    client: str | None = None

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Define the assets.

        Args:
            context: Dagster's context, with the path of the declaration.

        Returns:
            The definitions.

        Raises:
            SettingsError: The declaration is incomplete or contradicts itself; every problem is named.
        """
        folder = None if self.build is None else (context.path / self.build).resolve()
        if problems := self._problems(folder):
            raise SettingsError(f"{context.path}: {'; '.join(problems)}. Nothing was started.")

        @dg.multi_asset(
            name=self.name or re.sub(r"\W", "_", "__".join(self.assets[0].key.path)),
            specs=[self._promising(spec) for spec in self.assets],
            check_specs=self.checks,
            pool=self.pool,
            required_resource_keys={self.client} if self.client else None,
        )
        def workload(context: dg.AssetExecutionContext) -> Iterator[Any]:
            try:
                image = self._image(context, folder)
            except BuildError as error:
                raise error_failure(str(error), error, {}) from error
            tagged = tag_run_of(context, image)
            yield from self._run(context, image)
            if not tagged:
                tag_run_of(context, image)

        return dg.Definitions(assets=[workload])

    def _run(self, context: dg.AssetExecutionContext, image: str) -> Iterator[Any]:
        client = getattr(context.resources, self.client) if self.client else DrayageClient()
        if not isinstance(client, DrayageClient):
            raise SettingsError(f"Resource {self.client!r} is a {type(client).__name__}, not a drayage.DrayageClient.")
        sources = {name: source.secret() for name, source in self.secrets.items()}
        yield from client.run(
            context=context,
            image=image,
            command=self.command,
            env=self.env,
            secrets={name: source for name, source in sources.items() if source is not None},
            extras=self.extras or None,
            adapter=self.adapter,
            # The name of a built image is local to this machine; an image of that name in a registry is another one.
            **{**({} if self.build is None else {"pull": "never"}), **self.resources},
        ).get_results()

    def _image(self, context: dg.AssetExecutionContext, folder: Path | None) -> str:
        image = self._image_name(folder)
        if folder is None:
            return image
        if folder.is_dir():
            build_image(folder, image, show=context.log.info)
        else:
            context.log.info("build folder %s is not on this host: image %s is used as it is", folder, image)
        return image

    def _image_name(self, folder: Path | None) -> str:
        if self.image is not None:
            return self.image
        # _problems has checked that one of the two is given.
        return f"drayage-build/{(folder or Path()).name.lower()}"

    def _promising(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.merge_attributes(metadata={PROMISES: self.promises}) if self.promises else spec

    def _problems(self, folder: Path | None) -> list[str]:
        problems = []
        if self.image is None and folder is None:
            problems.append("`image` or `build` must be given")
        if self.image is None and folder is not None and not (folder / "Dockerfile").is_file():
            problems.append(
                f"`build`: {folder / 'Dockerfile'} does not exist; on a host that has the image but not the folder, "
                "give `image` as well"
            )
        if not self.assets:
            problems.append("`assets` must name at least one asset")
        problems += [
            f"`assets`: {spec.key.to_user_string()} has no `description`: expected a sentence for people who see it "
            f"in the graph, got {spec.description!r}; write it below its `key`"
            for spec in self.assets
            if not (spec.description or "").strip()
        ]
        problems += [
            f"`secrets.{name}` needs either `env` or `file`"
            for name, source in self.secrets.items()
            if source.secret() is None
        ]
        if self.adapter is not None and len(self.assets) > 1:
            problems.append(f"`adapter` reads the metadata of one asset, but there are {len(self.assets)}")
        if self.adapter is not None and self.checks:
            problems.append("`adapter` does not read checks: a program that reports `checks` must use Pipes")
        return problems
