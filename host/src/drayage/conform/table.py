"""Reports side by side, one column an image: for a terminal, for programs, and in a Markdown file."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from drayage.conform.bench import Report
from drayage.errors import NotFoundError

BEGIN, END = "<!-- conformance: begin -->", "<!-- conformance: end -->"


@dataclass(frozen=True)
class Column:
    """What one image showed.

    Args:
        title: What it is called.
        image: The image.
        size_bytes: Its size.
        reports: One for each scenario.
    """

    title: str
    image: str
    size_bytes: int
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
            "image": f"{self.size_bytes / 1e6:,.1f} MB",
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
    measures = [
        {"scenario": name, **{column.title: column.measures[name] for column in columns}}
        for name in columns[0].measures
    ]
    return scenarios + measures


def write_markdown(path: Path, columns: Sequence[Column]) -> None:
    """Replace the table between the marks in a Markdown file.

    Args:
        path: The file; it has the two marks, each on a line of its own.
        columns: What is shown.

    Raises:
        NotFoundError: The marks are not there.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"{END}\n")
    if not (begin and end):
        raise NotFoundError(f"{path} has no lines {BEGIN} and {END}: put them where the table belongs.")
    titles = ["scenario", *(column.title for column in columns)]
    lines = [titles, ["---", *("---:" for _ in columns)], *([row[title] for title in titles] for row in rows(columns))]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    path.write_text(f"{before}{begin}{table}{end}{after}", encoding="utf-8")
