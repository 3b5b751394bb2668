"""Chooses the container engine, in one place for all of drayage.

Docker's client is imported when it is first asked for: many commands read records alone, and it takes a third of the
time in which they start.
"""

from drayage.debugger import Debugger
from drayage.engine import Engine


def default_engine() -> Engine:
    """Return the engine that the environment names (``DOCKER_HOST`` and related variables)."""
    from drayage.docker.engine import DockerEngine  # noqa: PLC0415 - see above

    return DockerEngine()


def default_debugger() -> Debugger:
    """Return the debugger for that engine's containers and images."""
    from drayage.docker.debug import DockerDebugger  # noqa: PLC0415 - see above

    return DockerDebugger()
