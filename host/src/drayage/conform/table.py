"""Reports side by side, one column an image: for a terminal, for programs, and in a Markdown file."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from drayage.conform.bench import Report
from drayage.errors import NotFoundError

BEGIN, END = "<!-- conformance: begin -->", "<!-- conformance: end -->"
SHORT_BEGIN, SHORT_END = "<!-- conformance in short: begin -->", "<!-- conformance in short: end -->"


@dataclass(frozen=True)
class Column:
    """What one image showed.

    Args:
        title: What it is called.
        image: The image.
        size_bytes: Its size; None if the engine does not tell.
        reports: One for each scenario.
    """

    title: str
    image: str
    size_bytes: int | None
    reports: Sequence[Report]

    @property
    def holds(self) -> bool:
        """Whether every scenario holds."""
        return all(report.holds for report in self.reports)

    @property
    def measures(self) -> Mapping[str, str]:
        """The image's numbers, for people."""
        starts = [report.start_s for report in self.reports if report.start_s is not None]
        rates = [report.messages_per_second for report in self.reports if report.messages_per_second is not None]
        return {
            "image": "-" if self.size_bytes is None else f"{self.size_bytes / 1e6:,.1f} MB",
            "container to first message": f"{statistics.median(starts) * 1000:,.0f} ms" if starts else "-",
            "messages a second": f"{rates[0]:,.0f}" if rates else "-",
        }

    def as_json(self) -> Mapping[str, Any]:
        """For programs."""
        return {**asdict(self), "holds": self.holds}


def rows(columns: Sequence[Column]) -> list[dict[str, str]]:
    """One row for each scenario and measure.

    Args:
        columns: The same scenarios in each.
    """
    scenarios = [
        {
            "scenario": reports[0].scenario,
            **{
                column.title: "holds" if report.holds else "FAILS"
                for column, report in zip(columns, reports, strict=True)
            },
        }
        for reports in zip(*(column.reports for column in columns), strict=True)
    ]
    return scenarios + _measures(columns)


def short_rows(columns: Sequence[Column]) -> list[dict[str, str]]:
    """Return one row that counts the scenarios, and one for each measure.

    Args:
        columns: The same scenarios in each.
    """
    held = {
        column.title: f"{sum(report.holds for report in column.reports)} of {len(column.reports)}" for column in columns
    }
    return [{"": "scenarios that hold", **held}, *({"": row.pop("scenario"), **row} for row in _measures(columns))]


def write_markdown(path: Path, columns: Sequence[Column]) -> None:
    """Replace the table between the marks in a Markdown file: the whole one, the short one, or both.

    Args:
        path: The file; it has the two marks of a table, each on a line of its own.
        columns: What is shown.

    Raises:
        NotFoundError: The marks are not there.
    """
    text = path.read_text(encoding="utf-8")
    whole = _replaced(text, BEGIN, END, rows(columns))
    short = _replaced(whole or text, SHORT_BEGIN, SHORT_END, short_rows(columns))
    replaced = short or whole
    if replaced is None:
        raise NotFoundError(
            f"{path} has no lines {BEGIN} and {END}, nor {SHORT_BEGIN} and {SHORT_END}: put them where the table "
            "belongs."
        )
    path.write_text(replaced, encoding="utf-8")


def _measures(columns: Sequence[Column]) -> list[dict[str, str]]:
    return [
        {"scenario": name, **{column.title: column.measures[name] for column in columns}}
        for name in columns[0].measures
    ]


def _replaced(text: str, begin: str, end: str, table: Sequence[dict[str, str]]) -> str | None:
    """Return the text with the table between the two marks; None without them."""
    before, begun, rest = text.partition(f"{begin}\n")
    _, ended, after = rest.partition(f"{end}\n")
    if not (begun and ended):
        return None
    titles = list(table[0])
    lines = [titles, ["---", *("---:" for _ in titles[1:])], *([row[title] for title in titles] for row in table)]
    drawn = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{before}{begin}\n{drawn}{end}\n{after}"
