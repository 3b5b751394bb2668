"""Defines and validates the settings of a step (:class:`StepSettings`) and of the client (:class:`ClientSettings`).

All settings are validated before anything starts. They come in four layers, each of which overrides the previous one:
the client's settings, the call's settings, the asset's tags, the run's tags.
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
ONE_MESSAGE_BYTES = 16 * 2**20
ALL_MESSAGES_BYTES = 2**30
OUTPUT_TAG = "drayage/output_bytes"
_TAGS = {MEMORY_TAG: "memory", CPUS_TAG: "cpus", TIMEOUT_TAG: "timeout_s", OUTPUT_TAG: "output_bytes"}
OUTPUT_BYTES = 2**30
DOCTOR_CHECKS_VARIABLE = "DRAYAGE_DOCTOR_CHECKS"
_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def _size_bytes(size: Any) -> Any:
    """Return a size in bytes, given ``512m``, ``1.5g``, ``2GiB`` or a number of bytes."""
    if not isinstance(size, str):
        return size
    text = size.strip().lower().removesuffix("ib").removesuffix("b") or size
    number, unit = (text, "") if text[-1:].isdigit() else (text[:-1], text[-1:])
    try:
        return int(float(number) * _UNITS[unit])
    except (KeyError, ValueError):
        raise ValueError(f"expected a size such as 512m or 2g, got {size!r}") from None


def read_size(size: str, *, source: str) -> int:
    """Parse a size as people write it.

    Args:
        size: A size such as ``512m`` or ``2g``.
        source: Where the size comes from, for the error text.

    Returns:
        The size, in bytes.

    Raises:
        SettingsError: It is not a size above zero.
    """
    try:
        size_bytes = int(_size_bytes(size))
    except ValueError as error:
        raise SettingsError(f"{source}: {error}") from error
    if size_bytes <= 0:
        raise SettingsError(f"{source}: expected a size above zero, got {size!r}")
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
        name: The middle part of the container's name, between deployment and run; for people only.
        memory: Memory limit, in bytes or as ``512m``/``2g``; swap is included.
        shm: Size of ``/dev/shm``, in bytes or as ``64m``.
        cpus: Number of CPUs, fractions allowed.
        networks: Networks to join.
        mounts: Directories and volumes to mount, in addition to the exchange directory.
        user: ``uid[:gid]`` to run as; None keeps the image's user.
        read_only_root: Whether the root file system is read-only.
        no_new_privileges: Whether set-uid programs lose their effect.
        cap_drop: Capabilities to drop; ``("ALL",)`` drops all of them.
        init: Whether a minimal init runs as process 1, to forward signals and reap zombies.
        labels: Labels in addition to drayage's own.
        pull: When to pull the image.
        timeout_s: Time limit from the container's start (a standby container: its step's) to its end, in seconds.
            Reading the rest of its messages afterwards is not limited by it.
        start_timeout_s: Time limit until the workload opens Pipes, in seconds from the start of the container, or, for
            a standby container, from the start of its step.
        idle_timeout_s: Time limit without any message or log line, in seconds.
        message_bytes: The longest message through Pipes, in bytes or as ``16m``; a longer one makes the step red. One
            in the container's output has at most 16 MiB.
        messages_bytes: All messages of the step together, in bytes or as ``1g``; beyond it the container is stopped.
        output_bytes: How much of the container's output is kept, both streams together, in bytes or as ``512m``. The
            rest is read and left out, but for the last lines; the logs and the verdict say so, and the step may be
            green.
        stop_signal: The first signal that the workload is sent to stop it.
        stop_grace_s: How long the workload then has before it is killed, in seconds.
        forward_termination: Whether a cancelled step stops its container; False leaves it running.
        standby: Whether the step's container may be started during the run's previous step, so that it has loaded its
            programs by the time its own step begins. Only for a workload that does nothing before it has read its
            context, because it has to wait for the context. Requires the record of an earlier run, from which the
            container is made; steps that are executed by one process; and an exchange root on a file system of the
            engine's own machine.
        keep: Which containers are kept after the step, for people to inspect.
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
    message_bytes: Annotated[SmallSize, pydantic.Field(le=2**28)] = ONE_MESSAGE_BYTES
    messages_bytes: SmallSize = ALL_MESSAGES_BYTES
    output_bytes: SmallSize = OUTPUT_BYTES
    stop_signal: Annotated[str, pydantic.Field(pattern=r"^SIG[A-Z0-9+-]+$")] = "SIGTERM"
    stop_grace_s: Annotated[float, pydantic.Field(ge=0)] = 3.0
    forward_termination: bool = True
    standby: bool = False
    keep: Keep = "on_failure"
    keep_s: Annotated[float, pydantic.Field(ge=0)] = 24 * 3600.0

    def overridden(self, overrides: Mapping[str, Any], *, source: str) -> Self:
        """Return these settings with some values replaced.

        Args:
            overrides: Values by setting name, as text or typed.
            source: Where the values come from, for the error text.

        Raises:
            SettingsError: A name is unknown or a value is malformed; it names all of them.
        """
        if not overrides:
            return self
        own = {name: getattr(self, name) for name in self.model_fields_set}
        try:
            return self.model_validate({**own, **overrides})
        except pydantic.ValidationError as error:
            raise SettingsError(f"{source}: {_all_problems(error)}. Nothing was started.") from error


class ClientSettings(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Settings that apply to every step of one client.

    Args:
        exchange_root: Directory that holds the exchange directories; it must outlive runs.
        deployment: Name that distinguishes this deployment's containers from others on the same engine.
        network: Network that every step's container joins.
        command_line: How people call ``drayage`` for this deployment; failures print it ready to paste.
        doctor_checks: Functions that ``drayage doctor`` runs too, as ``module:function``. Each is called with these
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
        """Load the settings: arguments first, then environment variables, then defaults for a single machine.

        Args:
            exchange_root: Overrides ``DRAYAGE_EXCHANGE_ROOT``; the default is in ``DAGSTER_HOME``, or else in the
                directory for temporary files.
            deployment: Overrides ``DRAYAGE_DEPLOYMENT``; the default is ``drayage``.
            network: Overrides ``DRAYAGE_NETWORK``; the default is the engine's own.
            environment: The environment; None takes the process's. Its ``DRAYAGE_CLI_PREFIX`` is put before
                ``drayage`` in printed commands, for people who do not work where Dagster runs, such as
                ``docker exec -it <webserver>``. Its ``DRAYAGE_DOCTOR_CHECKS`` lists ``doctor_checks``, with commas
                between them.
        """
        env = os.environ if environment is None else environment
        root = exchange_root or env.get("DRAYAGE_EXCHANGE_ROOT")
        if not root and (home := env.get("DAGSTER_HOME")):
            root = Path(home) / "drayage"
        if not root:
            root = Path(tempfile.gettempdir()) / f"drayage-{os.getuid()}"
        words = [*shlex.split(env.get("DRAYAGE_CLI_PREFIX", "")), "drayage"]
        # A shell cannot know what only the code sets.
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
    """Return the settings that an asset's or a run's tags set.

    Args:
        tags: All tags of the asset or run.

    Returns:
        The tags' values, by setting name.

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
