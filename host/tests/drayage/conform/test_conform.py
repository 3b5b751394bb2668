"""The conformance kit must be able to say no; its verdicts on real images are tested with each writer."""

import json
from pathlib import Path

import pytest

from drayage.conform import SCENARIOS, Report, Scenario
from drayage.conform.evidence import Evidence
from drayage.conform.expectations import differs
from drayage.conform.table import BEGIN, END, SHORT_BEGIN, SHORT_END, Column, rows, write_markdown
from drayage.conform.values import metadata
from drayage.engine import ContainerState
from drayage.errors import NotFoundError
from drayage.exchange.directory import Attempt
from drayage.exchange.record import VerdictRecord
from drayage.pipes.schema import require, schema

REPOSITORY = Path(__file__).parents[4]
README = REPOSITORY / "README.md"
CONFORMANCE = REPOSITORY / "docs" / "conformance.md"
CONTRACT = REPOSITORY / "docs" / "workload-contract.md"
# As the host writes it: whatever fails is then the program's fault.
CONTEXT = {
    **dict.fromkeys(schema()["definitions"]["context"]["required"]),
    "run_id": "a",
    "asset_keys": ["lake/trips"],
    "retry_number": 0,
    "extras": {"partitions": []},
}
ENDED = ContainerState(
    id="c",
    name="n",
    image="i",
    image_id="sha256:i",
    status="ended",
    exit_code=0,
    oom_killed=False,
    error="",
    memory_limit_bytes=0,
    started_at_s=1,
    finished_at_s=2,
    labels={},
)
GREEN = Report("my/image", "metadata", (), start_s=0.25)
RED = Report("my/image", "logs", ("stdout: expected 'a', got 'b'",))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_program_that_does_nothing_passes_no_scenario(scenario: Scenario, tmp_path: Path) -> None:
    (tmp_path / "io").mkdir()
    (tmp_path / "io" / "context.json").write_text(json.dumps(CONTEXT))
    (tmp_path / "io" / "messages.jsonl").write_text("no message\n")
    VerdictRecord(green=True, judged_at_s=0, state=ENDED).write(Attempt(tmp_path, "a"))
    for stream in ("stdout", "stderr"):
        (tmp_path / f"{stream}.log").write_text("")
    assert list(scenario.expect(Evidence((), tmp_path)))


@pytest.mark.parametrize(
    ("got", "wanted"), [(1, True), ({"a": [0]}, {"a": [False]}), ("1", 1), ([1, 2], [1]), ({}, None)]
)
def test_values_that_differ_in_json_are_not_equal(got: object, wanted: object) -> None:
    assert list(differs("it", got, wanted))
    assert not list(differs("it", {"a": [7.0, None]}, {"a": [7, None]})), "JSON has one kind of number"


def test_the_page_the_schema_and_the_kit_name_the_same_things() -> None:
    """Authors of a library read the page; the runner uses the schema, and the kit its scenarios."""
    page, definitions = CONTRACT.read_text(encoding="utf-8"), schema()["definitions"]
    types = definitions["metadataValue"]["properties"]["type"]["enum"]
    methods = definitions["message"]["properties"]["method"]["enum"]
    programs = {str(scenario.asked["drayage/scenario"]) for scenario in SCENARIOS}
    _, _, conformance = page.partition("## Conformance")
    rows = {line.split("`")[1] for line in conformance.splitlines() if line.startswith("| `")}
    assert rows == programs
    for name in (*types, *methods, "progress", "partition_metadata"):
        assert f"`{name}`" in page, f"the page does not name {name}"
    told = page.partition("- **Context**")[2].partition("\n- ")[0]
    for name in definitions["context"]["required"]:
        assert f"`{name}`" in told, f"the page does not name the context's member {name}"
    made = {value.__class__ for value in metadata("run").values()}
    # A value whose type is inferred arrives as one of the others.
    assert len(made) == len(set(types) - {"__infer__"})


def test_the_schema_accepts_the_contexts_of_the_test_above() -> None:
    require("context", CONTEXT, where="context")


def test_scenario_names_are_unique() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_a_red_report_says_what_failed() -> None:
    GREEN.must_hold()
    with pytest.raises(AssertionError, match="my/image does not keep scenario 'logs': stdout: expected 'a', got 'b'"):
        RED.must_hold()


def test_only_the_table_is_replaced(tmp_path: Path) -> None:
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


def test_the_short_table_counts_scenarios_and_keeps_the_measurements(tmp_path: Path) -> None:
    columns = [Column("Go", "my/image", 2_345_678, (GREEN, RED)), Column("C", "an/image", 1_000_000, (GREEN, GREEN))]
    page = tmp_path / "README.md"
    page.write_text(f"before\n{SHORT_BEGIN}\nold\n{SHORT_END}\nafter\n")
    write_markdown(page, columns)
    assert page.read_text() == (
        f"before\n{SHORT_BEGIN}\n|  | Go | C |\n| --- | ---: | ---: |\n| scenarios that hold | 1 of 2 | 2 of 2 |\n"
        "| image | 2.3 MB | 1.0 MB |\n| container to first message | 250 ms | 250 ms |\n"
        f"| messages a second | - | - |\n{SHORT_END}\nafter\n"
    )


def table_between(page: Path, begin: str, end: str) -> list[list[str]]:
    """Return the cells of a Markdown table without its line of dashes."""
    _, _, rest = page.read_text(encoding="utf-8").partition(f"{begin}\n")
    title, _, *lines = [line.strip("|").split("|") for line in rest.partition(end)[0].splitlines()]
    return [[cell.strip() for cell in cells] for cells in (title, *lines)]


def test_the_pages_table_has_every_scenario_passing_in_every_language() -> None:
    titles, *table = table_between(CONFORMANCE, BEGIN, END)
    shown = {name: set(cells) for name, *cells in table}
    assert list(shown)[: len(SCENARIOS)] == [scenario.name for scenario in SCENARIOS]
    assert all(shown[scenario.name] == {"holds"} for scenario in SCENARIOS)
    assert [title.lower() for title in titles[1:]] == sorted(
        path.parent.name for path in REPOSITORY.glob("writers/*/Dockerfile")
    )


def test_the_readmes_short_table_matches_the_page() -> None:
    titles, *table = table_between(CONFORMANCE, BEGIN, END)
    short_titles, held, *measures = table_between(README, SHORT_BEGIN, SHORT_END)
    assert short_titles[1:] == titles[1:]
    assert set(held[1:]) == {f"{len(SCENARIOS)} of {len(SCENARIOS)}"}
    assert measures == table[len(SCENARIOS) :]
