"""Translates a container's specification into docker-py's keyword arguments."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import docker.types
from docker.models.containers import RUN_CREATE_KWARGS, RUN_HOST_CONFIG_KWARGS

from drayage.engine import ContainerSpec, Mount
from drayage.errors import SettingsError
from drayage.mailbox import WORKLOAD_FOLDER
from drayage.request import plain_environment

# Those that `containers.create` takes apart itself. Source: `_create_container_args` of docker-py 7.
_SPLIT_ARGUMENTS = ("network", "networking_config", "ports", "volumes")
# Those that the call itself has, which the stock client refuses too.
_OWN_ARGUMENTS = {"image", "command", "detach", "version"}
_LOG_FILES = 3


def create_arguments(
    spec: ContainerSpec, host_path: Callable[[Path], str], *, volumes_from: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the keyword arguments with which docker-py creates a container.

    Args:
        spec: What the container is made of.
        host_path: Returns the engine's own path for one of this process.
        volumes_from: The containers whose volumes it has, besides those that the options name.

    Raises:
        ExchangeError: The engine does not see a path of this process.
        SettingsError: The step's own keyword arguments have a name that docker-py does not know.
    """
    options = dict(spec.options)
    known = {*RUN_CREATE_KWARGS, *RUN_HOST_CONFIG_KWARGS, *_SPLIT_ARGUMENTS} - _OWN_ARGUMENTS
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(str(name), known)
            raise SettingsError(
                f"container_kwargs: expected keyword arguments of docker-py's `containers.create`, got {name!r}"
                f"{f' (did you mean {near[0]}?)' if near else ''}. Nothing was started."
            )
    _require_possible(spec)
    arguments: dict[str, Any] = {
        "image": spec.image,
        "command": spec.command,
        "detach": True,
        "init": spec.init,
        "mounts": [
            *(_mount(mount, host_path) for mount in spec.mounts if not _comes_later(mount)),
            *options.pop("mounts", ()),
        ],
        "volumes_from": [*volumes_from, *(options.pop("volumes_from", None) or ())] or None,
        "environment": {
            **spec.environment,
            **plain_environment(options.pop("environment", None), of="container_kwargs['environment']"),
        },
        "labels": {**_labels(options.pop("labels", None) or {}), **spec.labels},
    }
    if later := [mount for mount in spec.mounts if _comes_later(mount)]:
        options["volumes"] = _with_later(options.get("volumes"), later)
    optional: dict[str, Any] = {
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
        "ports": {f"{inside}/tcp": ("127.0.0.1", port) for inside, port in spec.published_ports.items()} or None,
        "log_config": None if spec.log_bytes is None else _log(spec.log_bytes),
    }
    if "network_mode" in options or "network_disabled" in options:
        optional["network"] = None
    if "mem_limit" in options:
        optional["memswap_limit"] = None
    arguments.update({name: value for name, value in optional.items() if value is not None})
    # Only the host's own tools set an entrypoint, and then know what they run.
    own = {} if spec.entrypoint is None else {"entrypoint": list(spec.entrypoint)}
    terminal = {"tty": True, "stdin_open": True} if spec.terminal else {}
    return {**arguments, **options, **own, **terminal}


def _require_possible(spec: ContainerSpec) -> None:
    if spec.options.get("auto_remove"):
        raise SettingsError(
            "container_kwargs: expected no auto_remove, got True. A container must stay until its step is judged, and "
            "is removed then: leave it out, and set keep='never'. Nothing was started."
        )
    policy = spec.options.get("restart_policy") or {}
    if spec.secrets and isinstance(policy, Mapping) and policy.get("Name", "no") not in {"", "no"}:
        raise SettingsError(
            f"container_kwargs: expected no restart_policy in a step with secrets, got {policy!r}. Its secrets are "
            "gone when the container ends, and a restarted one would lack them: use Dagster's RetryPolicy. Nothing was "
            "started."
        )


def _labels(labels: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    return dict(labels) if isinstance(labels, Mapping) else dict.fromkeys(labels, "")


def _mount(mount: Mount, host_path: Callable[[Path], str]) -> docker.types.Mount:
    sources = {"tmpfs": None, "local": host_path(Path(mount.source)) if mount.kind == "local" else None}
    return docker.types.Mount(
        target=mount.target,
        source=sources.get(mount.kind, mount.source),
        type="bind" if mount.kind == "local" else mount.kind,
        read_only=mount.read_only if mount.kind != "tmpfs" else False,
        tmpfs_size=mount.size_bytes or None if mount.kind == "tmpfs" else None,
    )


def _comes_later(mount: Mount) -> bool:
    """Return whether a mount is of a mailbox whose files are made beside the container."""
    return mount.kind == "bind" and PurePosixPath(mount.target).is_relative_to(WORKLOAD_FOLDER)


def _with_later(volumes: Any, mounts: Sequence[Mount]) -> Any:
    """Add mounts in the one form in which the engine looks for the source only when the container is started."""
    later = {mount.source: {"bind": mount.target, "mode": "ro" if mount.read_only else "rw"} for mount in mounts}
    if not volumes or isinstance(volumes, Mapping):
        return {**(volumes or {}), **later}
    return [*volumes, *(f"{source}:{bind['bind']}:{bind['mode']}" for source, bind in later.items())]


def _log(size_bytes: int) -> docker.types.LogConfig:
    """Return the settings of a log that keeps at least the last bytes of a size."""
    file_bytes = -(-size_bytes // (_LOG_FILES - 1))
    return docker.types.LogConfig(type="json-file", config={"max-size": str(file_bytes), "max-file": str(_LOG_FILES)})
