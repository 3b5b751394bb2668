"""Medians of the rounds as tables and as a picture, and their place in the documentation."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import pygal
from peers.services import REPOSITORY
from pygal.style import Style
from running_stack import BenchmarkError

BASE = "airflow"
TITLES = {
    "airflow": "Airflow",
    "dagster": "Dagster's default",
    "drayage": "Drayage",
    "chain_of_5": "chain of 5",
    "fan_of_20": "fan-out of 20",
    "fan_of_200": "fan-out of 200",
}
_BEGIN, _END = "<!-- peers: begin -->", "<!-- peers: end -->"
_NONE = "\N{EN DASH}"
_STYLE = Style(background="white", plot_background="white", font_family="sans-serif", value_font_size=14)

# Shape, what is measured, its most, and its unit; a ratio is to Airflow's time.
AIMS = (
    ("chain_of_5", "ratio", 0.6, "of Airflow"),
    ("chain_of_5", "seconds", 3.0, "s"),
    ("fan_of_20", "ratio", 0.8, "of Airflow"),
    ("fan_of_20", "seconds", 5.0, "s"),
    ("fan_of_200", "ratio", 0.8, "of Airflow"),
    ("fan_of_200", "started_peak_mib", 300.0, "MiB of the run's process"),
)


def median(result: dict[str, Any], peer: str, shape: str, number: str) -> float | None:
    """Return the median over the rounds, or None without any.

    Args:
        result: The result that ``peer_rounds.py`` builds.
        peer: The peer.
        shape: The shape.
        number: Name of a run's number, or ``ratio`` for its seconds divided by Airflow's, median by median.
    """
    if number == "ratio":
        own, base = median(result, peer, shape, "seconds"), median(result, BASE, shape, "seconds")
        return None if own is None or base is None else own / base
    found = [run[number] for run in result["runs"] if (run["peer"], run["shape"]) == (peer, shape)]
    return statistics.median(found) if found else None


def as_markdown(result: dict[str, Any]) -> str:
    """Return all figures as tables for docs/performance.md, with machine, date and load.

    Args:
        result: The result that ``peer_rounds.py`` builds.
    """
    peers, shapes = _names(result, "peer"), _names(result, "shape")
    rows = []
    for shape in shapes:
        for peer in peers:
            seconds = [run["seconds"] for run in result["runs"] if (run["peer"], run["shape"]) == (peer, shape)]

            def figure(number: str, digits: int, peer: str = peer, shape: str = shape) -> str:
                return _figure(median(result, peer, shape, number), digits)

            rows.append(
                [
                    TITLES[shape],
                    TITLES[peer],
                    figure("seconds", 1),
                    ", ".join(f"{it:.1f}" for it in sorted(seconds)),
                    figure("ratio", 2),
                    figure("to_start_s", 1),
                    figure("processor_s", 1),
                    figure("database_processor_s", 1),
                    figure("peak_mib", 0),
                    figure("started_peak_mib", 0),
                ]
            )
    head = [
        "",
        "",
        "s to end",
        "all",
        "of Airflow",
        "s to start",
        "processor s",
        "PostgreSQL's",
        "MiB",
        "MiB of the run",
    ]
    parts = [_circumstances(result), _table(head, rows, texts=2)]
    if "drayage" in peers:
        parts.append(_table(["aim of drayage, at most", "measured"], _aims(result, shapes)))
    return "\n\n".join(parts)


def in_short(result: dict[str, Any]) -> list[str]:
    """Return the rows for the README's table, whose columns are those of the clients compared there.

    Args:
        result: The result that ``peer_rounds.py`` builds.
    """
    rows = []
    for shape in _names(result, "shape"):
        seconds = (median(result, peer, shape, "seconds") for peer in ("drayage", "dagster", "airflow"))
        drayage, dagster, airflow = (_NONE if it is None else f"{it:.1f} s" for it in seconds)
        name = f"{TITLES[shape].capitalize()} small steps, trigger to end"
        rows.append(f"| {name} | {drayage} | {dagster} | {_NONE} | {airflow} |")
    return rows


def draw(result: dict[str, Any]) -> Any:
    """Draw each peer's time beside Airflow's, a group of bars for each shape, with the seconds on them.

    Args:
        result: The result that ``peer_rounds.py`` builds.

    Raises:
        BenchmarkError: Airflow was not measured.
    """
    peers, shapes = _names(result, "peer"), _names(result, "shape")
    if BASE not in peers:
        raise BenchmarkError("The picture compares with Airflow, which this result does not have: measure it too.")
    chart = pygal.HorizontalBar(
        title="Seconds from trigger to end; the length is that beside Airflow",
        style=_STYLE,
        width=900,
        height=130 * len(shapes) + 160,
        js=(),
        legend_at_bottom=True,
        truncate_legend=-1,
        legend_at_bottom_columns=3,
        print_values=True,
        x_title="of Airflow's time",
    )
    # From below.
    chart.x_labels = [TITLES[shape] for shape in reversed(shapes)]
    for peer in peers:
        chart.add(TITLES[peer], [_bar(result, peer, shape) for shape in reversed(shapes)])
    return chart


def publish(result: dict[str, Any]) -> None:
    """Write the tables into docs/performance.md, the README's rows, and the picture.

    Args:
        result: The result that ``peer_rounds.py`` builds.

    Raises:
        BenchmarkError: A file lacks the place for it.
    """
    draw(result).render_to_file(str(REPOSITORY / "docs" / "images" / "peers.svg"))
    page, readme = REPOSITORY / "docs" / "performance.md", REPOSITORY / "README.md"
    page.write_text(replaced(page.read_text(), as_markdown(result)))
    readme.write_text(with_rows(readme.read_text(), in_short(result)))


def replaced(document: str, text: str) -> str:
    """Return a document with another text between its marks.

    Args:
        document: The document.
        text: The text.

    Raises:
        BenchmarkError: The document lacks the marks.
    """
    before, found, rest = document.partition(_BEGIN)
    _, closed, after = rest.partition(_END)
    if not found or not closed:
        raise BenchmarkError(f"Expected {_BEGIN} and {_END} in the document, each on a line of its own; add them.")
    return f"{before}{_BEGIN}\n{text}\n{_END}{after}"


def with_rows(document: str, rows: Sequence[str]) -> str:
    """Return a document whose rows with the same first cell are replaced.

    Args:
        document: The document.
        rows: The new rows.

    Raises:
        BenchmarkError: The document lacks such a row.
    """
    lines = document.split("\n")
    for row in rows:
        title = row[: row.index("|", 1) + 1]
        places = [number for number, line in enumerate(lines) if line.startswith(title)]
        if len(places) != 1:
            raise BenchmarkError(f"Expected one row that begins with {title!r} in the document, got {len(places)}.")
        lines[places[0]] = row
    return "\n".join(lines)


def _aims(result: dict[str, Any], shapes: Sequence[str]) -> list[list[str]]:
    rows = []
    for shape, number, most, unit in AIMS:
        got = median(result, "drayage", shape, number) if shape in shapes else None
        if got is not None:
            digits = 2 if number == "ratio" else 1 if number == "seconds" else 0
            verdict = "" if got <= most else ", not met"
            rows.append([f"{TITLES[shape]}: {most:g} {unit}", f"{got:.{digits}f}{verdict}"])
    return rows


def _circumstances(result: dict[str, Any]) -> str:
    machine, loads = result["machine"], [run["load_before"] for run in result["runs"]]
    rounds = len({run["round"] for run in result["runs"]})
    versions = {name: version for found in result["versions"].values() for name, version in found.items()}
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    counted = "one round" if rounds == 1 else f"medians of {rounds} rounds"
    return (
        f"{result['date']}, {machine['processors']} processors, {machine['memory_mib'] / 1024:.0f} GiB, {counted};\n"
        f"load before each run {min(loads):.1f} to {max(loads):.1f};\n{named}."
    )


def _bar(result: dict[str, Any], peer: str, shape: str) -> dict[str, Any] | None:
    ratio, seconds = (median(result, peer, shape, number) for number in ("ratio", "seconds"))
    text: Callable[[float], str] = lambda _: f"{seconds:.1f} s"  # noqa: E731 - pygal calls it with the bar's length
    return None if ratio is None else {"value": round(ratio, 3), "formatter": text}


def _names(result: dict[str, Any], key: str) -> list[str]:
    return [name for name in TITLES if any(run[key] == name for run in result["runs"])]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    rule = [*["---"] * texts, *["---:"] * (len(head) - texts)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
