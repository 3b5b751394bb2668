"""Drayage: each Dagster step in a container of its own, and its paperwork brought home through Pipes.

Reading order: ``client`` (what an asset calls) → ``request``, ``execution`` (one step, from exchange directory to
verdict) → ``exchange``, ``held_context``, ``session``, ``reader``, ``ledger``, ``message_schema``, ``custom`` (what
goes in and comes out) → ``beginning``, ``adoption``, ``standby``, ``launch``, ``follower``, ``output``, ``watch``,
``interrupts``, ``limits`` (while it runs) → ``outcome``, ``promise``, ``promise_metadata``, ``reporting``,
``failure`` (the judgement) → ``record``, ``history``, ``rerun``, ``replay``, ``capsule``, ``cli`` (looking into one
step) → ``sweeper`` (what is left over) → ``adapter`` (programs that know nothing of Pipes) → ``component``,
``image_build``, ``provenance`` (a workload declared in YAML) → ``conform`` (whether an image keeps the workload
contract) → ``engine`` (the seam) and ``docker_engine`` (behind it).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drayage.client import DrayageClient
    from drayage.component import ContainerWorkload
    from drayage.engine import Mount
    from drayage.errors import BuildError, DrayageError, EngineError, ExchangeError, PromiseError, SettingsError
    from drayage.image_file import read_image_file, read_image_id
    from drayage.invocation import DrayageInvocation
    from drayage.promise_metadata import promises
    from drayage.secrets import EnvSecret, FileSecret
    from drayage.sensor import build_sweeper_sensor
    from drayage.settings import StepSettings
    from drayage.sweeper import Sweeper, SweepLimits, SweepReport

__all__ = [
    "BuildError",
    "ContainerWorkload",
    "DrayageClient",
    "DrayageError",
    "DrayageInvocation",
    "EngineError",
    "EnvSecret",
    "ExchangeError",
    "FileSecret",
    "Mount",
    "PromiseError",
    "SettingsError",
    "StepSettings",
    "SweepLimits",
    "SweepReport",
    "Sweeper",
    "build_sweeper_sensor",
    "promises",
    "read_image_file",
    "read_image_id",
]

_HOMES = {
    "drayage.client": ("DrayageClient",),
    "drayage.component": ("ContainerWorkload",),
    "drayage.engine": ("Mount",),
    "drayage.errors": ("BuildError", "DrayageError", "EngineError", "ExchangeError", "PromiseError", "SettingsError"),
    "drayage.image_file": ("read_image_file", "read_image_id"),
    "drayage.invocation": ("DrayageInvocation",),
    "drayage.promise_metadata": ("promises",),
    "drayage.secrets": ("EnvSecret", "FileSecret"),
    "drayage.sensor": ("build_sweeper_sensor",),
    "drayage.settings": ("StepSettings",),
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
