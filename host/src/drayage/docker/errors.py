"""Turns docker-py's exceptions into drayage's own, each of which says what happened and what to do."""

import contextlib
import os
from collections.abc import Iterator

import docker.errors
import requests.exceptions
import urllib3.exceptions
from docker.credentials.errors import StoreError

from drayage.docker.address import find_address
from drayage.errors import (
    ContainerGoneError,
    DrayageError,
    EngineDiskFullError,
    EngineError,
    EngineUnavailableError,
    EntrypointError,
    ImageMissingError,
    SettingsError,
)

_ENTRYPOINT_SIGNS = (
    "executable file not found",
    "exec format error",
    "exec:",
    "no such file or directory: unknown",
    "permission denied: unknown",
)


# Engines answer 500 to an argument whose type they cannot read.
_WRONG_TYPE = "json: cannot unmarshal"
_NO_LOG_DRIVER = "failed to initialize logging driver"
_SILENCE = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)
_WRONG_ARGUMENT = (TypeError, ValueError, AttributeError, LookupError)


@contextlib.contextmanager
def engine_errors(doing: str, *, given: str | None = None) -> Iterator[None]:
    """Raise drayage's own errors in place of those of docker-py and its transport.

    Args:
        doing: What the engine is asked to do, such as "start container 1234".
        given: The arguments of the caller's that the request is made of, such as "image"; None if it is made of none,
            so that whatever is wrong with it is not the caller's mistake.

    Raises:
        SettingsError: docker-py or the engine does not take what the caller gave, or docker-py is not configured.
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
        raise _api_error(error, doing, given) from error
    except _SILENCE as error:
        raise _unavailable(error, doing) from error
    except docker.errors.DockerException as error:
        if _led_from(error, _SILENCE) and not _led_from(error, StoreError):
            raise _unavailable(error, doing) from error
        raise _client_error(error, doing, given) from error
    except _WRONG_ARGUMENT as error:
        if given is None:
            raise
        raise _wrong(given, doing, f"{type(error).__name__}: {error}") from error


def _unavailable(error: Exception, doing: str) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"The container engine at {_address()} does not answer: it could not {doing} "
        f"({type(error).__name__}: {error}). Start it (`systemctl start docker`), make sure that this user may "
        "open its socket, or set DOCKER_HOST."
    )


def _client_error(error: docker.errors.DockerException, doing: str, given: str | None) -> DrayageError:
    """Return the error for what docker-py refused before it asked the engine anything."""
    explanation = " ".join(str(error).split())
    if _led_from(error, StoreError) or isinstance(error, docker.errors.InvalidConfigFile):
        return SettingsError(
            f"Docker's client could not {doing}: the credentials that its configuration names cannot be read "
            f"({explanation}). Install that credentials helper, or take it out of `credsStore` and `credHelpers` in "
            f"{_configuration()}."
        )
    if isinstance(error, docker.errors.TLSParameterError) or "bind address" in explanation:
        return SettingsError(
            f"Docker's client cannot be set up ({explanation}): expected DOCKER_HOST, DOCKER_TLS_VERIFY and "
            f"DOCKER_CERT_PATH to name an engine, got DOCKER_HOST={_address()!r}."
        )
    if given is not None:
        return _wrong(given, doing, explanation)
    return EngineError(f"Docker's client could not {doing}: {type(error).__name__}: {explanation}")


def _wrong(given: str, doing: str, explanation: str) -> SettingsError:
    return SettingsError(f"The engine cannot {doing} with the {given} of this step: {explanation}. Correct it there.")


def _led_from(error: BaseException, kinds: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
    """Return whether an error, or one that led to it, is of some kind."""
    led: BaseException | None = error
    while led is not None:
        if isinstance(led, kinds):
            return True
        led = led.__cause__ or led.__context__
    return False


def _api_error(error: docker.errors.APIError, doing: str, given: str | None) -> DrayageError:
    explanation = _explanation(error)
    if given is not None and (error.status_code == requests.codes.bad_request or _WRONG_TYPE in explanation):
        return _wrong(given, doing, explanation)
    if _NO_LOG_DRIVER in explanation:
        # Only at the start: the engine creates a container with any log driver that it knows.
        return _wrong("log_config", doing, explanation)
    lower = explanation.lower()
    if "no space left on device" in lower:
        return EngineDiskFullError(
            f"The engine's disk is full: it could not {doing} ({explanation}). Free space with "
            "`drayage sweep` and `docker system prune`, then run the step again."
        )
    if isinstance(error, docker.errors.NotFound) or "marked for removal" in lower:
        return ContainerGoneError(
            f"The engine could not {doing}: {explanation}. Either something else removed it, or it never existed."
        )
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


def _configuration() -> str:
    folder = os.environ.get("DOCKER_CONFIG")
    return f"{folder}/config.json" if folder else "~/.docker/config.json"


def _address() -> str:
    try:
        return str(find_address())
    except SettingsError:
        return os.environ.get("DOCKER_HOST", "an address that cannot be read")
