"""What can be set: for one step (:class:`StepSettings`) and for the client (:class:`ClientSettings`).

Everything is validated before anything starts. Four layers, each winning over the one before: the client's
settings, the call's, the asset's tags, the run's tags.
"""

import os
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic

from drayage.engine import Mount
from drayage.errors import SettingsError

Keep = Literal["never", "on_failure", "always"]
Seconds = Annotated[float, pydantic.Field(gt=0)]

MEMORY_TAG = "drayage/memory"
CPUS_TAG = "drayage/cpus"
TIMEOUT_TAG = "drayage/timeout_s"
_TAGS = {MEMORY_TAG: "memory", CPUS_TAG: "cpus", TIMEOUT_TAG: "timeout_s"}
DOCTOR_CHECKS_VARIABLE = "DRAYAGE_DOCTOR_CHECKS"
_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def _size_bytes(size: Any) -> Any:
    """Read ``512m``, ``1.5g``, ``2GiB`` or a number of bytes."""
    if not isinstance(size, str):
        return size
    text = size.strip().lower().removesuffix("ib").removesuffix("b") or size
    number, unit = (text, "") if text[-1:].isdigit() else (text[:-1], text[-1:])
    try:
        return int(float(number) * _UNITS[unit])
    except (KeyError, ValueError):
        raise ValueError(f"expected a size such as 512m or 2g, got {size!r}") from None


def read_size(size: str, *, source: str) -> int:
    """Read a size as people write it, in bytes.

    Args:
        size: Such as ``512m`` or ``2g``.
        source: Where it comes from, for the error.

    Raises:
        SettingsError: It is none.
    """
    try:
        size_bytes = int(_size_bytes(size))
    except ValueError as error:
        raise SettingsError(f"{source}: {error}") from error
    if size_bytes <= 0:
        raise SettingsError(f"{source}: expected more than nothing, got {size!r}")
    return size_bytes


Size = Annotated[
    int, pydantic.BeforeValidator(_size_bytes, json_schema_input_type=int | str), pydantic.Field(ge=6 * 2**20)
]
SmallSize = Annotated[
    int, pydantic.BeforeValidator(_size_bytes, json_schema_input_type=int | str), pydantic.Field(gt=0)
]


class StepSettings(pydantic.BaseModel, frozen=True, extra="forbid"):
    """How one step's container is made, limited and kept.

    Args:
        name: What the container is called, between deployment and run; for people only.
        memory: Memory limit, bytes or ``512m``/``2g``; swap is included.
        shm: Size of ``/dev/shm``, bytes or ``64m``.
        cpus: Number of CPUs, fractions allowed.
        networks: Networks to join.
        mounts: Directories and volumes to mount, beside the exchange directory.
        user: ``uid[:gid]`` to run as; None keeps the image's.
        read_only_root: Whether the root file system is read-only.
        no_new_privileges: Whether set-uid programs lose their effect.
        cap_drop: Capabilities to drop; ``("ALL",)`` drops every one.
        init: Whether a tiny init is process 1 (signals arrive, zombies are reaped).
        labels: Labels beside drayage's own.
        pull: When to pull the image.
        timeout_s: Limit for the whole step, in seconds.
        start_timeout_s: Limit until the workload opens Pipes, in seconds from the container's start, or from that
            of the step it stood by for.
        idle_timeout_s: Limit without any message or log line, in seconds.
        stop_signal: What the workload is sent first when it is to end.
        stop_grace_s: How long it then has before it is killed, in seconds.
        forward_termination: Whether a cancelled step ends its container; False leaves it running.
        standby: Whether the step's container may be started while the run's step before it works, so that it has loaded
            its programs when its turn comes. Only for a workload that does nothing before it has read its context,
            on which it then waits. Needs a record of an earlier run, after which the container is made; steps that one
            process executes; and an exchange root on a file system of the engine's own machine.
        keep: Which containers are kept after the step for people to look into.
        keep_s: How long a kept container stays before the sweeper removes it, in seconds.
    """

    name: str | None = None
    memory: Size | None = None
    shm: SmallSize | None = None
    cpus: Annotated[float, pydantic.Field(gt=0)] | None = None
    networks: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    user: str | None = None
    read_only_root: bool = False
    no_new_privileges: bool = False
    cap_drop: tuple[str, ...] = ()
    init: bool = True
    labels: dict[str, str] = {}
    pull: Literal["missing", "always", "never"] = "missing"
    timeout_s: Seconds | None = None
    start_timeout_s: Seconds | None = None
    idle_timeout_s: Seconds | None = None
    stop_signal: Annotated[str, pydantic.Field(pattern=r"^SIG[A-Z0-9+-]+$")] = "SIGTERM"
    stop_grace_s: Annotated[float, pydantic.Field(ge=0)] = 3.0
    forward_termination: bool = True
    standby: bool = False
    keep: Keep = "on_failure"
    keep_s: Annotated[float, pydantic.Field(ge=0)] = 24 * 3600.0

    def overridden(self, overrides: Mapping[str, Any], *, source: str) -> Self:
        """Lay other values over these.

        Args:
            overrides: Names of settings with their values, as text or typed.
            source: Where they come from, for the error.

        Raises:
            SettingsError: A name is unknown or a value malformed; all of them are named.
        """
        if not overrides:
            return self
        own = {name: getattr(self, name) for name in self.model_fields_set}
        try:
            return self.model_validate({**own, **overrides})
        except pydantic.ValidationError as error:
            raise SettingsError(f"{source}: {_all_problems(error)}. Nothing was started.") from error


