"""Sweeps the exchange root: attempts, replays, copies of images' files, and locks of ended processes."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from drayage.exchange.directory import REPLAYS, Attempt
from drayage.exchange.history import IMAGES, RESERVED
from drayage.exchange.owner_lock import ownership
from drayage.exchange.process_lock import PROCESSES, is_locked
from drayage.exchange.record import CONTAINER_FILE
from drayage.exchange.trial_folder import TRIAL_PREFIX
from drayage.sweeper.limits import SweepLimits, SweepReport
from drayage.sweeper.retention import Group, Sizes, find_due, find_groups
from drayage.sweeper.runs import Runs
from drayage.sweeper.tree import remove_tree

_AT_ONCE = 500


@dataclass(frozen=True)
class DirectorySweep:
    """Sweeps one exchange root.

    Args:
        root: The exchange root.
        runs: Dagster's runs.
        now_s: The current time, in seconds since the epoch.
        limits: Retention limits.
        report: Gets what was removed, and what could not be.
        in_use: Names of the attempts that a container refers to.
        origins: The instances and processes that containers belong to.
    """

    root: Path
    runs: Runs
    now_s: float
    limits: SweepLimits
    report: SweepReport
    in_use: frozenset[str]
    origins: frozenset[str]

    def sweep(self, sizes: Sizes) -> None:
        """Remove what is due.

        Args:
            sizes: The sizes of the folders.
        """
        used = {name.rsplit("/", 2)[0] for name in self.in_use}
        due = find_due(
            [*self._groups()],
            sizes,
            older_than_s=self._oldest_s,
            limit_bytes=self.limits.attempts_bytes,
            is_used=lambda group: group.name in used,
        )
        for groups in in_batches(due):
            self.runs.load(group.run_id for group, _ in groups)
            for group, for_age in groups:
                self.report.attempt(partial(self._sweep_run, group, for_age=for_age), group.name)
        self._sweep_files(IMAGES, self.report.cached, is_kept=lambda _: False)
        self._sweep_files(PROCESSES, [], is_kept=lambda path: path.name in self.origins or bool(is_locked(path)))

    @property
    def _oldest_s(self) -> float:
        return self.now_s - self.limits.attempt_age_s

    def _groups(self) -> Iterator[Group]:
        for group in find_groups(self.root, self.report):
            if group.name not in RESERVED:
                yield group
        for group in find_groups(self.root / REPLAYS, self.report, prefix=f"{REPLAYS}/"):
            # The sweeper knows by their locks which of `drayage conform` are in use.
            if not group.run_id.startswith(TRIAL_PREFIX):
                yield group

    def _sweep_run(self, run: Group, *, for_age: bool) -> None:
        attempts = {Attempt(Path(found.path), found.name): found for found in self._attempts(run)}
        if not attempts or not self._may_go(run, attempts, for_age=for_age):
            return
        for attempt, found in attempts.items():
            if attempt.name in self.in_use:
                continue
            self.report.attempt(partial(self._remove, attempt, found, run, for_age=for_age), attempt.name)
        for folder in (*{attempt.path.parent for attempt in attempts}, Path(run.path)):
            # What is not an attempt, or in use, stays.
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(FileNotFoundError):
            # What stays must not look new because something else in it was removed.
            os.utime(run.path, ns=(run.changed_ns, run.changed_ns))

    def _remove(self, attempt: Attempt, found: Group, run: Group, *, for_age: bool) -> None:
        with ownership(attempt) as is_owner:
            # A retry may have adopted its container since Dagster was asked.
            self.runs.forget(run.run_id)
            if not is_owner or not self._may_go(run, {attempt: found}, for_age=for_age):
                return
            if problems := remove_tree(attempt.path):
                self.report.fail(attempt.name, _summary(problems))
            else:
                self.report.directories.append(attempt.name)

    def _may_go(self, run: Group, attempts: dict[Attempt, Group], *, for_age: bool) -> bool:
        is_old = all(found.changed_s < self._oldest_s for found in attempts.values())
        if for_age and not is_old:
            return False
        if self.runs.is_known(run.run_id):
            return self.runs.is_over(run.run_id, "")
        # Another instance may know the run, and nothing tells when it is over: its directory goes by its age alone.
        return is_old or all(self.runs.is_over(run.run_id, _origin(attempt)) for attempt in attempts)

    def _attempts(self, run: Group) -> Iterator[Group]:
        for step in find_groups(run.path, self.report, prefix=f"{run.name}/", run_id=run.run_id):
            for attempt in find_groups(step.path, self.report, prefix=f"{step.name}/", run_id=run.run_id):
                # Only what an exchange made: the root may have been set to a folder that holds something else.
                try:
                    with os.scandir(attempt.path) as entries:
                        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
                    if "io" in names:
                        yield attempt
                except FileNotFoundError:
                    continue
                except OSError as error:
                    self.report.fail(attempt.name, error)

    def _sweep_files(self, folder: str, removed: list[str], *, is_kept: Callable[[Path], bool]) -> None:
        try:
            with os.scandir(self.root / folder) as entries:
                found = [entry for entry in entries if not entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return
        except OSError as error:
            self.report.fail(folder, error)
            return
        for entry in found:
            self.report.attempt(partial(self._sweep_file, entry, removed, is_kept), f"{folder}/{entry.name}")

    def _sweep_file(self, entry: "os.DirEntry[str]", removed: list[str], is_kept: Callable[[Path], bool]) -> None:
        path = Path(entry.path)
        if entry.stat(follow_symlinks=False).st_mtime < self._oldest_s and not is_kept(path):
            path.unlink(missing_ok=True)
            removed.append(entry.name)


def in_batches(due: Iterable[tuple[Group, bool]]) -> Iterator[list[tuple[Group, bool]]]:
    """Yield folders in batches, for each of which Dagster is asked once.

    Args:
        due: The folders.
    """
    waiting = list(due)
    for start in range(0, len(waiting), _AT_ONCE):
        yield waiting[start : start + _AT_ONCE]


def _origin(attempt: Attempt) -> str:
    identity = (attempt.read_json(CONTAINER_FILE) or {}).get("identity")
    origin = identity.get("instance") if isinstance(identity, dict) else None
    return origin if isinstance(origin, str) else ""


def _summary(problems: list[OSError]) -> str:
    more = f", and {len(problems) - 1} more problems" if len(problems) > 1 else ""
    return f"{problems[0]}{more}"
