"""What `make docs` does not check: pages that are read in the repository, examples, and its own last check."""

import re
import runpy
from importlib import util
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from drayage import ClientSettings

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
README = REPOSITORY / "README.md"
LONGEST_README_LINES = 150
LONGEST_DECISION_LINES = 40
LONGEST_LINE_CHARACTERS = 120
PAGES = [
    README,
    REPOSITORY / "host" / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "CHANGELOG.md",
    *sorted(DOCS.rglob("*.md")),
]
READ_IN_THE_REPOSITORY = sorted(
    page
    for pattern in (
        "*.md",
        "host/*.md",
        "deploy/**/*.md",
        "services/*.md",
        "workloads/*/*.md",
        "writers/*.md",
        "writers/*/*.md",
    )
    for page in REPOSITORY.glob(pattern)
)
DECISIONS = sorted(DOCS.glob("decisions/[0-9]*.md"))


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) < LONGEST_README_LINES


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_are_short_except_in_tables_and_code(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > LONGEST_LINE_CHARACTERS] == []


@pytest.mark.parametrize("page", READ_IN_THE_REPOSITORY, ids=name_of)
def test_links_have_targets(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http://", "https://"))]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", DECISIONS, ids=name_of)
def test_a_decision_is_short_and_in_the_list(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST_DECISION_LINES
    assert [line for line in lines if line.startswith("## ")] == [
        "## Context",
        "## Decision",
        "## Consequences",
        "## Rejected",
    ]
    number, _, title = lines[0].removeprefix("# ").partition(" ")
    assert f"| [{number}]({page.name}) | {title} |" in (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what each Python example on the page about one's own project defines."""
    monkeypatch.setenv("DRAYAGE_EXCHANGE_ROOT", str(tmp_path / "exchange"))
    found = []
    for example in re.findall(r"```python\n(.*?)```", (DOCS / "own-project.md").read_text(encoding="utf-8"), re.DOTALL):
        (tmp_path / "example.py").write_text(example, encoding="utf-8")
        found.append(runpy.run_path(str(tmp_path / "example.py")))
    return found


def test_the_definitions_of_ones_own_project_load(examples: list[dict[str, Any]]) -> None:
    defs = examples[0]["defs"]
    assert isinstance(defs, dg.Definitions)
    assert "drayage/promises" in defs.get_assets_def("trips").get_asset_spec().metadata
    assert [sensor.name for sensor in defs.sensors or ()] == ["drayage_sweeper"]


def test_the_doctor_check_of_ones_own_project_runs(examples: list[dict[str, Any]]) -> None:
    (finding,) = examples[2]["examine_landing_zone"](ClientSettings.load())
    assert (finding.what, finding.good) == ("landing zone", False)


@pytest.fixture(scope="module")
def hooks() -> Any:
    spec = util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("tag", "fetched"),
    [
        ('<script src="https://cdn.example/a.js"></script>', ["https://cdn.example/a.js"]),
        ('<link rel="stylesheet" href="//fonts.example/a.css">', ["//fonts.example/a.css"]),
        ('<img src="http://example/a.png">', ["http://example/a.png"]),
        ('<link rel="canonical" href="https://docs.example/">', []),
        ('<a href="https://dagster.io">Dagster</a><script src="assets/a.js"></script>', []),
    ],
)
def test_files_that_a_browser_would_load_from_elsewhere_are_found(
    hooks: Any, tmp_path: Path, tag: str, fetched: list[str]
) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<html><body>{tag}</body></html>", encoding="utf-8")
    assert hooks.fetched_by(page) == fetched
