"""Chooses the container engine, in one place for all of drayage."""

from drayage.debugger import Debugger
from drayage.docker.debug import DockerDebugger
from drayage.docker.engine import DockerEngine
from drayage.engine import Engine


def default_engine() -> Engine:
    """Return the engine that the environment names (``DOCKER_HOST`` and related variables)."""
    return DockerEngine()


def default_debugger() -> Debugger:
    """Return the debugger for that engine's containers and images."""
    return DockerDebugger()
