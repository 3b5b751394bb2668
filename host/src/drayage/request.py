"""Defines the request that one call of the client makes.

The command line creates containers without importing Dagster, which takes seconds: this module needs it only for types.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import dagster as dg
    from dagster_pipes import PipesExtras

    from drayage.dagster_internals import Context
    from drayage.identity import Identity
    from drayage.promise import Promise
    from drayage.secrets import Secret
    from drayage.settings import StepSettings

AdapterName = Literal["json_lines", "key_value"]
"""How metadata is read from the standard output of a program that does not use Pipes."""


@dataclass(frozen=True, kw_only=True)
class ContainerRequest:
    """Everything that a launcher needs to create a container, without any of Dagster's objects.

    Args:
        identity: The step that the container belongs to.
        image: Name or id of the image.
        settings: The step's settings, with all layers applied.
        command: Overrides the image's command; None keeps it.
        environment: Environment variables in addition to Pipes' own.
        secrets: Names and values of the files under ``/run/secrets``.
        secret_sources: Source of each secret, so that a replay can read it again.
        container_kwargs: The engine's own keyword arguments for creating a container.
        promised: The promises of the assets that this call must report, by asset key as Pipes writes it.
        adapter: How metadata is read from the standard output of a program that does not use Pipes.
    """

    identity: Identity
    image: str
    settings: StepSettings
    command: str | Sequence[str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    secret_sources: Mapping[str, Secret] = field(default_factory=dict)
    container_kwargs: Mapping[str, Any] = field(default_factory=dict)
    promised: Mapping[str, Mapping[str, Promise]] = field(default_factory=dict)
    adapter: AdapterName | None = None


@dataclass(frozen=True, kw_only=True)
class StepRequest(ContainerRequest):
    """Everything that one call of the client asks for.

    Args:
        context: Dagster's context of the executing step.
        extras: Values that the workload gets through Pipes in addition to Dagster's own context.
        image_id: The id that the image must have; None accepts any.
        context_injector: Replaces the exchange directory's context file.
        message_reader: Replaces the exchange directory's messages file.
        implicit_materializations: Whether assets that nothing was reported for count as materialized.
        checks: The checks that this call must report.
    """

    context: Context
    extras: PipesExtras | None = None
    image_id: str | None = None
    context_injector: dg.PipesContextInjector | None = None
    message_reader: dg.PipesMessageReader | None = None
    implicit_materializations: bool = False
    checks: Collection[dg.AssetCheckKey] = ()

    def fingerprint(self, image_id: str) -> str:
        """Return a hash that shows whether a container left by an interrupted run does what this request asks for.

        Args:
            image_id: Content address of the image.

        Returns:
            32 hexadecimal digits; equal for equal image, command, extras, partitions and environment.
        """
        context = self.context
        partitions = None
        if context.has_partition_key:
            partitions = context.partition_key
        elif context.has_partition_key_range:
            partitions = list(context.partition_keys)
        asked = [image_id, self.command, self.extras, partitions, sorted(self.environment.items())]
        return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:32]
