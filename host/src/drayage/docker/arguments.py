"""Translates a container's specification into docker-py's keyword arguments."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import docker.types
from docker.models.containers import RUN_CREATE_KWARGS, RUN_HOST_CONFIG_KWARGS

from drayage.engine import ContainerSpec, Mount
from drayage.errors import SettingsError
from drayage.request import plain_environment

# Those that `containers.create` takes apart itself. Source: `_create_container_args` of docker-py 7.
_SPLIT_ARGUMENTS = ("network", "networking_config", "ports", "volumes")
# Those that the call itself has, which the stock client refuses too.
_OWN_ARGUMENTS = {"image", "command", "detach", "version"}


def create_arguments(spec: ContainerSpec) -> dict[str, Any]:
    """Return the keyword arguments with which docker-py creates a container.

    Args:
        spec: What the container is made of.

    Raises:
        SettingsError: The step's own keyword arguments have a name that docker-py does not know.
    """
    container_kwargs = dict(spec.container_kwargs)
    known = {*RUN_CREATE_KWARGS, *RUN_HOST_CONFIG_KWARGS, *_SPLIT_ARGUMENTS} - _OWN_ARGUMENTS
    for name in container_kwargs:
        if name not in known:
            near = difflib.get_close_matches(str(name), known)
            raise SettingsError(
                f"container_kwargs: expected keyword arguments of docker-py's `containers.create`, got {name!r}"
                f"{f' (did you mean {near[0]}?)' if near else ''}. Nothing was started."
            )
    arguments: dict[str, Any] = {
        "image": spec.image,
        "command": spec.command,
        "detach": True,
        "init": spec.init,
        "mounts": [_mount(mount) for mount in spec.mounts] + list(container_kwargs.pop("mounts", ())),
        "environment": {
            **spec.environment,
            **plain_environment(container_kwargs.pop("environment", None), of="container_kwargs['environment']"),
        },
        "labels": {**_labels(container_kwargs.pop("labels", None) or {}), **spec.labels},
    }
    optional = {
        "name": spec.name,
        "network": spec.networks[0] if spec.networks else None,
        "mem_limit": spec.memory_bytes,
        "memswap_limit": spec.memory_bytes,
        "shm_size": spec.shm_bytes,
        "nano_cpus": None if spec.cpus is None else int(spec.cpus * 1e9),
        "user": spec.user,
        "read_only": spec.read_only_root or None,
        "security_opt": ["no-new-privileges"] if spec.no_new_privileges else None,
        "cap_drop": list(spec.cap_drop) or None,
    }
    if "network_mode" in container_kwargs or "network_disabled" in container_kwargs:
        optional["network"] = None
    if "mem_limit" in container_kwargs:
        optional["memswap_limit"] = None
    arguments.update({name: value for name, value in optional.items() if value is not None})
    return {**arguments, **container_kwargs}


def _labels(labels: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    return dict(labels) if isinstance(labels, Mapping) else dict.fromkeys(labels, "")


def _mount(mount: Mount) -> docker.types.Mount:
    return docker.types.Mount(
        target=mount.target,
        source=mount.source if mount.kind != "tmpfs" else None,
        type=mount.kind,
        read_only=mount.read_only if mount.kind != "tmpfs" else False,
        tmpfs_size=mount.size_bytes or None if mount.kind == "tmpfs" else None,
    )
