"""Finds out which engine the environment names, as Docker's own command does."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import docker.errors
from docker.context import Context, ContextAPI
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env

from drayage.errors import SettingsError

_DEFAULT = "default"


@dataclass(frozen=True)
class Address:
    """Where an engine is.

    Args:
        url: Its address, such as ``tcp://build:2376``; None is the socket of this machine.
        tls: How it is proved who answers and who asks; None without TLS.
        named_by: What names it, such as ``DOCKER_HOST``.
    """

    url: str | None
    tls: TLSConfig | None
    named_by: str

    def __str__(self) -> str:
        """Return the address for people."""
        return self.url or "unix:///var/run/docker.sock"


def find_address(environment: Mapping[str, str] | None = None) -> Address:
    """Return the engine of ``DOCKER_HOST``, else of ``DOCKER_CONTEXT``, else of ``docker context use``.

    Args:
        environment: The environment; None takes this process's.

    Raises:
        SettingsError: The context that is named does not exist or cannot be read, or a certificate is missing.

    *Source*: Docker CLI 28, ``resolveContextName``; docker-py alone would take the default for a missing context.
    """
    names = os.environ if environment is None else environment
    try:
        given = kwargs_from_env(environment=dict(names))
        if names.get("DOCKER_HOST"):
            return Address(given["base_url"], given.get("tls"), "DOCKER_HOST")
        context: Context | None = ContextAPI.get_context(names.get("DOCKER_CONTEXT"))
    except docker.errors.DockerException as error:
        raise SettingsError(
            f"Docker's client cannot be set up ({error}): expected DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH "
            "to name an engine and its certificates. Correct them."
        ) from error
    except Exception as error:
        # docker-py raises a bare Exception for a context's file that it cannot read.
        raise SettingsError(
            f"The Docker context cannot be read ({error}): make it again, or set DOCKER_HOST."
        ) from error
    if context is None:
        source = "DOCKER_CONTEXT" if names.get("DOCKER_CONTEXT") else "`docker context use`"
        raise SettingsError(
            f"{source} names a Docker context that does not exist{_named(names)}: expected one that `docker "
            "context ls` lists. Create it with `docker context create`, or set DOCKER_HOST."
        )
    if context.Name == _DEFAULT:
        return Address(None, given.get("tls"), "the default")
    return Address(context.Host, context.TLSConfig, f"the Docker context {context.Name}")


def _named(names: Mapping[str, str]) -> str:
    name = names.get("DOCKER_CONTEXT")
    return f" ({name})" if name else ""
