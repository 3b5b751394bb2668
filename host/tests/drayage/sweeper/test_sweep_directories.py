"""Which exchange directories the sweeper removes, by age and by size."""

import json
import os
import time
from pathlib import Path

import pytest
from swept_deployment import Swept

from drayage.dagster_internals import instance_id
from drayage.exchange.process_lock import own_process
from drayage.sweeper import directories, retention, runs
from drayage.sweeper.limits import SweepReport
from drayage.sweeper.retention import SIZES

DAY_S = 24 * 3600.0
MIB = 2**20


def test_the_old_go_and_the_young_stay(swept: Swept) -> None:
    old, young = swept.run(), swept.run()
    swept.attempt(old, age_s=8 * DAY_S)
    swept.attempt(young, age_s=6 * DAY_S)
    assert swept.sweep().directories == [f"{old}/step/0"]
    assert not (swept.root / old).exists()
    assert (swept.root / young / "step" / "0" / "io").exists()


def test_beyond_the_total_size_the_oldest_go_first(swept: Swept) -> None:
    runs = [swept.run() for _ in range(4)]
    for age_s, run in enumerate(runs):
        swept.attempt(run, age_s=age_s * 10.0, size_bytes=MIB)
    report = swept.sweep(attempts_bytes=int(2.5 * MIB))
    assert report.directories == [f"{runs[3]}/step/0", f"{runs[2]}/step/0"]


def test_an_attempt_of_a_running_run_or_with_a_container_stays(swept: Swept) -> None:
    running, kept = swept.run(ended=False), swept.run()
    swept.attempt(running, age_s=1e7)
    swept.attempt(kept, age_s=1e7)
    swept.container(kept, **{"drayage/keep_s": "1e9"})
    assert swept.sweep(attempts_bytes=0).directories == []


def test_the_attempts_of_a_run_whose_retry_runs_stay(swept: Swept) -> None:
    first = swept.run()
    swept.run(ended=False, root_run_id=first, parent_run_id=first, tags={"dagster/root_run_id": first})
    swept.attempt(first, age_s=1e7)
    assert swept.sweep(attempts_bytes=0).directories == []


def test_a_new_attempt_in_an_old_run_keeps_the_run(swept: Swept) -> None:
    run = swept.run()
    old = swept.attempt(run, age_s=1e7)
    new = swept.attempt(run, age_s=0, step="later")
    os.utime(old.path.parent.parent, (0, 0))
    assert swept.sweep().directories == []
    assert new.path.exists()


def test_what_dagster_does_not_know_goes_by_its_age_alone(swept: Swept) -> None:
    """It may be another instance's under the same root, or a direct call's that no instance ever knew."""
    swept.attempt("young", age_s=DAY_S, size_bytes=MIB)
    swept.attempt("old", age_s=8 * DAY_S, size_bytes=MIB)
    assert swept.sweep(attempts_bytes=0).directories == ["old/step/0"]


@pytest.mark.parametrize(
    ("owner", "goes"), [("process-ended", True), ("alive", False), ("other", False), ("own", False)]
)
def test_the_attempts_of_an_ended_process_go_by_size_too(swept: Swept, owner: str, *, goes: bool) -> None:
    (swept.root / "processes").mkdir(parents=True)
    (swept.root / "processes" / "process-ended").touch()
    names = {"alive": own_process(swept.root), "own": instance_id(swept.instance)}
    attempt = swept.attempt("unknown", age_s=DAY_S, size_bytes=MIB)
    attempt.write_json("container.json", {"identity": {"instance": names.get(owner, owner)}})
    assert swept.sweep(attempts_bytes=0).directories == (["unknown/step/0"] if goes else [])


@pytest.mark.parametrize(
    ("content", "errors"),
    [
        *((json.dumps({"identity": it}), 0) for it in ("x", [1], 1, None, {"instance": 1}, {"instance": {"a": 1}})),
        *((it, 1) for it in ('"x"', "[1]", "1", "{", "[" * 100_000)),
    ],
    ids=lambda it: str(it)[:30],
)
def test_a_record_of_any_content_does_not_stop_the_rest(swept: Swept, content: str, errors: int) -> None:
    bad = swept.attempt("unknown", age_s=DAY_S, size_bytes=MIB)
    (bad.path / "container.json").write_text(content)
    good = swept.run()
    swept.attempt(good, size_bytes=MIB)
    report = swept.sweep(attempts_bytes=0)
    assert report.directories == [f"{good}/step/0"]
    assert [error.split(":")[0] for error in report.errors] == ["unknown"] * errors


def test_an_exception_that_nobody_thought_of_is_an_error_of_the_report() -> None:
    def fail() -> None:
        raise KeyError("identity")

    report = SweepReport()
    assert not report.attempt(fail, "run")
    assert report.errors == ["run: KeyError: 'identity'"]


