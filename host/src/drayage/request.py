"""What one call of the client asks for.

The command line makes containers again without Dagster, whose import takes seconds: here it is needed for types alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
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
"""How metadata is read from the standard output of a program that knows nothing of Pipes."""


@dataclass(frozen=True, kw_only=True)
class ContainerRequest:
    """What a container is made of: all that a launcher needs, and nothing of Dagster's.

    Args:
        identity: Who the container belongs to.
        image: Name or id of the image.
        settings: The step's settings, all layers applied.
        command: Overrides the image's command; None keeps it.
        environment: Environment variables beside Pipes' own.
        secrets: Names and values of the files under ``/run/secrets``.
        secret_sources: Where each of them came from, so that a replay can read it again.
        container_kwargs: The engine's own keyword arguments for creating a container.
        promised: The promises of the assets that this call is to report, by asset key as Pipes writes it.
        adapter: How metadata is read from the standard output of a program that knows nothing of Pipes.
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
    """Everything that is asked for in one call of the client.

    Args:
        context: Dagster's context of the executing step.
        extras: What the workload gets through Pipes beside Dagster's own context.
        image_id: The id that the image must have; None takes any.
        context_injector: Replaces the exchange directory's context file.
        message_reader: Replaces the exchange directory's messages file.
        implicit_materializations: Whether assets that nothing was reported for count as materialized.
    """

    context: Context
    extras: PipesExtras | None = None
    image_id: str | None = None
    context_injector: dg.PipesContextInjector | None = None
    message_reader: dg.PipesMessageReader | None = None
    implicit_materializations: bool = False

    def fingerprint(self, image_id: str) -> str:
        """Tell whether a container that an interrupted run left behind does what this request asks for.

        Args:
            image_id: Content address of the image.
        """
        context = self.context
        partitions = None
        if context.has_partition_key:
            partitions = context.partition_key
        elif context.has_partition_key_range:
            partitions = list(context.partition_keys)
        asked = [image_id, self.command, self.extras, partitions, sorted(self.environment.items())]
        return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:32]
