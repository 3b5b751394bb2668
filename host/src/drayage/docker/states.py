"""Reads the engine's descriptions of containers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from drayage.engine import ContainerState, Found, Status
from drayage.identity import IMAGE

# Paused and restarting containers go on.
_STATUSES: Mapping[str, Status] = {"created": "created", "exited": "ended", "dead": "ended", "removing": "gone"}


def read_found(entry: Mapping[str, Any]) -> Found:
    """Return a container as a list of containers describes it."""
    # A name with a second slash is that of a link from another container.
    names = [name.lstrip("/") for name in entry.get("Names") or () if name.count("/") == 1]
    return Found(
        id=entry["Id"],
        name=names[0] if names else "",
        image=(entry.get("Labels") or {}).get(IMAGE, entry["Image"]),
        status=_status(entry["State"]),
        created_at_s=float(entry["Created"]),
        labels=entry.get("Labels") or {},
    )


def _status(word: str) -> Status:
    return _STATUSES.get(word, "running")


def read_state(attributes: Mapping[str, Any]) -> ContainerState:
    """Return a container as an inspection describes it."""
    state, config = attributes["State"], attributes["Config"]
    return ContainerState(
        id=attributes["Id"],
        name=attributes["Name"].lstrip("/"),
        image=(config.get("Labels") or {}).get(IMAGE, config["Image"]),
        image_id=attributes["Image"],
        status=_status(state["Status"]),
        exit_code=state["ExitCode"],
        oom_killed=bool(state["OOMKilled"]),
        error=state["Error"],
        memory_limit_bytes=attributes["HostConfig"].get("Memory") or 0,
        started_at_s=_seconds(state["StartedAt"]),
        finished_at_s=_seconds(state["FinishedAt"]),
        labels=config.get("Labels") or {},
        restarts=attributes.get("RestartCount") or 0,
    )


def _seconds(timestamp: str) -> float:
    """Return one of Docker's nanosecond timestamps in seconds since the epoch, and 0 for 0001-01-01 ("never")."""
    if timestamp.startswith("0001"):
        return 0.0
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