def test_a_workload_cannot_keep_or_doom_its_directory_by_a_files_time_or_size(swept: Swept) -> None:
    """It owns its messages' time, and can make them look larger than any disk."""
    eternal, hollow = swept.run(), swept.run()
    forged = swept.attempt(eternal, age_s=8 * DAY_S)
    os.utime(forged.messages, (4e9, 4e9))
    os.truncate(swept.attempt(hollow).messages, 2**42)
    assert swept.sweep().directories == [f"{eternal}/step/0"]


def test_an_unreadable_directory_does_not_stop_the_rest(swept: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = swept.run(), swept.run()
    closed = swept.attempt(bad, age_s=2e7).path.parent
    swept.attempt(good, age_s=1e7)
    scandir = os.scandir

    def refuse(path: object) -> object:
        # As for another user than root, who runs these tests too.
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refuse)
    report = swept.sweep()
    assert report.directories == [f"{good}/step/0"]
    assert len(report.errors) > 0


def test_a_directory_that_cannot_be_removed_does_not_stop_the_rest(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = swept.run(), swept.run()
    swept.attempt(bad, age_s=2e7)
    swept.attempt(good, age_s=1e7)
    rmdir = os.rmdir

    def refuse(path: str, *, dir_fd: int | None = None) -> None:
        if dir_fd is not None and bad in str(Path(f"/proc/self/fd/{dir_fd}").readlink()):
            raise PermissionError(1, "not allowed", path)
        rmdir(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", refuse)
    report = swept.sweep()
    assert report.directories == [f"{good}/step/0"]
    assert [error.startswith(f"{bad}/step/0: ") for error in report.errors] == [True]
    assert "not allowed" in str(report)


def test_what_is_not_an_attempt_is_never_removed(swept: Swept, tmp_path: Path) -> None:
    """The root may have been set to a folder of something else, and links may lead out of it."""
    (swept.root / "a" / "b" / "c").mkdir(parents=True)
    (swept.root / "a" / "b" / "c" / "thesis.txt").touch()
    victim = tmp_path / "victim"
    (victim / "step" / "0" / "io").mkdir(parents=True)
    (swept.root / "linked").symlink_to(victim)
    (swept.root / "halfway").mkdir()
    (swept.root / "halfway" / "step").symlink_to(victim / "step")
    for path in (*swept.root.rglob("*"), *victim.rglob("*"), victim):
        os.utime(path, (0, 0), follow_symlinks=False)
    assert swept.sweep(attempts_bytes=0).directories == []
    assert (swept.root / "a" / "b" / "c" / "thesis.txt").exists()
    assert (victim / "step" / "0" / "io").exists()


@pytest.mark.parametrize("name", ["line\nend", "caf\udce9", "x" * 255, "'; DROP TABLE runs; --"])
def test_a_folder_of_any_name_is_no_obstacle(swept: Swept, name: str) -> None:
    run = swept.run()
    swept.attempt(name, age_s=1e7)
    swept.attempt(run, age_s=1e7)
    report = swept.sweep()
    assert set(report.directories) == {f"{name}/step/0", f"{run}/step/0"}
    assert report.errors == []


def test_an_error_can_be_stored_and_shown_in_one_line(swept: Swept) -> None:
    report = swept.sweep()
    report.fail("line\nend caf\udce9", OSError(1, "x", "more\nlines"))
    str(report).encode()
    assert "\n" not in str(report)


def test_replays_go_by_age_like_attempts(swept: Swept) -> None:
    swept.attempt("unknown", age_s=8 * DAY_S, prefix="replays/")
    swept.attempt("young", prefix="replays/")
    assert swept.sweep().directories == ["replays/unknown/step/0"]


def test_old_copies_of_images_files_go(swept: Swept) -> None:
    (swept.root / "images").mkdir(parents=True)
    for name, age_s in (("old", 8 * DAY_S), ("young", 0.0)):
        (swept.root / "images" / name).touch()
        os.utime(swept.root / "images" / name, (time.time() - age_s,) * 2)
    assert swept.sweep().cached == ["old"]
    assert [path.name for path in (swept.root / "images").iterdir()] == ["young"]


def test_the_lock_of_a_living_process_stays_and_that_of_an_ended_one_goes_in_time(swept: Swept) -> None:
    alive = own_process(swept.root)
    for name in (alive, "process-old", "process-young"):
        (swept.root / "processes" / name).touch()
        os.utime(swept.root / "processes" / name, (time.time(), 0 if name != "process-young" else time.time()))
    swept.sweep()
    assert {path.name for path in (swept.root / "processes").iterdir()} == {alive, "process-young"}


def test_the_lock_of_an_ended_process_stays_while_a_container_is_its_own(swept: Swept) -> None:
    """It tells the next sweep that the container is an orphan."""
    (swept.root / "processes").mkdir(parents=True)
    (swept.root / "processes" / "process-ended").touch()
    os.utime(swept.root / "processes" / "process-ended", (0, 0))
    swept.container("unknown", instance="process-ended", program="works", **{"drayage/forward_termination": "false"})
    swept.sweep()
    assert (swept.root / "processes" / "process-ended").exists()


def test_what_stays_of_a_run_looks_as_old_as_before(swept: Swept) -> None:
    """Otherwise each attempt that goes would keep the others for another week."""
    run = swept.run()
    swept.attempt(run, age_s=1e7)
    swept.container(run, **{"drayage/keep_s": "1e9", "drayage/exchange": f"{run}/later/0"})
    swept.attempt(run, age_s=1e7, step="later")
    before = (swept.root / run).stat().st_mtime
    assert swept.sweep().directories == [f"{run}/step/0"]
    assert (swept.root / run).stat().st_mtime == before


def test_more_folders_than_dagster_is_asked_for_at_once_all_go(swept: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_AT_ONCE", 2)
    monkeypatch.setattr(directories, "_AT_ONCE", 3)
    names = [swept.attempt(swept.run(), age_s=1e7).name for _ in range(7)]
    assert sorted(swept.sweep().directories) == sorted(names)


def test_of_many_errors_a_few_are_shown_and_the_rest_counted() -> None:
    report = SweepReport()
    for number in range(8):
        report.fail(f"run-{number}", OSError(1, "not allowed"))
    assert "8 errors: run-0" in str(report)
    assert "run-4" in str(report)
    assert "run-5" not in str(report)
    assert str(report).endswith("; and 3 more")


def test_the_containers_of_a_killed_conform_go_and_no_others(swept: Swept) -> None:
    (swept.root / "replays" / "conform-a").mkdir(parents=True)
    (swept.root / "replays" / "conform-a" / ".lock").touch()
    left, other = (
        swept.container("unknown", program="works", **{"drayage/deployment": name}) for name in ("conform-a", "other")
    )
    assert swept.sweep().removed == [left]
    assert swept.engine.containers.keys() == {other}


def test_a_killed_conform_goes_and_one_that_cannot_be_removed_does_not_stop_the_rest(swept: Swept) -> None:
    for name in ("conform-a", "conform-b"):
        (swept.root / "replays" / name).mkdir(parents=True)
    (swept.root / "replays" / "conform-a" / ".lock").symlink_to("/etc/passwd")
    (swept.root / "replays" / "conform-b" / ".lock").touch()
    (swept.root / "replays" / "conform-c").mkdir()
    report = swept.sweep()
    assert report.directories == ["replays/conform-b"]
    assert [error.split(":")[0] for error in report.errors] == ["conform-a"]
    assert (swept.root / "replays" / "conform-c").exists(), "it may be about to get its lock"


def test_settled_sizes_are_remembered_and_others_measured_again(swept: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    settled, fresh = swept.run(), swept.run()
    swept.attempt(settled, age_s=DAY_S, size_bytes=MIB)
    swept.attempt(fresh, size_bytes=MIB)
    swept.sweep()
    measured = []
    measure = retention.measure_tree
    monkeypatch.setattr(retention, "measure_tree", lambda path: (measured.append(Path(path).name), measure(path))[1])
    assert swept.sweep(attempts_bytes=int(1.5 * MIB)).directories == [f"{settled}/step/0"]
    assert measured == [fresh]


def test_the_size_of_what_a_container_may_write_to_is_measured_in_each_sweep(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = swept.run(ended=False)
    swept.attempt(run, age_s=DAY_S, size_bytes=MIB)
    swept.container(run, program="works")
    measured = []
    measure = retention.measure_tree
    monkeypatch.setattr(retention, "measure_tree", lambda path: (measured.append(Path(path).name), measure(path))[1])
    for _ in range(2):
        swept.sweep()
    assert measured == [run, run]


@pytest.mark.parametrize(
    "content",
    [
        *("", "not JSON", "[]", '{"a": 1}', '{"a": ["x", "y"]}', "null", "1", '"x"', '{"a": "12"}', '{"a": [null, 1]}'),
        *('{"a": [1, Infinity]}', '{"a": [1, NaN]}', '{"a": [1, -1e30]}', "[" * 100_000),
    ],
    ids=lambda content: content[:20],
)
def test_a_file_of_sizes_that_something_else_wrote_is_replaced(swept: Swept, content: str) -> None:
    run = swept.run()
    swept.attempt(run, age_s=DAY_S, size_bytes=MIB)
    (swept.root / SIZES).write_text(content.replace('"a"', json.dumps(str(swept.root / run))))
    assert swept.sweep(attempts_bytes=0).directories == [f"{run}/step/0"]
    assert json.loads((swept.root / SIZES).read_text()).keys() == {str(swept.root / run)}


def test_without_time_to_measure_the_report_says_so_and_age_still_counts(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_LONGEST_MEASURING_S", -1.0)
    old = swept.run()
    swept.attempt(old, age_s=8 * DAY_S)
    swept.attempt(swept.run())
    report = swept.sweep()
    assert report.directories == [f"{old}/step/0"]
    assert report.unmeasured == 2
    assert "2 runs are not measured yet" in str(report)
