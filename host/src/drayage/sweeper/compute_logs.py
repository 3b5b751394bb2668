"""Sweeps the compute logs that Dagster keeps on this machine: what runs printed, for the UI to show."""

import contextlib
import os
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drayage.sweeper.directories import in_batches
from drayage.sweeper.limits import SweepLimits, SweepReport
from drayage.sweeper.retention import Group, Sizes, find_due, find_groups
from drayage.sweeper.runs import Runs
from drayage.sweeper.tree import remove_tree

# Dagster's local manager keeps them in `<root>/<run>/compute_logs`, beside what I/O managers store.
_FOLDER = "compute_logs"


@dataclass(frozen=True)
class ComputeLogSweep:
    """Sweeps the compute logs of one Dagster instance.

    Args:
        root: The folder that holds them.
        runs: Dagster's runs.
        now_s: The current time, in seconds since the epoch.
        limits: Retention limits.
        report: Gets what was removed, and what could not be.
    """

    root: Path
    runs: Runs
    now_s: float
    limits: SweepLimits
    report: SweepReport

    def sweep(self, sizes: Sizes) -> None:
        """Remove the logs that are due.

        Args:
            sizes: The sizes of the folders.
        """
        due = find_due(
            [*self._groups()],
            sizes,
            older_than_s=self.now_s - self.limits.compute_log_age_s,
            limit_bytes=self.limits.compute_logs_bytes,
        )
        for groups in in_batches(due):
            self.runs.load(group.run_id for group, _ in groups)
            for group, for_age in groups:
                self.report.attempt(partial(self._sweep_run, group, for_age=for_age), group.name)

    def _groups(self) -> Iterator[Group]:
        for run in find_groups(self.root, self.report):
            # Assets have folders here too.
            if not _is_run_id(run.run_id):
                continue
            path = f"{run.path}/{_FOLDER}"
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                self.report.fail(f"{run.name}/{_FOLDER}", error)
                continue
            if stat.S_ISDIR(status.st_mode):
                yield Group(f"{run.name}/{_FOLDER}", path, run.run_id, status.st_mtime_ns)

    def _sweep_run(self, logs: Group, *, for_age: bool) -> None:
        # A run that Dagster does not know may be another instance's with the same folder: its logs go by their age.
        is_due = self.runs.is_over(logs.run_id, "") if self.runs.is_known(logs.run_id) else for_age
        if not is_due:
            return
        if problems := remove_tree(Path(logs.path)):
            self.report.fail(logs.name, problems[0])
            return
        self.report.compute_logs.append(logs.run_id)
        with contextlib.suppress(OSError):
            # An I/O manager may have stored something beside them.
            Path(logs.path).parent.rmdir()


def _is_run_id(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
