"""Which sizes of folders are remembered from one sweep to the next."""

import os
import time
from pathlib import Path

import pytest

from drayage import SweepReport
from drayage.sweeper.retention import SIZES, Group, Sizes

LONG_AGO_S = 1e6


@pytest.fixture
def group(tmp_path: Path) -> Group:
    """Return a folder in which nothing has changed for long."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "file").write_bytes(b"x" * 2**20)
    for path in (folder / "file", folder):
        os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    return Group("run", str(folder), "run", folder.stat().st_mtime_ns)


def known_next_time(group: Group, tmp_path: Path, *, is_used: bool = False) -> bool:
    """Measure a folder, change it without leaving a trace, and return whether the next sweep takes the old size."""
    sizes = Sizes(tmp_path / SIZES, time.time(), SweepReport())
    sizes.of(group, is_used=is_used)
    sizes.save()
    os.truncate(f"{group.path}/file", 0)
    return Sizes(tmp_path / SIZES, time.time(), SweepReport()).of(group, is_used=False) != 0


def test_the_size_of_a_settled_folder_is_remembered(group: Group, tmp_path: Path) -> None:
    assert known_next_time(group, tmp_path)


def test_a_folder_in_which_a_file_has_just_changed_is_measured_again(group: Group, tmp_path: Path) -> None:
    """A file that grows does not change its folder's time."""
    os.utime(f"{group.path}/file")
    assert not known_next_time(group, tmp_path)


def test_a_folder_to_which_a_container_could_write_is_measured_again(group: Group, tmp_path: Path) -> None:
    """A workload chooses the times of its files."""
    assert not known_next_time(group, tmp_path, is_used=True)


def test_a_folder_that_a_container_may_write_to_again_is_measured_again(group: Group, tmp_path: Path) -> None:
    sizes = Sizes(tmp_path / SIZES, time.time(), SweepReport())
    sizes.of(group, is_used=False)
    sizes.save()
    os.truncate(f"{group.path}/file", 0)
    assert Sizes(tmp_path / SIZES, time.time(), SweepReport()).of(group, is_used=True) == 0
