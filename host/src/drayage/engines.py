"""Chooses the container engine, in one place for all of drayage.

An engine's client is imported when it is first asked for: many commands read records alone, and it takes a third of the
time in which they start.
"""

import os
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
        try:
            from drayage.kubernetes import KubernetesEngine  # noqa: PLC0415 - see above
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"The client of Kubernetes is not installed ({error}): `pip install drayage[kubernetes]`."
            ) from error
        return KubernetesEngine()
    raise SettingsError(f"{ENGINE_VARIABLE}: expected one of {', '.join(get_args(EngineName))}, got {name!r}.")


def default_debugger() -> Debugger:
    """Return the debugger for the environment's engine.

    Raises:
        SettingsError: That engine has none.
    """
    if _chosen() != "docker":
        raise SettingsError(
            f"This command does not work with {ENGINE_VARIABLE}={_chosen()} yet. Look into a pod with `kubectl logs`, "
            "`kubectl exec` or `kubectl debug`; a capsule of the step (`drayage capsule`) can be replayed with Docker."
        )
    from drayage.docker.debug import DockerDebugger  # noqa: PLC0415 - see above

    return DockerDebugger()


def _chosen() -> str:
    return os.environ.get(ENGINE_VARIABLE) or "docker"
