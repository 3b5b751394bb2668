"""Drayage runs each Dagster step in its own container, and reads its results through Dagster Pipes.

How a step runs: ``client`` takes the call, ``step`` starts the container and follows it, ``pipes`` parses its messages,
``verdict`` judges it, and ``exchange`` keeps its messages, its output and the verdict on disk.

The packages and modules, lowest layer first; the docstring of each package says in which order to read it:

- ``engine`` defines the interface that every container engine implements, and ``debugger`` that of the tools to look
  into its containers. ``docker`` implements both, and ``kubernetes`` the former; this is where containers are created.
  ``engines`` picks the implementation. ``mailbox`` implements the part through which a container gets its context and
  leaves its messages, and ``mirror`` keeps them here where the engine is elsewhere.
- ``request`` describes what one call of the client asks for.
- ``exchange`` writes and reads the directory of each attempt: context, messages, logs and records. ``images`` reads
  files out of images.
- ``verdict`` decides whether a step is green or red, and writes the message of a red one.
- ``pipes`` turns bytes into messages, and checks each against the workload contract.
- ``step`` runs one step: it finds or starts the container, follows it and enforces its time limits.
- ``client`` is what an asset calls.
- ``executor`` executes the steps of a run side by side, in threads of one process.
- ``launcher`` launches runs in run workers that stand by, and runs Dagster's daemons.
- ``replay`` runs a recorded step again, outside Dagster.
- ``component`` declares a workload in YAML, ``conform`` checks an image against the workload contract, and
  ``scaffold`` writes a new workload.
- ``sweeper`` deletes expired containers, exchange directories and compute logs; ``sensor`` does so on a schedule.
- ``cli`` is the command line; ``finding`` is the result of one check of ``drayage doctor``.

Below all of them: ``errors`` (every exception), ``identity`` (labels on a container), ``fingerprint`` (whether two
requests are the same), ``secrets`` and ``redaction`` (which removes them from everything that is written),
``strangers`` (which opens files that a workload may have touched), ``promise``, ``settings``, ``interrupts``,
``threads``, and ``dagster_internals`` (every use of Dagster's non-public API).
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
    from drayage.executor.executor import container_executor
    from drayage.finding import Finding, examine
    from drayage.images import read_image_file, read_image_id
    from drayage.launcher.launcher import StandbyRunLauncher
    from drayage.secrets import EnvSecret, FileSecret
    from drayage.sensor import build_sweeper_sensor
    from drayage.settings import ClientSettings, StepSettings
    from drayage.step.invocation import DrayageInvocation
    from drayage.sweeper.limits import SweepLimits, SweepReport
    from drayage.sweeper.sweep import Sweeper
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
    "StandbyRunLauncher",
    "StateBackedDefinitionsLoader",
    "StepSettings",
    "SweepLimits",
    "SweepReport",
    "Sweeper",
    "build_sweeper_sensor",
    "container_executor",
    "examine",
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
    "drayage.executor.executor": ("container_executor",),
    "drayage.finding": ("Finding", "examine"),
    "drayage.images": ("read_image_file", "read_image_id"),
    "drayage.launcher.launcher": ("StandbyRunLauncher",),
    "drayage.step.invocation": ("DrayageInvocation",),
    "drayage.verdict.promises": ("promises",),
    "drayage.secrets": ("EnvSecret", "FileSecret"),
    "drayage.sensor": ("build_sweeper_sensor",),
    "drayage.settings": ("ClientSettings", "StepSettings"),
    "drayage.sweeper.limits": ("SweepLimits", "SweepReport"),
    "drayage.sweeper.sweep": ("Sweeper",),
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
