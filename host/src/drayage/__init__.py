"""Drayage runs each Dagster step in a container of its own, and reads its results through Dagster Pipes.

A step's way: ``client`` takes the call, ``step`` starts the container and follows it, ``pipes`` parses its messages,
``verdict`` judges it, ``exchange`` keeps on disk what it said and how it ended.

The rooms, from the seam upward; each one's docstring has a reading order:

- ``engine`` and ``debugger`` are the seam to a container engine, ``docker`` creates the containers behind it, and
  ``engines`` chooses it.
- ``exchange`` holds the directory of each attempt: context, messages, logs and records.
- ``verdict`` decides whether a step is green, and explains a red one.
- ``pipes`` turns bytes into messages, and checks each against the workload contract.
- ``step`` runs one step: find or start its container, follow it, enforce its limits.
- ``client`` is what an asset calls, ``request`` what it asked for.
- ``replay`` runs a recorded step again, outside Dagster.
- ``component`` declares a workload in YAML, ``conform`` tries an image by the workload contract, ``scaffold`` writes a
  new workload.
- ``sweeper`` and ``sensor`` remove what is past its time.
- ``cli`` is the command line.

Below all of them: ``errors``, ``identity`` (labels on a container), ``secrets`` and ``redaction`` (which keeps them out
of all that is written), ``promise``, ``finding`` (of ``drayage doctor``), ``settings``, ``interrupts``, and
``dagster_internals`` (all that is not Dagster's public API).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drayage.client import DrayageClient
    from drayage.component.provenance import provenance_tags
    from drayage.component.workload import ContainerWorkload
    from drayage.dagster_internals import StateBackedDefinitionsLoader, partition_range
    from drayage.engine import Mount
    from drayage.errors import BuildError, DrayageError, EngineError, ExchangeError, PromiseError, SettingsError
    from drayage.finding import Finding, examined
    from drayage.images import read_image_file, read_image_id
    from drayage.secrets import EnvSecret, FileSecret
    from drayage.sensor import build_sweeper_sensor
    from drayage.settings import ClientSettings, StepSettings
    from drayage.step.invocation import DrayageInvocation
    from drayage.sweeper import Sweeper, SweepLimits, SweepReport
    from drayage.verdict.promises import promises

__all__ = [
    "BuildError",
    "ClientSettings",
    "ContainerWorkload",
    "DrayageClient",
    "DrayageError",
    "DrayageInvocation",
    "EngineError",
    "EnvSecret",
    "ExchangeError",
    "FileSecret",
    "Finding",
    "Mount",
    "PromiseError",
    "SettingsError",
    "StateBackedDefinitionsLoader",
    "StepSettings",
    "SweepLimits",
    "SweepReport",
    "Sweeper",
    "build_sweeper_sensor",
    "examined",
    "partition_range",
    "promises",
    "provenance_tags",
    "read_image_file",
    "read_image_id",
]

_HOMES = {
    "drayage.client": ("DrayageClient",),
    "drayage.component.provenance": ("provenance_tags",),
    "drayage.component.workload": ("ContainerWorkload",),
    "drayage.dagster_internals": ("StateBackedDefinitionsLoader", "partition_range"),
    "drayage.engine": ("Mount",),
    "drayage.errors": ("BuildError", "DrayageError", "EngineError", "ExchangeError", "PromiseError", "SettingsError"),
    "drayage.finding": ("Finding", "examined"),
    "drayage.images": ("read_image_file", "read_image_id"),
    "drayage.step.invocation": ("DrayageInvocation",),
    "drayage.verdict.promises": ("promises",),
    "drayage.secrets": ("EnvSecret", "FileSecret"),
    "drayage.sensor": ("build_sweeper_sensor",),
    "drayage.settings": ("ClientSettings", "StepSettings"),
    "drayage.sweeper": ("Sweeper", "SweepLimits", "SweepReport"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: most need Dagster, whose import takes seconds."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'drayage' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    """List the public names: Dagster's `dg` looks for components among them."""
    return [*globals(), *__all__]
