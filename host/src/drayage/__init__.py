"""Drayage: each Dagster step in a container of its own, and its paperwork brought home through Pipes.

Reading order: ``client`` (what an asset calls) → ``request``, ``execution`` (one step, from exchange directory to
verdict) → ``exchange``, ``session``, ``reader``, ``ledger``, ``message_schema``, ``custom`` (what goes in and comes
out) → ``adoption``, ``launch``, ``follower``, ``output``, ``watch``, ``limits`` (while it runs) → ``outcome``,
``promises``, ``reporting``, ``failure`` (the judgement) → ``record``, ``history``, ``rerun``, ``replay``, ``capsule``,
``cli`` (looking into one step) → ``sweeper`` (what is left over) → ``adapter`` (programs that know nothing of Pipes)
→ ``component``, ``image_build`` (a workload declared in YAML) → ``conform`` (whether an image keeps the workload
contract) → ``engine`` (the seam) and ``docker_engine`` (behind it).
"""

from drayage.client import DrayageClient
from drayage.component import ContainerWorkload
from drayage.engine import Mount
from drayage.errors import BuildError, DrayageError, EngineError, ExchangeError, PromiseError, SettingsError
from drayage.image_file import read_image_file, read_image_id
from drayage.invocation import DrayageInvocation
from drayage.promises import promises
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
