"""Which of Dagster's compute logs the sweeper removes."""

import os
import time
from pathlib import Path

import pytest
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from swept_deployment import Swept

from drayage.dagster_internals import compute_logs_folder
from drayage.sweeper import compute_logs

DAY_S = 24 * 3600.0
UNKNOWN = "11111111-1111-1111-1111-111111111111"


def logs(stored: Swept, run_id: str, *, age_s: float = 0.0) -> Path:
    """Write the compute logs of a run, that was some time ago, where Dagster does."""
    manager = stored.instance.compute_log_manager
    assert isinstance(manager, LocalComputeLogManager)
    path = Path(manager.get_captured_local_path(manager.build_log_key_for_run(run_id, "step"), "out"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("printed\n" * 1000)
    changed_s = time.time() - age_s
    for changed in (path, path.parent):
        os.utime(changed, (changed_s, changed_s))
    return path.parent


def test_the_old_go_with_their_folder_and_those_of_running_runs_stay(stored: Swept) -> None:
    old, young, running = stored.run(), stored.run(), stored.run(ended=False)
    gone = logs(stored, old, age_s=31 * DAY_S)
    kept = [logs(stored, young), logs(stored, running, age_s=31 * DAY_S)]
    report = stored.sweep()
    assert report.compute_logs == [old]
    assert not gone.parent.exists()
    assert all(any(folder.iterdir()) for folder in kept)


def test_beyond_the_total_size_the_oldest_go_first(stored: Swept) -> None:
    runs = [stored.run() for _ in range(3)]
    for age_s, run in enumerate(runs):
        logs(stored, run, age_s=10.0 * age_s)
    assert stored.sweep(compute_logs_bytes=20_000).compute_logs == [runs[2]]


def test_an_unknown_runs_logs_go_by_age_alone(stored: Swept) -> None:
    logs(stored, UNKNOWN)
    assert stored.sweep(compute_logs_bytes=0).compute_logs == []
    logs(stored, UNKNOWN, age_s=31 * DAY_S)
    assert stored.sweep().compute_logs == [UNKNOWN]


def test_what_io_managers_store_beside_them_stays(stored: Swept) -> None:
    run = stored.run()
    folder = logs(stored, run, age_s=31 * DAY_S)
    (folder.parent / "step").mkdir()
    asset = folder.parent.parent / "my_asset" / "compute_logs"
    asset.mkdir(parents=True)
    os.utime(asset, (0, 0))
    assert stored.sweep().compute_logs == [run]
    assert (folder.parent / "step").exists()
    assert asset.exists()


def test_logs_that_cannot_be_removed_are_an_error_and_do_not_stop_the_rest(
    stored: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = stored.run(), stored.run()
    closed = logs(stored, bad, age_s=31 * DAY_S)
    logs(stored, good, age_s=31 * DAY_S)
    remove = compute_logs.remove_tree
    refused = [PermissionError(1, "not allowed", "out")]
    monkeypatch.setattr(compute_logs, "remove_tree", lambda path: refused if path == closed else remove(path))
    report = stored.sweep()
    assert report.compute_logs == [good]
    assert [error.split(":")[0] for error in report.errors] == [f"{bad}/compute_logs"]


def test_a_link_in_their_place_is_left_alone(stored: Swept, tmp_path: Path) -> None:
    run = stored.run()
    folder = logs(stored, run)
    victim = folder.rename(tmp_path / "victim")
    folder.symlink_to(victim)
    assert stored.sweep(compute_log_age_s=-1).compute_logs == []
    assert any(victim.iterdir())


def test_an_instance_that_keeps_no_logs_here_has_none_to_sweep(swept: Swept) -> None:
    assert compute_logs_folder(swept.instance) is None
    assert swept.sweep(compute_log_age_s=-1).compute_logs == []


def test_a_folder_that_nobody_may_search_does_not_stop_the_rest(stored: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = stored.run(), stored.run()
    closed = logs(stored, bad, age_s=31 * DAY_S)
    logs(stored, good, age_s=31 * DAY_S)
    lstat = os.lstat

    def refuse(path: object, **arguments: int) -> os.stat_result:
        # As for another user than root, who runs these tests too.
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return lstat(path, **arguments)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(os, "lstat", refuse)
    report = stored.sweep()
    assert report.compute_logs == [good]
    assert [error.split(":")[0] for error in report.errors] == [f"{bad}/compute_logs"]
