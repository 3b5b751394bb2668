"""Who a container belongs to: labels on it, never its name."""

import hashlib
import re
from dataclasses import dataclass

DEPLOYMENT = "drayage/deployment"
RUN = "drayage/run_id"
ROOT_RUN = "drayage/root_run_id"
STEP = "drayage/step"
ATTEMPT = "drayage/attempt"
CALL = "drayage/call"
EXCHANGE = "drayage/exchange"
KEEP = "drayage/keep"
KEEP_S = "drayage/keep_s"
SECRETS = "drayage/secrets"
FORWARD = "drayage/forward_termination"

_LONGEST_SLUG = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Identity:
    """The step whose container it is.

    Args:
        deployment: Which Dagster deployment it belongs to; several may share one engine.
        run_id: The run that started the container.
        root_run_id: The first run of the chain of retries; the run itself if it is none.
        step: Dagster's step key.
        attempt: Dagster's retry number of the step within the run, from 0.
        call: Which call of the client within the attempt, from 0.
    """

    deployment: str
    run_id: str
    root_run_id: str
    step: str
    attempt: int
    call: int

    def labels(self) -> dict[str, str]:
        """All of it, as labels."""
        return {
            **self.lineage_labels(),
            RUN: self.run_id,
            ATTEMPT: str(self.attempt),
        }

    def lineage_labels(self) -> dict[str, str]:
        """What a retry of the step shares with the container that an interrupted run left behind."""
        return {
            DEPLOYMENT: self.deployment,
            ROOT_RUN: self.root_run_id,
            STEP: self.step,
            CALL: str(self.call),
        }

    @property
    def directory(self) -> str:
        """Relative path of the attempt's exchange directory: run, step, attempt."""
        attempt = str(self.attempt) if self.call == 0 else f"{self.attempt}-{self.call}"
        return f"{self.run_id}/{slug(self.step)}/{attempt}"

    def container_name(self, prefix: str | None) -> str:
        """A name that says to people what runs there; unique, but never read back.

        Args:
            prefix: What the step is called; None takes the step key.
        """
        digest = hashlib.sha256(f"{self.run_id}/{self.step}/{self.attempt}/{self.call}".encode())
        what = slug(prefix or self.step)[:40].strip("-.")
        return slug(f"{self.deployment}-{what}-{short_run_id(self.run_id)}-{digest.hexdigest()[:6]}")


def short_run_id(run_id: str) -> str:
    """Abbreviate a run's id as Dagster's own UI does; commands that take a run take the beginning of an id."""
    return run_id[:8]


def slug(text: str) -> str:
    """Make any text safe as a file name; two different texts never give the same one.

    Args:
        text: For example a step key such as ``marts[2]``.
    """
    safe = _UNSAFE.sub("-", text).lstrip("-.") or "x"
    if safe == text and len(safe) <= _LONGEST_SLUG:
        return safe
    return f"{safe[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
