"""The one place that chooses the container engine."""

from drayage.debugger import Debugger
from drayage.docker.debug import DockerDebugger
from drayage.docker.engine import DockerEngine
from drayage.engine import Engine


def default_engine() -> Engine:
    """Return the engine that the environment names (``DOCKER_HOST`` and its kin)."""
    return DockerEngine()


def default_debugger() -> Debugger:
    """Return what people use to look into that engine's containers."""
    return DockerDebugger()