class ClientSettings(pydantic.BaseModel, frozen=True, extra="forbid"):
    """What holds for every step of one client.

    Args:
        exchange_root: Directory of the exchange directories; it must outlive runs.
        deployment: Tells this deployment's containers from those of others on the same engine.
        network: Network that every step's container joins.
        command_line: How people call `drayage` for this deployment; failures print it ready to paste.
        doctor_checks: Functions that `drayage doctor` runs too, as ``module:function``. Each is called with these
            settings and returns a list of ``Finding``.
    """

    exchange_root: Path
    deployment: str
    network: str | None = None
    command_line: str = "drayage"
    doctor_checks: tuple[str, ...] = ()

    @classmethod
    def load(
        cls,
        *,
        exchange_root: str | Path | None = None,
        deployment: str | None = None,
        network: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> "ClientSettings":
        """Take what was given, else what the environment says, else what suits a single machine.

        Args:
            exchange_root: Wins over ``DRAYAGE_EXCHANGE_ROOT``; the default lies in ``DAGSTER_HOME``.
            deployment: Wins over ``DRAYAGE_DEPLOYMENT``; the default is ``drayage``.
            network: Wins over ``DRAYAGE_NETWORK``; the default is the engine's own.
            environment: The environment; None takes the process's. Its ``DRAYAGE_CLI_PREFIX`` is what comes before
                ``drayage`` where people are not where Dagster runs, such as ``docker exec -it <webserver>``. Its
                ``DRAYAGE_DOCTOR_CHECKS`` lists ``doctor_checks``, with commas between them.
        """
        env = os.environ if environment is None else environment
        root = exchange_root or env.get("DRAYAGE_EXCHANGE_ROOT")
        if not root and (home := env.get("DAGSTER_HOME")):
            root = Path(home) / "drayage"
        if not root:
            root = Path(tempfile.gettempdir()) / f"drayage-{os.getuid()}"
        words = [*shlex.split(env.get("DRAYAGE_CLI_PREFIX", "")), "drayage"]
        # What only the code says, a shell cannot know.
        words += ["--exchange-root", str(Path(exchange_root).absolute())] if exchange_root else []
        words += ["--deployment", deployment] if deployment else []
        return cls(
            command_line=shlex.join(words),
            exchange_root=Path(root).absolute(),
            deployment=deployment or env.get("DRAYAGE_DEPLOYMENT") or "drayage",
            network=network or env.get("DRAYAGE_NETWORK") or None,
            doctor_checks=tuple(filter(None, map(str.strip, env.get(DOCTOR_CHECKS_VARIABLE, "").split(",")))),
        )


def tag_overrides(tags: Mapping[str, str]) -> dict[str, str]:
    """Pick the settings out of an asset's or a run's tags.

    Args:
        tags: All tags; a ``drayage/`` tag that is none of the known ones is an error.

    Raises:
        SettingsError: A tag begins with ``drayage/`` and is unknown.
    """
    unknown = sorted(tag for tag in tags if tag.startswith("drayage/") and tag not in _TAGS)
    if unknown:
        raise SettingsError(
            f"unknown tag {', '.join(unknown)}; expected one of {', '.join(_TAGS)}. Nothing was started."
        )
    return {setting: tags[tag] for tag, setting in _TAGS.items() if tag in tags}


def _all_problems(error: pydantic.ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, problem['loc']))}: {problem['msg']} (got {problem['input']!r})"
        for problem in error.errors()
    )
