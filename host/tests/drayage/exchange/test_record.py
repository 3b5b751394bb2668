"""``container.json`` and ``verdict.json``: one form is written, older ones are read, any other is refused by name."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from drayage import EnvSecret, ExchangeError
from drayage.engine import ContainerState
from drayage.exchange.directory import Attempt, Exchange
from drayage.exchange.record import ContainerRecord, VerdictRecord, record_container
from drayage.identity import Identity
from drayage.promise import Promise
from drayage.request import ContainerRequest
from drayage.settings import StepSettings

IDENTITY = Identity("d", "run", "root", "step", 1, 2)
STATE = ContainerState(
    id="c" * 64,
    name="d-step",
    image="my/image",
    image_id="sha256:1",
    status="ended",
    exit_code=3,
    oom_killed=True,
    error="",
    memory_limit_bytes=2**26,
    started_at_s=1.5,
    finished_at_s=2.5,
    labels={"a": "b"},
)
# As drayage 0.1.0 wrote it.
OLD_CONTAINER = {
    "deployment": "d",
    "run_id": "run",
    "root_run_id": "root",
    "step": "step",
    "attempt": 1,
    "call": 2,
    "fingerprint": "f",
    "container_id": "c",
    "container_name": "n",
    "image": "my/image",
    "image_id": "sha256:1",
    "command": ["a", "b"],
    "created_at_s": 4.5,
    "environment": {"A": "1", "PASSWORD": None},
    "passthrough": {"hostname": "h"},
}
OLD_STATE = {
    "id": "c",
    "name": "n",
    "image": "my/image",
    "image_id": "sha256:1",
    "status": "exited",
    "exit_code": 0,
    "oom_killed": False,
    "error": "",
    "memory_limit_bytes": 0,
    "started_at_s": 1.0,
    "finished_at_s": 2.0,
    "labels": {},
}


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Exchange(tmp_path).create("run/step/1-2")


def test_a_container_is_recorded_without_its_credentials(attempt: Attempt) -> None:
    request = ContainerRequest(
        identity=IDENTITY,
        image="my/image",
        settings=StepSettings(memory="64m"),  # type: ignore[arg-type]  # read as a size
        command=["run", "--key=s3cret"],
        environment={"A": "1", "B": "uses s3cret", "API_KEY": "x", "LANG": None},
        secrets={"key": b"s3cret", "pin": b"1000"},
        secret_sources={"key": EnvSecret("KEY")},
        container_kwargs={"hostname": "h", "cpu_shares": 1000, "environment": {"C": 2}, "ulimits": [object()]},
        promised={"trips": {"rows": Promise(types=("int",))}},
    )
    record_container(attempt, request, {"DAGSTER_PIPES_CONTEXT": "p"}, STATE, fingerprint="f", created_at_s=1.25)
    record = ContainerRecord.read(attempt)
    assert record is not None
    assert record.identity == IDENTITY
    assert record.requested_command == ["run", "--key=[secret]"]
    assert record.environment == {"DAGSTER_PIPES_CONTEXT": "p", "A": "1", "B": None, "API_KEY": None, "C": "2"}
    assert record.secrets == {"key": EnvSecret("KEY")}
    assert record.taken_away == ("LANG",)
    assert record.known_environment()["LANG"] is None
    assert record.container_kwargs == {"hostname": "h", "cpu_shares": 1000}
    assert record.not_recorded == ("ulimits",)
    assert record.promised == {"trips": {"rows": Promise(types=("int",))}}
    assert (record.settings.memory, record.created_at_s, record.image_id) == (2**26, 1.25, "sha256:1")
    assert "s3cret" not in (attempt.path / "container.json").read_text()


def test_a_verdict_is_read_as_it_was_written(attempt: Attempt) -> None:
    written = VerdictRecord(
        green=False, judged_at_s=3.5, reasons=("a", "b"), state=STATE, measures={"duration_s": 1.5, "cpu_s": None}
    )
    written.write(attempt)
    assert VerdictRecord.read(attempt) == written


@pytest.mark.parametrize("record", [ContainerRecord, VerdictRecord])
def test_an_attempt_without_the_file_has_no_record(
    attempt: Attempt, record: type[ContainerRecord] | type[VerdictRecord]
) -> None:
    assert record.read(attempt) is None


def test_a_container_of_0_1_0_is_read(attempt: Attempt) -> None:
    attempt.write_json("container.json", OLD_CONTAINER)
    record = ContainerRecord.read(attempt)
    assert record is not None
    assert record.identity == IDENTITY
    assert record.container_kwargs == {"hostname": "h"}
    assert record.requested_command == ["a", "b"]


@pytest.mark.parametrize(
    ("old", "judged_at_s", "measures"),
    [
        (
            {"green": True, "judged_at_s": 5.5, "reasons": [], "state": OLD_STATE, "measures": {"cpu_s": 2.5}},
            5.5,
            {"cpu_s": 2.5},
        ),
        ({"green": False, "judged_at_s": 5.5, "reasons": ["not adopted: it was never started"]}, 5.5, {}),
        ({"green": True, "reasons": [], "state": OLD_STATE}, 0.0, {}),
    ],
    ids=["of a step", "of a container that was not adopted", "of a replay"],
)
def test_a_verdict_of_0_1_0_is_read(
    attempt: Attempt, old: dict[str, Any], judged_at_s: float, measures: dict[str, float]
) -> None:
    attempt.write_json("verdict.json", old)
    record = VerdictRecord.read(attempt)
    assert record is not None
    assert (record.green, list(record.reasons)) == (old["green"], old["reasons"])
    assert (record.judged_at_s, record.measures) == (judged_at_s, measures)
    assert (record.state is None) == ("state" not in old)


@pytest.mark.parametrize(
    ("record", "content", "says"),
    [
        (ContainerRecord, {**OLD_CONTAINER, "format_version": 2}, "format_version"),
        (ContainerRecord, {"image": "my/image"}, "identity.deployment"),
        (VerdictRecord, {"reasons": []}, "green"),
        (VerdictRecord, {"format_version": 1, "green": True}, "judged_at_s"),
        (VerdictRecord, {"format_version": 2, "green": True, "judged_at_s": 1.0}, "format_version"),
    ],
)
def test_another_form_is_refused_by_name(
    attempt: Attempt, record: type[ContainerRecord] | type[VerdictRecord], content: Any, says: str
) -> None:
    (attempt.path / record.file).write_text(json.dumps(content))
    with pytest.raises(ExchangeError, match=says) as error:
        record.read(attempt)
    assert str(attempt.path / record.file) in str(error.value)


@pytest.mark.parametrize("content", ['"x"', "[]", "[1]", "1", "null", "true"])
@pytest.mark.parametrize("record", [ContainerRecord, VerdictRecord])
def test_json_that_is_no_object_is_refused_by_name(
    attempt: Attempt, record: type[ContainerRecord] | type[VerdictRecord], content: str
) -> None:
    (attempt.path / record.file).write_text(content)
    with pytest.raises(ExchangeError, match="does not hold a JSON object: expected one, got ") as error:
        record.read(attempt)
    assert str(attempt.path / record.file) in str(error.value)


def test_invalid_json_is_refused_by_name(attempt: Attempt) -> None:
    (attempt.path / "verdict.json").write_text("{")
    with pytest.raises(ExchangeError, match=r"verdict\.json"):
        VerdictRecord.read(attempt)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Free some space there, and run"),
        (errno.EDQUOT, "Free some space there, and run"),
        (errno.ENOENT, "The directory was removed while the step ran"),
        (errno.EACCES, "Let the user of this process write there, and run"),
        (errno.EROFS, "Let the user of this process write there, and run"),
    ],
)
def test_a_record_that_cannot_be_written_says_what_to_do(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(ExchangeError, match=rf"{os.strerror(number)}\. {advice}"):
        VerdictRecord(green=True, judged_at_s=1.0).write(attempt)
