"""Measuring and removing a folder that a workload has prepared against whoever cleans up."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from drayage.sweeper.tree import measure_tree, remove_tree

NOBODY = 65534


@pytest.fixture
def anywhere() -> Iterator[Path]:
    """Return a folder that every user can reach."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def remove_as_nobody(folder: Path) -> list[str]:
    """Remove a folder in a process without privileges, and return what it could not remove."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        os.write(writer, "\n".join(map(str, remove_tree(folder))).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        problems = answer.read().splitlines()
    assert os.waitpid(child, 0)[1] == 0
    return problems


def give_away(folder: Path) -> None:
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def test_what_links_point_to_is_neither_counted_nor_removed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "data").write_bytes(b"x" * 1_000_000)
    io = tmp_path / "attempt" / "io"
    io.mkdir(parents=True)
    (io / "folder").symlink_to(victim)
    (io / "file").symlink_to(victim / "data")
    (io / "nowhere").symlink_to("/nowhere")
    (io / "itself").symlink_to(".")
    assert measure_tree(tmp_path / "attempt").size_bytes < 500_000
    assert remove_tree(tmp_path / "attempt") == []
    assert not (tmp_path / "attempt").exists()
    assert (victim / "data").stat().st_size == 1_000_000


def test_a_link_in_the_folders_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "data").touch()
    (tmp_path / "attempt").symlink_to("victim")
    assert len(remove_tree(tmp_path / "attempt")) == 1
    assert (tmp_path / "victim" / "data").exists()


def test_a_hole_in_a_file_does_not_count(tmp_path: Path) -> None:
    """Else one workload could fill the limit with nothing, and the records of all others would be removed."""
    with (tmp_path / "messages.jsonl").open("w") as file:
        file.truncate(2**40)
    assert measure_tree(tmp_path).size_bytes < 2**20


def test_folders_of_any_depth_are_removed(tmp_path: Path) -> None:
    """Deeper than Python recurses, and than a path may be long."""
    top = tmp_path / "attempt"
    top.mkdir()
    folder = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=folder)
        inner = os.open("deep", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("file", os.O_CREAT, dir_fd=folder))
    os.close(folder)
    assert len(measure_tree(top).problems) <= 1
    assert remove_tree(top) == []
    assert not top.exists()


def test_a_hundred_thousand_files_and_any_name_are_removed(tmp_path: Path) -> None:
    top = tmp_path / "attempt"
    (top / "io").mkdir(parents=True)
    folder = os.open(top / "io", os.O_RDONLY)
    for number in range(100_000):
        os.close(os.open(str(number), os.O_CREAT, dir_fd=folder))
    os.close(folder)
    for name in ("line\nend", "caf\udce9", "-rf", " ", "*"):
        (top / name).mkdir()
        (top / name / name).touch()
    os.mkfifo(top / "pipe")
    assert measure_tree(top).problems == []
    assert remove_tree(top) == []
    assert not top.exists()


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o500, 0o300])
def test_the_owner_removes_folders_that_nobody_may_search_or_write(anywhere: Path, mode: int) -> None:
    top = anywhere / "attempt"
    closed = top / "io" / "closed" / "inner"
    closed.mkdir(parents=True)
    (closed / "file").touch()
    give_away(anywhere)
    for folder in (closed, closed.parent, top / "io", top):
        folder.chmod(mode)
    assert remove_as_nobody(top) == []
    assert not top.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what another user cannot remove")
def test_what_another_user_owns_is_reported_and_the_rest_is_removed(anywhere: Path) -> None:
    top = anywhere / "attempt"
    roots = top / "roots"
    roots.mkdir(parents=True)
    (roots / "file").touch()
    (top / "own").mkdir()
    (top / "own" / "file").touch()
    (top / "file").touch()
    for path in (anywhere, top, top / "own", top / "own" / "file", top / "file"):
        os.chown(path, NOBODY, NOBODY)
    roots.chmod(0o755)
    problems = remove_as_nobody(top)
    assert any("ermission denied" in problem for problem in problems)
    assert sorted(path.name for path in top.rglob("*")) == ["file", "roots"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what another user cannot read")
def test_what_cannot_be_read_is_named_and_the_rest_is_measured(anywhere: Path) -> None:
    (anywhere / "closed").mkdir(mode=0o700)
    (anywhere / "file").write_bytes(b"x" * 10_000)
    child = os.fork()
    if child == 0:
        os.setuid(NOBODY)
        found = measure_tree(anywhere)
        os._exit(0 if len(found.problems) == 1 and found.size_bytes >= 10_000 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_what_is_gone_is_no_problem(tmp_path: Path) -> None:
    assert remove_tree(tmp_path / "gone") == []
    assert measure_tree(tmp_path / "gone").problems == []
