"""Identifies the step that a container belongs to, by the container's labels and never by its name."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

DEPLOYMENT = "drayage/deployment"
INSTANCE = "drayage/instance"
RUN = "drayage/run_id"
ROOT_RUN = "drayage/root_run_id"
STEP = "drayage/step"
ATTEMPT = "drayage/attempt"
CALL = "drayage/call"
EXCHANGE = "drayage/exchange"
KEEP = "drayage/keep"
KEEP_S = "drayage/keep_s"
IMAGE = "drayage/image"
FORWARD = "drayage/forward_termination"
MAILBOX = "drayage/mailbox"
# Of a run worker that was made before its run was known; its value says from what it was made. It waits for a run at
# most that many seconds, since nobody may be left who would give it one, or dismiss it.
STANDBY = "drayage/standby"
STANDBY_S = 12 * 3600.0

_OWN = (DEPLOYMENT, INSTANCE, RUN, ROOT_RUN, STEP, ATTEMPT, CALL, EXCHANGE)

_LONGEST_SLUG = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Identity:
    """The step that a container belongs to.

    Args:
        deployment: Name of the Dagster deployment; several may share one engine.
        run_id: The run that started the container.
        root_run_id: The first run in the chain of retries; the run itself if it is not a retry.
        step: Dagster's step key.
        attempt: Dagster's retry number of the step within the run, from 0.
        call: Number of the client's call within the attempt, from 0.
        instance: Id of the Dagster instance that has a record of the run, or name of the process that the run ends
            with; empty in records of earlier versions.
    """

    deployment: str
    run_id: str
    root_run_id: str
    step: str
    attempt: int
    call: int
    instance: str = ""

    def labels(self) -> dict[str, str]:
        """Return the labels that identify the container: deployment, instance, runs, step, attempt and call."""
        return {
            **self.lineage_labels(),
            RUN: self.run_id,
            ATTEMPT: str(self.attempt),
            **({INSTANCE: self.instance} if self.instance else {}),
        }

    def lineage_labels(self) -> dict[str, str]:
        """Return the labels that a retry of the step shares with the container that an interrupted run left behind."""
        return {
            DEPLOYMENT: self.deployment,
            ROOT_RUN: self.root_run_id,
            STEP: self.step,
            CALL: str(self.call),
        }

    @property
    def directory(self) -> str:
        """The path of the attempt's exchange directory, relative to the exchange root: run, step, attempt."""
        attempt = str(self.attempt) if self.call == 0 else f"{self.attempt}-{self.call}"
        return f"{self.run_id}/{slug(self.step)}/{attempt}"

    def container_name(self, prefix: str | None) -> str:
        """Return a unique name that tells people what runs in the container; it is never parsed.

        Args:
            prefix: Name for the step; None takes the step key.
        """
        digest = hashlib.sha256(f"{self.run_id}/{self.step}/{self.attempt}/{self.call}".encode())
        what = slug(prefix or self.step)[:40].strip("-.")
        return slug(f"{self.deployment}-{what}-{short_run_id(self.run_id)}-{digest.hexdigest()[:6]}")


def own_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return those of a container's labels that say which attempt it is of: identity and exchange directory."""
    return {name: labels[name] for name in _OWN if name in labels}


def short_run_id(run_id: str) -> str:
    """Abbreviate a run id as Dagster's own UI does; commands that take a run accept the beginning of its id."""
    return run_id[:8]


def slug(text: str) -> str:
    """Return a text that is safe as a file name, and different for different inputs.

    Args:
        text: Any text, such as the step key ``marts[2]``.
    """
    safe = _UNSAFE.sub("-", text).lstrip("-.") or "x"
    if safe == text and len(safe) <= _LONGEST_SLUG:
        return safe
    return f"{safe[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
