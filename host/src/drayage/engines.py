"""Chooses the container engine, in one place for all of drayage.

An engine's client is imported when it is first asked for: many commands read records alone, and it takes a third of the
time in which they start.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from drayage.debugger import Debugger
from drayage.engine import Engine
from drayage.errors import SettingsError

EngineName = Literal["docker", "kubernetes"]
ENGINE_VARIABLE = "DRAYAGE_ENGINE"


def default_engine() -> Engine:
    """Return the engine that the environment names: ``DRAYAGE_ENGINE``, and Docker's if it names none.

    Raises:
        SettingsError: There is no engine of that name, or it is not installed.
    """
    return engine_named(_chosen())


def engine_named(name: str) -> Engine:
    """Return an engine as the environment configures it.

    Args:
        name: ``docker`` (``DOCKER_HOST`` and related variables) or ``kubernetes`` (``KUBECONFIG``, or the pod that this
            process runs in; and the variables of :class:`drayage.kubernetes.KubernetesSettings`).

    Raises:
        SettingsError: There is no engine of that name, or it is not installed.
    """
    if name == "docker":
        from drayage.docker.engine import DockerEngine  # noqa: PLC0415 - see above

        return DockerEngine()
    if name == "kubernetes":
        with _client_of_kubernetes():
            from drayage.kubernetes import KubernetesEngine  # noqa: PLC0415 - see above
        return KubernetesEngine()
    raise _no_engine(name)


def default_debugger() -> Debugger:
    """Return the debugger for the environment's engine.

    Raises:
        SettingsError: There is no engine of that name, or it is not installed.
    """
    name = _chosen()
    if name == "docker":
        from drayage.docker.debug import DockerDebugger  # noqa: PLC0415 - see above

        return DockerDebugger()
    if name == "kubernetes":
        with _client_of_kubernetes():
            from drayage.kubernetes.debug import KubernetesDebugger  # noqa: PLC0415 - see above
        return KubernetesDebugger()
    raise _no_engine(name)


@contextmanager
def _client_of_kubernetes() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"The client of Kubernetes is not installed ({error}): `pip install drayage[kubernetes]`."
        ) from error


def _no_engine(name: str) -> SettingsError:
    return SettingsError(f"{ENGINE_VARIABLE}: expected one of {', '.join(get_args(EngineName))}, got {name!r}.")


def _chosen() -> str:
    return os.environ.get(ENGINE_VARIABLE) or "docker"
