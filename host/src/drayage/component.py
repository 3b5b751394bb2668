"""A workload declared in YAML: a Dagster component over the client.

::

    type: drayage.ContainerWorkload
    attributes:
      image: debian:trixie-slim
      command: [sh, -c, "echo rows=3"]
      adapter: key_value
      resources: {memory: 256m, timeout_s: 60}
      assets:
        - key: trips
      promises:
        rows: int
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import dagster as dg
import pydantic

from drayage.adapter import AdapterName
from drayage.client import DrayageClient
from drayage.component_scaffolder import ContainerWorkloadScaffolder
from drayage.errors import BuildError, SettingsError
from drayage.failure import error_failure
from drayage.image_build import build_image
from drayage.promises import PROMISES, Promise
from drayage.secrets import EnvSecret, FileSecret, Secret
from drayage.settings import StepSettings

PromisedType = Literal[
    "any",
    "int",
    "float",
    "bool",
    "text",
    "url",
    "path",
    "md",
    "json",
    "timestamp",
    "table_schema",
    "table_column_lineage",
]


class PromisedMetadata(pydantic.BaseModel, extra="forbid"):
    """One name that every materialization must carry.

    Args:
        type: Its Pipes metadata type; a whole float may come as an int.
        required: Whether it must be there at all.
        unit: What the number counts, for people.
        description: What it means, for people.
    """

    type: PromisedType
    required: bool = True
    unit: str | None = None
    description: str | None = None

    def promise(self) -> Promise:
        """The promise in the form that assets carry."""
        # 3.0 arrives as the JSON number 3: a whole float is an int on the wire.
        types = {"any": (), "float": ("float", "int")}.get(self.type, (self.type,))
        return Promise(types=types, required=self.required, unit=self.unit, description=self.description)


class SecretSource(dg.Model, dg.Resolvable):
    """Where a secret comes from: one of the two.

    Args:
        env: Name of an environment variable of the host.
        file: Absolute path of a file of the host.
    """

    env: str | None = None
    file: str | None = None

    def secret(self) -> Secret | None:
        """The source as the client takes it; None unless just one is given."""
        if self.env is not None and self.file is None:
            return EnvSecret(self.env)
        return FileSecret(self.file) if self.file is not None and self.env is None else None


def _resolve_settings(_context: dg.ResolutionContext, settings: StepSettings | None) -> dict[str, Any]:
    """Those that are given: what is not must not win over an asset's tags."""
    return {} if settings is None else {name: getattr(settings, name) for name in settings.model_fields_set}


def _resolve_promises(
    _context: dg.ResolutionContext, promised: dict[str, PromisedType | PromisedMetadata]
) -> dict[str, Any]:
    """In the form that assets carry them."""
    kept = {
        name: (PromisedMetadata(type=promise) if isinstance(promise, str) else promise).promise()
        for name, promise in promised.items()
    }
    return {name: promise.model_dump(mode="json", exclude_none=True) for name, promise in kept.items()}


@dg.scaffold_with(ContainerWorkloadScaffolder)
class ContainerWorkload(dg.Component, dg.Model, dg.Resolvable):
    """A container that makes assets: declared here, run and judged by drayage.

    Args:
        image: Name of the image; with ``build``, the name that the build gives it.
        build: Folder with a Dockerfile, relative to this file: built, from the cache where nothing changed, whenever
            the step starts. Where the host has no such folder (a deployed one), ``image`` must be there already.
        command: Overrides the image's command.
        env: Environment variables. What is secret belongs to ``secrets``.
        secrets: Files under ``/run/secrets``, by name.
        extras: What the workload gets through Pipes beside Dagster's own context.
        resources: Limits and the like: any field of ``drayage.StepSettings``, such as memory, cpus and timeout_s.
        adapter: How metadata is read from the standard output of a program that knows nothing of Pipes.
        assets: What it makes, with keys, deps, partitions, descriptions and so on.
        promises: What every materialization must carry: a type for each name, or type, unit, description and required.
        checks: The checks that it reports.
        name: The step's name; default is the first asset's key.
        pool: The pool that limits how many of these steps run at once.
        client: Key of the ``DrayageClient`` among the resources; None takes one with the environment's settings.
    """

    model_config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    assets: list[dg.ResolvedAssetSpec]
    image: str | None = None
    build: str | None = None
    command: list[str] | str | None = None
    env: dict[str, str] = pydantic.Field(default_factory=dict)
    secrets: dict[str, SecretSource] = pydantic.Field(default_factory=dict)
    extras: dict[str, Any] = pydantic.Field(default_factory=dict)
    resources: Annotated[dict[str, Any], dg.Resolver(_resolve_settings, model_field_type=StepSettings)] = (
        pydantic.Field(default_factory=dict)
    )
    adapter: AdapterName | None = None
    promises: Annotated[
        dict[str, Any], dg.Resolver(_resolve_promises, model_field_type=dict[str, PromisedType | PromisedMetadata])
    ] = pydantic.Field(default_factory=dict)
    checks: list[dg.ResolvedAssetCheckSpec] = pydantic.Field(default_factory=list)
    name: str | None = None
    pool: str | None = None
    client: str | None = None

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Define the assets.

        Args:
            context: Where the declaration stands.

        Raises:
            SettingsError: The declaration contradicts itself; everything that is wrong with it is named.
        """
        folder = None if self.build is None else (context.path / self.build).resolve()
        if problems := self._problems(folder):
            raise SettingsError(f"{context.path}: {'; '.join(problems)}. Nothing was started.")

        @dg.multi_asset(
            name=self.name or "__".join(self.assets[0].key.path),
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
            yield from self._run(context, image)

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
            **self.resources,
        ).get_results()

    def _image(self, context: dg.AssetExecutionContext, folder: Path | None) -> str:
        image = self._image_name(folder)
        if folder is None:
            return image
        if folder.is_dir():
            build_image(folder, image, show=context.log.info)
        else:
            context.log.info("build folder %s is not on this host: image %s is taken as it is", folder, image)
        return image

    def _image_name(self, folder: Path | None) -> str:
        if self.image is not None:
            return self.image
        # _problems has made sure that one of both is given.
        return f"drayage-build/{(folder or Path()).name.lower()}"

    def _promising(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.merge_attributes(metadata={PROMISES: self.promises}) if self.promises else spec

    def _problems(self, folder: Path | None) -> list[str]:
        problems = []
        if self.image is None and folder is None:
            problems.append("`image` or `build` must be given")
        if self.image is None and folder is not None and not (folder / "Dockerfile").is_file():
            problems.append(
                f"`build`: there is no {folder / 'Dockerfile'}; a host that has the image and not the folder needs "
                "`image` beside it"
            )
        if not self.assets:
            problems.append("`assets` must name one at least")
        problems += [
            f"`secrets.{name}` needs one of `env` and `file`"
            for name, source in self.secrets.items()
            if source.secret() is None
        ]
        if self.adapter is not None and len(self.assets) > 1:
            problems.append(f"`adapter` reads the metadata of one asset, and there are {len(self.assets)}")
        if self.adapter is not None and self.checks:
            problems.append("`adapter` reads no checks: a program that reports `checks` must speak Pipes")
        return problems
