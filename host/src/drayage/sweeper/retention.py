"""Finds which of many folders are past their age, or beyond a total size."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drayage.sweeper.limits import SweepReport
from drayage.sweeper.tree import measure_tree

SIZES = "sizes.json"
"""The file below the exchange root that remembers the sizes of folders in which nothing changes any more."""

# A folder in which nothing has changed for so long counts as finished, and is not measured again.
_SETTLED_S = 3600.0
# 10^5 attempts take longer than that; the newest are measured first, and the next sweep continues.
_LONGEST_MEASURING_S = 1.0


@dataclass(frozen=True, slots=True)
class Group:
    """A folder that is kept or removed as a whole, such as that of a run.

    Args:
        name: Its name, for the report.
        path: Its path.
        run_id: Id of the run that it belongs to.
        changed_ns: When the folder itself was last changed, in nanoseconds since the epoch.
    """

    name: str
    path: str
    run_id: str
    changed_ns: int

    @property
    def changed_s(self) -> float:
        """When the folder itself was last changed, in seconds since the epoch."""
        return self.changed_ns / 1e9


@dataclass
class Sizes:
    """The sizes of folders, as far as they are known or can be measured in the time that a sweep has for it.

    Args:
        path: The file that remembers them.
        now_s: The current time, in seconds since the epoch.
        report: Gets what could not be measured.
    """

    path: Path
    now_s: float
    report: SweepReport
    _known: dict[str, tuple[int, int]] = field(default_factory=dict)
    _seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    _left_s: float = field(default_factory=lambda: _LONGEST_MEASURING_S)

    def __post_init__(self) -> None:
        """Read the file; without it, or if something else wrote to it, everything is measured again."""
        try:
            self._known = {name: (int(at), int(size)) for name, (at, size) in self._read().items()}
        except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            self._known = {}
        if any(size < 0 for _, size in self._known.values()):
            self._known = {}

    def of(self, group: Group, *, is_used: bool) -> int | None:
        """Return the size of a folder, in bytes; None if there was no time to measure it.

        Args:
            group: The folder.
            is_used: Whether a container may still write to it.
        """
        known = self._known.get(group.path)
        if known is not None and known[0] == group.changed_ns and not is_used:
            self._seen[group.path] = known
            return known[1]
        if self._left_s <= 0:
            self.report.unmeasured += 1
            return None
        began = time.monotonic()
        size = measure_tree(group.path)
        self._left_s -= time.monotonic() - began
        for problem in size.problems:
            self.report.fail(f"{group.name} cannot be measured", problem)
        if not is_used and self.now_s - max(size.changed_s, group.changed_s) > _SETTLED_S:
            self._seen[group.path] = (group.changed_ns, size.size_bytes)
        return size.size_bytes

    def save(self) -> None:
        """Remember the sizes that were asked for.

        Raises:
            OSError: The file cannot be written.
        """
        if self._seen == self._known or not self.path.parent.is_dir():
            return
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(self._seen))
        temporary.replace(self.path)

    def _read(self) -> dict[str, tuple[int, int]]:
        content: dict[str, tuple[int, int]] = json.loads(self.path.read_bytes())
        return content


def find_due(
    groups: Sequence[Group],
    sizes: Sizes,
    *,
    older_than_s: float,
    limit_bytes: int,
    is_used: Callable[[Group], bool] = lambda _: False,
) -> Iterator[tuple[Group, bool]]:
    """Find the folders that are past their age, or the oldest beyond a total size.

    Args:
        groups: The folders.
        sizes: Their sizes.
        older_than_s: Time before which a folder is past its age, in seconds since the epoch.
        limit_bytes: The total size, in bytes.
        is_used: Whether a container may still write to a folder.

    Yields:
        Each such folder, the oldest first, and whether that is for its age alone.
    """
    due, total_bytes = [], 0
    for group in sorted(groups, key=lambda it: -it.changed_ns):
        if total_bytes <= limit_bytes:
            total_bytes += sizes.of(group, is_used=is_used(group)) or 0
        if total_bytes > limit_bytes:
            due.append((group, False))
        elif group.changed_s < older_than_s:
            due.append((group, True))
    yield from reversed(due)


def find_groups(
    root: str | Path, report: SweepReport, *, prefix: str = "", run_id: str | None = None
) -> Iterator[Group]:
    """Find the folders in a folder; links are none.

    Args:
        root: The folder.
        report: Gets what cannot be read.
        prefix: Begins each name in the report.
        run_id: The run that all belong to; None if each is named after its own run.

    Yields:
        The folders, in any order.
    """
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        changed_ns = entry.stat(follow_symlinks=False).st_mtime_ns
                        yield Group(f"{prefix}{entry.name}", entry.path, run_id or entry.name, changed_ns)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    report.fail(f"{prefix}{entry.name}", error)
    except FileNotFoundError:
        return
    except OSError as error:
        report.fail(str(root), error)
