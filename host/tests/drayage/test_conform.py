"""The conformance kit must be able to say no; what it says of real images is tested with each writer."""

from pathlib import Path

import pytest

from drayage.conform import SCENARIOS, Report, Scenario
from drayage.conform.evidence import Evidence
from drayage.conform.table import BEGIN, END, Column, rows, write_markdown
from drayage.errors import NotFoundError

GREEN = Report("my/image", "metadata", (), start_s=0.25)
RED = Report("my/image", "logs", ("stdout: expected 'a', got 'b'",))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_program_that_does_nothing_keeps_no_scenario(scenario: Scenario, tmp_path: Path) -> None:
    (tmp_path / "io").mkdir()
    (tmp_path / "io" / "context.json").write_text('{"run_id": "a", "asset_keys": ["lake/trips"]}')
    (tmp_path / "io" / "messages.jsonl").write_text("no message\n")
    (tmp_path / "verdict.json").write_text('{"state": {"exit_code": 0}, "measures": {}}')
    for stream in ("stdout", "stderr"):
        (tmp_path / f"{stream}.log").write_text("")
    assert list(scenario.expect(Evidence((), tmp_path)))


def test_names_of_scenarios_are_their_own() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_a_red_report_says_what_does_not_hold() -> None:
    GREEN.must_hold()
    with pytest.raises(AssertionError, match="my/image does not keep scenario 'logs': stdout: expected 'a', got 'b'"):
        RED.must_hold()


def test_the_table_is_replaced_and_nothing_around_it(tmp_path: Path) -> None:
    columns = [Column("Go", "my/image", 2_345_678, (GREEN, RED))]
    assert rows(columns)[1] == {"scenario": "logs", "Go": "FAILS"}
    page = tmp_path / "README.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_markdown(page, columns)
    assert page.read_text() == (
        f"before\n{BEGIN}\n| scenario | Go |\n| --- | ---: |\n| metadata | holds |\n| logs | FAILS |\n"
        f"| image | 2.3 MB |\n| container to first message | 250 ms |\n| messages a second | - |\n{END}\nafter\n"
    )
    page.write_text("no marks")
    with pytest.raises(NotFoundError, match="no lines"):
        write_markdown(page, columns)
