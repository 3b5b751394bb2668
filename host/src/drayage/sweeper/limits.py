"""Says what is kept for how long, and reports what a sweep removed."""

from collections.abc import Callable
from dataclasses import dataclass, field

from drayage.errors import DrayageError

_DAY_S = 24 * 3600.0
_SHOWN_ERRORS = 5


@dataclass(frozen=True)
class SweepLimits:
    """Retention limits.

    Args:
        attempt_age_s: Age beyond which exchange directories are removed, in seconds.
        attempts_bytes: Total size beyond which the oldest exchange directories are removed, in bytes on the disk.
        orphan_grace_s: Time after the end of its runs during which a container may still be adopted, in seconds.
        compute_log_age_s: Age beyond which Dagster's compute logs of a run on this machine are removed, in seconds.
        compute_logs_bytes: Total size beyond which the oldest of them are removed, in bytes on the disk.
    """

    attempt_age_s: float = 7 * _DAY_S
    attempts_bytes: int = 10 * 2**30
    orphan_grace_s: float = 300.0
    compute_log_age_s: float = 30 * _DAY_S
    compute_logs_bytes: int = 10 * 2**30


@dataclass
class SweepReport:
    """The result of a sweep.

    Args:
        stopped: Ids of containers that were stopped because their run was over.
        removed: Ids of containers that were removed.
        run_workers: Ids of run workers' containers that were removed.
        directories: Names of exchange directories that were removed.
        compute_logs: Ids of the runs whose compute logs were removed.
        cached: Names of copies of images' files that were removed.
        unmeasured: Number of runs whose size is not known yet; the next sweep continues with them.
        errors: What could not be read or removed, and why.
    """

    stopped: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    run_workers: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    compute_logs: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    unmeasured: int = 0
    errors: list[str] = field(default_factory=list)

    def attempt(self, action: Callable[[], object], name: str) -> bool:
        """Do one thing, and record its failure, which must not stop the rest of the sweep.

        Args:
            action: What to do.
            name: What it is done to.

        Returns:
            Whether it succeeded.
        """
        try:
            action()
        except (DrayageError, OSError) as error:
            self.fail(name, error)
            return False
        except Exception as error:  # noqa: BLE001 - strangers can write what is read here, in unexpected forms
            self.fail(name, f"{type(error).__name__}: {error}")
            return False
        return True

    def fail(self, name: str, error: object) -> None:
        """Record what could not be done.

        Args:
            name: What it should have been done to.
            error: Why it was not.
        """
        # A name may hold bytes that no storage takes, and line ends.
        shown = f"{name}: {error}".encode("utf-8", "backslashreplace").decode()
        self.errors.append(shown.replace("\n", "\\n"))

    def __str__(self) -> str:
        """Return a summary in one line."""
        summary = (
            f"stopped {len(self.stopped)} containers; removed {len(self.removed)} containers, "
            f"{len(self.run_workers)} run workers, {len(self.directories)} "
            f"exchange directories, the compute logs of {len(self.compute_logs)} runs and {len(self.cached)} copies of "
            "images' files"
        )
        if self.unmeasured:
            summary += f"; {self.unmeasured} runs are not measured yet, the next sweep continues with them"
        if self.errors:
            more = len(self.errors) - _SHOWN_ERRORS
            shown = "; ".join(self.errors[:_SHOWN_ERRORS]) + (f"; and {more} more" if more > 0 else "")
            summary += f"; {len(self.errors)} errors: {shown}"
        return summary
