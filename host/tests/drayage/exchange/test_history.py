"""Finding the run and the step that a few letters stand for."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drayage import DrayageError
from drayage.exchange.directory import Attempt, Exchange
from drayage.exchange.history import History, PastAttempt, require_record, status

RECORD = {
    "deployment": "d",
    "root_run_id": "r",
    "attempt": 0,
    "call": 0,
    "fingerprint": "f",
    "container_id": "c",
    "container_name": "n",
    "image": "i",
    "image_id": "sha256:i",
    "command": None,
}


@pytest.fixture
def history(tmp_path: Path) -> History:
    exchange = Exchange(tmp_path)
    for number, name in enumerate(
        ["aa11/silver__cleaned_trips/0", "aa11/dbt_build/0", "aa22/dbt_build/0", "aa22/dbt_build/1", "bb/dbt_build/0"]
    ):
        attempt = exchange.create(name)
        run_id, step, _ = name.split("/")
        attempt.write_json("container.json", {**RECORD, "run_id": run_id, "step": step, "created_at_s": number})
        assets = ["marts/fct_trips", "marts/dim_zones"] if step == "dbt_build" else ["silver/cleaned_trips"]
        attempt.context.write_text(json.dumps({"asset_keys": assets}))
    exchange.create("replays/aa11/dbt_build/1")
    return History(exchange)


def found(step: PastAttempt) -> str:
    return step.attempt.name


@pytest.mark.parametrize(
    ("run", "step", "name"),
    [
        ("aa1", "silver__cleaned_trips", "aa11/silver__cleaned_trips/0"),
        ("aa1", "silver/cleaned_trips", "aa11/silver__cleaned_trips/0"),
        ("aa1", "marts/fct_trips", "aa11/dbt_build/0"),
        ("aa22", "dbt_build", "aa22/dbt_build/1"),
        ("last", "dbt_build", "bb/dbt_build/0"),
    ],
)
def test_a_run_and_a_step_are_found_by_what_people_call_them(history: History, run: str, step: str, name: str) -> None:
    assert found(history.step(run, step)) == name


def test_an_attempt_is_found_by_its_name(history: History) -> None:
    assert found(history.step("aa22", "dbt_build", "0")) == "aa22/dbt_build/0"


@pytest.mark.parametrize(
    ("run", "step", "attempt", "says"),
    [
        ("aa", "dbt_build", None, "several runs"),
        ("zz", "dbt_build", None, "No run begins with 'zz'"),
        ("", "dbt_build", None, "No run begins with ''"),
        ("replays", "dbt_build", None, "No run begins with"),
        ("bb", "silver/cleaned_trips", None, "it has dbt_build"),
        ("aa22", "dbt_build", "7", "it has 0, 1"),
    ],
)
def test_an_error_lists_what_there_is_instead(
    history: History, run: str, step: str, attempt: str | None, says: str
) -> None:
    with pytest.raises(DrayageError, match=says):
        history.step(run, step, attempt)


def test_an_empty_root_says_how_to_choose_another(tmp_path: Path) -> None:
    with pytest.raises(DrayageError, match="--exchange-root"):
        History(Exchange(tmp_path)).run("last")


def test_a_step_without_container_and_verdict_was_lost(history: History) -> None:
    assert status(history.step("bb", "dbt_build"), None) == "lost"


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_the_latest_runs_are_those_that_began_last(tmp_path: Path, limit: int) -> None:
    """Even if a step of an older run was the last to start."""
    exchange = Exchange(tmp_path)
    for number, run in enumerate(["aa", "bb", "cc", "dd"]):
        attempt = exchange.create(f"{run}/step/0")
        attempt.write_json("container.json", {**RECORD, "run_id": run, "step": "step", "created_at_s": 1000 * number})
        os.utime(tmp_path / run, (1000 * number, 1000 * number))
    os.utime(tmp_path / "aa", (9000, 9000))
    found = [steps[0].run_id for steps in History(exchange).runs(limit)]
    assert found == ["dd", "cc", "bb", "aa"][:limit]


def test_only_the_records_that_are_asked_for_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Exchange(tmp_path)
    now_s = time.time()
    for number in range(150):
        created_at_s = now_s - 1000 * number
        attempt = exchange.create(f"run{number:03}/step/0")
        attempt.write_json("container.json", {**RECORD, "run_id": "r", "step": "step", "created_at_s": created_at_s})
        for folder in (attempt.path, tmp_path / f"run{number:03}"):
            os.utime(folder, (created_at_s, created_at_s))
    read = []
    monkeypatch.setattr(Attempt, "read_json", lambda _, name: read.append(name))
    history = History(exchange)
    assert [history.run(name)[0].run_id for name in ("last", "run133")] == ["run000", "run133"]
    assert len(read) < 50
    with pytest.raises(DrayageError, match=r"several runs \(run000, .*run009 …\)"):
        history.run("run")
    assert len(read) < 100


def test_a_run_that_is_swept_meanwhile_hides_no_other(
    tmp_path: Path, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    @contextlib.contextmanager
    def scan_and_sweep(path: Path) -> Iterator[Iterator["os.DirEntry[str]"]]:
        with scan(path) as entries:
            found = list(entries)
        if path == tmp_path:
            shutil.rmtree(tmp_path / "aa22")
        yield iter(found)

    monkeypatch.setattr(os, "scandir", scan_and_sweep)
    assert [steps[0].run_id for steps in history.runs(50)] == ["bb", "aa11"]


def test_a_record_that_cannot_be_read_hides_no_other(tmp_path: Path, history: History) -> None:
    (tmp_path / "aa22" / "dbt_build" / "0" / "container.json").write_text("not JSON")
    steps = history.run("aa22")
    assert [status(step, None) for step in steps] == ["lost", "unreadable"]
    assert len(history.runs()) == 3
    with pytest.raises(DrayageError, match="does not hold JSON"):
        require_record(steps[1])


def test_the_runners_own_folders_are_no_runs(tmp_path: Path, history: History) -> None:
    for name in ("images", "processes", "replays"):
        (tmp_path / name / "step" / "0" / "io").mkdir(parents=True)
    assert {steps[0].run_id for steps in history.runs()} == {"aa11", "aa22", "bb"}
    with pytest.raises(DrayageError, match="No run begins with 'images'"):
        history.run("images")
