"""How a plain program's standard output becomes messages."""

import json
from pathlib import Path
from typing import Any

import pytest

from drayage.errors import SettingsError
from drayage.pipes.adapter import AdapterName, open_adapter
from drayage.pipes.lines import OverlongLine
from drayage.redaction import Redactor

TRIPS = "lake/trips"


def messages(path: Path, form: AdapterName, lines: list[bytes], *, exit_code: int = 0) -> list[dict[str, Any]]:
    """Return the messages that lines of standard output become."""
    file = path / "messages.jsonl"
    file.touch()
    with open_adapter(form, [TRIPS], messages=file, redact=Redactor([b"hunter2"])) as adapter:
        assert adapter is not None
        for line in lines:
            adapter.take_line(line)
        adapter.end(exit_code)
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def reported(path: Path, form: AdapterName, *lines: bytes) -> dict[str, Any]:
    """Return names and values of the one materialization."""
    _, materialization, closed = messages(path, form, list(lines))
    assert closed["params"] == {}
    assert materialization["params"]["asset_key"] == "lake/trips"
    return {name: value["raw_value"] for name, value in materialization["params"]["metadata"].items()}


def complaint(path: Path, form: AdapterName, *lines: bytes, exit_code: int = 0) -> str | None:
    closed = messages(path, form, list(lines), exit_code=exit_code)[-1]
    assert closed["method"] == "closed"
    exception = closed["params"].get("exception")
    return None if exception is None else str(exception["message"])


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"x=3", 3),
        (b"x=-1.5e3", -1500.0),
        (b"x=true", True),
        (b"x=007", "007"),
        (b"x=3 rows", "3 rows"),
        (b"x=", ""),
        (b"x=a=b", "a=b"),
        (b"x=NaN", "NaN"),
        (b"x=[1]", "[1]"),
        (b"x=3\r", 3),
    ],
)
def test_a_value_is_a_number_only_where_it_is_written_as_one(tmp_path: Path, line: bytes, value: object) -> None:
    got = reported(tmp_path, "key_value", line)["x"]
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("line", [b"loading 3 = three", b"3=x", b"no equals", b"", b'{"x": 3}'])
def test_other_lines_are_log_lines_of_key_value(tmp_path: Path, line: bytes) -> None:
    assert reported(tmp_path, "key_value", line, b"dagster/row_count=3") == {"dagster/row_count": 3, "exit_code": 0}


def test_json_lines_are_merged_and_the_last_value_wins(tmp_path: Path) -> None:
    lines = (b"starting", b'{"rows": 1, "tables": ["a"]}', b'  {"rows": 2, "late": null}  ', b"[1]")
    assert reported(tmp_path, "json_lines", *lines) == {"rows": 2, "tables": ["a"], "late": None, "exit_code": 0}


@pytest.mark.parametrize(
    ("form", "line", "says"),
    [
        ("json_lines", b'{"rows": 3', "line 2 of standard output is not a JSON object"),
        ("json_lines", b'{"rows": NaN}', "NaN is not valid JSON"),
        ("json_lines", b'{"rows": 1e999}', "1e999 is too large a number"),
        ("json_lines", b"{" + b'"a":{' * 100_000, "line 2 of standard output is not a JSON object"),
        ("json_lines", OverlongLine(b'{"rows": 3}', 2000), "line 2 of standard output is not a JSON object"),
        ("key_value", b"rows=1e999", "1e999 is too large a number"),
    ],
)
def test_a_malformed_record_is_named(tmp_path: Path, form: AdapterName, line: bytes, says: str) -> None:
    assert says in str(complaint(tmp_path, form, b"a log line", line))


def test_a_program_that_reports_nothing_is_not_a_success(tmp_path: Path) -> None:
    assert "nothing to report (2 lines were treated as log lines)" in str(complaint(tmp_path, "key_value", b"a", b"b"))
    assert "nothing to report (0 lines" in str(complaint(tmp_path, "json_lines"))


def test_a_failed_program_is_blamed_only_for_its_exit_code(tmp_path: Path) -> None:
    assert complaint(tmp_path, "key_value", b"a", exit_code=3) is None


def test_what_a_failed_program_reported_is_passed_on(tmp_path: Path) -> None:
    _, materialization, _ = messages(tmp_path, "key_value", [b"rows=3"], exit_code=3)
    assert materialization["params"]["metadata"]["exit_code"]["raw_value"] == 3


def test_secrets_are_taken_out(tmp_path: Path) -> None:
    assert reported(tmp_path, "json_lines", b'{"password": "hunter2"}')["password"] == "[secret]"  # noqa: S105


def test_messages_of_an_interrupted_host_are_replaced(tmp_path: Path) -> None:
    """A retry that adopts the container reads its output from the start."""
    (tmp_path / "messages.jsonl").write_bytes(b'{"method": "opened"}\n')
    assert reported(tmp_path, "key_value", b"rows=3")["rows"] == 3


@pytest.mark.parametrize("assets", [[], [TRIPS, "other"]])
def test_a_step_of_no_or_several_assets_has_no_adapter(tmp_path: Path, assets: list[str]) -> None:
    with (
        pytest.raises(SettingsError, match=f"this step has {len(assets)}"),
        open_adapter("key_value", assets, messages=tmp_path / "messages.jsonl", redact=Redactor(())),
    ):
        pass


def test_an_unknown_form_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(SettingsError, match="expected json_lines or key_value, got 'xml'"),
        open_adapter("xml", [TRIPS], messages=tmp_path / "messages.jsonl", redact=Redactor(())),  # type: ignore[arg-type]
    ):
        pass


def test_a_programs_own_exit_code_is_kept_beside_the_containers(tmp_path: Path) -> None:
    assert reported(tmp_path, "key_value", b"exit_code=7") == {"reported/exit_code": 7, "exit_code": 0}
