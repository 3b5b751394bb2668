"""Turns docker-py's exceptions into drayage's own, each of which says what happened and what to do."""

import contextlib
import os
from collections.abc import Iterator

import docker.errors
import requests.exceptions
import urllib3.exceptions

from drayage.errors import (
    ContainerGoneError,
    DrayageError,
    EngineDiskFullError,
    EngineError,
    EngineUnavailableError,
    EntrypointError,
    ImageMissingError,
    VolumeInUseError,
)

_ENTRYPOINT_SIGNS = (
    "executable file not found",
    "exec format error",
    "exec:",
    "no such file or directory: unknown",
    "permission denied: unknown",
)


@contextlib.contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Raise drayage's own errors in place of those of docker-py and its transport.

    Args:
        doing: What the engine is asked to do, such as "start container 1234".

    Raises:
        EngineError: The engine refused, failed or did not answer.
    """
    try:
        yield
    except DrayageError:
        raise
    except docker.errors.ImageNotFound as error:
        raise ImageMissingError(
            f"The engine could not {doing}: it has no such image ({_explanation(error)}). Build or pull it."
        ) from error
    except docker.errors.APIError as error:
        raise _api_error(error, doing) from error
    except (
        docker.errors.DockerException,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
    ) as error:
        raise EngineUnavailableError(
            f"The container engine at {_address()} does not answer: it could not {doing} "
            f"({type(error).__name__}: {error}). Start it (`systemctl start docker`), make sure that this user may "
            "open its socket, or set DOCKER_HOST."
        ) from error


def _api_error(error: docker.errors.APIError, doing: str) -> EngineError:
    explanation = _explanation(error)
    lower = explanation.lower()
    if "no space left on device" in lower:
        return EngineDiskFullError(
            f"The engine's disk is full: it could not {doing} ({explanation}). Free space with "
            "`drayage sweep` and `docker system prune`, then run the step again."
        )
    if isinstance(error, docker.errors.NotFound):
        return ContainerGoneError(
            f"The engine could not {doing}: {explanation}. Either something else removed it, or it never existed."
        )
    if "volume is in use" in lower:
        return VolumeInUseError(f"The engine could not {doing}: {explanation}. Remove that container first.")
    if any(sign in lower for sign in _ENTRYPOINT_SIGNS):
        hint = (
            "The engine's own init is not installed: install `tini`, or set init=False."
            if "docker-init" in lower
            else "Compare the step's `command` with the image's ENTRYPOINT and PATH."
        )
        return EntrypointError(f"The command cannot be started: the engine could not {doing} ({explanation}). {hint}")
    return EngineError(f"The engine refused to {doing}: {explanation}")


def _explanation(error: docker.errors.APIError) -> str:
    return " ".join(str(error.explanation or error).split())


def _address() -> str:
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
