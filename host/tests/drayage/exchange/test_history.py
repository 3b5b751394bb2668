"""Finding the run and the step that a few letters stand for."""

import json
from pathlib import Path

import pytest

from drayage import DrayageError
from drayage.exchange.directory import Exchange
from drayage.exchange.history import History, PastAttempt, status

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
